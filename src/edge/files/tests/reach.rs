//! How far a path reaches: links by policy, hidden names, internal locations, a directory that is swapped for a link.

use super::real::Site;
use super::*;
use config::Symlinks;

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
