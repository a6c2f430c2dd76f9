//! What a location of the configuration file can be told, over raw sockets: one server with many locations, tables of requests.

use super::harness::{Client, Server, Setup, shared};
use std::os::unix::fs::symlink;
use std::sync::OnceLock;

const LARGE: usize = 70_000;

fn large() -> Vec<u8> {
    (0..LARGE).map(|index| (index % 253) as u8).collect()
}

const CONFIG: &str = r#"
[[server.location]]
path = "/plain"
dir = "plain"

[[server.location]]
path = "/assets"
dir = "assets"
precompressed = ["br", "gzip"]
cache = [
    { match = "hashed", control = "public, max-age=31536000, immutable" },
    { match = "/fonts/**", max_age = "1d", expires = true },
    { match = "*.html", control = "no-cache" },
]
[server.location.headers]
X-Content-Type-Options = "nosniff"
Access-Control-Allow-Origin = "*"
[server.location.headers_always]
X-Frame-Options = "DENY"

[[server.location]]
path = "/app"
dir = "app"
spa = true

[[server.location]]
path = "/site"
dir = "site"
try_files = ["$uri", "$uri.html", "$uri/", "=404"]
index = ["home.html", "index.html"]
default_type = "text/plain"
charset = "koi8-r"
[server.location.types]
".foo" = "application/x-foo"
[server.location.error_pages]
404 = "/missing.html"
405 = "/missing.html"
[server.location.headers_always]
X-Frame-Options = "DENY"

[[server.location]]
path = "/list"
dir = "list"
autoindex = true

[[server.location]]
path = "/json"
dir = "list"
autoindex = "json"
dotfiles = true

[[server.location]]
path = "/nolinks"
dir = "links"
symlinks = "off"

[[server.location]]
path = "/anylinks"
dir = "links"
symlinks = "any"

[[server.location]]
path = "/owners"
dir = "links"
symlinks = "owner"

[[server.location]]
path = "/weak"
alias = "plain/"
etag = "weak"

[[server.location]]
path = "/tagless"
dir = "./assets/../plain"
etag = false

[[server.location]]
path = "/weak/inner"
dir = "site"

[[server.location]]
path = "/internal"
dir = "plain"
internal = true
"#;

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || {
        let setup = Setup::bare();
        let dir = setup.dir();
        dir.write("plain/a.txt", "alpha\n");
        dir.write("assets/app.3f9c2a7b1d0e.css", "body{}");
        dir.write("assets/app.3f9c2a7b1d0e.css.br", "brotli-css");
        dir.write("assets/app.3f9c2a7b1d0e.css.gz", "gz-css");
        dir.write("assets/large.js", large());
        dir.write("assets/large.js.gz", &large()[..LARGE / 2]);
        dir.age("assets/large.js");
        dir.age("assets/large.js.gz");
        dir.write("assets/fonts/a.woff2", "font");
        dir.write("assets/page.html", "<p>page</p>");
        dir.write("app/index.html", "<p>the app</p>");
        dir.write("app/main.js", "main()");
        dir.write("site/home.html", "<p>home</p>");
        dir.write("site/about.html", "<p>about</p>");
        dir.write("site/docs/index.html", "<p>docs</p>");
        dir.write("site/empty/nothing.txt", "x");
        dir.write("site/x.foo", "foo");
        dir.write("site/README", "readme");
        dir.write("site/missing.html", "<p>we looked</p>");
        dir.write("list/b.txt", "12");
        dir.write("list/<b>.txt", "1");
        dir.write("list/.hidden", "h");
        dir.write("list/sub/größe.txt", "x");
        dir.write("links/a.txt", "a");
        dir.write("secret.txt", "secret");
        let links = dir.path().join("links");
        symlink("a.txt", links.join("in")).unwrap();
        symlink("../secret.txt", links.join("out")).unwrap();
        symlink("/dev/zero", links.join("device")).unwrap();
        symlink("/", links.join("root")).unwrap();
        let config = dir.write("ringgate.toml", CONFIG);
        setup.option("--config", config)
    })
}

/// Asks and compares, line by line: `GET /path | Field: of the request -> 200 | Header: of the answer => body`. A header with nothing behind
/// its colon must not be there; where no body is said any will do; `\n` stands for an end of line.
#[track_caller]
fn check(table: &str) {
    let rows: Vec<&str> = table.trim().lines().map(str::trim).collect();
    let mut client = server().client();
    // Twice: as found on the disk, then as remembered.
    for row in rows.iter().chain(&rows) {
        let (request, answer) = row.split_once(" -> ").unwrap();
        let (answer, body) = match answer.split_once(" =>") {
            Some((answer, body)) => (answer, Some(body.trim().replace("\\n", "\n"))),
            None => (answer, None),
        };
        let mut parts = request.split(" | ");
        let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: String = parts.map(|field| format!("{field}\r\n")).collect();
        let response = client.request(method, target, &fields, b"");
        let mut parts = answer.split(" | ");
        let status: u16 = parts.next().unwrap().parse().unwrap();
        assert_eq!(response.status, status, "{row}");
        for header in parts {
            let (name, value) = header.split_once(':').unwrap();
            let expected = Some(value.trim()).filter(|value| !value.is_empty());
            let found = response.header(&name.to_ascii_lowercase());
            assert_eq!(found, expected, "{row}: {name}");
        }
        if let Some(body) = body {
            assert_eq!(response.text(), body, "{row}");
        }
    }
}

#[test]
fn precompressed_files() {
    check(
        r#"
        GET /assets/app.3f9c2a7b1d0e.css -> 200 | Content-Encoding: | Vary: Accept-Encoding | Content-Type: text/css; charset=utf-8 | Accept-Ranges: bytes => body{}
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: br -> 200 | Content-Encoding: br | Vary: Accept-Encoding | Content-Type: text/css; charset=utf-8 | Content-Length: 10 => brotli-css
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: gzip -> 200 | Content-Encoding: gzip | Content-Length: 6 => gz-css
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: gzip, br, zstd -> 200 | Content-Encoding: br => brotli-css
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: br;q=0.1, gzip;q=0.2 -> 200 | Content-Encoding: gzip => gz-css
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: zstd -> 200 | Content-Encoding: => body{}
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: identity;q=0, *;q=0 -> 200 | Content-Encoding: => body{}
        GET /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: br | Range: bytes=0-3 -> 206 | Content-Encoding: | Content-Range: bytes 0-3/6 | Vary: Accept-Encoding => body
        HEAD /assets/app.3f9c2a7b1d0e.css | Accept-Encoding: br -> 200 | Content-Encoding: br | Content-Length: 10 =>
        GET /assets/page.html | Accept-Encoding: gzip -> 200 | Content-Encoding: | Vary: => <p>page</p>
        "#,
    );
    let mut client = server().client();
    let plain = client
        .request("GET", "/assets/large.js", "", b"")
        .expect(200);
    assert!(plain.body == large());
    let coded = client
        .request("GET", "/assets/large.js", "Accept-Encoding: gzip\r\n", b"")
        .expect(200);
    assert!(coded.body == large()[..LARGE / 2] && coded.header("content-encoding") == Some("gzip"));
    assert_ne!(plain.header("etag"), coded.header("etag"));
    let fields = format!(
        "Accept-Encoding: gzip\r\nIf-None-Match: {}\r\n",
        coded.header("etag").unwrap()
    );
    let response = client
        .request("GET", "/assets/large.js", &fields, b"")
        .expect(304);
    assert_eq!(
        (response.header("vary"), response.header("etag")),
        (Some("Accept-Encoding"), coded.header("etag"))
    );
}

#[test]
fn cache_rules_and_headers() {
    check(
        r#"
        GET /assets/app.3f9c2a7b1d0e.css -> 200 | Cache-Control: public, max-age=31536000, immutable | Expires: | X-Content-Type-Options: nosniff
        GET /assets/app.3f9c2a7b1d0e.css | If-None-Match: * -> 304 | Cache-Control: public, max-age=31536000, immutable | X-Content-Type-Options: nosniff =>
        GET /assets/fonts/a.woff2 -> 200 | Cache-Control: max-age=86400 | X-Content-Type-Options: nosniff => font
        GET /assets/page.html -> 200 | Cache-Control: no-cache | X-Content-Type-Options: nosniff
        GET /assets/large.js | Range: bytes=0-0 -> 206 | Cache-Control: | X-Content-Type-Options: nosniff
        GET /assets/fonts -> 301 | Location: /assets/fonts/ | X-Content-Type-Options: nosniff =>
        OPTIONS /assets/page.html -> 204 | Allow: GET, HEAD, OPTIONS | Access-Control-Allow-Origin: * =>
        GET /assets/absent.js -> 404 | X-Content-Type-Options: | Cache-Control:
        GET /assets/fonts/ -> 403 | X-Content-Type-Options:
        "#,
    );
    let response = server().get("/assets/fonts/a.woff2");
    let (date, expires) = (
        response.header("date").unwrap(),
        response.header("expires").unwrap(),
    );
    let seconds = |text: &str| proto::date::parse(text.as_bytes()).unwrap();
    assert!(
        (86_399..=86_401).contains(&(seconds(expires) - seconds(date))),
        "{date} {expires}"
    );
}

#[test]
fn headers_of_every_answer_go_with_errors_too() {
    check(
        r#"
        GET /assets/page.html -> 200 | X-Frame-Options: DENY
        GET /assets/page.html | If-None-Match: * -> 304 | X-Frame-Options: DENY =>
        GET /assets/large.js | Range: bytes=0-0 -> 206 | X-Frame-Options: DENY
        GET /assets/fonts -> 301 | X-Frame-Options: DENY =>
        OPTIONS /assets/x -> 204 | X-Frame-Options: DENY =>
        GET /assets/absent.js -> 404 | X-Frame-Options: DENY
        GET /assets/fonts/ -> 403 | X-Frame-Options: DENY
        POST /assets/page.html -> 405 | X-Frame-Options: DENY | Allow: GET, HEAD, OPTIONS
        GET /assets/page.html | If-Match: "x" -> 412 | X-Frame-Options: DENY
        GET /assets/page.html | Range: bytes=99- -> 416 | X-Frame-Options: DENY | Content-Range: bytes */11
        GET /site/nowhere -> 404 | X-Frame-Options: DENY => <p>we looked</p>
        PUT /site/about -> 405 | X-Frame-Options: DENY | Allow: GET, HEAD, OPTIONS => <p>we looked</p>
        GET /plain/absent -> 404 | X-Frame-Options:
        "#,
    );
}

#[test]
fn a_single_page_application() {
    check(
        r#"
        GET /app/ -> 200 | Content-Type: text/html; charset=utf-8 => <p>the app</p>
        GET /app -> 301 | Location: /app/ =>
        GET /app?x=1 -> 301 | Location: /app/?x=1 =>
        GET /app/main.js -> 200 | Content-Type: text/javascript; charset=utf-8 => main()
        GET /app/users/7 -> 200 | Content-Type: text/html; charset=utf-8 => <p>the app</p>
        HEAD /app/users/7 -> 200 | Content-Length: 14 =>
        GET /app/users/7 | If-None-Match: * -> 304 =>
        POST /app/users/7 -> 405 | Allow: GET, HEAD, OPTIONS
        GET /app/.git/config -> 404
        GET /app/..%2fsecret.txt -> 404
        "#,
    );
}

#[test]
fn steps_types_and_error_pages() {
    check(
        r#"
        GET /site/ -> 200 | Content-Type: text/html; charset=koi8-r => <p>home</p>
        GET /site/about -> 200 => <p>about</p>
        GET /site/docs -> 301 | Location: /site/docs/ =>
        GET /site/docs/ -> 200 => <p>docs</p>
        GET /site/x.foo -> 200 | Content-Type: application/x-foo => foo
        GET /site/README -> 200 | Content-Type: text/plain; charset=koi8-r => readme
        GET /site/empty/ -> 404 | Content-Type: text/html; charset=koi8-r | ETag: => <p>we looked</p>
        GET /site/nowhere -> 404 | Content-Length: 16 => <p>we looked</p>
        HEAD /site/nowhere -> 404 | Content-Length: 16 =>
        DELETE /site/about -> 405 | Allow: GET, HEAD, OPTIONS => <p>we looked</p>
        GET /site/missing.html -> 200 => <p>we looked</p>
        "#,
    );
}

#[test]
fn listings() {
    let mut client = server().client();
    let page = client.get("/list/").expect(200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let text = page.text();
    for part in [
        "href=\"./b.txt\"",
        "href=\"./%3Cb%3E.txt\">&lt;b&gt;.txt",
        "href=\"./sub/\"",
        "prefers-color-scheme",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("hidden") && !text.contains("../"), "{text}");
    assert!(
        client
            .get("/list/sub/")
            .expect(200)
            .text()
            .contains("./gr%C3%B6%C3%9Fe.txt")
    );
    // Every link leads to what it names.
    for link in text
        .split("href=\"./")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        client.get(&format!("/list/{link}")).expect(200);
    }
    let wanted = client
        .request("GET", "/list/", "Accept: application/json\r\n", b"")
        .expect(200);
    assert_eq!(wanted.json().as_array().unwrap().len(), 3);
    let json = client.get("/json/?sort=size&order=desc").expect(200).json();
    let names: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["sub", "b.txt", "<b>.txt", ".hidden"]);
    check(
        r#"
        HEAD /list/ -> 200 | Vary: Accept =>
        GET /list -> 301 | Location: /list/ =>
        GET /list/absent/ -> 404
        GET /list/sub?x -> 301 | Location: /list/sub/?x =>
        POST /list/ -> 405
        "#,
    );
}

#[test]
fn links_and_internal_locations() {
    check(
        r#"
        GET /nolinks/a.txt -> 200 => a
        GET /nolinks/in -> 404
        GET /nolinks/out -> 404
        GET /anylinks/in -> 200 => a
        GET /anylinks/out -> 200 => secret
        GET /anylinks/../secret.txt -> 404
        GET /anylinks/%2e%2e/secret.txt -> 404
        GET /anylinks/..%2fsecret.txt -> 404
        GET /anylinks/device -> 403
        GET /anylinks/root/dev/null -> 403
        GET /nolinks/root/dev/null -> 404
        GET /owners/in -> 200 => a
        GET /owners/out -> 200 => secret
        GET /internal/a.txt -> 404
        OPTIONS /internal/a.txt -> 404
        GET /plain/a.txt -> 200 => alpha\n
        "#,
    );
}

/// The rest of a path is looked for below the directory, whatever the two are called, and the longest prefix wins.
#[test]
fn a_location_is_mapped_as_an_alias() {
    check(
        r#"
        GET /weak/a.txt -> 200 => alpha\n
        GET /weak -> 301 | Location: /weak/ =>
        GET /tagless/a.txt -> 200 => alpha\n
        GET /weak/plain/a.txt -> 404
        GET /weak/inner/README -> 200 | Content-Type: application/octet-stream => readme
        GET /weak/inner/../a.txt -> 200 => alpha\n
        GET /weak/innerst -> 404
        GET /weakest/a.txt -> 404
        "#,
    );
}

#[test]
fn tags_are_as_the_location_wants_them() {
    let mut client = server().client();
    let weak = client.get("/weak/a.txt").expect(200);
    let tag = weak.header("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    let date = weak.header("last-modified").unwrap();
    let strong = &tag[2..];
    check(&format!(
        "
        GET /weak/a.txt | If-None-Match: {tag} -> 304 =>
        GET /weak/a.txt | If-None-Match: {strong} -> 304 =>
        GET /weak/a.txt | If-Match: {tag} -> 412
        GET /weak/a.txt | Range: bytes=0-1 | If-Range: {tag} -> 200 => alpha\\n
        GET /weak/a.txt | Range: bytes=0-1 -> 206 => al
        GET /tagless/a.txt -> 200 | ETag: => alpha\\n
        GET /tagless/a.txt | If-Modified-Since: {date} -> 304 | ETag: =>
        GET /tagless/a.txt | If-None-Match: {tag} -> 200 | ETag: => alpha\\n
        GET /tagless/a.txt | If-None-Match: * -> 304 =>
        "
    ));
}

/// A kept-alive connection stays in step whatever is asked of it, pipelined.
#[test]
fn pipelined_answers_of_every_kind_stay_in_step() {
    let requests = [
        ("GET", "/assets/large.js", "Accept-Encoding: gzip\r\n", 200),
        ("GET", "/list/", "", 200),
        ("HEAD", "/list/", "", 200),
        ("GET", "/site/nowhere", "", 404),
        ("GET", "/app/some/route", "", 200),
        (
            "GET",
            "/assets/large.js",
            "Range: bytes=0-9,5000-6000\r\n",
            206,
        ),
        ("GET", "/owners/out", "", 200),
        ("GET", "/plain/a.txt", "", 200),
    ];
    let mut client: Client = server().client();
    for _ in 0..3 {
        for (method, target, fields, _) in requests {
            client.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"
            ));
        }
        for (method, target, _, status) in requests {
            assert_eq!(client.response_to(method).status, status, "{target}");
        }
    }
}
