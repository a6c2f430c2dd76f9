//! From a path to a file: spellings, directories, links, what is refused.

use super::harness::Setup;
use super::server;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn names_are_percent_decoded_once() {
    for (target, body) in [
        ("/static/with%20space.txt", "space"),
        ("/static/gr%C3%B6%C3%9fe.txt", "größe"),
        ("/static/100%25.txt", "percent"),
        ("/static/a+b.txt", "plus"),
        ("/static/%68ello.txt", "Hello, file!\n"),
        ("/static/cafe%CC%81.txt", "decomposed"),
        ("/static/caf%C3%A9.txt", "composed"),
        (
            "/static/%F0%9F%A6%80/%E3%83%A9%E3%82%B9%E3%83%88.txt",
            "crab",
        ),
        ("/static/latin-%E9.txt", "latin"),
        ("/static/latin-%e9.txt", "latin"),
    ] {
        assert_eq!(server().get(target).expect(200).text(), body, "{target}");
    }
    for target in [
        "/static/%2568ello.txt",
        "/static/latin-%C3%A9.txt",
        "/static/caf%E9.txt",
        "/static/CAF%C3%89.txt",
    ] {
        server().get(target).expect(404);
    }
    // As the bytes themselves, which few clients send.
    let mut client = server().client();
    client.send("GET /static/caf\u{e9}.txt HTTP/1.1\r\nHost: test\r\n\r\n");
    let status = client.response().status;
    assert!(matches!(status, 200 | 400), "{status}");
}

#[test]
fn names_may_be_as_long_as_the_file_system_has_them() {
    // 254 bytes in 129 letters; percent-encoded 754.
    let name = format!("{}.txt", "%C3%A9".repeat(125));
    assert_eq!(
        server().get(&format!("/static/{name}")).expect(200).text(),
        "long"
    );
    assert_eq!(
        server()
            .get(&format!("/static/sub/../{name}"))
            .expect(200)
            .text(),
        "long"
    );
    server().get(&format!("/static/x{name}x")).expect(404);
}

#[test]
fn what_is_not_there_is_404() {
    for target in [
        "/static/none.txt",
        "/static/hello.txt/",
        "/static/hello.txt/x",
        "/static/sub/none",
        "/none",
        "/staticx/hello.txt",
        "/",
    ] {
        server().get(target).expect(404);
    }
    server()
        .get(&format!("/static/{}", "n".repeat(300)))
        .expect(404);
    server()
        .get(&format!("/static/{}", "n/".repeat(3000)))
        .expect(404);
}

#[test]
fn directories_serve_their_index_or_redirect_to_the_slash() {
    assert_eq!(server().get("/static/").expect(200).text(), "<p>index</p>");
    assert_eq!(
        server().get("/static/sub/").expect(200).text(),
        "<p>sub</p>"
    );
    let response = server().get("/static/sub?q=1");
    assert!(
        matches!(response.status, 301 | 302 | 307 | 308),
        "{response:?}"
    );
    assert!(
        response
            .header("location")
            .unwrap()
            .ends_with("/static/sub/?q=1"),
        "{response:?}"
    );
    let refused = server().get("/static/bare/").status;
    assert!(matches!(refused, 403 | 404), "{refused}");
}

/// Files and directories of somebody else: as nginx has it, what may be entered is served from, and the rest is 403.
#[test]
fn what_may_not_be_read_is_403_and_what_may_be_entered_is_entered() {
    let setup = Setup::bare();
    let dir = setup.dir();
    dir.write("files/open.txt", "open");
    dir.write("files/index.html", "<p>app</p>");
    let root = dir.path().to_owned();
    let mode = |path: &str, mode| {
        let path = root.join(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["entered", "bare", "closed"] {
        dir.write(&format!("files/{name}/x.txt"), "x");
    }
    dir.write("files/entered/index.html", "<p>index</p>");
    dir.write("files/closed/index.html", "<p>index</p>");
    dir.write("files/secret.txt", "secret");
    mode("", 0o755);
    mode("files/secret.txt", 0);
    mode("files/entered", 0o311);
    mode("files/bare", 0o311);
    mode("files/closed", 0);
    let files = root.join("files");
    let config = dir.write(
        "site.toml",
        ["plain", "listed", "single"]
            .map(|name| {
                format!(
                    "[[server.location]]\npath = '/{name}'\ndir = '{}'\nautoindex = {}\nspa = {}\n",
                    files.display(),
                    name == "listed",
                    name == "single"
                )
            })
            .concat(),
    );
    let mut setup = setup.option("--config", config);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        setup = setup.option("--user", "65534").option("--group", "65534");
    }
    let server = setup.start();
    let mut client = server.client();
    for location in ["/plain", "/listed"] {
        for (path, status) in [
            ("open.txt", 200),
            ("secret.txt", 403),
            ("entered", 301),
            ("entered/", 200),
            ("entered/x.txt", 200),
            ("bare", 301),
            ("bare/", 403),
            ("bare/x.txt", 200),
            ("bare/none", 404),
            ("closed", 301),
            ("closed/", 403),
            ("closed/x.txt", 403),
        ] {
            // As found on the disk, then as remembered.
            for _ in 0..2 {
                let response = client.get(&format!("{location}/{path}"));
                assert_eq!(response.status, status, "{location}/{path}");
            }
        }
    }
    // A page in place of a script that cannot be read would be a riddle.
    for (path, status) in [("secret.txt", 403), ("none.txt", 200), ("bare/none", 200)] {
        assert_eq!(
            client.get(&format!("/single/{path}")).status,
            status,
            "{path}"
        );
    }
    for name in ["entered", "bare", "closed"] {
        mode(&format!("files/{name}"), 0o755);
    }
}

#[test]
fn a_redirect_never_leads_to_another_host() {
    for target in [
        "/static//sub",
        "//static/sub",
        "/static/%2f/sub",
        "/static/./sub",
    ] {
        let response = server().get(target);
        if let Some(location) = response.header("location") {
            assert!(
                !location.starts_with("//") && !location.starts_with("/\\"),
                "{target} -> {location}"
            );
        }
    }
}

#[test]
fn nothing_outside_the_directory_is_served() {
    for target in [
        "/static/../secret.txt",
        "/static/sub/../../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/..%2fsecret.txt",
        "/static/.%2e/secret.txt",
        "/static/..%5csecret.txt",
        "/static/..\\secret.txt",
        "/static//../secret.txt",
        "/static/sub/%2e%2e/%2e%2e/secret.txt",
        "/static/%252e%252e/secret.txt",
        "/static/link-outside.txt",
        "/static/link-absolute.txt",
        "/static/link-parent/secret.txt",
        "/static/link-parent/files/../secret.txt",
        "/static/loop",
        "/../secret.txt",
        "/static/..",
        "/static/%2fetc/passwd",
        "/static//etc/passwd",
        "/static/...//secret.txt",
    ] {
        let response = server().get(target);
        assert!(
            matches!(response.status, 400 | 403 | 404),
            "{target}: {response:?}"
        );
        assert!(
            !response.text().contains("secret") || response.text().contains("secret.txt"),
            "{target}: {response:?}"
        );
    }
}

#[test]
fn a_link_inside_the_directory_is_followed() {
    assert_eq!(
        server().get("/static/link-inside.txt").expect(200).text(),
        "Hello, file!\n"
    );
}

#[test]
fn dot_segments_resolve_inside_the_mount() {
    assert_eq!(
        server().get("/static/sub/../hello.txt").expect(200).text(),
        "Hello, file!\n"
    );
    assert_eq!(
        server().get("/static/./hello.txt").expect(200).text(),
        "Hello, file!\n"
    );
}

#[test]
fn dotfiles_are_not_served() {
    for target in [
        "/static/.hidden",
        "/static/.git/config",
        "/static/%2ehidden",
    ] {
        let status = server().get(target).status;
        assert!(matches!(status, 403 | 404), "{target}: {status}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let mut client = server().client();
    for target in ["/static/fifo", "/static/socket"] {
        let status = client.get(target).status;
        assert!(matches!(status, 403 | 404), "{target}: {status}");
    }
}
