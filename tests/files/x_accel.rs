//! Files that an app names: X-Accel-Redirect into locations, X-Sendfile below the configured roots, and what is refused.

use super::harness::{self, Client, Response, Server, Setup, python, shared};
use std::sync::OnceLock;

const LARGE: usize = 300_000;

fn large() -> Vec<u8> {
    (0..LARGE).map(|index| (index % 251) as u8).collect()
}

/// One app at the root that says what its query says, a public and an internal location, and two roots for X-Sendfile.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || setup(true))
}

fn setup(sendfile: bool) -> Setup {
    let setup = Setup::bare();
    let dir = setup.dir();
    dir.write("protected/report.txt", "the report\n");
    dir.write("protected/large.bin", large());
    dir.write("protected/a b#c?\u{e9}.txt", "odd name\n");
    dir.write("protected/sub/x.txt", "below");
    dir.write("protected/.hidden", "hidden");
    dir.write("protected/report.txt.gz", "not really gzip");
    dir.write("listed/one.txt", "1");
    dir.write("public/open.txt", "for everybody\n");
    dir.write("media/7.pdf", "seven\n");
    dir.write("media/inner/8.pdf", "eight\n");
    dir.write("mediaeval/9.pdf", "nine\n");
    dir.write("secret.txt", "secret");
    std::os::unix::fs::symlink("../secret.txt", dir.path().join("media/out.txt")).unwrap();
    let roots = if sendfile {
        "sendfile_roots = ['media', 'media/inner/']"
    } else {
        ""
    };
    let config = dir.write(
        "site.toml",
        format!(
            "{roots}\nchdir = '{}'\naccess_log = 'access.log'\naccess_log_format = 'json'\n\
             [app.accel]\ntarget = 'accel'\n\
             [[server.location]]\npath = '/protected'\ndir = 'protected'\ninternal = true\n\
             cache = {{ match = '**', max_age = '1h' }}\n\
             [[server.location]]\npath = '/listed'\ndir = 'listed'\ninternal = true\nautoindex = true\n\
             [[server.location]]\npath = '/public'\ndir = 'public'\n",
            python::apps().display()
        ),
    );
    setup.option("--config", config).workers(1)
}

fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn target(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    format!("/?{}", pairs.join("&"))
}

#[track_caller]
fn ask(fields: &[(&str, &str)]) -> Response {
    server().get(&target(fields))
}

fn accel(path: &str) -> Response {
    ask(&[("X-Accel-Redirect", path)])
}

fn sendfile(path: &str) -> Response {
    ask(&[("X-Sendfile", path)])
}

#[test]
fn a_client_does_not_reach_an_internal_location() {
    for target in [
        "/protected/report.txt",
        "/protected/",
        "/protected",
        "/protected/none",
        "/x/../protected/report.txt",
        "/%70rotected/report.txt",
    ] {
        let response = server().get(target).expect(404);
        assert!(!response.text().contains("report"), "{target}");
    }
    assert_eq!(
        server().get("/public/open.txt").expect(200).text(),
        "for everybody\n"
    );
    // Its prefix ends at a segment.
    server().get("/protectedly").expect(203);
}

#[test]
fn the_named_file_is_sent_and_the_apps_body_is_not() {
    let response = accel("/protected/report.txt").expect(200);
    assert_eq!(response.text(), "the report\n");
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(response.header("content-length"), Some("11"));
    assert_eq!(response.header("x-accel-redirect"), None);
    assert!(response.header("etag").is_some() && response.header("last-modified").is_some());
    assert_eq!(
        accel("/public/open.txt").expect(200).text(),
        "for everybody\n"
    );
    for path in ["/bare", "/parts"] {
        let response = server()
            .get(&format!("{path}?X-Accel-Redirect=/public/open.txt"))
            .expect(200);
        assert_eq!(response.text(), "for everybody\n");
    }
    assert_eq!(accel("/protected/large.bin").expect(200).body, large());
}

#[test]
fn nginxs_fields_of_the_app_are_kept_and_others_dropped() {
    let response = ask(&[
        ("X-Accel-Redirect", "/protected/report.txt"),
        ("Content-Type", "application/pdf"),
        ("Content-Disposition", "attachment; filename=r.pdf"),
        ("Cache-Control", "private, no-store"),
        ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("ETag", "\"the-apps\""),
        ("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("X-Other", "x"),
    ])
    .expect(200);
    for (name, values) in [
        ("content-type", vec!["application/pdf"]),
        ("content-disposition", vec!["attachment; filename=r.pdf"]),
        ("cache-control", vec!["private, no-store"]),
        ("expires", vec!["Thu, 01 Jan 1970 00:00:00 GMT"]),
        ("set-cookie", vec!["a=1", "b=2"]),
        ("x-other", vec![]),
        ("content-length", vec!["11"]),
    ] {
        assert_eq!(response.header_values(name), values, "{name}");
    }
    assert_ne!(response.header("etag"), Some("\"the-apps\""));
    // Without its own, the file has those of the location.
    assert_eq!(
        accel("/protected/report.txt").header("cache-control"),
        Some("max-age=3600")
    );
}

#[test]
fn ranges_conditions_and_methods_are_the_clients() {
    let path = target(&[
        ("X-Accel-Redirect", "/protected/large.bin"),
        ("Content-Type", "a/b"),
    ]);
    let mut client = server().client();
    let mut with = |method: &str, lines: &str| {
        client
            .send(format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"
            ))
            .response_to(method)
    };
    let etag = with("GET", "")
        .expect(200)
        .header("etag")
        .unwrap()
        .to_owned();
    let part = with("GET", "Range: bytes=10-19\r\n").expect(206);
    assert_eq!(
        (&part.body[..], part.header("content-type")),
        (&large()[10..20], Some("a/b"))
    );
    let parts = with("GET", "Range: bytes=0-1,500-501\r\n").expect(206);
    assert!(
        parts
            .header("content-type")
            .unwrap()
            .starts_with("multipart/byteranges")
    );
    let none = with("GET", &format!("If-None-Match: {etag}\r\n")).expect(304);
    assert_eq!((none.body.len(), none.header("content-type")), (0, None));
    let outside = with("GET", "Range: bytes=999999999-\r\n").expect(416);
    assert_ne!(outside.header("content-type"), Some("a/b"));
    with("GET", "If-Match: \"other\"\r\n").expect(412);
    let head = with("HEAD", "").expect(200);
    assert_eq!(
        (head.body.len(), head.header("content-length")),
        (0, Some("300000"))
    );
    // Any other method is answered as GET, and its body has been the app's.
    let posted = with("POST", "Content-Length: 0\r\n").expect(200);
    assert_eq!(posted.body, large());
    // The same connection through all of it.
    let whole = target(&[
        ("X-Accel-Redirect", "/protected/large.bin"),
        ("Accept-Ranges", "none"),
    ]);
    let response = client
        .send(format!(
            "GET {whole} HTTP/1.1\r\nHost: test\r\nRange: bytes=0-1\r\n\r\n"
        ))
        .response();
    assert_eq!(response.expect(200).body.len(), LARGE);
}

#[test]
fn what_else_a_location_can_do_is_done_for_the_app_too() {
    let report = target(&[
        ("X-Accel-Redirect", "/protected/report.txt"),
        ("Content-Type", "a/b"),
    ]);
    let response = server()
        .client()
        .request("GET", &report, "Accept-Encoding: gzip\r\n", b"")
        .expect(200);
    let fields = (
        response.header("content-encoding"),
        response.header("content-type"),
        response.header("vary"),
    );
    assert_eq!(fields, (Some("gzip"), Some("a/b"), Some("Accept-Encoding")));
    assert_eq!(response.text(), "not really gzip");
    // A listing is made apart from the ring thread, so this is one of the answers that have to be waited for.
    let mut client = server().client();
    for _ in 0..2 {
        let listing = client.request(
            "GET",
            &target(&[("X-Accel-Redirect", "/listed/")]),
            "Accept: application/json\r\n",
            b"",
        );
        assert!(listing.expect(200).text().contains("one.txt"));
    }
}

#[test]
fn old_and_closing_clients_get_it_too() {
    let path = target(&[("X-Accel-Redirect", "/protected/large.bin")]);
    for request in [
        format!("GET {path} HTTP/1.0\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    ] {
        let response = server().client().send(request).response();
        assert!(response.closes());
        assert_eq!(response.expect(200).body, large());
    }
}

#[test]
fn answers_stay_in_order_when_requests_are_pipelined() {
    let accel = target(&[("X-Accel-Redirect", "/protected/large.bin")]);
    let mut client: Client = server().client();
    let line = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(
        [
            line("/public/open.txt"),
            line(&accel),
            line("/plain"),
            line(&accel),
            line("/public/open.txt"),
        ]
        .concat(),
    );
    assert_eq!(client.response().expect(200).text(), "for everybody\n");
    assert_eq!(client.response().expect(200).body, large());
    client.response().expect(203);
    assert_eq!(client.response().expect(200).body, large());
    assert_eq!(client.response().expect(200).text(), "for everybody\n");
}

#[test]
fn names_may_be_encoded_or_not() {
    for path in [
        "/protected/a%20b%23c%3F%C3%A9.txt",
        "/protected/sub/../a%20b%23c%3f%c3%a9.txt",
        "/protected/a b#c%3F\u{e9}.txt",
    ] {
        // The app writes latin-1, so the bytes of the header are UTF-8 as they stand here.
        assert_eq!(accel(path).expect(200).text(), "odd name\n", "{path}");
    }
    assert_eq!(
        accel("/protected/report.txt?query").expect(200).text(),
        "the report\n"
    );
}

#[test]
fn what_is_not_there_is_404_and_logged() {
    let response = ask(&[
        ("X-Accel-Redirect", "/protected/none"),
        ("Content-Type", "a/b"),
        ("Set-Cookie", "a=1"),
    ])
    .expect(404);
    assert_eq!(
        (
            response.header("content-type"),
            response.header("set-cookie")
        ),
        (Some("text/html; charset=utf-8"), Some("a=1"))
    );
    server().wait_log("X-Accel-Redirect to /protected/none came to 404");
    // A directory without its slash: the client could not follow.
    accel("/protected/sub").expect(404);
    accel("/protected/.hidden").expect(404);
    server().get("/public/open.txt").expect(200);
}

#[test]
fn what_the_app_got_wrong_is_502_and_logged() {
    for (path, why) in [
        (
            "/elsewhere",
            "X-Accel-Redirect to /elsewhere leads to an application",
        ),
        (
            "/protected/../x",
            "X-Accel-Redirect to /protected/../x leads to an application",
        ),
        ("/../x", "X-Accel-Redirect to /../x path leaves the root"),
        ("/%zz", "X-Accel-Redirect to /%zz malformed percent escape"),
        ("@named", "X-Accel-Redirect to @named names no path"),
        (
            "http://other/x",
            "X-Accel-Redirect to http://other/x names no path",
        ),
        ("", "X-Accel-Redirect to  names no path"),
    ] {
        let response = accel(path).expect(502);
        assert!(!response.text().contains("own body"), "{path}");
        server().wait_log(why);
    }
    server().get("/plain").expect(203);
}

#[test]
fn files_below_the_roots_are_sent_by_their_paths() {
    let path = |name: &str| {
        server()
            .dir()
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(sendfile(&path("media/7.pdf")).expect(200).text(), "seven\n");
    assert_eq!(
        sendfile(&path("media/inner/8.pdf")).expect(200).text(),
        "eight\n"
    );
    let response = ask(&[
        ("X-Sendfile", &path("media/7.pdf")),
        ("Content-Type", "a/b"),
    ])
    .expect(200);
    assert_eq!(
        (
            response.header("content-type"),
            response.header("x-sendfile")
        ),
        (Some("a/b"), None)
    );
    for (name, status, why) in [
        ("media/none.pdf", 404, "media/none.pdf came to 404"),
        ("media/out.txt", 404, "media/out.txt came to 404"),
        ("media", 502, "is below no sendfile_roots"),
        ("media/inner", 404, "media/inner came to 404"),
        (
            "mediaeval/9.pdf",
            502,
            "mediaeval/9.pdf is refused: it is below no sendfile_roots",
        ),
        (
            "secret.txt",
            502,
            "secret.txt is refused: it is below no sendfile_roots",
        ),
        (
            "media/../secret.txt",
            502,
            "is refused: an absolute path without '..'",
        ),
        (
            "media/./../secret.txt",
            502,
            "is refused: an absolute path without '..'",
        ),
    ] {
        let response = sendfile(&path(name));
        assert_eq!(response.status, status, "{name}");
        assert!(!response.text().contains("secret"));
        server().wait_log(why);
    }
    sendfile("media/7.pdf").expect(502);
    sendfile("/etc/passwd").expect(502);
}

#[test]
fn without_roots_no_file_is_sent_by_its_path() {
    let server = setup(false).start();
    let path = server.dir().path().join("media/7.pdf");
    server
        .get(&format!("/?X-Sendfile={}", path.display()))
        .expect(502);
    server.wait_log("no sendfile_roots are configured");
}

#[test]
fn the_access_log_names_the_app_and_the_files_size() {
    accel("/protected/large.bin?logged").expect(200);
    let line = harness::eventually("a line in the access log", || {
        server()
            .dir()
            .read("access.log")
            .lines()
            .find(|line| line.contains("logged"))
            .map(str::to_owned)
    });
    let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(entry["status"], 200, "{line}");
    assert!(line.contains("accel") && line.contains("300000"), "{line}");
}
