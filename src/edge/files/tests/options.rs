//! What a location can be told, over a real directory.

use super::real::Site;
use super::*;
use config::{CacheRule, Pattern, StaticOptions, Symlinks, Try};

fn options(change: impl FnOnce(&mut StaticOptions)) -> StaticOptions {
    let mut options = StaticOptions::default();
    change(&mut options);
    options
}

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

#[test]
fn steps_are_tried_in_order() {
    let site = Site::new("steps");
    site.write("index.html", "app")
        .write("about.html", "about")
        .write("docs/index.html", "docs");
    site.write("a.txt", "a")
        .write("bare/x", "x")
        .write(".env", "key");
    let steps = [".html", "/"].map(|suffix| Try::Uri(suffix.into()));
    let mut pages = vec![Try::Uri(String::new())];
    pages.extend(steps);
    let single = [pages.clone(), vec![Try::Path("/index.html".into())]].concat();
    let gone = [pages, vec![Try::Status(410)]].concat();
    for (try_files, fallback) in [(single, (200, "app")), (gone, (410, ""))] {
        site.serve_with(
            options(|options| options.try_files = try_files),
            async |server: Server| {
                for _ in 0..2 {
                    for (path, status, body) in [
                        ("/a.txt", 200, "a"),
                        ("/about", 200, "about"),
                        ("/about.html", 200, "about"),
                        ("/docs/", 200, "docs"),
                        ("/docs", 301, ""),
                        ("/", 200, "app"),
                        ("", 301, ""),
                        ("/.env", 404, ""),
                        ("/a%2ftxt", 404, ""),
                        ("/bare", fallback.0, fallback.1),
                        ("/bare/", fallback.0, fallback.1),
                        ("/some/route", fallback.0, fallback.1),
                        ("/a.txt/", fallback.0, fallback.1),
                    ] {
                        let reply = server.ask(&format!("GET /s{path}")).await;
                        assert_eq!(reply.status, status, "{path}");
                        if status == 200 {
                            assert_eq!(reply.body, body.as_bytes(), "{path}");
                        }
                    }
                }
                let about = server.ask("GET /s/about").await;
                assert_eq!(
                    about.header("Content-Type"),
                    Some("text/html; charset=utf-8")
                );
            },
        );
    }
}

/// A scan of routes keeps a few bytes each; the page is there once.
#[test]
fn routes_of_an_application_push_out_no_file() {
    let site = Site::new("routes");
    site.write("index.html", pattern(8000)).write("a", "a");
    site.serve_with(
        options(|options| options.try_files = Try::single_page()),
        async |server: Server| {
            assert_eq!(server.status("GET /s/a").await, 200);
            for index in 0..2 * ABSENT_MAX {
                assert_eq!(
                    server
                        .ask(&format!("GET /s/route/{index}"))
                        .await
                        .body
                        .len(),
                    8000
                );
            }
            let (found, absent) = server.cost();
            assert!(
                found.bytes < 20_000 && absent.bytes <= ABSENT_BYTES_MAX,
                "{found:?}"
            );
            assert_eq!(server.files.found.borrow().len(), 2);
            // A conditional request for a route is one for the page.
            let tag = server
                .ask("GET /s/x")
                .await
                .header("ETag")
                .map(str::to_owned)
                .expect("a tag");
            assert_eq!(
                server
                    .status(&format!("GET /s/y\r\nIf-None-Match: {tag}"))
                    .await,
                304
            );
        },
    );
}

#[test]
fn the_fallback_follows_its_file() {
    let site = Site::new("fallback");
    site.write("index.html", "one").write("late.html", "late");
    let steps = vec![
        Try::Uri(String::new()),
        Try::Path("/index.html".into()),
        Try::Path("/late.html".into()),
    ];
    site.serve_with(
        options(|options| options.try_files = steps),
        async |mut server: Server| {
            server.without_freshness();
            assert_eq!(server.ask("GET /s/x").await.body, b"one");
            site.write("index.html", "two");
            assert_eq!(server.ask("GET /s/x").await.body, b"two");
            std::fs::remove_file(site.path("index.html")).expect("remove");
            assert_eq!(server.ask("GET /s/x").await.body, b"late");
            site.write("x", "x itself");
            assert_eq!(server.ask("GET /s/x").await.body, b"x itself");
            std::fs::remove_file(site.path("late.html")).expect("remove");
            assert_eq!(server.status("GET /s/y").await, 404);
        },
    );
}

#[test]
fn index_names_are_tried_in_order() {
    let site = Site::new("index");
    site.write("a/index.htm", "htm")
        .write("b/index.htm", "htm")
        .write("b/home.html", "home")
        .write("c/index.html", "no");
    let names = vec!["home.html".into(), "index.htm".into()];
    site.serve_with(
        options(|options| options.index = names),
        async |server: Server| {
            assert_eq!(server.ask("GET /s/a/").await.body, b"htm");
            assert_eq!(server.ask("GET /s/b/").await.body, b"home");
            assert_eq!(server.status("GET /s/c/").await, 403);
        },
    );
}

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
                    let ahead =
                        expires.expect("a date") as i64 - (uring::wall() / 1_000_000_000) as i64;
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

#[test]
fn links_by_policy() {
    let site = Site::new("links");
    std::fs::write(site.outside("secret"), "secret").expect("write");
    site.write("a", "a").write("sub/b", "b");
    for (name, target) in [
        ("in", "a"),
        ("out", "../secret"),
        ("dir", "sub"),
        ("loop", "loop"),
        ("gone", "nothing"),
    ] {
        site.link(name, target);
    }
    site.link("absolute", site.outside("secret"));
    // Only root can give a link away.
    site.link("foreign", "a");
    let given = std::os::unix::fs::lchown(site.path("foreign"), Some(12345), None).is_ok();
    let foreign = |allowed: u16, refused: u16| if given { refused } else { allowed };
    for (symlinks, statuses) in [
        (Symlinks::WithinRoot, [200, 404, 404, 200, 404, 404, 200]),
        (Symlinks::Off, [404, 404, 404, 404, 404, 404, 404]),
        (
            Symlinks::Owner,
            [200, 200, 200, 200, 404, 404, foreign(200, 404)],
        ),
        (Symlinks::Any, [200, 200, 200, 200, 404, 404, 200]),
    ] {
        site.serve_with(
            options(|options| options.symlinks = symlinks),
            async |mut server: Server| {
                server.without_freshness();
                for _ in 0..2 {
                    let paths = ["in", "out", "absolute", "dir/b", "loop", "gone", "foreign"];
                    for (path, status) in paths.into_iter().zip(statuses) {
                        assert_eq!(
                            server.status(&format!("GET /s/{path}")).await,
                            status,
                            "{symlinks:?} {path}"
                        );
                    }
                    assert_eq!(server.status("GET /s/a").await, 200);
                    assert_eq!(server.status("GET /s/..%2fsecret").await, 404);
                }
            },
        );
    }
}

#[test]
fn dotfiles_and_internal_locations() {
    let site = Site::new("dotfiles");
    site.write(".env", "key").write("a", "a");
    site.serve_with(
        options(|options| options.dotfiles = true),
        async |server: Server| {
            assert_eq!(server.ask("GET /s/.env").await.body, b"key");
        },
    );
    site.serve_with(
        options(|options| options.internal = true),
        async |server: Server| {
            for method in ["GET", "HEAD", "OPTIONS", "POST"] {
                assert_eq!(server.status(&format!("{method} /s/a")).await, 404);
            }
            for method in ["GET", "POST"] {
                let reply = server
                    .ask_as(&format!("{method} /s/a"), true, true)
                    .await
                    .expect("whole");
                assert_eq!((reply.status, reply.body.as_slice()), (200, &b"a"[..]));
            }
            let part = server
                .ask_as("GET /s/a\r\nRange: bytes=0-0", true, true)
                .await
                .expect("whole");
            assert_eq!(part.status, 206);
            assert_eq!(
                server
                    .ask_as("GET /s/.env", true, true)
                    .await
                    .expect("whole")
                    .status,
                404
            );
        },
    );
}

/// A directory becomes a link to the outside and a directory again, all the time; nothing from outside is ever seen.
#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let site = Site::new("swapped");
    std::fs::create_dir_all(site.outside("private")).expect("mkdir");
    std::fs::write(site.outside("private/a"), "private").expect("write");
    site.write("real/a", "public");
    site.write("dir/a", "public");
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let (there, www) = (std::sync::Arc::clone(&stop), site.path(""));
    let swapper = std::thread::spawn(move || {
        let at = |name: &str| www.join(name);
        let mut swaps = 0;
        while !there.load(Ordering::Relaxed) {
            std::fs::rename(at("dir"), at("aside")).expect("rename");
            std::os::unix::fs::symlink("../private", at("dir")).expect("symlink");
            std::fs::remove_file(at("dir")).expect("remove");
            std::fs::rename(at("aside"), at("dir")).expect("rename");
            swaps += 1;
        }
        swaps
    });
    for symlinks in [Symlinks::WithinRoot, Symlinks::Off] {
        site.serve_with(
            options(|options| options.symlinks = symlinks),
            async |mut server: Server| {
                server.without_freshness();
                let mut seen = 0;
                // On a busy machine the other thread may rest while the directory is away.
                for asked in 0.. {
                    if asked > 3000 && seen > 0 {
                        break;
                    }
                    let reply = server.ask("GET /s/dir/a").await;
                    match reply.status {
                        200 => assert_eq!(reply.body, b"public"),
                        status => assert!(matches!(status, 404 | 503), "{status}"),
                    }
                    seen += usize::from(reply.status == 200);
                }
            },
        );
    }
    stop.store(true, Ordering::Relaxed);
    assert!(swapper.join().expect("swaps") > 0);
}
