//! What is tried for a path: `try_files`, fallbacks, index names; over a real directory.

use super::real::Site;
use super::*;
use config::Try;

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
