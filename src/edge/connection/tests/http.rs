//! HTTP/1.1 on the simulated ring, answered by the edge itself and from files.

use super::site::{SECOND_NS, Site, config};
use config::StaticMount;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use uring::sim::{Faults, run_seeds};

pub const GET: &str = "GET /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n";

pub fn files(sim: &uring::sim::Sim) -> Vec<u8> {
    let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    sim.add_file("/www/a.txt", "alpha", 1_700_000_000);
    sim.add_file("/www/b.txt", "beta", 1_700_000_000);
    sim.add_file("/www/large.bin", large.clone(), 1_700_000_000);
    large
}

#[test]
fn a_connection_serves_one_request_after_another() {
    run_seeds(0..25, Faults::harmless, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        let peer = site.connect();
        for _ in 0..3 {
            peer.write(GET);
            let answer = peer.answer().await.expect("an answer");
            assert_eq!((answer.status, &answer.body[..]), (200, &b"alpha"[..]));
            assert_eq!(answer.header("connection"), None);
        }
        assert_eq!(site.access_log().len(), 3);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let large = files(&sim);
        let site = Site::new(sim, config());
        let peer = site.connect();
        let mut expected: Vec<(u16, Vec<u8>)> = Vec::new();
        let mut requests = String::new();
        for n in 0..30 {
            let (path, status, body) = match n % 5 {
                0 | 2 => ("/static/a.txt", 200, b"alpha".to_vec()),
                1 => ("/static/b.txt", 200, b"beta".to_vec()),
                3 if n == 13 => ("/static/large.bin", 200, large.clone()),
                _ => ("/nowhere", 404, Vec::new()),
            };
            requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            expected.push((status, body));
        }
        peer.write(&requests);
        for (status, body) in expected {
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(answer.status, status);
            assert!(status != 200 || answer.body == body);
        }
        assert_eq!(site.access_log().len(), 30);
    });
}

#[test]
fn what_cannot_be_read_ends_the_connection() {
    let cases: [(&str, u16); 12] = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400),
        ("get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        ("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
        ),
        ("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ];
    run_seeds(0..20, Faults::harmless, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        for (request, status) in cases {
            let peer = site.connect();
            peer.write(GET);
            peer.write(request);
            peer.write("GET /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(peer.answer().await.expect("an answer").status, 200);
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(answer.status, status, "{request:?}");
            if request.contains("%zz") {
                continue;
            }
            assert_eq!(answer.header("connection"), Some("close"), "{request:?}");
            assert_eq!(peer.rest().await.expect("an end"), b"", "{request:?}");
        }
    });
}

#[test]
fn oversized_heads_are_told_so() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        let long = "x".repeat(20_000);
        for (request, status) in [
            (format!("GET /{long} HTTP/1.1\r\n"), 414),
            (
                format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
                431,
            ),
            (
                format!(
                    "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                    "X: y\r\n".repeat(200)
                ),
                431,
            ),
        ] {
            let peer = site.connect();
            peer.write(request);
            assert_eq!(peer.answer().await.expect("an answer").status, status);
            assert_eq!(peer.rest().await.expect("an end"), b"");
        }
    });
}

#[test]
fn slow_heads_time_out_and_silent_clients_leave_without_a_word() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        let silent = site.connect();
        assert_eq!(silent.rest().await.expect("an end"), b"");
        let waited_ns = uring::now();
        assert!(waited_ns >= 10 * SECOND_NS);

        let slow = site.connect();
        slow.write("GET / HT");
        assert_eq!(slow.answer().await.expect("an answer").status, 408);
        assert_eq!(slow.rest().await.expect("an end"), b"");

        let dripping = site.connect();
        for byte in "GET / HTTP/1.1\r\nX: 12345678901234567890".bytes() {
            dripping.write([byte]);
            uring::time::sleep(SECOND_NS).await;
        }
        assert_eq!(dripping.answer().await.expect("an answer").status, 408);

        let idle = site.connect();
        idle.write(GET);
        assert_eq!(idle.answer().await.expect("an answer").status, 200);
        let idle_since_ns = uring::now();
        assert_eq!(idle.rest().await.expect("an end"), b"");
        assert!(uring::now() - idle_since_ns >= 74 * SECOND_NS);
    });
}

#[test]
fn a_slow_reader_gets_every_byte() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let large = files(&sim);
        let site = Site::new(sim, config());
        let peer = site.connect();
        peer.write("GET /static/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut all = Vec::new();
        loop {
            let bytes = peer.client.read_at_most(40_000).await.expect("bytes");
            if bytes.is_empty() {
                break;
            }
            all.extend(bytes);
            uring::time::sleep(SECOND_NS / 10).await;
        }
        let head_end = all
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head")
            + 4;
        assert!(all[head_end..] == large);
    });
}

/// One client downloads as fast as it can, another asks for little things: those are answered in between, at an even pace.
#[test]
fn a_download_at_full_speed_keeps_nobody_waiting() {
    const LENGTH: usize = 64 << 20;
    let faults = Faults {
        window: usize::MAX,
        ..Faults::NONE
    };
    run_seeds(
        0..3,
        |_| faults,
        async |sim| {
            files(&sim);
            sim.add_file("/www/huge", vec![0; LENGTH], 1_700_000_000);
            let site = Site::new(sim, config());
            let (fast, small) = (site.connect(), site.connect());
            small.write(GET);
            small.answer().await.expect("an answer");
            fast.write("GET /static/huge HTTP/1.1\r\nHost: x\r\n\r\n");
            let received = Rc::new(Cell::new(0));
            let there = Rc::clone(&received);
            uring::spawn(async move {
                while there.get() < LENGTH {
                    there.set(there.get() + fast.client.read().await.expect("the file").len());
                }
            });
            let mut answers = 0;
            while received.get() < LENGTH {
                let before = received.get();
                small.write(GET);
                assert_eq!(small.answer().await.expect("an answer").body, b"alpha");
                answers += 1;
                // A request travels 20 turns at most, its answer as long, and a piece is a quarter of a MiB.
                assert!(
                    received.get() - before <= 48 * 256 * 1024,
                    "{}",
                    received.get() - before
                );
            }
            assert!(answers >= 5, "{answers}");
        },
    );
}

/// A file that is cut while it is sent: the announced length goes out, or the connection ends. The next answer on it never begins
/// where a body should have gone on.
#[test]
fn a_file_cut_under_way_never_leaves_the_connection_out_of_step() {
    let (mut whole, mut broken) = (0, 0);
    run_seeds(0..60, Faults::harmless, async |sim| {
        let large = files(&sim);
        let cutter = sim.clone();
        let site = Site::new(sim, config());
        let peer = site.connect();
        let range = "Range: bytes=0-99999,150000-299999\r\n";
        for field in ["", range] {
            peer.write(format!(
                "GET /static/large.bin HTTP/1.1\r\nHost: x\r\n{field}\r\n"
            ));
            peer.write(GET);
        }
        let after_ns = cutter.random(60_000_000);
        uring::spawn(async move {
            uring::time::sleep(after_ns).await;
            cutter.truncate("/www/large.bin", 70_000);
        });
        for is_range in [false, true] {
            let Ok(answer) = peer.answer().await else {
                broken += 1;
                break;
            };
            // As it was, or (looked at after the cut) as it is.
            match (is_range, answer.status) {
                (false, 200) => {
                    assert!(answer.body == large || answer.body == large[..70_000]);
                }
                (true, 206) => {
                    let middle = answer.body.len() / 2;
                    assert!(answer.body.len() > 250_000 || answer.body == large[..70_000]);
                    assert!(answer.body[middle] == answer.body[middle - 251]);
                }
                other => panic!("{other:?}"),
            }
            let next = peer.answer().await.expect("it is in step");
            assert_eq!((next.status, &next.body[..]), (200, &b"alpha"[..]));
            whole += 1;
        }
    });
    assert!(whole > 0 && broken > 0, "{whole} {broken}");
}

/// A disk that fails in the middle of a body ends the connection; what was asked for behind it is not answered on it.
#[test]
fn a_bad_disk_under_way_ends_the_connection() {
    let faults = |seed| Faults {
        io_error: 4,
        ..Faults::harmless(seed)
    };
    let (mut whole, mut broken) = (0, 0);
    run_seeds(0..60, faults, async |sim| {
        let large = files(&sim);
        let site = Site::new(sim, config());
        let peer = site.connect();
        for _ in 0..4 {
            peer.write("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        for _ in 0..4 {
            match peer.answer().await {
                Ok(answer) if answer.status == 200 => {
                    assert!(answer.body == large);
                    whole += 1;
                }
                Ok(answer) => assert_eq!(answer.status, 500),
                Err(error) => {
                    assert!(
                        matches!(
                            error.kind(),
                            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                        ),
                        "{error}"
                    );
                    broken += 1;
                    break;
                }
            }
        }
    });
    assert!(whole > 0 && broken > 0, "{whole} {broken}");
}

#[test]
fn a_reader_that_stops_is_cut_off() {
    run_seeds(
        0..20,
        |seed| Faults {
            window: 4096,
            ..Faults::harmless(seed)
        },
        async |sim| {
            files(&sim);
            let site = Site::new(sim, config());
            let peer = site.connect();
            peer.write("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
            let begun_ns = uring::now();
            site.empty().await;
            assert!(uring::now() - begun_ns < 100 * SECOND_NS);
            drop(peer);
        },
    );
}

#[test]
fn methods_versions_and_forms() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        let peer = site.connect();
        peer.write("HEAD /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = peer.head_answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("5"))
        );

        peer.write("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("GET"))
        );

        peer.write("GET http://x/static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(peer.answer().await.expect("an answer").body, b"alpha");

        peer.write("GET /static/../static/%61.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(peer.answer().await.expect("an answer").body, b"alpha");

        peer.write("GET /static/a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(answer.header("connection"), Some("keep-alive"));

        // A body that nobody wants is passed over when it has come, and ends the connection when it has not.
        peer.write("GET /static/a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("close"))
        );
        assert_eq!(peer.rest().await.expect("an end"), b"");

        let old = site.connect();
        old.write("GET /static/a.txt HTTP/1.0\r\n\r\n");
        let answer = old.answer().await.expect("an answer");
        assert_eq!(
            (&answer.body[..], answer.header("connection")),
            (&b"alpha"[..], Some("close"))
        );
        assert_eq!(old.rest().await.expect("an end"), b"");
    });
}

#[test]
fn peers_may_die_at_any_time() {
    run_seeds(0..80, Faults::deadly, async |sim| {
        files(&sim);
        let site = Site::new(sim, config());
        for n in 0..6 {
            let peer = site.connect();
            peer.write(GET.repeat(n));
            peer.write("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /sta");
            for _ in 0..=n {
                // Whatever comes: the client may be dead.
                if peer.answer().await.is_err() {
                    break;
                }
            }
        }
        site.empty().await;
        assert_eq!(site.ring.stats.connections_open.value(), 0);
        assert_eq!(site.ring.stats.connections_active.value(), 0);
    });
}

#[test]
fn too_many_connections_are_turned_away() {
    run_seeds(
        0..5,
        |_| Faults::NONE,
        async |sim| {
            files(&sim);
            let mut config = config();
            config.limits.connections = 2;
            let site = Site::new(sim, config);
            let first = site.connect();
            let second = site.connect();
            first.write(GET);
            second.write(GET);
            assert_eq!(first.answer().await.expect("an answer").status, 200);
            assert_eq!(second.answer().await.expect("an answer").status, 200);
            let third = site.connect();
            assert_eq!(third.answer().await.expect("an answer").status, 503);
            drop(first);
            uring::time::sleep(SECOND_NS).await;
            let fourth = site.connect();
            fourth.write(GET);
            assert_eq!(fourth.answer().await.expect("an answer").status, 200);
        },
    );
}

#[test]
fn a_connection_at_rest_is_small() {
    run_seeds(
        0..1,
        |_| Faults::NONE,
        async |sim| {
            files(&sim);
            let site = Site::new(sim, config());
            let (socket, _client) = site.sim.pair();
            let at = config::Address::Unix("/x".into());
            let entrance = std::rc::Rc::new(crate::connection::Entrance::new(&at));
            let task = crate::connection::serve(std::rc::Rc::clone(&site.ring), entrance, socket);
            let bytes = size_of_val(&task);
            assert!(bytes <= 200, "{bytes} bytes");
            assert!(site.ring.admit());
            drop(task);
        },
    );
}

/// The configuration is read again at any time: what has begun is answered as it was, what comes afterwards by the new one.
#[test]
fn new_locations_leave_what_has_begun_alone() {
    let mut seen = [0; 2];
    run_seeds(0..40, Faults::harmless, async |sim| {
        let large = files(&sim);
        sim.add_file("/next/large.bin", "new", 1_700_000_000);
        let after_ns = sim.random(40_000_000);
        let site = Rc::new(Site::new(sim, config()));
        let peer = site.connect();
        peer.write("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        let there = Rc::clone(&site);
        uring::spawn(async move {
            uring::time::sleep(after_ns).await;
            there.reconfigure(|config| {
                config.statics[0].dir = "/next".into();
                config
                    .statics
                    .insert(0, StaticMount::new("/before", "/www"));
                config.timeouts.idle_ms = 5_000;
            });
        });
        let answer = peer.answer().await.expect("an answer");
        assert!(answer.body == large || answer.body == b"new");
        seen[usize::from(answer.body == b"new")] += 1;
        uring::time::sleep(50_000_000).await;
        for (path, body) in [
            ("/static/large.bin", &b"new"[..]),
            ("/before/large.bin", &large),
        ] {
            peer.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert!(peer.answer().await.expect("an answer").body == body);
        }
        // The connection rests by the new time.
        let start_ns = uring::now();
        assert_eq!(peer.rest().await.expect("the end"), b"");
        assert!((4 * SECOND_NS..10 * SECOND_NS).contains(&(uring::now() - start_ns)));
    });
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

/// One client pipelines as fast as it can and takes every answer: the others have a turn after each few of them.
#[test]
fn pipelining_without_end_shares_the_thread() {
    const COUNT: usize = 1500;
    let faults = Faults {
        window: usize::MAX,
        ..Faults::NONE
    };
    for (path, length) in [("/static/a.txt", 5), ("/static/middle", 8000)] {
        run_seeds(
            0..2,
            |_| faults,
            async |sim| {
                files(&sim);
                sim.add_file("/www/middle", vec![0; 8000], 1_700_000_000);
                let site = Site::new(sim, config());
                let peer = site.connect();
                let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
                peer.write(&request);
                peer.answer().await.expect("an answer");
                let turns = Rc::new(Cell::new(0));
                let there = Rc::downgrade(&turns);
                uring::spawn(async move {
                    while let Some(turns) = there.upgrade() {
                        turns.set(turns.get() + 1);
                        uring::yield_now().await;
                    }
                });
                peer.write(request.repeat(COUNT));
                for _ in 0..COUNT {
                    peer.answer().await.expect("an answer");
                }
                // Of 8 KiB each.
                let receives = COUNT * request.len() / 8192;
                assert!(turns.get() >= receives / 4, "{} turns", turns.get());
                let pieces = COUNT * length / (320 * 1024);
                assert!(turns.get() >= pieces, "{} turns", turns.get());
            },
        );
    }
}
