//! What a location adds to its files: tags, types, rules, headers, pages of errors; over a real directory.

use super::real::Site;
use super::*;
use config::{CacheRule, Pattern};

#[test]
fn cache_rules_headers_and_expires() {
    let site = Site::new("rules");
    site.write("app.3f9c2a7b1d0e.css", "x")
        .write("app.css", "x")
        .write("doc/a.html", "x")
        .write("other", pattern(20_000));
    let rule = |pattern, control: &str, expires_s| CacheRule {
        pattern,
        control: control.into(),
        expires_s,
    };
    let cache = vec![
        rule(Pattern::Hashed, "public, max-age=31536000, immutable", None),
        rule(Pattern::Glob("*.css".into()), "max-age=60", Some(60)),
        rule(Pattern::Glob("/doc/**".into()), "", None),
    ];
    let options = options(|options| {
        options.cache = cache;
        options.headers = vec![("X-Frame-Options".into(), "DENY".into())];
    });
    site.serve_with(options, async |server: Server| {
        for (path, control) in [
            (
                "app.3f9c2a7b1d0e.css",
                Some("public, max-age=31536000, immutable"),
            ),
            ("app.css", Some("max-age=60")),
            ("doc/a.html", None),
            ("other", None),
        ] {
            let tag = server
                .ask(&format!("GET /s/{path}"))
                .await
                .header("ETag")
                .map(str::to_owned);
            let not_modified = format!("If-None-Match: {}", tag.expect("a tag"));
            for (fields, status) in [
                ("X: y", 200),
                ("Range: bytes=0-0", 206),
                ("Range: bytes=0-0,-1", 206),
                (&not_modified, 304),
            ] {
                let reply = server.ask(&format!("GET /s/{path}\r\n{fields}")).await;
                // Of one byte, two ranges are one.
                assert_eq!(reply.status, status, "{path} {fields}");
                assert_eq!(reply.header("Cache-Control"), control, "{path} {fields}");
                assert_eq!(reply.header("X-Frame-Options"), Some("DENY"));
                assert_eq!(
                    reply.head.matches("Content-Length").count(),
                    usize::from(status != 304)
                );
                let expires = reply
                    .header("Expires")
                    .and_then(|date| proto::date::parse(date.as_bytes()));
                if path == "app.css" {
                    let ahead = expires.expect("a date") - (uring::wall() / 1_000_000_000) as i64;
                    assert!((55..=60).contains(&ahead), "{ahead}");
                } else {
                    assert_eq!(expires, None);
                }
            }
        }
        let reply = server.ask("GET /s/absent").await;
        assert_eq!(
            (
                reply.status,
                reply.header("X-Frame-Options"),
                reply.header("Cache-Control")
            ),
            (404, None, None)
        );
        for request in ["GET /s/doc", "OPTIONS /s/doc"] {
            assert_eq!(
                server.ask(request).await.header("X-Frame-Options"),
                Some("DENY")
            );
        }
    });
}

#[test]
fn a_field_of_the_servers_own_is_refused_at_the_start() {
    let site = Site::new("own-fields");
    let mut config = config::Config::bare();
    for (name, is_taken) in [("X-Own", true), ("content-length", false), ("ETag", false)] {
        let mut mount = config::StaticMount::new("/s", site.path(""));
        mount.options.headers = vec![(name.into(), "1".into())];
        config.statics = vec![mount];
        let mut runtime = uring::Runtime::real(uring::Options::default()).expect("a ring");
        let refused =
            runtime.block_on(async { Files::new(&config).err().map(|error| error.to_string()) });
        assert_eq!(refused.is_none(), is_taken, "{name}");
        assert!(refused.is_none_or(|message| message.contains(name)));
    }
}

#[test]
fn tags_as_the_location_wants_them() {
    use config::EntityTag::{Off, Strong, Weak};
    let site = Site::new("tags");
    site.write("a", "0123456789")
        .write("large", pattern(50_000));
    for kind in [Strong, Weak, Off] {
        site.serve_with(
            options(|options| options.etag = kind),
            async |server: Server| {
                for name in ["a", "large"] {
                    let reply = server.ask(&format!("GET /s/{name}")).await;
                    let tag = reply.header("ETag").unwrap_or("\"none\"").to_owned();
                    let date = reply.header("Last-Modified").expect("a date").to_owned();
                    assert_eq!(tag.starts_with("W/"), kind == Weak);
                    assert_eq!(reply.header("ETag").is_some(), kind != Off);
                    for (field, strong, weak, off) in [
                        (format!("If-None-Match: {tag}"), 304, 304, 200),
                        ("If-None-Match: *".into(), 304, 304, 304),
                        (format!("If-Modified-Since: {date}"), 304, 304, 304),
                        (format!("If-Match: {tag}"), 200, 412, 412),
                        ("If-Match: *".into(), 200, 200, 200),
                        (
                            format!("Range: bytes=0-1\r\nIf-Range: {tag}"),
                            206,
                            200,
                            200,
                        ),
                        (
                            format!("Range: bytes=0-1\r\nIf-Range: {date}"),
                            206,
                            206,
                            206,
                        ),
                        ("Range: bytes=0-1".into(), 206, 206, 206),
                    ] {
                        let reply = server.ask(&format!("GET /s/{name}\r\n{field}")).await;
                        let expected = match kind {
                            Strong => strong,
                            Weak => weak,
                            Off => off,
                        };
                        assert_eq!(reply.status, expected, "{kind:?} {field}");
                        let tag = reply.header("ETag").is_some();
                        assert_eq!(tag, kind != Off && reply.status != 412, "{kind:?} {field}");
                    }
                }
            },
        );
    }
}

#[test]
fn types_and_charsets() {
    let site = Site::new("types");
    for name in ["a.html", "b.FOO", "c", "d.bin", "e.md", "f.xml"] {
        site.write(name, "x");
    }
    let change = |charset: &str| {
        options(|options| {
            options.types = vec![
                ("foo".into(), "text/x-foo".into()),
                ("md".into(), "text/plain; charset=latin1".into()),
            ];
            options.default_type = "text/plain".into();
            options.charset = charset.into();
        })
    };
    for (charset, behind) in [
        ("utf-8", "; charset=utf-8"),
        ("koi8-r", "; charset=koi8-r"),
        ("", ""),
    ] {
        site.serve_with(change(charset), async |server: Server| {
            for (name, essence, is_text) in [
                ("a.html", "text/html", true),
                ("b.FOO", "text/x-foo", true),
                ("c", "text/plain", true),
                ("d.bin", "application/octet-stream", false),
                ("e.md", "text/plain; charset=latin1", false),
                ("f.xml", "application/xml", false),
            ] {
                let expected = format!("{essence}{}", if is_text { behind } else { "" });
                let reply = server.ask(&format!("GET /s/{name}")).await;
                assert_eq!(
                    reply.header("Content-Type"),
                    Some(expected.as_str()),
                    "{name}"
                );
            }
        });
    }
}

#[test]
fn errors_have_pages() {
    let site = Site::new("pages");
    let large = pattern(30_000);
    site.write("404.html", "not here")
        .write("err/405.html", "no")
        .write("416.html", &large)
        .write("a", "0123456789");
    let pages = [
        (404, "/404.html"),
        (405, "/err/405.html"),
        (416, "/416.html"),
        (412, "/absent.html"),
        (403, "/404.html"),
    ];
    let options = options(|options| {
        options.error_pages = pages
            .map(|(status, path)| (status, path.to_owned()))
            .to_vec();
        options.headers = vec![("X-Own".into(), "1".into())];
    });
    site.serve_with(options, async |server: Server| {
        for _ in 0..2 {
            for (request, status, body) in [
                ("GET /s/absent", 404, &b"not here"[..]),
                ("GET /s/.env", 404, b"not here"),
                ("GET /s/err/", 403, b"not here"),
                ("POST /s/a", 405, b"no"),
                ("GET /s/a\r\nRange: bytes=50-", 416, &large),
            ] {
                let reply = server.ask(request).await;
                assert_eq!(reply.status, status, "{request}");
                assert!(reply.body == body, "{request}");
                assert_eq!(
                    reply.header("Content-Type"),
                    Some("text/html; charset=utf-8")
                );
                assert_eq!((reply.header("ETag"), reply.header("X-Own")), (None, None));
            }
            let reply = server.ask("GET /s/a\r\nIf-Match: \"x\"").await;
            assert!(reply.status == 412 && reply.body.starts_with(b"<!doctype"));
            assert_eq!(
                server.ask("DELETE /s/a").await.header("Allow"),
                Some("GET, HEAD, OPTIONS")
            );
            let reply = server.ask("GET /s/a\r\nRange: bytes=50-").await;
            assert_eq!(reply.header("Content-Range"), Some("bytes */10"));
            let head = server.ask("HEAD /s/absent").await;
            assert_eq!(
                (head.status, head.header("Content-Length"), head.body.len()),
                (404, Some("8"), 0)
            );
        }
        // The page asked for by its own name is a file like others.
        let reply = server.ask("GET /s/404.html").await;
        assert!(reply.status == 200 && reply.header("ETag").is_some());
    });
}
