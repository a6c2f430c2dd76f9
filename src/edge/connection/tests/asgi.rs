//! HTTP requests to an app that speaks ASGI, on the simulated ring.

use super::app_site::{get, large};
use super::asgi_app::AsgiSite;
use super::site::SECOND_NS;
use uring::sim::{Faults, run_seeds};
use uring::time::sleep;

fn body_of(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 239) as u8).collect()
}

#[test]
fn bodies_stream_into_the_app() {
    run_seeds(0..10, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let mut begun = 0;
        for path in ["/echo", "/pipe"] {
            for (size, chunked) in [
                (0, false),
                (10, false),
                (5_000, false),
                (100_000, false),
                (0, true),
                (7_000, true),
                (100_000, true),
            ] {
                if path == "/pipe" && size == 0 && !chunked {
                    // Without a body there is no event that ends it.
                    continue;
                }
                let body = body_of(size);
                let peer = site.connect();
                if chunked {
                    peer.write(format!(
                        "POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    ));
                } else {
                    peer.write(format!(
                        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
                    ));
                }
                begun += 1;
                if size > 0 || chunked {
                    // Python has the request before the body.
                    sleep(SECOND_NS).await;
                    assert_eq!(site.app.begun.get(), begun);
                }
                for piece in body.chunks(3_000) {
                    if chunked {
                        peer.write(format!("{:x};ext=1\r\n", piece.len()));
                        peer.write(piece);
                        peer.write("\r\n");
                    } else {
                        peer.write(piece);
                    }
                }
                if chunked {
                    peer.write("0\r\nTrailer: x\r\n\r\n");
                }
                peer.write(get("/no-content"));
                let answer = peer.answer().await.expect("an answer");
                assert_eq!(answer.status, 200);
                assert!(answer.body == body, "{path} {size} {chunked}");
                assert_eq!(peer.answer().await.expect("an answer").status, 204);
                begun += 1;
            }
        }
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn http_1_0_streams_too() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write("POST /pipe HTTP/1.0\r\nContent-Length: 50000\r\nExpect: 100-continue\r\n\r\n");
        sleep(SECOND_NS).await;
        let body = body_of(50_000);
        peer.write(&body);
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.status == 200 && answer.body == body);
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn an_app_that_lags_stops_the_client() {
    run_seeds(0..8, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        let size = 3_000_000;
        peer.write(format!(
            "POST /lags HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        ));
        peer.write(vec![b'x'; size]);
        sleep(4 * SECOND_NS).await;
        // The inbound ring, a receive buffer or some, and what waits for the next request.
        let taken = site.app.site.ring.stats.bytes_in.value();
        assert!(taken < 600_000, "{taken}");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(answer.body, size.to_string().as_bytes());
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn an_answer_may_come_before_the_body_is_read() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        // A near end: the connection goes on behind it.
        let peer = site.connect();
        peer.write("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (403, None));
        peer.write(body_of(100_000));
        peer.write(get("/no-content"));
        assert_eq!(peer.answer().await.expect("an answer").status, 204);
        // A far one: it does not.
        let peer = site.connect();
        peer.write("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n");
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("connection")),
            (403, Some("close"))
        );
        // One that was never asked for: neither.
        let peer = site.connect();
        peer.write(
            "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        );
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("connection")),
            (403, Some("close"))
        );
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn continue_is_said_when_the_app_asks() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        for _ in 0..2 {
            peer.write(
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
            );
            assert_eq!(peer.answer().await.expect("a word").status, 100);
            peer.write("abc");
            assert_eq!(peer.answer().await.expect("an answer").body, b"abc");
        }
        // Who does not wait is not told.
        peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
        let answer = peer.answer().await.expect("an answer");
        let answer = if answer.status == 100 {
            peer.answer().await.expect("an answer")
        } else {
            answer
        };
        assert_eq!(answer.body, b"abc");
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn bodies_that_break_their_rules() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::with(sim, |config| config.limits.body_bytes = 10_000);
        for (rest, status) in [
            ("2000\r\n".to_string(), Some(413)),
            ("5\r\nhello\r\nx\r\n".to_string(), Some(400)),
            ("5\r\nhel".to_string(), Some(408)),
        ] {
            let peer = site.connect();
            peer.write("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            sleep(SECOND_NS).await;
            peer.write(&rest);
            if rest.starts_with("2000") {
                peer.write(vec![b'x'; 0x2000]);
                peer.write("\r\n2000\r\n");
                peer.write(vec![b'x'; 0x2000]);
            }
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(Some(answer.status), status);
            assert_eq!(answer.header("connection"), Some("close"));
            // After the head: no clean end.
            let peer = site.connect();
            peer.write("POST /pipe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            sleep(SECOND_NS).await;
            peer.write(&rest);
            if rest.starts_with("2000") {
                peer.write(vec![b'x'; 0x4000]);
            }
            let all = peer.rest().await.unwrap_or_default();
            assert!(!all.ends_with(b"0\r\n\r\n"), "{}", all.escape_ascii());
        }
        let announced = site.connect();
        announced.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n");
        assert_eq!(announced.answer().await.expect("an answer").status, 413);
        site.settled().await;
        assert!(site.shared.gone.borrow().len() >= 3);
        site.app.stop();
    });
}

#[test]
fn interim_answers_precede_the_answer() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write(get("/hints"));
        for link in ["</a.css>; rel=preload", "</b.js>; rel=preload"] {
            let hints = peer.answer().await.expect("hints");
            assert_eq!((hints.status, hints.header("link")), (103, Some(link)));
            assert_eq!(hints.header("content-length"), None);
        }
        let answer = peer.answer().await.expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
        assert_eq!(answer.header("link"), None);
        let old = site.connect();
        old.write("GET /hints HTTP/1.0\r\n\r\n");
        assert_eq!(old.answer().await.expect("an answer").status, 200);
        peer.write(get("/bad-hints"));
        let answer = peer.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.header("set-cookie")), (502, None));
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn trailers_go_to_those_who_take_them() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write("GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers, deflate;q=0.5\r\nConnection: close, TE\r\n\r\n");
        let all = peer.rest().await.expect("an answer");
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(
            all.contains("Transfer-Encoding: chunked") && all.contains("Trailer: Digest"),
            "{all}"
        );
        assert!(
            all.ends_with("\r\n0\r\nDigest: abc\r\nAsked: yes\r\n\r\n"),
            "{all}"
        );
        let peer = site.connect();
        peer.write(get("/trailers"));
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (&answer.body[..], answer.header("content-length")),
            (&b"body"[..], Some("4"))
        );
        peer.write(get("/no-content"));
        assert_eq!(peer.answer().await.expect("an answer").status, 204);
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn events_leave_one_by_one_until_the_client_does() {
    run_seeds(0..5, Faults::harmless, async |sim| {
        let site = AsgiSite::with(sim, |config| config.apps[0].options.timeout_ms = 1_000);
        let peer = site.connect();
        peer.write(get("/events"));
        let mut seen = Vec::new();
        // Far beyond the time an app has to begin its answer.
        for n in 0..4 {
            let what = format!("data: {n}\n\n");
            let start = uring::now();
            while !String::from_utf8_lossy(&seen).contains(&what) {
                seen.extend(peer.client.read().await.expect("an event"));
            }
            assert!(n == 0 || uring::now() - start > SECOND_NS);
        }
        drop(peer);
        site.settled().await;
        assert_eq!(*site.shared.gone.borrow(), [(0, String::new())]);
        assert_eq!(site.app.site.ring.stats.apps[0].abandoned.value(), 1);
        site.app.stop();
    });
}

#[test]
fn large_answers_and_none() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write(get("/large"));
        assert!(peer.answer().await.expect("an answer").body == large());
        peer.write("HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(peer.head_answer().await.expect("an answer").status, 200);
        peer.write(get("/no-content"));
        assert_eq!(peer.answer().await.expect("an answer").status, 204);
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn a_client_that_leaves_is_told_of_at_once() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write(get("/waits"));
        let upload = site.connect();
        upload.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
        sleep(SECOND_NS).await;
        let left_ns = uring::now();
        drop((peer, upload));
        site.settled().await;
        assert!(uring::now() - left_ns < SECOND_NS);
        assert_eq!(
            *site.shared.gone.borrow(),
            [(0, String::new()), (0, String::new())]
        );
        site.app.stop();
    });
}

#[test]
fn an_app_has_its_time_to_begin() {
    run_seeds(0..2, Faults::harmless, async |sim| {
        let site = AsgiSite::with(sim, |config| config.apps[0].options.timeout_ms = 5_000);
        let peer = site.connect();
        peer.write(get("/waits"));
        assert_eq!(peer.answer().await.expect("an answer").status, 504);
        site.settled().await;
        assert_eq!(
            *site.shared.gone.borrow(),
            [(shm::event::CODE_TIMEOUT, String::new())]
        );
        // The loop goes round: nobody is stuck.
        sleep(10 * SECOND_NS).await;
        assert!(
            !site
                .app
                .site
                .said()
                .1
                .iter()
                .any(|said| said.starts_with("WorkerStuck"))
        );
        peer.write(get("/blocks"));
        assert_eq!(peer.answer().await.expect("an answer").status, 504);
        sleep(10 * SECOND_NS).await;
        assert!(
            site.app
                .site
                .said()
                .1
                .iter()
                .any(|said| said.starts_with("WorkerStuck"))
        );
        // A slow upload is not the app's fault, as long as it moves.
        sleep(10 * SECOND_NS).await;
        let slow = site.connect();
        slow.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            sleep(3 * SECOND_NS).await;
            slow.write("x");
        }
        assert_eq!(slow.answer().await.expect("an answer").body, b"xxxxxxxxxx");
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn workers_that_die_leave_nobody_waiting() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write(get("/raises"));
        assert_eq!(peer.answer().await.expect("an answer").status, 502);
        peer.write(get("/waits"));
        let upload = site.connect();
        upload.write("POST /lags HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        upload.write(body_of(90_000));
        let stream = site.connect();
        stream.write(get("/events"));
        sleep(SECOND_NS).await;
        site.kill().await;
        assert_eq!(peer.answer().await.expect("an answer").status, 502);
        assert_eq!(upload.answer().await.expect("an answer").status, 502);
        assert!(!stream.rest().await.expect("an end").ends_with(b"0\r\n\r\n"));
        drop((peer, upload));
        site.app.site.empty().await;
    });
}

#[test]
fn peers_may_die_at_any_time() {
    run_seeds(0..20, Faults::deadly, async |sim| {
        let site = AsgiSite::new(sim);
        for n in 0..6usize {
            let peer = site.connect();
            let paths = [
                "/large",
                "/hints",
                "/early",
                "/no-content",
                "/trailers",
                "/raises",
            ];
            peer.write(
                (0..=n)
                    .map(|n| get(paths[n % paths.len()]))
                    .collect::<String>(),
            );
            for path in ["/echo", "/early", "/pipe"] {
                peer.write(format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n"
                ));
                peer.write(body_of(30_000));
            }
            for _ in 0..n + 4 {
                if peer.answer().await.is_err() {
                    break;
                }
            }
        }
        site.app.site.empty().await;
        site.settled().await;
        site.app.stop();
    });
}
