//! Over a simulated ring: files in memory, virtual time, and everything that may go wrong on the way.

use super::send::Piece;
use super::*;
use uring::sim::{Faults, run, run_seeds};

const OLD_S: i64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
const SEEDS: std::ops::Range<u64> = 0..40;

fn serve(sim: &Sim) -> Server {
    sim.add_file("/www/a.txt", "hello", OLD_S);
    sim.add_file("/www/empty", "", OLD_S);
    sim.add_file("/www/docs/index.html", "docs", OLD_S);
    sim.add_file("/www/middle", pattern(8 * 1024), OLD_S);
    sim.add_file("/www/large", pattern(300_000), OLD_S);
    sim.add_file("/secret", "secret", OLD_S);
    sim.add_link("/www/out", "../secret");
    sim.add_link("/www/in", "docs/index.html");
    Server::new(Path::new("/www"), Wire::Simulated(sim.clone()))
}

/// Requests that between them take every way through the handler.
const REQUESTS: [&str; 16] = [
    "GET /s/a.txt",
    "HEAD /s/a.txt",
    "GET /s/empty",
    "GET /s/docs",
    "GET /s/docs/",
    "GET /s/middle",
    "GET /s/large",
    "HEAD /s/large",
    "GET /s/out",
    "GET /s/in",
    "GET /s/absent",
    "GET /s/large\r\nRange: bytes=1000-200000",
    "GET /s/middle\r\nRange: bytes=-7",
    "GET /s/large\r\nRange: bytes=0-9,1000-70000,-5",
    "GET /s/a.txt\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
    "GET /s/large\r\nIf-Match: \"x\"",
];

/// Heads and bodies; the boundary of a multipart is drawn anew each time.
async fn replies(server: &Server) -> Vec<(String, Vec<u8>)> {
    let mut replies = Vec::new();
    for request in REQUESTS {
        let reply = server.ask(request).await;
        let boundary = reply
            .header("Content-Type")
            .and_then(|value| value.split_once("boundary="));
        replies.push(match boundary.map(|(_, boundary)| boundary.to_owned()) {
            None => (reply.head, reply.body),
            Some(boundary) => {
                // Patterned bytes may be no text, so the boundary is replaced as bytes.
                let mut body = reply.body;
                while let Some(at) = memchr::memmem::find(&body, boundary.as_bytes()) {
                    body[at..at + boundary.len()].fill(b'b');
                }
                (reply.head.replace(&boundary, "b"), body)
            }
        });
    }
    replies
}

/// Short transfers, late completions, calls that would block: no answer differs by a byte.
#[test]
fn faults_of_the_machine_do_not_show() {
    let expected = run(0, Faults::NONE, async |sim| replies(&serve(&sim)).await);
    run_seeds(SEEDS, Faults::harmless, async |sim: Sim| {
        let server = serve(&sim);
        // The second time from the cache.
        for _ in 0..2 {
            assert!(replies(&server).await == expected);
        }
    });
}

/// EIO is 500 before the head and a broken connection after it; the next request is none the worse.
#[test]
fn a_bad_disk_is_said_or_breaks_the_answer_off() {
    let faults = |seed| Faults {
        io_error: 300,
        would_block: 500,
        ..Faults::harmless(seed)
    };
    let mut broken = 0;
    run_seeds(SEEDS, faults, async |sim: Sim| {
        let server = serve(&sim);
        for (request, length) in [
            ("GET /s/large", 300_000),
            ("GET /s/middle", 8 * 1024),
            ("GET /s/a.txt", 5),
        ] {
            match server.try_ask(request, true).await {
                Ok(reply) if reply.status == 200 => assert_eq!(reply.body.len(), length),
                Ok(reply) => assert_eq!(reply.status, 500),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(sys::errno::EIO), "{error}");
                    broken += 1;
                }
            }
        }
        sim.set_faults(Faults::NONE);
        uring::time::sleep(FRESH_NS).await;
        assert_eq!(server.ask("GET /s/large").await.body, pattern(300_000));
        assert_eq!(server.ask("GET /s/a.txt").await.body, b"hello");
    });
    assert!(broken > 0, "the fault was never drawn");
}

/// Stretches that never come into memory, hints that fail, a disk that is slower than patience, and more bodies than may ask it: every one
/// arrives whole, or is broken off with the disk's own error.
#[test]
fn cold_files_arrive_whole_whatever_the_disk_does() {
    const BODIES: u64 = 6;
    let faults = |seed| Faults {
        would_block: 700,
        io_error: if seed % 2 == 0 { 0 } else { 60 },
        delay: 300,
        delay_max_ns: 400_000_000,
        window: 64 * 1024,
        ..Faults::harmless(seed)
    };
    let (mut whole, mut broken) = (0, 0);
    run_seeds(0..20, faults, async |sim: Sim| {
        sim.set_faults(Faults::NONE);
        let server = Rc::new(serve(&sim));
        sim.add_file("/www/long", pattern(900_000), OLD_S);
        assert_eq!(server.status("HEAD /s/long").await, 200);
        sim.set_faults(faults(sim.random(1000)));
        let ended = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..BODIES {
            let (server, ended) = (Rc::clone(&server), Rc::clone(&ended));
            uring::spawn(async move {
                let reply = server.try_ask("GET /s/long", true).await;
                ended.borrow_mut().push(reply);
            });
        }
        while (ended.borrow().len() as u64) < BODIES {
            uring::time::sleep(1_000_000).await;
        }
        for reply in ended.take() {
            match reply {
                Ok(reply) if reply.status == 200 => {
                    assert!(reply.body == pattern(900_000));
                    whole += 1;
                }
                Ok(reply) => assert_eq!(reply.status, 500),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(sys::errno::EIO), "{error}");
                    broken += 1;
                }
            }
        }
        // Nobody has kept a place in a line.
        sim.set_faults(Faults::NONE);
        assert_eq!(server.ask("GET /s/long").await.body, pattern(900_000));
    });
    assert!(
        whole > 0 && broken > 0,
        "{whole} whole, {broken} broken off"
    );
}

/// A file that is cut while it is sent never yields a whole answer of other bytes.
#[test]
fn a_file_cut_under_way_breaks_the_answer_off() {
    let mut whole = 0;
    run_seeds(SEEDS, Faults::harmless, async |sim: Sim| {
        let server = serve(&sim);
        let cutter = sim.clone();
        let after_ns = sim.random(40_000_000);
        uring::spawn(async move {
            uring::time::sleep(after_ns).await;
            cutter.truncate("/www/large", 1000);
        });
        match server.try_ask("GET /s/large", true).await {
            Ok(reply) if reply.body.len() == 1000 => assert!(reply.body == pattern(1000)),
            Ok(reply) => {
                assert!(reply.body == pattern(300_000));
                whole += 1;
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}"),
        }
    });
    assert!(
        whole > 0 && whole < SEEDS.end,
        "the time of the cut was never before or never after"
    );
}

/// Peers that die in the middle: an error, no leak of descriptors.
#[test]
fn a_peer_that_dies_leaves_nothing_behind() {
    run_seeds(SEEDS, Faults::deadly, async |sim: Sim| {
        let server = serve(&sim);
        for _ in 0..5 {
            drop(server.try_ask("GET /s/large", true).await);
        }
        drop(server);
        uring::time::sleep(10_000_000_000).await;
        assert!(
            sim.open_handles().len() <= PIPES_POOLED,
            "{:?}",
            sim.open_handles()
        );
    });
}

/// The pipes of the runtime's pool, two ends each.
const PIPES_POOLED: usize = 4;

/// After the freshness bound every change is seen; before it, the answer may be old but is whole.
#[test]
fn changes_are_seen_after_the_bound() {
    run_seeds(SEEDS, Faults::harmless, async |sim: Sim| {
        let server = serve(&sim);
        let first = server.ask("GET /s/a.txt").await;
        assert_eq!(server.status("GET /s/new").await, 404);
        assert_eq!(server.ask("GET /s/large").await.body.len(), 300_000);
        sim.add_file("/www/a.txt", "two two", OLD_S + 1);
        sim.add_file("/www/new", "new", OLD_S);
        sim.add_file("/www/large", pattern(70_000), OLD_S);
        let reply = server.ask("GET /s/a.txt").await;
        assert!(reply.body == b"hello" || reply.body == b"two two");
        uring::time::sleep(FRESH_NS).await;
        let reply = server.ask("GET /s/a.txt").await;
        assert_eq!(reply.body, b"two two");
        assert_ne!(reply.header("ETag"), first.header("ETag"));
        assert_eq!(server.status("GET /s/new").await, 200);
        assert_eq!(server.ask("GET /s/large").await.body, pattern(70_000));
    });
}

#[test]
fn fresh_entries_ask_nobody_and_unchanged_files_keep_theirs() {
    run(1, Faults::NONE, async |sim| {
        let server = serve(&sim);
        let entry = || {
            server
                .files
                .found
                .borrow_mut()
                .find(0, b"/large", 0)
                .entry()
        };
        assert_eq!(server.status("GET /s/large").await, 200);
        let before = entry();
        sim.add_file("/www/a.txt", "other", OLD_S);
        assert_eq!(server.ask("GET /s/a.txt").await.body, b"other");
        sim.add_file("/www/a.txt", "unseen", OLD_S);
        assert_eq!(server.ask("GET /s/a.txt").await.body, b"other");
        uring::time::sleep(FRESH_NS).await;
        assert_eq!(server.status("GET /s/large").await, 200);
        assert!(Rc::ptr_eq(&before, &entry()));
    });
}

/// While a file's time could hide a change its tag is weak; then it becomes strong, of the same text.
#[test]
fn tags_are_weak_while_the_clock_could_hide_a_change() {
    run(1, Faults::NONE, async |sim| {
        let now_s = (uring::wall() / 1_000_000_000) as i64;
        sim.add_file("/www/a.css", "plain", now_s);
        sim.add_file("/www/a.css.gz", "coded", now_s);
        sim.add_file("/www/later", "later", now_s + 3600);
        let server = Server::new(Path::new("/www"), Wire::Simulated(sim.clone()));
        let mut tags = Vec::new();
        for coding in ["", "\r\nAccept-Encoding: gzip"] {
            let request = format!("GET /s/a.css{coding}");
            let tag = server.ask(&request).await.header("ETag").map(str::to_owned);
            let tag = tag.expect("a tag");
            assert!(tag.starts_with("W/\""), "{tag}");
            let strong = &tag[2..];
            for (field, status) in [
                (format!("If-None-Match: {tag}"), 304),
                (format!("If-None-Match: {strong}"), 304),
                (format!("If-Match: {tag}"), 412),
                (format!("If-Match: {strong}"), 412),
                (format!("Range: bytes=0-1\r\nIf-Range: {tag}"), 200),
                (format!("Range: bytes=0-1\r\nIf-Range: {strong}"), 200),
            ] {
                assert_eq!(
                    server.status(&format!("{request}\r\n{field}")).await,
                    status,
                    "{field}"
                );
            }
            tags.push((request, strong.to_owned()));
        }
        // A time from far ahead is none that a change now would get.
        let later = server.ask("GET /s/later").await;
        assert!(later.header("ETag").is_some_and(|tag| tag.starts_with('"')));
        uring::time::sleep(2_000_000_000).await;
        for (request, tag) in tags {
            let settled = server.ask(&request).await;
            assert_eq!(settled.header("ETag"), Some(tag.as_str()));
        }
    });
}

/// A peer that reads slowly gets everything; one that stops is given up after the write timeout, not before.
#[test]
fn slow_is_not_stuck() {
    run_seeds(0..30, Faults::harmless, async |sim: Sim| {
        let server = serve(&sim);
        assert_eq!(server.status("HEAD /s/large").await, 200);
        let entry = server
            .files
            .found
            .borrow_mut()
            .find(0, b"/large", 0)
            .entry();
        let body = Body::whole(
            Rc::clone(entry.file().expect("too large for memory")),
            entry.length(),
        );
        let (socket, client) = sim.pair();
        uring::spawn(async move {
            for _ in 0..20 {
                uring::time::sleep(WRITE_NS - 2_000_000_000).await;
                if client.read_at_most(1000).await.is_err() {
                    return;
                }
            }
            // Reads no more, but does not leave either.
            uring::time::sleep(100 * WRITE_NS).await;
            drop(client);
        });
        let start_ns = uring::now();
        let error = body
            .send(&socket, b"", WRITE_NS)
            .await
            .expect_err("never taken whole");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(uring::now() - start_ns > WRITE_NS);
    });
}

/// Siblings, steps, fallback and pages, under everything that may go wrong without being lost.
fn serve_with_options(sim: &Sim) -> Server {
    use config::{StaticOptions, Try};
    sim.add_file("/www/a.css", "plain", OLD_S);
    sim.add_file("/www/a.css.br", "brotli", OLD_S);
    sim.add_file("/www/b.js", pattern(50_000), OLD_S);
    sim.add_file("/www/b.js.gz", pattern(20_000), OLD_S);
    sim.add_file("/www/page.html", "page", OLD_S);
    sim.add_file("/www/docs/home.html", "docs", OLD_S);
    sim.add_file("/www/app.html", "app", OLD_S);
    sim.add_file("/www/405.html", pattern(9_000), OLD_S);
    let uri = |suffix: &str| Try::Uri(suffix.into());
    let options = StaticOptions {
        index: vec!["index.html".into(), "home.html".into()],
        try_files: vec![
            uri(""),
            uri(".html"),
            uri("/"),
            Try::Path("/app.html".into()),
        ],
        error_pages: vec![(405, "/405.html".into()), (412, "/page.html".into())],
        ..StaticOptions::default()
    };
    Server::with(Path::new("/www"), options, Wire::Simulated(sim.clone()))
}

const OPTIONS_REQUESTS: [(&str, u16, usize); 11] = [
    ("GET /s/a.css", 200, 5),
    ("GET /s/a.css\r\nAccept-Encoding: br, gzip", 200, 6),
    ("GET /s/b.js\r\nAccept-Encoding: gzip", 200, 20_000),
    ("GET /s/b.js", 200, 50_000),
    ("GET /s/page", 200, 4),
    ("GET /s/docs", 301, 0),
    ("GET /s/docs/", 200, 4),
    ("GET /s/some/route", 200, 3),
    ("POST /s/a.css", 405, 9_000),
    ("GET /s/a.css\r\nIf-Match: \"x\"", 412, 4),
    (
        "GET /s/b.js\r\nAccept-Encoding: gzip\r\nRange: bytes=5-9",
        206,
        5,
    ),
];

#[test]
fn faults_of_the_machine_do_not_show_in_options_either() {
    run_seeds(SEEDS, Faults::harmless, async |sim: Sim| {
        let server = serve_with_options(&sim);
        for (request, status, length) in OPTIONS_REQUESTS.into_iter().chain(OPTIONS_REQUESTS) {
            let reply = server.ask(request).await;
            assert_eq!(
                (reply.status, reply.body.len()),
                (status, length),
                "{request}"
            );
        }
    });
}

/// A disk that fails: the answer is the right one, or 500, or breaks off; a sibling that cannot be read is an error, not a wrong
/// body; and afterwards all is well.
#[test]
fn a_bad_disk_never_yields_another_file() {
    let faults = |seed| Faults {
        io_error: 300,
        would_block: 500,
        ..Faults::harmless(seed)
    };
    let (mut failed, mut broken) = (0, 0);
    run_seeds(SEEDS, faults, async |sim: Sim| {
        let server = serve_with_options(&sim);
        for (request, status, length) in OPTIONS_REQUESTS {
            match server.try_ask(request, true).await {
                Ok(reply) if reply.status == 500 => failed += 1,
                // The page of an error may be what could not be read.
                Ok(reply) if reply.status == status => {
                    assert!(reply.body.len() == length || status > 400, "{request}");
                }
                Ok(reply) => panic!("{request}: {}", reply.status),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(sys::errno::EIO), "{error}");
                    broken += 1;
                }
            }
        }
        sim.set_faults(Faults::NONE);
        uring::time::sleep(FRESH_NS).await;
        for (request, status, length) in OPTIONS_REQUESTS {
            let reply = server.ask(request).await;
            assert_eq!(
                (reply.status, reply.body.len()),
                (status, length),
                "{request}"
            );
        }
    });
    assert!(failed > 0 && broken > 0, "{failed} {broken}");
}

/// Files that are replaced and vanish between requests: after the bound the next answer is the next file's.
#[test]
fn siblings_and_fallbacks_are_followed_after_the_bound() {
    run_seeds(SEEDS, Faults::harmless, async |sim: Sim| {
        let server = serve_with_options(&sim);
        let coded = "GET /s/a.css\r\nAccept-Encoding: br";
        assert_eq!(server.ask(coded).await.body, b"brotli");
        assert_eq!(server.ask("GET /s/some/route").await.body, b"app");
        sim.add_file("/www/a.css.br", "brotli two", OLD_S + 1);
        sim.add_file("/www/app.html", "app two", OLD_S + 1);
        sim.add_file("/www/some/route", "a file now", OLD_S + 1);
        uring::time::sleep(FRESH_NS).await;
        assert_eq!(server.ask(coded).await.body, b"brotli two");
        assert_eq!(server.ask("GET /s/some/route").await.body, b"a file now");
        assert_eq!(server.ask("GET /s/other/route").await.body, b"app two");
    });
}

/// However fast the peer takes it, a download gives everybody else a turn after each piece, and so do many small ones in a row.
#[test]
fn a_download_at_full_speed_shares_the_thread() {
    const LENGTH: u64 = 20_000_000;
    const PIECE: u64 = 256 * 1024;
    let faults = Faults {
        window: usize::MAX,
        ..Faults::NONE
    };
    run(1, faults, async |sim: Sim| {
        sim.add_file("/www/huge", vec![b'x'; LENGTH as usize], OLD_S);
        let server = Server::new(Path::new("/www"), Wire::Simulated(sim.clone()));
        assert_eq!(server.status("HEAD /s/huge").await, 200);
        let entry = server.files.found.borrow_mut().find(0, b"/huge", 0).entry();
        let file = || Rc::clone(entry.file().expect("too large for memory"));
        let part = |offset, length| Piece::File { offset, length };
        let ranges = (0..80).map(|n| part(n * 250_000, 200_000));
        let small = (0..80).map(|n| Body::part(file(), n, 200_000));
        for bodies in [
            vec![Body::whole(file(), LENGTH)],
            vec![Body::part(file(), 5, LENGTH - 5)],
            vec![Body::pieces(file(), ranges.collect())],
            small.collect(),
            vec![Body::made(vec![0; LENGTH as usize])],
        ] {
            let turns = Rc::new(Cell::new(0));
            let there = Rc::downgrade(&turns);
            uring::spawn(async move {
                while let Some(turns) = there.upgrade() {
                    turns.set(turns.get() + 1);
                    uring::yield_now().await;
                }
            });
            let (socket, client) = sim.pair();
            let mut length = 0;
            for body in bodies {
                length += body.length();
                body.send(&socket, b"", WRITE_NS)
                    .await
                    .expect("the peer takes all");
            }
            let pieces = length / PIECE;
            assert!(
                (pieces - 1..=pieces + 2).contains(&turns.get()),
                "{} turns for {pieces} pieces",
                turns.get()
            );
            drop(client);
        }
    });
}
