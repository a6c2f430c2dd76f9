//! Over a real directory and a real ring.

use super::*;
use std::path::PathBuf;

/// A directory of its own per test.
pub(super) struct Site {
    root: PathBuf,
}

impl Site {
    pub fn new(name: &str) -> Site {
        let root =
            std::env::temp_dir().join(format!("ringgate-static-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("www")).expect("scratch directory");
        Site { root }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join("www").join(path)
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Site {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("mkdir");
        std::fs::write(&path, bytes).expect("write");
        self.age(path, 60);
        self
    }

    /// Tags are strong once a file is older than its clock's steps.
    pub fn age(&self, path: impl AsRef<Path>, seconds: u64) {
        let file = std::fs::File::options()
            .write(true)
            .open(self.root.join("www").join(path))
            .expect("open");
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        file.set_modified(then).expect("utimens");
    }

    pub fn link(&self, path: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.path(path)).expect("symlink");
    }

    /// Beside what is served.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Runs a test inside a ring thread's runtime.
    pub fn serve(&self, test: impl AsyncFnOnce(Server)) {
        self.serve_with(config::StaticOptions::default(), test);
    }

    pub fn serve_with(&self, options: config::StaticOptions, test: impl AsyncFnOnce(Server)) {
        let mut runtime = uring::Runtime::real(uring::Options::default()).expect("a ring");
        runtime.block_on(async {
            test(Server::with(
                &self.root.join("www"),
                options,
                Wire::Socketpair,
            ))
            .await;
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).expect("it is ours");
    }
}

#[test]
fn a_small_file_from_memory_and_a_large_one_by_sendfile() {
    let site = Site::new("plain");
    let large = pattern(3_000_000);
    site.write("a.txt", "hello")
        .write("large.bin", &large)
        .write("empty.css", "");
    site.serve(async |server: Server| {
        for _ in 0..2 {
            let reply = server.ask("GET /s/a.txt").await;
            assert_eq!(
                (reply.status, reply.body.as_slice(), reply.from_file),
                (200, &b"hello"[..], false)
            );
            assert_eq!(
                reply.header("Content-Type"),
                Some("text/plain; charset=utf-8")
            );
            assert_eq!(reply.header("Accept-Ranges"), Some("bytes"));
            assert_eq!(reply.header("Connection"), None);
            assert!(
                reply
                    .header("Last-Modified")
                    .is_some_and(|date| date.ends_with(" GMT"))
            );
            assert!(reply.header("ETag").is_some_and(|tag| tag.starts_with('"')));
            let reply = server.ask("GET /s/large.bin").await;
            assert_eq!((reply.status, reply.from_file), (200, true));
            assert!(reply.body == large);
            let reply = server.ask("GET /s/empty.css").await;
            assert_eq!(
                (
                    reply.status,
                    reply.body.len(),
                    reply.header("Content-Length")
                ),
                (200, 0, Some("0"))
            );
        }
        let (found, _) = server.cost();
        assert_eq!(found.descriptors, 1, "small files hold none");
    });
}

#[test]
fn both_sides_of_the_memory_threshold() {
    let site = Site::new("threshold");
    let limit = entry::MEMORY_FILE_BYTES_MAX as usize;
    site.write("at", pattern(limit))
        .write("above", pattern(limit + 1));
    site.serve(async |server: Server| {
        let reply = server.ask("GET /s/at").await;
        assert!(!reply.from_file && reply.body == pattern(limit));
        let reply = server.ask("GET /s/above").await;
        assert!(reply.from_file && reply.body == pattern(limit + 1));
    });
}

#[test]
fn head_says_what_get_would_and_sends_nothing() {
    let site = Site::new("head");
    site.write("a.txt", "hello")
        .write("large", pattern(100_000));
    site.serve(async |server: Server| {
        for path in ["/s/a.txt", "/s/large", "/s/absent"] {
            let get = server.ask(&format!("GET {path}")).await;
            let head = server.ask(&format!("HEAD {path}")).await;
            assert_eq!(get.head, head.head);
            assert!(head.body.is_empty());
        }
    });
}

#[test]
fn only_reading_is_allowed() {
    let site = Site::new("methods");
    site.write("a.txt", "hello");
    site.serve(async |server: Server| {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
            let reply = server.ask(&format!("{method} /s/a.txt")).await;
            assert_eq!(
                (reply.status, reply.header("Allow")),
                (405, Some("GET, HEAD, OPTIONS"))
            );
        }
        let reply = server.ask("OPTIONS /s/a.txt").await;
        assert_eq!(
            (reply.status, reply.header("Allow")),
            (204, Some("GET, HEAD, OPTIONS"))
        );
    });
}

/// Every spelling that must not leave the root, show a hidden file or hang.
#[test]
fn nothing_escapes() {
    let site = Site::new("escape");
    std::fs::write(site.root.join("secret"), "secret").expect("write");
    site.write("a.txt", "a")
        .write("sub/b.txt", "b")
        .write(".env", "key")
        .write(".git/config", "x");
    site.write("back\\slash", "x")
        .write(".well-known/acme", "token")
        .write("sub/.hidden", "x");
    site.link("out", "../secret");
    site.link("up", "..");
    site.link("abs", "/etc/passwd");
    site.link("loop", "loop");
    site.link("in", "sub/b.txt");
    site.link("indir", "sub");
    let socket = site.path("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bind"));
    std::process::Command::new("mkfifo")
        .arg(site.path("fifo"))
        .status()
        .expect("mkfifo runs");
    site.serve(async |server: Server| {
        for (target, status) in [
            ("/s/a.txt", 200),
            ("/s/./a.txt", 200),
            ("/s/sub/../a.txt", 200),
            ("/s/%61.txt", 200),
            ("/s//a.txt", 200),
            ("/s///sub//b.txt", 200),
            ("/s/in", 200),
            ("/s/indir/b.txt", 200),
            ("/s/out", 404),
            ("/s/abs", 404),
            ("/s/up/secret", 404),
            ("/s/up/www/a.txt", 404),
            ("/s/loop", 404),
            ("/s/sub%2fb.txt", 404),
            ("/s/sub%2Fb.txt", 404),
            ("/s/sub%2f..%2f..%2fsecret", 404),
            ("/s/%2e%2e%2fsecret", 404),
            ("/s/back%5cslash", 404),
            ("/s/back\\slash", 404),
            ("/s//etc/passwd", 404),
            ("/s/a.txt/", 404),
            ("/s/a.txt/b", 404),
            ("/s/.env", 404),
            ("/s/%2eenv", 404),
            ("/s/.git/config", 404),
            ("/s/sub/.hidden", 404),
            ("/s/.well-known/acme", 404),
            ("/s/fifo", 403),
            ("/s/socket", 403),
            ("/s/absent", 404),
            ("/s/absent/deep/er", 404),
            ("/s/a.txt%20", 404),
            ("/s/A.TXT", 404),
        ] {
            assert_eq!(
                server.status(&format!("GET {target}")).await,
                status,
                "{target}"
            );
        }
        let long = format!("GET /s/{}", "x".repeat(300));
        assert_eq!(server.status(&long).await, 404);
    });
}

#[test]
fn well_known_is_public_at_the_root_of_the_site() {
    for (path, prefix, hidden) in [
        ("/.well-known/acme", 0, false),
        ("/.well-known/.x", 0, true),
        ("/.well-known", 0, false),
        ("/.well-known/a", 12, false),
        ("/.wellknown/a", 0, true),
        ("/s/.well-known/a", 2, true),
        ("/.s/a", 3, false),
        ("/.s/.a", 3, true),
    ] {
        assert_eq!(answer::is_hidden(path.as_bytes(), prefix), hidden, "{path}");
    }
}

#[test]
fn directories() {
    let site = Site::new("directories");
    site.write("index.html", "root")
        .write("docs/index.html", "docs")
        .write("bare/x", "x");
    std::fs::create_dir_all(site.path("odd/index.html")).expect("mkdir");
    site.serve(async |server: Server| {
        let reply = server.ask("GET /s/").await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"root"[..]));
        assert_eq!(
            reply.header("Content-Type"),
            Some("text/html; charset=utf-8")
        );
        for (target, location) in [
            ("/s", "/s/"),
            ("/s?a=b&c", "/s/?a=b&c"),
            ("/s/docs", "/s/docs/"),
            ("/s/docs?q=%20", "/s/docs/?q=%20"),
            ("/s/%64ocs", "/s/docs/"),
        ] {
            for _ in 0..2 {
                let reply = server.ask(&format!("GET {target}")).await;
                assert_eq!(
                    (reply.status, reply.header("Location")),
                    (301, Some(location)),
                    "{target}"
                );
            }
        }
        assert_eq!(server.ask("GET /s/docs/").await.body, b"docs");
        assert_eq!(server.status("GET /s/bare/").await, 403);
        assert_eq!(server.status("GET /s/odd/").await, 403);
        assert_eq!(server.status("GET /s/absent/").await, 404);
        assert_eq!(server.status("GET /s/odd/index.html").await, 301);
    });
}

#[test]
fn connection_as_version_and_edge_want_it() {
    let site = Site::new("connection");
    site.write("a.txt", "hello").write("large", pattern(50_000));
    site.serve(async |server: Server| {
        for path in ["/s/a.txt", "/s/large", "/s/absent"] {
            for (version, keep_alive, expected) in [
                ("", true, None),
                ("", false, Some("close")),
                (" HTTP/1.0", true, Some("keep-alive")),
                (" HTTP/1.0", false, Some("close")),
            ] {
                let request = format!("GET {path}{version}");
                let reply = server.try_ask(&request, keep_alive).await.expect("whole");
                assert_eq!(reply.header("Connection"), expected, "{request}");
            }
        }
    });
}

#[test]
fn a_file_that_shrinks_under_way_is_an_error_never_a_wrong_length() {
    let site = Site::new("shrinks");
    site.write("large", pattern(400_000));
    site.serve(async |server: Server| {
        assert_eq!(server.status("GET /s/large").await, 200);
        let file = std::fs::File::options()
            .write(true)
            .open(site.path("large"))
            .expect("open");
        file.set_len(100_000).expect("truncate");
        let error = server
            .try_ask("GET /s/large", true)
            .await
            .expect_err("cut short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        // It was found too short, so it is looked at again; growth shows after the bound.
        for (length, announced) in [(300_000, 300_000), (900_000, 300_000)] {
            file.set_len(length).expect("grow");
            let reply = server.ask("GET /s/large").await;
            assert_eq!(reply.body.len(), announced, "as announced");
        }
    });
}

#[test]
fn a_scan_for_absent_files_leaves_the_present_ones_alone() {
    let site = Site::new("scan");
    site.write("a", "a");
    site.serve(async |server: Server| {
        assert_eq!(server.status("GET /s/a").await, 200);
        for index in 0..2 * ABSENT_MAX {
            assert_eq!(server.status(&format!("GET /s/absent-{index}")).await, 404);
        }
        let (found, absent) = server.cost();
        assert!(found.bytes > 0 && absent.bytes <= ABSENT_BYTES_MAX);
        assert_eq!(server.files.absent.borrow().len(), ABSENT_MAX);
        assert_eq!(server.files.found.borrow().len(), 1);
    });
}

#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    let site = Site::new("stuck");
    site.write("large", pattern(2_000_000));
    site.serve(async |_server: Server| {
        let file = std::fs::File::open(site.path("large")).expect("open");
        let file = Rc::new(send::OpenFile::new(uring::fs::File::from_fd(file.into())));
        let (ours, _theirs) = UnixStream::pair().expect("pair");
        ours.set_nonblocking(true).expect("fcntl");
        let socket = Socket::from_fd(ours.into());
        let body = Body::whole(file, 2_000_000);
        let error = body
            .send(&socket, b"head", 20_000_000)
            .await
            .expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_missing_directory_is_said_at_the_start() {
    let mut config = config::Config::bare();
    config.statics = vec![config::StaticMount::new("/s", "/nonexistent/dir")];
    let mut runtime = uring::Runtime::real(uring::Options::default()).expect("a ring");
    let message =
        runtime.block_on(async { Files::new(&config).err().map(|error| error.to_string()) });
    assert!(message.is_some_and(|message| {
        message.starts_with("location /s/: the directory /nonexistent/dir ")
    }));
}

/// A deployment swaps the link that the mount is named by; or the directory is made anew.
#[test]
fn a_mount_follows_its_path() {
    let site = Site::new("moves");
    let place = |name: &str| site.root.join(name);
    for (release, text) in [("one", "1"), ("two", "2")] {
        std::fs::create_dir(place(release)).expect("mkdir");
        std::fs::write(place(release).join("a"), text).expect("write");
        std::fs::write(place(release).join(text), text).expect("write");
    }
    let swap = |release: &str| {
        std::os::unix::fs::symlink(release, place("next")).expect("symlink");
        std::fs::rename(place("next"), place("current")).expect("rename");
    };
    swap("one");
    let mut runtime = uring::Runtime::real(uring::Options::default()).expect("a ring");
    runtime.block_on(async {
        let mut server = Server::new(&place("current"), Wire::Socketpair);
        server.without_freshness();
        assert_eq!(server.ask("GET /s/a").await.body, b"1");
        assert_eq!(server.status("GET /s/2").await, 404);
        swap("two");
        assert_eq!(server.ask("GET /s/a").await.body, b"2");
        assert_eq!(server.status("GET /s/2").await, 200);
        assert_eq!(server.status("GET /s/1").await, 404);
        std::fs::remove_dir_all(place("two")).expect("remove");
        assert_eq!(server.status("GET /s/a").await, 404);
        std::fs::create_dir(place("two")).expect("mkdir");
        std::fs::write(place("two/a"), "again").expect("write");
        assert_eq!(server.ask("GET /s/a").await.body, b"again");
    });
}

/// Every request looks again: nothing changes for an unchanged file, and a change is seen at once.
#[test]
fn without_freshness_every_change_is_seen() {
    let site = Site::new("unfresh");
    site.write("a", "one").write("large", pattern(100_000));
    site.serve(async |mut server: Server| {
        server.without_freshness();
        for _ in 0..3 {
            assert_eq!(server.ask("GET /s/a").await.body, b"one");
            assert_eq!(server.ask("GET /s/large").await.body.len(), 100_000);
        }
        site.write("a", "two")
            .write("large", "small now")
            .write("new", "new");
        assert_eq!(server.ask("GET /s/a").await.body, b"two");
        assert_eq!(server.ask("GET /s/large").await.body, b"small now");
        assert_eq!(server.ask("GET /s/new").await.body, b"new");
        std::fs::remove_file(site.path("a")).expect("remove");
        std::fs::create_dir(site.path("a")).expect("mkdir");
        assert_eq!(server.status("GET /s/a").await, 301);
        std::fs::remove_dir(site.path("a")).expect("rmdir");
        assert_eq!(server.status("GET /s/a").await, 404);
    });
}
