//! Requests to an app: what it is told, what its client gets, whoever of the two leaves, dies or is late.

use super::app_site::{AppSite, TICK_NS, get, large};
use super::site::{Peer, SECOND_NS};
use crate::mailbox::ToRing;
use control::message::AppState;
use uring::sim::{Faults, run_seeds};
use uring::time::sleep;

#[test]
fn an_app_answers() {
    run_seeds(0..40, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 2);
        let peer = app.connect();
        for _ in 0..3 {
            peer.write(get("/hello"));
            let answer = peer.answer().await.expect("an answer");
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
            assert!(answer.header("date").is_some() && answer.header("server").is_some());
        }
        peer.write(get("/stream"));
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (&answer.body[..], answer.header("transfer-encoding")),
            (&b"one two three"[..], Some("chunked"))
        );
        peer.write(get("/large"));
        assert!(peer.answer().await.expect("an answer").body == large());
        peer.write("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(peer.head_answer().await.expect("an answer").status, 200);
        peer.write(get("/no-content"));
        assert_eq!(peer.answer().await.expect("an answer").status, 204);
        let old = app.connect();
        old.write("GET /stream HTTP/1.0\r\n\r\n");
        let answer = old.answer().await.expect("an answer");
        assert_eq!(
            (&answer.body[..], answer.header("connection")),
            (&b"one two three"[..], Some("close"))
        );
        let log = app.site.access_log();
        assert_eq!(log.len(), 8);
        assert!(
            log.iter()
                .all(|line| line.contains(" shop/") && line.contains("queue=")),
            "{log:?}"
        );
        assert_eq!(app.site.ring.stats.apps[0].in_flight.value(), 0);
        app.stop();
    });
}

#[test]
fn pipelined_requests_to_an_app_keep_their_order() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 2);
        let peer = app.connect();
        let paths = [
            "/hello",
            "/static/a.txt",
            "/stream",
            "/static/a.txt",
            "/static/a.txt",
            "/hello",
        ];
        peer.write(paths.map(get).concat());
        for path in paths {
            let answer = peer.answer().await.expect("an answer");
            let body: &[u8] = match path {
                "/hello" => b"hello",
                "/stream" => b"one two three",
                _ => b"alpha",
            };
            assert_eq!(answer.body, body);
        }
        app.stop();
    });
}

#[test]
fn bodies_are_complete_before_a_worker_is_taken() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 1);
        for (size, chunked) in [
            (0, false),
            (10, false),
            (5_000, false),
            (60_000, false),
            (0, true),
            (7_000, true),
            (60_000, true),
        ] {
            let body: Vec<u8> = (0..size).map(|n| (n % 239) as u8).collect();
            let peer = app.connect();
            let before = app.begun.get();
            if chunked {
                peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(3_000) {
                    peer.write(format!("{:x};ext=1\r\n", piece.len()));
                    peer.write(piece);
                    peer.write("\r\n");
                }
                sleep(SECOND_NS).await;
                assert_eq!(app.begun.get(), before);
                peer.write("0\r\nTrailer: x\r\n\r\n");
            } else {
                peer.write(format!(
                    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
                ));
                if let Some((last, rest)) = body.split_last() {
                    peer.write(rest);
                    sleep(SECOND_NS).await;
                    assert_eq!(app.begun.get(), before);
                    peer.write([*last]);
                }
            }
            peer.write(get("/hello"));
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(answer.status, 200);
            assert!(answer.body == body, "{size} {chunked}");
            assert_eq!(peer.answer().await.expect("an answer").body, b"hello");
        }
        app.stop();
    });
}

#[test]
fn continue_is_said_only_when_the_body_is_wanted() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = AppSite::with(sim, 1, |config| config.limits.body_bytes = 1000);
        let peer = app.connect();
        peer.write(
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(peer.answer().await.expect("a word").status, 100);
        peer.write("abc");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"abc"[..]));
        peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\nExpect: 100-continue\r\n\r\n");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("connection")),
            (413, Some("close"))
        );
        assert_eq!(peer.rest().await.expect("an end"), b"");
        app.stop();
    });
}

#[test]
fn broken_bodies_never_reach_the_app() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let app = AppSite::with(sim, 1, |config| config.limits.body_bytes = 1000);
        for (body, status) in [
            ("zz\r\n", Some(400)),
            ("3\r\nabcd\r\n0\r\n\r\n", Some(400)),
            ("3\nabc\n0\n\n", Some(400)),
            ("-1\r\n", Some(400)),
            ("500\r\n", None),
            ("3\r\nab", None),
        ] {
            let peer = app.connect();
            peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.write(body);
            let expected = status.unwrap_or(408);
            assert_eq!(
                peer.answer().await.expect("an answer").status,
                expected,
                "{body:?}"
            );
            assert_eq!(peer.rest().await.expect("an end"), b"");
        }
        let peer = app.connect();
        peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
        peer.write(vec![b'x'; 1001]);
        assert_eq!(peer.answer().await.expect("an answer").status, 413);
        assert_eq!(app.begun.get(), 0);
        app.stop();
    });
}

#[test]
fn mistakes_of_the_app_are_its_own() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 1);
        let peer = app.connect();
        for path in [
            "/split",
            "/status",
            "/lengths",
            "/garbage",
            "/headless",
            "/abort",
        ] {
            peer.write(get(path));
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(
                (answer.status, answer.header("set-cookie")),
                (502, None),
                "{path}"
            );
            assert_eq!(answer.header("connection"), None, "{path}");
        }
        let (_, said) = app.site.said();
        assert_eq!(
            said.iter()
                .filter(|line| line.starts_with("app shop worker 0: "))
                .count(),
            6,
            "{said:?}"
        );
        peer.write(get("/excess"));
        assert_eq!(peer.answer().await.expect("an answer").body, b"hel");
        assert!(app.site.said().1[0].contains("more body"));
        peer.write(get("/hello"));
        assert_eq!(peer.answer().await.expect("an answer").body, b"hello");
        let short = app.connect();
        short.write(get("/short"));
        match short.answer().await {
            Ok(answer) => assert_eq!(answer.status, 502),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
        }
        app.stop();
    });
}

#[test]
fn a_dead_worker_costs_its_own_request_only() {
    run_seeds(0..40, Faults::harmless, async |sim| {
        let mut app = AppSite::new(sim, 1);
        let victim = app.connect();
        let waiting = app.connect();
        victim.write(get("/die"));
        while app.begun.get() == 0 {
            sleep(TICK_NS).await;
        }
        waiting.write(get("/hello"));
        sleep(SECOND_NS).await;
        app.site.mailbox.post(ToRing::WorkerGone {
            app: 0,
            index: 0,
            incarnation: 1,
        });
        app.views.clear();
        app.start_worker(0, 2);
        app.show(AppState::Ready);
        assert_eq!(victim.answer().await.expect("an answer").status, 502);
        assert_eq!(waiting.answer().await.expect("an answer").body, b"hello");
        victim.write(get("/hello"));
        assert_eq!(victim.answer().await.expect("an answer").body, b"hello");

        victim.write(get("/die-late"));
        let begun = app.begun.get();
        while app.begun.get() == begun {
            sleep(TICK_NS).await;
        }
        sleep(2 * SECOND_NS).await;
        app.site.mailbox.post(ToRing::WorkerGone {
            app: 0,
            index: 0,
            incarnation: 2,
        });
        // The answer had begun: it must not look complete.
        assert!(victim.answer().await.is_err());
        assert_eq!(app.site.ring.stats.apps[0].in_flight.value(), 0);
    });
}

#[test]
fn clients_that_leave_cancel_their_requests() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 1);
        let running = app.connect();
        running.write(get("/slow"));
        while app.begun.get() == 0 {
            sleep(TICK_NS).await;
        }
        let queued = app.connect();
        queued.write(get("/hello"));
        sleep(SECOND_NS).await;
        drop(queued);
        drop(running);
        sleep(5 * SECOND_NS).await;
        app.site.empty().await;
        assert_eq!((app.begun.get(), app.told.get()), (1, 1));
        let log = app.site.access_log();
        assert!(
            log.len() == 2 && log.iter().all(|line| line.contains("\" 499 ")),
            "{log:?}"
        );
        let next = app.connect();
        next.write(get("/hello"));
        assert_eq!(next.answer().await.expect("an answer").body, b"hello");
        app.stop();
    });
}

#[test]
fn files_that_nobody_takes_are_closed() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 1);
        for begun in 1..6 {
            let peer = app.connect();
            peer.write(get("/file-after-all"));
            while app.begun.get() < begun {
                sleep(TICK_NS).await;
            }
            drop(peer);
        }
        let peer = app.connect();
        for _ in 0..5 {
            peer.write(get("/file-nobody-wants"));
            assert_eq!(peer.answer().await.expect("an answer").status, 204);
        }
        drop(peer);
        app.site.empty().await;
        sleep(SECOND_NS).await;
        assert_eq!(app.descriptors(), 0);
        app.stop();
    });
}

#[test]
fn time_limits() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 1);
        let stuck = app.connect();
        stuck.write(get("/never?x"));
        while app.begun.get() == 0 {
            sleep(TICK_NS).await;
        }
        let begun_ns = uring::now();
        sleep(10 * SECOND_NS).await;
        let waiting = app.connect();
        waiting.write(get("/hello"));
        assert_eq!(stuck.answer().await.expect("an answer").status, 504);
        let took_ns = uring::now() - begun_ns;
        assert!(
            (29 * SECOND_NS..33 * SECOND_NS).contains(&took_ns),
            "{took_ns}"
        );
        assert_eq!(waiting.answer().await.expect("an answer").body, b"hello");
        let (_, said) = app.site.said();
        assert!(
            said.iter().any(
                |message| message.starts_with("WorkerStuck { app: 0, index: 0, incarnation: 1")
            ),
            "{said:?}"
        );
        assert_eq!(app.told.get(), 1);

        // Nobody there to take it: it waits, and is told in time.
        app.stop();
        sleep(SECOND_NS).await;
        stuck.write(get("/hello"));
        let answer = stuck.answer().await.expect("an answer");
        assert_eq!(answer.status, 503);
        let seconds = answer
            .header("retry-after")
            .and_then(|value| value.parse().ok());
        assert!(matches!(seconds, Some(1..=60_u64)), "{seconds:?}");
    });
}

#[test]
fn a_worker_that_a_client_left_behind_is_found_stuck() {
    run_seeds(0..10, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 1);
        for path in ["/slow", "/deaf"] {
            let peer = app.connect();
            let begun = app.begun.get();
            peer.write(get(path));
            while app.begun.get() == begun {
                sleep(TICK_NS).await;
            }
            drop(peer);
            sleep(60 * SECOND_NS).await;
            let (_, said) = app.site.said();
            let stuck = said
                .iter()
                .any(|message| message.starts_with("WorkerStuck"));
            assert_eq!(stuck, path == "/deaf", "{said:?}");
        }
    });
}

#[test]
fn overload_and_absence_are_said_at_once() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let app = AppSite::new(sim, 0);
        let peers: Vec<Peer> = (0..8).map(|_| app.connect()).collect();
        peers.iter().for_each(|peer| peer.write(get("/hello")));
        sleep(SECOND_NS).await;
        let ninth = app.connect();
        ninth.write(get("/hello"));
        let answer = ninth.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
        drop(peers);
        sleep(SECOND_NS).await;
        app.show(AppState::Failed);
        let asked_ns = uring::now();
        ninth.write(get("/hello"));
        assert_eq!(ninth.answer().await.expect("an answer").status, 503);
        assert!(uring::now() - asked_ns < SECOND_NS);
    });
}

#[test]
fn slow_readers_hold_no_worker() {
    run_seeds(
        0..20,
        |seed| Faults {
            window: 2048,
            ..Faults::harmless(seed)
        },
        async |sim| {
            let app = AppSite::new(sim, 1);
            let slow = app.connect();
            slow.write(get("/large"));
            sleep(10 * SECOND_NS).await;
            let quick = app.connect();
            quick.write(get("/hello"));
            assert_eq!(quick.answer().await.expect("an answer").body, b"hello");
            assert!(slow.answer().await.expect("an answer").body == large());
            app.stop();
        },
    );
}

#[test]
fn peers_of_an_app_may_die_at_any_time() {
    run_seeds(0..80, Faults::deadly, async |sim| {
        let app = AppSite::new(sim, 2);
        for n in 0..6 {
            let peer = app.connect();
            let paths = [
                "/hello",
                "/large",
                "/stream",
                "/static/a.txt",
                "/excess",
                "/split",
            ];
            peer.write(
                (0..=n)
                    .map(|n| get(paths[n % paths.len()]))
                    .collect::<String>(),
            );
            peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n");
            peer.write(vec![b'x'; 30_000]);
            for _ in 0..=n {
                if peer.answer().await.is_err() {
                    break;
                }
            }
        }
        app.site.empty().await;
        app.stop();
        sleep(5 * SECOND_NS).await;
        assert_eq!(app.site.ring.stats.apps[0].in_flight.value(), 0);
        assert_eq!(app.site.ring.apps[0].in_use(), 0);
    });
}
