//! Files served by the edge: resolution, types, conditions, ranges, what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Client, Server, Setup, TempDir, shared};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

const LARGE: usize = 5_000_000;

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}

/// A tree of files beside the server's own directory, served under /static; /other is a second one, / has no app.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || {
        let setup = Setup::bare();
        let dir = setup.dir();
        dir.write("files/hello.txt", "Hello, file!\n");
        dir.write("files/empty.txt", "");
        dir.write("files/large.bin", pattern(LARGE));
        dir.write("files/middle.bin", pattern(100_000));
        dir.write("files/page.html", "<p>page</p>");
        dir.write("files/index.html", "<p>index</p>");
        dir.write("files/sub/index.html", "<p>sub</p>");
        dir.write("files/bare/file.txt", "x");
        dir.write("files/with space.txt", "space");
        dir.write("files/größe.txt", "größe");
        dir.write("files/100%.txt", "percent");
        dir.write("files/a+b.txt", "plus");
        dir.write("files/.hidden", "hidden");
        dir.write("files/.git/config", "hidden");
        dir.write("files/back\\slash.txt", "backslash");
        dir.write("files/noextension", "what am I");
        // Two spellings of one letter are two names, as the file system has them; one is no text at all.
        dir.write("files/cafe\u{301}.txt", "decomposed");
        dir.write("files/caf\u{e9}.txt", "composed");
        dir.write("files/\u{1f980}/ラスト.txt", "crab");
        dir.write(format!("files/{}.txt", "é".repeat(125)).as_str(), "long");
        let raw = std::ffi::OsStr::from_bytes(b"latin-\xe9.txt");
        std::fs::write(dir.path().join("files").join(raw), "latin").unwrap();
        for name in ["hello.txt", "middle.bin"] {
            dir.age(&format!("files/{name}"));
        }
        dir.write("other/hello.txt", "the other one\n");
        dir.write("secret.txt", "secret");
        let files = dir.path().join("files");
        symlink("hello.txt", files.join("link-inside.txt")).unwrap();
        symlink("../secret.txt", files.join("link-outside.txt")).unwrap();
        symlink(
            dir.path().join("secret.txt"),
            files.join("link-absolute.txt"),
        )
        .unwrap();
        symlink("..", files.join("link-parent")).unwrap();
        symlink("loop", files.join("loop")).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(files.join("fifo"))
                .status()
                .unwrap()
                .success()
        );
        std::os::unix::net::UnixListener::bind(files.join("socket")).unwrap();
        let (files, other) = (
            format!("/static={}", files.display()),
            format!("/other={}", dir.path().join("other").display()),
        );
        setup.also("--static", files).also("--static", other)
    })
}

fn get_with(target: &str, headers: &str) -> harness::Response {
    server().client().request("GET", target, headers, b"")
}

#[test]
fn a_file_is_served_with_all_its_headers() {
    let response = server().get("/static/hello.txt").expect(200);
    assert_eq!(response.text(), "Hello, file!\n");
    assert_eq!(response.header("content-length"), Some("13"));
    assert!(
        response
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    assert!(response.header("etag").unwrap().ends_with('"'));
    assert!(response.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(response.header("accept-ranges"), Some("bytes"));
    assert!(response.header("date").is_some() && response.header("server").is_some());
}

#[test]
fn sizes_of_every_path_arrive_whole() {
    let mut client = server().client();
    assert_eq!(client.get("/static/empty.txt").expect(200).body, b"");
    assert!(client.get("/static/middle.bin").expect(200).body == pattern(100_000));
    assert!(client.get("/static/large.bin").expect(200).body == pattern(LARGE));
    assert_eq!(
        client.get("/static/hello.txt").expect(200).text(),
        "Hello, file!\n"
    );
}

#[test]
fn every_size_around_the_thresholds_arrives_whole() {
    let dir = TempDir::new();
    let sizes = [
        1, 2, 100, 511, 512, 4095, 4096, 4097, 8192, 16_383, 16_384, 16_385, 32_767, 32_768,
        32_769, 65_535, 65_536, 65_537, 131_072, 262_145, 1_048_576,
    ];
    for size in sizes {
        dir.write(&format!("{size}"), pattern(size));
    }
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    // Twice: first from the disk's path, then from whatever is kept.
    for size in sizes.into_iter().chain(sizes) {
        assert!(
            client.get(&format!("/{size}")).expect(200).body == pattern(size),
            "{size}"
        );
    }
    for size in sizes {
        client.send(format!("GET /{size} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    for size in sizes {
        assert!(
            client.response().expect(200).body == pattern(size),
            "{size} pipelined"
        );
    }
}

/// More than the sockets hold: a file that would leave at once leaves in part, and its rest before the next answer.
#[test]
fn a_reader_that_is_slower_than_the_answers_gets_them_whole() {
    const ASKED: usize = 60;
    let mut client = server().client();
    for _ in 0..ASKED {
        client.send("GET /static/middle.bin HTTP/1.1\r\nHost: test\r\n\r\n");
        // One at a time: requests that come together are answered in another way.
        let mut came = 0;
        harness::eventually("what there is room for has come", || {
            let before = std::mem::replace(&mut came, client.arrived());
            (came > 0 && came == before).then_some(())
        });
    }
    let middle = pattern(100_000);
    for index in 0..ASKED {
        assert!(client.response().expect(200).body == middle, "{index}");
    }
}

#[test]
fn head_sends_the_headers_alone() {
    let mut client = server().client();
    for target in [
        "/static/hello.txt",
        "/static/large.bin",
        "/static/empty.txt",
    ] {
        let whole = client.get(target).expect(200);
        let head = client.request("HEAD", target, "", b"").expect(200);
        let names = [
            "content-length",
            "content-type",
            "etag",
            "last-modified",
            "accept-ranges",
        ];
        for name in names {
            assert_eq!(head.header(name), whole.header(name), "{target} {name}");
        }
    }
}

#[test]
fn other_methods_are_refused() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "X"] {
        let response = server()
            .client()
            .request(method, "/static/hello.txt", "", b"body")
            .expect(405);
        assert!(response.text().contains("<h1>405 Method Not Allowed</h1>"));
        let allow = response.header("allow").unwrap();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
}

#[test]
fn types_follow_the_name() {
    for (name, kind) in [
        ("page.html", "text/html"),
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.mjs", "text/javascript"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.PNG", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("noextension", "application/octet-stream"),
        ("a.nobodyknows", "application/octet-stream"),
    ] {
        let path = server().dir().path().join("files").join(name);
        if !path.exists() {
            std::fs::write(path, "x").unwrap();
        }
        let response = server().get(&format!("/static/{name}")).expect(200);
        let found = response.header("content-type").unwrap();
        assert_eq!(found.split(';').next(), Some(kind), "{name}");
        if kind.starts_with("text/") {
            assert!(
                found.to_ascii_lowercase().contains("charset=utf-8"),
                "{name}: {found}"
            );
        }
    }
}

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
        ["plain", "listed"]
            .map(|name| {
                format!(
                    "[[server.location]]\npath = '/{name}'\ndir = '{}'\nautoindex = {}\n",
                    files.display(),
                    name == "listed"
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

#[test]
fn conditional_requests() {
    let whole = server().get("/static/hello.txt").expect(200);
    let (etag, date) = (
        whole.header("etag").unwrap().to_owned(),
        whole.header("last-modified").unwrap().to_owned(),
    );
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let future = "Fri, 06 Nov 2150 08:49:37 GMT";
    for (headers, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"a\", {etag}, \"b\"\r\n"), 304),
        ("If-None-Match: *\r\n".into(), 304),
        ("If-None-Match: \"a\"\r\n".into(), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Modified-Since: {future}\r\n"), 304),
        (format!("If-Modified-Since: {old}\r\n"), 200),
        ("If-Modified-Since: nonsense\r\n".into(), 200),
        (
            format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {date}\r\n"),
            200,
        ),
        (
            format!("If-None-Match: {etag}\r\nIf-Modified-Since: {old}\r\n"),
            304,
        ),
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: *\r\n".into(), 200),
        ("If-Match: \"a\"\r\n".into(), 412),
        (format!("If-Match: W/{etag}\r\n"), 412),
        (format!("If-Unmodified-Since: {date}\r\n"), 200),
        (format!("If-Unmodified-Since: {old}\r\n"), 412),
        (
            format!("If-Match: {etag}\r\nIf-Unmodified-Since: {old}\r\n"),
            200,
        ),
    ] {
        let response = get_with("/static/hello.txt", &headers);
        assert_eq!(response.status, status, "{headers:?}");
        if status == 304 {
            assert_eq!(response.header("etag"), Some(etag.as_str()));
            assert!(
                response
                    .header("content-length")
                    .is_none_or(|length| length == "13")
            );
        }
    }
}

#[test]
fn single_ranges() {
    let middle = pattern(100_000);
    let mut client = server().client();
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=99999-", 99_999, 100_000),
        ("bytes=50000-", 50_000, 100_000),
        ("bytes=-1", 99_999, 100_000),
        ("bytes=-200000", 0, 100_000),
        ("bytes=10-9999999999999999999999", 10, 100_000),
        ("bytes=99999-200000", 99_999, 100_000),
    ] {
        let response = client
            .request(
                "GET",
                "/static/middle.bin",
                &format!("Range: {range}\r\n"),
                b"",
            )
            .expect(206);
        assert!(response.body == middle[start..end], "{range}");
        assert_eq!(
            response.header("content-range"),
            Some(format!("bytes {start}-{}/100000", end - 1).as_str()),
            "{range}"
        );
    }
    for range in ["bytes=100000-", "bytes=100000-100001", "bytes=-0"] {
        let response = client
            .request(
                "GET",
                "/static/middle.bin",
                &format!("Range: {range}\r\n"),
                b"",
            )
            .expect(416);
        assert_eq!(
            response.header("content-range"),
            Some("bytes */100000"),
            "{range}"
        );
    }
    for range in [
        "bytes=5-4",
        "bytes=x-",
        "bytes",
        "lines=1-2",
        "bytes=",
        "bytes=-",
        "bytes=1-2x",
        "0-1",
    ] {
        let response = client.request(
            "GET",
            "/static/middle.bin",
            &format!("Range: {range}\r\n"),
            b"",
        );
        assert!(
            response.status == 200 && response.body.len() == 100_000,
            "{range}: {}",
            response.status
        );
    }
    // Who bounds every download by a range is told that there is nothing, not that it went wrong.
    for range in ["bytes=0-", "bytes=0-99", "bytes=-1", "bytes=5-"] {
        let response = client
            .request(
                "GET",
                "/static/empty.txt",
                &format!("Range: {range}\r\n"),
                b"",
            )
            .expect(200);
        assert_eq!(response.header("content-range"), None, "{range}");
    }
    let head = client.request("HEAD", "/static/middle.bin", "Range: bytes=0-9\r\n", b"");
    assert!(
        matches!(
            (head.status, head.header("content-length")),
            (200, Some("100000")) | (206, Some("10"))
        ),
        "{head:?}"
    );
}

#[test]
fn a_range_of_a_large_file_is_spliced_from_its_place() {
    let large = pattern(LARGE);
    let response = get_with("/static/large.bin", "Range: bytes=1234567-4234567\r\n").expect(206);
    assert!(response.body == large[1_234_567..=4_234_567]);
}

#[test]
fn if_range_guards_the_range() {
    let whole = server().get("/static/hello.txt").expect(200);
    let (etag, date) = (
        whole.header("etag").unwrap().to_owned(),
        whole.header("last-modified").unwrap().to_owned(),
    );
    for (condition, status) in [
        (etag.clone(), 206),
        (format!("W/{etag}"), 200),
        ("\"other\"".into(), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT".into(), 200),
        (date, 206),
    ] {
        assert_eq!(
            get_with(
                "/static/hello.txt",
                &format!("Range: bytes=0-4\r\nIf-Range: {condition}\r\n")
            )
            .status,
            status,
            "{condition}"
        );
    }
}

/// Whether its time could hide a change is the file system's secret for a moment; what is certain: a weak tag never resumes a range, and
/// the tag is strong soon, of the same text.
#[test]
fn the_tag_of_a_new_file_becomes_strong() {
    let dir = TempDir::new();
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    dir.write("new.txt", "Hello, file!\n");
    let first = client.get("/new.txt").expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let strong = tag.trim_start_matches("W/");
    if tag != strong {
        let fields = format!("Range: bytes=0-4\r\nIf-Range: {tag}\r\n");
        client.request("GET", "/new.txt", &fields, b"").expect(200);
    }
    harness::eventually("a strong tag", || {
        (client.get("/new.txt").header("etag") == Some(strong)).then_some(())
    });
    let fields = format!("Range: bytes=0-4\r\nIf-Range: {strong}\r\n");
    client.request("GET", "/new.txt", &fields, b"").expect(206);
}

#[test]
fn the_precondition_comes_before_the_range() {
    let etag = server()
        .get("/static/hello.txt")
        .header("etag")
        .unwrap()
        .to_owned();
    assert_eq!(
        get_with(
            "/static/hello.txt",
            &format!("Range: bytes=0-4\r\nIf-None-Match: {etag}\r\n")
        )
        .status,
        304
    );
    assert_eq!(
        get_with(
            "/static/hello.txt",
            "Range: bytes=0-4\r\nIf-Match: \"x\"\r\n"
        )
        .status,
        412
    );
}

#[test]
fn mounts_do_not_mix() {
    assert_eq!(
        server().get("/other/hello.txt").expect(200).text(),
        "the other one\n"
    );
    server().get("/other/page.html").expect(404);
}

#[test]
fn a_changed_file_is_served_anew() {
    let dir = TempDir::new();
    let path = dir.write("changing.txt", "before");
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    let before = client.get("/changing.txt").expect(200);
    dir.write("changing.new", "after, and longer");
    std::fs::rename(dir.path().join("changing.new"), &path).unwrap();
    // The open-file cache may keep an entry for a documented, short time.
    let after = harness::eventually("the new content", || {
        let response = client.get("/changing.txt").expect(200);
        (response.text() == "after, and longer").then_some(response)
    });
    assert_ne!(before.header("etag"), after.header("etag"));
    std::fs::remove_file(&path).unwrap();
    harness::eventually("the file is gone", || {
        (client.get("/changing.txt").status == 404).then_some(())
    });
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_breaks_the_response_off() {
    let dir = TempDir::new();
    let path = dir.write("shrinking.bin", pattern(40_000_000));
    let server = Setup::bare()
        .also("--static", format!("/={}", dir.path().display()))
        .start();
    let mut client = server.client();
    client.send("GET /shrinking.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    client.wait_bytes(1000);
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(100)
        .unwrap();
    // Either all of it was under way already, or the connection ends: never filled up with something else.
    match client.try_response("GET") {
        Ok(response) => assert!(response.body == pattern(40_000_000)),
        Err(error) => assert!(
            matches!(
                error.kind(),
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
            ),
            "{error}"
        ),
    }
    server.client().expect_open();
}

#[test]
fn a_client_that_leaves_in_the_middle_leaks_nothing() {
    let server = server();
    let edge = server.edge().unwrap();
    server.get("/static/large.bin").expect(200);
    let before = harness::process::open_descriptors(edge);
    for _ in 0..50 {
        let mut client = server.client();
        client.send("GET /static/large.bin HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_bytes(1000);
    }
    harness::eventually("the descriptors are closed", || {
        (harness::process::open_descriptors(edge) <= before + 8).then_some(())
    });
}

#[test]
fn many_clients_download_at_once() {
    let server = server();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                server.get("/static/large.bin").expect(200).body == pattern(LARGE)
            })
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap()));
}

#[test]
fn static_and_app_share_a_port() {
    let setup = Setup::app("basic:application");
    setup.dir().write("files/a.txt", "file");
    let files = format!("/static={}", setup.dir().path().join("files").display());
    let server = setup.also("--static", files).start();
    let mut client = server.client();
    client.send("GET /hello HTTP/1.1\r\nHost: test\r\n\r\nGET /static/a.txt HTTP/1.1\r\nHost: test\r\n\r\nGET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    for body in ["Hello, world!\n", "file", "Hello, world!\n"] {
        assert_eq!(client.response().expect(200).text(), body);
    }
    // A path that only shares letters with the mount belongs to the app.
    assert_eq!(client.get("/statics").expect(404).text(), "no such page\n");
    assert!(
        !client
            .get("/static/none")
            .expect(404)
            .text()
            .contains("no such page")
    );
}

#[test]
fn a_request_body_on_a_static_path_does_not_become_a_request() {
    let mut client: Client = server().client();
    let response = client
        .request(
            "GET",
            "/static/hello.txt",
            "",
            b"GET /static/page.html HTTP/1.1\r\nHost: test\r\n\r\n",
        )
        .expect(200);
    assert_eq!(response.text(), "Hello, file!\n");
    if !response.closes() {
        assert_eq!(
            client.get("/static/page.html").expect(200).text(),
            "<p>page</p>"
        );
        client.send("GET /static/hello.txt HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.response().expect(200).text(), "Hello, file!\n");
    }
}

#[test]
fn a_missing_directory_is_said_at_start() {
    let (code, output) = Setup::bare()
        .also("--static", "/static=/no/such/directory")
        .run_to_end();
    assert_ne!(code, 0);
    assert!(output.contains("/no/such/directory"), "{output}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let (code, output) = Setup::bare()
        .also("--static", format!("/static={}", file.display()))
        .run_to_end();
    assert_ne!(code, 0);
    assert!(output.contains("Cargo.toml"), "{output}");
}
