//! Precompressed files beside others, over a real directory.

use super::real::Site;
use super::*;

#[test]
fn precompressed_siblings_answer_who_understands_them() {
    let site = Site::new("precompressed");
    let large = pattern(40_000);
    site.write("a.css", "plain")
        .write("a.css.br", "brotli!")
        .write("a.css.gz", "gz")
        .write("a.css.zst", "zstd");
    site.write("b.js", "plain").write("b.js.gz", &large);
    site.write("c.css", "plain")
        .write("d.png", "plain")
        .write("d.png.gz", "never");
    std::fs::create_dir(site.path("c.css.gz")).expect("mkdir");
    site.serve(async |server: Server| {
        for (path, accept, body, coding) in [
            ("a.css", "", "plain", None),
            ("a.css", "gzip, deflate, br, zstd", "zstd", Some("zstd")),
            ("a.css", "gzip, br", "brotli!", Some("br")),
            ("a.css", "gzip", "gz", Some("gzip")),
            ("a.css", "br;q=0.5, gzip;q=0.9", "gz", Some("gzip")),
            ("a.css", "identity, gzip;q=0.5", "plain", None),
            ("a.css", "deflate", "plain", None),
            ("a.css", "identity;q=0", "plain", None),
            ("a.css", "*;q=0", "plain", None),
            ("a.css", "*", "zstd", Some("zstd")),
            ("a.css", "identity;q=0, gzip;q=0.1", "gz", Some("gzip")),
            ("c.css", "gzip", "plain", None),
            ("d.png", "gzip", "plain", None),
            ("a.css.gz", "gzip", "gz", None),
        ] {
            let fields = if accept.is_empty() {
                String::new()
            } else {
                format!("\r\nAccept-Encoding: {accept}")
            };
            for _ in 0..2 {
                let reply = server.ask(&format!("GET /s/{path}{fields}")).await;
                assert_eq!(
                    (reply.status, reply.body.as_slice()),
                    (200, body.as_bytes()),
                    "{path} {accept}"
                );
                assert_eq!(reply.header("Content-Encoding"), coding, "{path} {accept}");
                let vary = (path == "a.css").then_some("Accept-Encoding");
                assert_eq!(reply.header("Vary"), vary, "{path} {accept}");
            }
        }
        let reply = server.ask("GET /s/b.js\r\nAccept-Encoding: gzip").await;
        assert!(reply.from_file && reply.body == large);
        assert_eq!(
            reply.header("Content-Type"),
            Some("text/javascript; charset=utf-8")
        );
        assert_eq!(
            server
                .ask("HEAD /s/b.js\r\nAccept-Encoding: gzip")
                .await
                .head,
            reply.head
        );
        assert_eq!(server.ask("GET /s/b.js").await.body, b"plain");
    });
}

#[test]
fn codings_have_tags_of_their_own_and_ranges_are_of_the_plain_file() {
    let site = Site::new("coded-tags");
    site.write("a.css", "0123456789")
        .write("a.css.gz", "abcdefghij");
    site.serve(async |server: Server| {
        let plain = server.ask("GET /s/a.css").await;
        let coded = server.ask("GET /s/a.css\r\nAccept-Encoding: gzip").await;
        let tag = |reply: &Reply| reply.header("ETag").map(str::to_owned).expect("a tag");
        assert_ne!(tag(&plain), tag(&coded));
        assert_eq!(
            (plain.header("Accept-Ranges"), coded.header("Accept-Ranges")),
            (Some("bytes"), None)
        );
        for (fields, status) in [
            (
                format!("Accept-Encoding: gzip\r\nIf-None-Match: {}", tag(&coded)),
                304,
            ),
            (
                format!("Accept-Encoding: gzip\r\nIf-None-Match: {}", tag(&plain)),
                200,
            ),
            (format!("If-None-Match: {}", tag(&coded)), 200),
            (format!("If-None-Match: {}", tag(&plain)), 304),
            (
                format!(
                    "Accept-Encoding: gzip\r\nRange: bytes=2-3\r\nIf-Range: {}",
                    tag(&coded)
                ),
                200,
            ),
        ] {
            let reply = server.ask(&format!("GET /s/a.css\r\n{fields}")).await;
            assert_eq!(
                (reply.status, reply.header("Vary")),
                (status, Some("Accept-Encoding")),
                "{fields}"
            );
        }
        let part = server
            .ask("GET /s/a.css\r\nAccept-Encoding: gzip\r\nRange: bytes=2-3")
            .await;
        assert_eq!(
            (
                part.status,
                part.body.as_slice(),
                part.header("Content-Encoding")
            ),
            (206, &b"23"[..], None)
        );
        assert_eq!(
            (part.header("Vary"), part.header("ETag")),
            (Some("Accept-Encoding"), plain.header("ETag"))
        );
    });
}

#[test]
fn siblings_come_and_go() {
    let site = Site::new("siblings");
    site.write("a.css", "plain");
    site.serve(async |mut server: Server| {
        server.without_freshness();
        let request = "GET /s/a.css\r\nAccept-Encoding: gzip";
        assert_eq!(server.ask(request).await.body, b"plain");
        site.write("a.css.gz", "one");
        assert_eq!(server.ask(request).await.body, b"one");
        site.write("a.css.gz", "two!");
        assert_eq!(server.ask(request).await.body, b"two!");
        site.write("a.css", "plain too");
        assert_eq!(server.ask(request).await.body, b"two!");
        assert_eq!(server.ask("GET /s/a.css").await.body, b"plain too");
        std::fs::remove_file(site.path("a.css.gz")).expect("remove");
        let reply = server.ask(request).await;
        assert_eq!(
            (reply.body.as_slice(), reply.header("Vary")),
            (&b"plain too"[..], None)
        );
        site.write("a.css.gz", "three");
        std::fs::remove_file(site.path("a.css")).expect("remove");
        assert_eq!(server.status(request).await, 404);
    });
}
