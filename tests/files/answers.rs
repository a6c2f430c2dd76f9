//! What is sent of a file, and over which connection: heads, sizes, methods, types, slow and many readers.

use super::harness::{self, Client, Setup, TempDir};
use super::{LARGE, pattern, server};
use std::path::Path;

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
fn mounts_do_not_mix() {
    assert_eq!(
        server().get("/other/hello.txt").expect(200).text(),
        "the other one\n"
    );
    server().get("/other/page.html").expect(404);
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
