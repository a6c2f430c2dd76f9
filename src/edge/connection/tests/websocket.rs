//! WebSockets on the simulated ring: clients that speak frames, an app in the same thread.

use super::app_site::large;
use super::asgi_app::AsgiSite;
use super::site::SECOND_NS;
use super::socket_client::{Client, Said, handshake};
use crate::mailbox::ToRing;
use control::message::Patience;
use proto::websocket::deflate::{Agreed, Machines, Policy, negotiate};
use proto::websocket::frame::{FIN, RSV1};
use proto::websocket::{Kind, Writer, close};
use uring::sim::{Faults, run_seeds};
use uring::time::sleep;

fn gone(site: &AsgiSite) -> Vec<(u16, String)> {
    site.shared.gone.take()
}

fn one(code: u16, reason: &str) -> Vec<(u16, String)> {
    vec![(code, reason.into())]
}

#[test]
fn messages_come_back() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let (mut client, answer) =
            Client::ask(&site, "/ws", "Sec-WebSocket-Protocol: chat\r\n").await;
        assert_eq!(answer.status, 101);
        for (name, value) in [
            ("upgrade", Some("websocket")),
            ("connection", Some("Upgrade")),
            ("sec-websocket-accept", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
            ("sec-websocket-protocol", Some("chat")),
            ("sec-websocket-extensions", None),
            ("x-app", Some("yes")),
            ("content-length", None),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert_eq!(answer.head.matches("-Accept").count(), 1);
        for n in 0..5 {
            let text = format!("message {n} \u{20ac}");
            client.text(&text);
            client.expect(Said::Text(text)).await;
        }
        client.text("");
        client.expect(Said::Text(String::new())).await;
        client.binary(b"");
        client.expect(Said::Binary(Vec::new())).await;
        // Longer than every ring on the way.
        client.binary(&large());
        client.expect(Said::Binary(large())).await;
        // Fragments, with a ping between them, that split a character.
        client.frame(1, b"one \xe2");
        client.frame(FIN | 9, b"ping");
        client.frame(0, b"\x82\xac");
        client.frame(FIN, b" two");
        client.expect(Said::Pong(b"ping".into())).await;
        client.expect(Said::Text("one \u{20ac} two".into())).await;
        // Several at once.
        for n in 0..20 {
            client.text(&n.to_string());
        }
        for n in 0..20 {
            client.expect(Said::Text(n.to_string())).await;
        }
        assert_eq!(site.app.site.ring.stats.apps[0].websockets_open.value(), 1);
        client.close(1000, "done");
        client.expect(Said::Close(1000, String::new())).await;
        client.expect(Said::End).await;
        site.settled().await;
        assert_eq!(gone(&site), one(1000, "done"));
        let log = site.app.site.access_log();
        assert!(
            log.len() == 1 && log[0].contains("\"GET /ws HTTP/1.1\" 101 "),
            "{log:?}"
        );
        site.app.stop();
    });
}

#[test]
fn a_handshake_may_be_refused() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let peer = site.connect();
        peer.write(handshake("/ws/refuses", ""));
        let answer = peer.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.header("upgrade")), (403, None));
        // The connection speaks HTTP still.
        peer.write(handshake("/ws/denies", ""));
        let answer = peer.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, &answer.body[..]),
            (418, &b"a teapot indeed"[..])
        );
        peer.write(handshake("/ws/raises", ""));
        assert_eq!(peer.answer().await.expect("an answer").status, 502);
        // Bad handshakes do not reach the app; what is none does.
        let begun = site.app.begun.get();
        let good = handshake("/ws", "");
        for (from, to, status) in [
            ("Version: 13", "Version: 8", 426),
            ("ZQ==", "ZQ=", 400),
            ("Sec-WebSocket-Key", "X", 400),
        ] {
            let peer = site.connect();
            peer.write(good.replace(from, to));
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(answer.status, status);
            let version = (status == 426).then_some("13");
            assert_eq!(answer.header("sec-websocket-version"), version);
        }
        assert_eq!(site.app.begun.get(), begun);
        peer.write(good.replace("Upgrade: websocket", "Upgrade: h2c"));
        assert_eq!(peer.answer().await.expect("an answer").body, b"plain");
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn every_way_to_end() {
    run_seeds(0..15, Faults::harmless, async |sim| {
        let site = AsgiSite::with(sim, |config| {
            config.apps[0].options.websocket.max_message_bytes = 1000;
        });
        // The app's.
        let mut client = Client::open(&site, "/ws/closes").await;
        client.expect(Said::Text("bye".into())).await;
        client.expect_close(4001, "enough").await;
        site.settled().await;
        assert_eq!(gone(&site), one(4001, ""));
        let mut client = Client::open(&site, "/ws/ends").await;
        client.expect_close(1000, "").await;
        let mut client = Client::open(&site, "/ws/fails").await;
        client.expect(Said::Text("so far".into())).await;
        client.expect_close(1011, "internal error").await;
        for path in ["/ws/answers-http", "/ws/mixes"] {
            let mut client = Client::open(&site, path).await;
            while !matches!(client.said().await, Said::Close(1011, _)) {}
        }
        site.settled().await;
        gone(&site);
        // The client's faults.
        for (first, payload, code) in [
            (FIN | 3, &b""[..], 1002),
            (FIN | RSV1 | 1, b"x", 1002),
            (FIN | 1, b"\xff", 1007),
            (FIN | 2, &[0; 1001], 1009),
            (FIN | 8, b"\x03", 1002),
        ] {
            let mut client = Client::open(&site, "/ws").await;
            client.text("fine");
            client.expect(Said::Text("fine".into())).await;
            client.frame(first, payload);
            let Said::Close(said, reason) = client.said().await else {
                panic!("a close frame")
            };
            assert_eq!(said, code);
            client.expect(Said::End).await;
            drop(client);
            site.settled().await;
            assert_eq!(gone(&site), one(code, &reason));
        }
        // Without a word, before and after the app has accepted; and without a code.
        let peer = site.connect();
        peer.write(handshake("/ws/waits", ""));
        sleep(SECOND_NS / 2).await;
        drop(peer);
        site.settled().await;
        assert_eq!(gone(&site), one(1006, ""));
        let client = Client::open(&site, "/ws").await;
        drop(client);
        site.settled().await;
        assert_eq!(gone(&site), one(1006, ""));
        let mut client = Client::open(&site, "/ws").await;
        client.frame(FIN | 8, b"");
        client.expect(Said::Close(close::NONE, String::new())).await;
        client.expect(Said::End).await;
        site.settled().await;
        assert_eq!(gone(&site), one(close::NONE, ""));
        site.app.stop();
    });
}

#[test]
fn silence_is_noticed() {
    run_seeds(0..5, Faults::harmless, async |sim| {
        let site = AsgiSite::with(sim, |config| {
            let options = &mut config.apps[0].options.websocket;
            (options.ping_interval_ms, options.ping_timeout_ms) = (2_000, 1_000);
        });
        let mut client = Client::open(&site, "/ws").await;
        for _ in 0..3 {
            let start_ns = uring::now();
            let Said::Ping(payload) = client.said().await else {
                panic!("a ping")
            };
            assert!(uring::now() - start_ns > SECOND_NS);
            client.frame(FIN | 10, &payload);
        }
        assert!(matches!(client.said().await, Said::Ping(_)));
        client
            .expect(Said::Close(1011, "keepalive ping timeout".into()))
            .await;
        // It does not answer the close frame either, and is waited for no longer than that.
        client.expect(Said::End).await;
        site.settled().await;
        assert_eq!(gone(&site), one(1011, "keepalive ping timeout"));
        site.app.stop();
    });
}

#[test]
fn compressed_messages() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let (mut client, answer) = Client::ask(&site, "/ws", offer).await;
        let extensions = answer.header("sec-websocket-extensions").expect("agreed");
        assert!(extensions.contains("server_no_context_takeover; client_no_context_takeover"));
        let agreed: Option<Agreed> =
            negotiate(std::iter::once(&b"permessage-deflate"[..]), &Policy::FRUGAL);
        let (mut writer, mut machines) = (Writer::new(agreed), Machines::default());
        for message in ["short".to_owned(), "long and dull ".repeat(5_000)] {
            let mut frames = Vec::new();
            writer
                .append(
                    Kind::Text,
                    message.as_bytes(),
                    true,
                    &mut machines,
                    &mut frames,
                )
                .expect("one message");
            let (first, at) = (frames[0], if frames[1] == 126 { 4 } else { 2 });
            client.frame(first, &frames[at..]);
            client.expect(Said::Text(message)).await;
        }
        client.binary(&large());
        client.expect(Said::Binary(large())).await;
        client.close(1001, "");
        client.expect(Said::Close(1001, String::new())).await;
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn both_sides_may_be_slow() {
    run_seeds(0..15, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        // The app: what it has no room for stays with the client.
        let mut client = Client::open(&site, "/ws/lags").await;
        for _ in 0..10 {
            client.binary(&large());
        }
        sleep(3 * SECOND_NS).await;
        let taken = site.app.site.ring.stats.bytes_in.value();
        assert!(taken < 600_000, "{taken}");
        for _ in 0..10 {
            client.expect(Said::Binary(large())).await;
        }
        client.close(1000, "");
        client.expect(Said::Close(1000, String::new())).await;
        // The client: the app waits.
        let mut client = Client::open(&site, "/ws/pushes").await;
        sleep(5 * SECOND_NS).await;
        client.expect(Said::Binary(large())).await;
        for n in 0..200 {
            client.expect(Said::Text(format!("message {n}"))).await;
        }
        drop(client);
        site.settled().await;
        site.app.stop();
    });
}

#[test]
fn buffers_of_a_websocket_are_of_use_to_the_next_request() {
    run_seeds(0..10, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        for _ in 0..3 {
            let (mut client, answer) = Client::ask(&site, "/ws", "").await;
            assert_eq!(answer.status, 101);
            client.text("hello");
            client.expect(Said::Text("hello".into())).await;
        }
        site.app.site.empty().await;
        let ring = &site.app.site.ring;
        let buffers: Vec<_> = (0..6).map(|_| ring.take_buffer().capacity()).collect();
        assert!(buffers.iter().all(|&bytes| bytes >= 4096), "{buffers:?}");
        site.app.stop();
    });
}

#[test]
fn workers_that_die_leave_no_client_waiting() {
    run_seeds(0..15, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let mut idle = Client::open(&site, "/ws").await;
        let mut busy = Client::open(&site, "/ws").await;
        busy.text("before");
        busy.expect(Said::Text("before".into())).await;
        let asking = site.connect();
        asking.write(handshake("/ws/waits", ""));
        sleep(SECOND_NS).await;
        site.kill().await;
        idle.expect_close(1012, "the worker is gone").await;
        busy.expect_close(1012, "the worker is gone").await;
        assert_eq!(asking.answer().await.expect("an answer").status, 502);
        drop((idle, busy, asking));
        site.app.site.empty().await;
    });
}

#[test]
fn a_drain_closes_them() {
    run_seeds(0..15, Faults::harmless, async |sim| {
        let site = AsgiSite::new(sim);
        let mut client = Client::open(&site, "/ws").await;
        client.text("before");
        client.expect(Said::Text("before".into())).await;
        let mut silent = Client::open(&site, "/ws").await;
        let drain = ToRing::Drain {
            grace_ms: 60_000,
            patience: Patience::default(),
        };
        site.app.site.mailbox.post(drain);
        client.expect_close(1012, "the server restarts").await;
        silent
            .expect(Said::Close(1012, "the server restarts".into()))
            .await;
        silent.expect(Said::End).await;
        site.settled().await;
        assert_eq!(gone(&site).len(), 2);
        site.app.site.empty().await;
        site.app.stop();
    });
}

#[test]
fn peers_may_die_at_any_time() {
    run_seeds(0..20, Faults::deadly, async |sim| {
        let site = AsgiSite::new(sim);
        for path in ["/ws", "/ws/pushes", "/ws/closes", "/ws/fails", "/ws/lags"] {
            let peer = site.connect();
            peer.write(handshake(path, ""));
            let Ok(answer) = peer.answer().await else {
                continue;
            };
            assert_eq!(answer.status, 101);
            let mut client = Client::of(peer);
            client.text("hello");
            client.binary(&large());
            for _ in 0..3 {
                if client.said().await == Said::End {
                    break;
                }
            }
        }
        site.app.site.empty().await;
        site.settled().await;
        site.app.stop();
    });
}
