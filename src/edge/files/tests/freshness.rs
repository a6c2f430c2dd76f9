//! How old an answer may be, and what a first look costs; in virtual time.

use super::*;
use uring::sim::{Faults, run, run_seeds};

const OLD_S: i64 = 784_111_777;
const MS: u64 = 1_000_000;

fn two_releases(sim: &Sim) {
    for (release, text) in [("one", "1"), ("two", "22")] {
        for name in ["a", "404.html", "docs/index.html"] {
            sim.add_file(&format!("/releases/{release}/{name}"), text, OLD_S);
        }
        sim.add_file(&format!("/releases/{release}/only-{release}"), "x", OLD_S);
    }
    sim.add_link("/current", "/releases/one");
}

fn serve(sim: &Sim) -> Server {
    let options = config::StaticOptions {
        error_pages: vec![(404, "/404.html".into()), (405, "/404.html".into())],
        ..config::StaticOptions::default()
    };
    Server::with(Path::new("/current"), options, Wire::Simulated(sim.clone()))
}

/// Requests that between them ask every kind of memory the handler has.
const REQUESTS: [&str; 7] = [
    "GET /s/a",
    "GET /s/docs/",
    "GET /s/docs",
    "GET /s/absent",
    "POST /s/a",
    "GET /s/only-one",
    "GET /s/only-two",
];

async fn state(server: &Server, request: &str) -> (u16, Vec<u8>) {
    let reply = server.ask(request).await;
    (reply.status, reply.body)
}

/// However the asking falls around the change: what was there a second ago, or what is there now; after a second, what is there now.
#[test]
fn nothing_is_older_than_the_bound() {
    run_seeds(0..60, Faults::harmless, async |sim: Sim| {
        two_releases(&sim);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for request in REQUESTS {
            old.push(state(&serve(&sim), request).await);
        }
        sim.add_link("/current", "/releases/two");
        for request in REQUESTS {
            new.push(state(&serve(&sim), request).await);
        }
        assert_ne!(old, new);
        sim.add_link("/current", "/releases/one");
        let server = serve(&sim);
        // Asked about at odd times before the change, by each seed at others.
        let mut changed_ns = None;
        for _ in 0..40 {
            uring::time::sleep(sim.random(200 * MS)).await;
            if changed_ns.is_none() && sim.random(20) == 0 {
                sim.add_link("/current", "/releases/two");
                changed_ns = Some(uring::now());
            }
            let index = sim.random(REQUESTS.len() as u64) as usize;
            let asked_ns = uring::now();
            let seen = state(&server, REQUESTS[index]).await;
            let is_due = changed_ns.is_some_and(|changed_ns| asked_ns >= changed_ns + FRESH_NS);
            assert!(
                seen == new[index] || !is_due && seen == old[index],
                "{} {:?} after {:?} ns",
                REQUESTS[index],
                seen,
                changed_ns.map(|changed_ns| asked_ns - changed_ns)
            );
        }
    });
}

/// The same for single files: changed in place, replaced, removed, new.
#[test]
fn no_file_is_older_than_the_bound() {
    run_seeds(0..60, Faults::harmless, async |sim: Sim| {
        two_releases(&sim);
        let server = serve(&sim);
        let mut changes: Vec<(u64, usize)> = vec![(uring::now(), 1)];
        for _ in 0..60 {
            uring::time::sleep(sim.random(400 * MS)).await;
            if sim.random(4) == 0 {
                let length = 1 + sim.random(20_000) as usize;
                sim.add_file("/releases/one/a", vec![b'x'; length], OLD_S + length as i64);
                changes.push((uring::now(), length));
            }
            let asked_ns = uring::now();
            let length = server.ask("GET /s/a").await.body.len();
            // Whatever was there at some time of the last second.
            let oldest = changes
                .iter()
                .rposition(|(at, _)| asked_ns >= at + FRESH_NS);
            let allowed = &changes[oldest.unwrap_or(0)..];
            assert!(
                allowed.iter().any(|(_, allowed)| *allowed == length),
                "{length} of {allowed:?} at {asked_ns}"
            );
        }
    });
}

/// A file without siblings is looked at again without a wait, and one that comes is seen after the bound.
#[test]
fn absent_siblings_are_not_asked_for_again_while_the_directory_stands() {
    let slow = Faults {
        delay: 1000,
        ..Faults::NONE
    };
    run(3, slow, async |sim: Sim| {
        sim.add_file("/www/css/a.css", "plain", OLD_S);
        sim.add_file("/www/css/a.css.br", "brotli", OLD_S);
        sim.add_file("/www/root.css", "root", OLD_S);
        let server = Server::new(Path::new("/www"), Wire::Simulated(sim.clone()));
        let ask = async |request: &str| {
            let start_ns = uring::now();
            let reply = server.ask(request).await;
            (reply.body, uring::now() > start_ns)
        };
        let coded = "GET /s/css/a.css\r\nAccept-Encoding: gzip";
        let root = "GET /s/root.css\r\nAccept-Encoding: gzip";
        assert_eq!(ask(coded).await, (b"plain".into(), true));
        assert_eq!(ask(root).await, (b"root".into(), true));
        for _ in 0..3 {
            uring::time::sleep(FRESH_NS).await;
            assert_eq!(ask(coded).await, (b"plain".into(), false));
            assert_eq!(ask(root).await, (b"root".into(), false));
        }
        // Something else comes: one look more. The sibling comes: it is seen.
        sim.add_file("/www/css/b.css", "other", OLD_S);
        uring::time::sleep(FRESH_NS).await;
        assert_eq!(ask(coded).await, (b"plain".into(), true));
        uring::time::sleep(FRESH_NS).await;
        assert_eq!(ask(coded).await, (b"plain".into(), false));
        sim.add_file("/www/css/a.css.gz", "gzip", OLD_S);
        uring::time::sleep(FRESH_NS).await;
        assert_eq!(ask(coded).await, (b"gzip".into(), true));
        assert_eq!(
            ask("GET /s/css/a.css\r\nAccept-Encoding: br").await,
            (b"brotli".into(), false)
        );
    });
}

/// Precompressed siblings that are not there cost a first request one wait more, not one each.
#[test]
fn siblings_are_asked_for_at_once() {
    let steady = |queue| Faults {
        would_block: 1000,
        delay: 1000,
        delay_max_ns: MS,
        queue,
        ..Faults::NONE
    };
    let mut times = [0; 2];
    for (time, coded) in times.iter_mut().zip([false, true]) {
        for seed in 0..20 {
            *time += run(seed, Faults::NONE, async |sim: Sim| {
                sim.add_file("/www/a.css", pattern(50_000), OLD_S);
                let mut options = config::StaticOptions::default();
                if !coded {
                    options.precompressed.clear();
                }
                let server = Server::with(Path::new("/www"), options, Wire::Simulated(sim.clone()));
                sim.set_faults(steady(64));
                let start_ns = uring::now();
                assert_eq!(server.status("HEAD /s/a.css").await, 200);
                uring::now() - start_ns
            });
        }
    }
    let [without, with] = times;
    // Half a millisecond each on average, and three quarters for the slowest of three.
    assert!(
        with > without && with - without < 20 * MS * 9 / 10,
        "{without} {with}"
    );
}

/// A file is open for those who ask for it: not for the answers that are remembered of it, and not for ever.
#[test]
fn what_nobody_asks_for_is_closed() {
    run_seeds(0..10, Faults::harmless, async |sim: Sim| {
        for name in ["once", "asked", "error"] {
            sim.add_file(&format!("/www/{name}"), pattern(20_000), OLD_S);
        }
        let options = options(|options| options.error_pages = vec![(404, "/error".into())]);
        let server = Server::with(Path::new("/www"), options, Wire::Simulated(sim.clone()));
        let closed = async || {
            uring::time::sleep(IDLE_NS + 2 * IDLE_LOOK_NS).await;
            sim.open_handles().len()
        };
        assert_eq!(server.status("GET /s/none").await, 404);
        let quiet = closed().await;
        // Twice: who looked has ended meanwhile.
        for _ in 0..2 {
            assert_eq!(server.status("GET /s/once").await, 200);
            assert_eq!(server.status("GET /s/none").await, 404);
            assert!(sim.open_handles().len() > quiet);
            assert_eq!(closed().await, quiet);
        }
        assert_eq!(server.status("GET /s/asked").await, 200);
        let entry = || {
            server
                .files
                .found
                .borrow_mut()
                .find(0, b"/asked", 0)
                .entry()
        };
        let before = entry();
        for _ in 0..20 {
            uring::time::sleep(10_000_000_000).await;
            assert_eq!(server.ask("GET /s/asked").await.body, pattern(20_000));
        }
        assert!(Rc::ptr_eq(&before, &entry()));
    });
}

/// Written over in place: who is under way is broken off, once; nobody else has to wait for the bound.
#[test]
fn a_file_found_too_short_is_looked_at_again() {
    run_seeds(0..10, Faults::harmless, async |sim: Sim| {
        sim.add_file("/www/a", pattern(300_000), OLD_S);
        sim.add_file("/www/a.gz", pattern(200_000), OLD_S);
        let server = Server::new(Path::new("/www"), Wire::Simulated(sim.clone()));
        for (request, path, length) in [
            ("GET /s/a", "/www/a", 20_000),
            ("GET /s/a\r\nRange: bytes=0-9,15000-", "/www/a", 10_000),
            ("GET /s/a\r\nAccept-Encoding: gzip", "/www/a.gz", 30_000),
        ] {
            assert_eq!(server.status("HEAD /s/a").await, 200);
            sim.truncate(path, length);
            let cut = server
                .try_ask(request, true)
                .await
                .map(|reply| reply.status);
            assert_eq!(
                cut.expect_err("the old length").kind(),
                io::ErrorKind::UnexpectedEof
            );
            let request = request.split("\r\nRange").next().unwrap_or(request);
            assert_eq!(server.ask(request).await.body, pattern(length));
            uring::time::sleep(FRESH_NS).await;
        }
    });
}
