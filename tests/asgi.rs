//! What the ASGI specification asks of a server, duty by duty (A1 to A36), through the real binary over raw sockets, with both kinds of workers.
//!
//! The other half of each test is the page of the same name in apps/asgi_duties.py. A34 (server push) is obsolete and not offered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::response::Framing;
use harness::{Client, Server, Setup, eventually, python, shared, skipped};
use std::path::PathBuf;
use std::sync::OnceLock;

fn setup(kind: &str) -> Setup {
    let setup = Setup::app("asgi_duties:application").kind(kind).workers(1);
    setup.dir().write("source.bin", "abcdefghij".repeat(10));
    setup
}

/// One server of each kind that the test's Python can do, shared by all tests of this file.
fn servers() -> Vec<&'static Server> {
    static PROCESSES: OnceLock<Server> = OnceLock::new();
    static INTERPRETERS: OnceLock<Server> = OnceLock::new();
    let mut servers = vec![shared(&PROCESSES, || setup("processes"))];
    if python::has_interpreters() {
        servers.push(shared(&INTERPRETERS, || setup("interpreters")));
    } else {
        skipped("interpreters need CPython 3.13 or newer");
    }
    servers
}

fn kinds() -> Vec<&'static str> {
    match python::has_interpreters() {
        true => vec!["processes", "interpreters"],
        false => vec!["processes"],
    }
}

/// The page must say "ok".
#[track_caller]
fn ok(target: &str) {
    for server in servers() {
        assert_eq!(server.get(target).expect(200).text(), "ok", "{target}");
    }
}

/// Waits for a mark that the application leaves.
fn mark(server: &Server, name: &str) -> String {
    let path: PathBuf = server.dir().path().join(name);
    eventually(name, || {
        path.exists()
            .then(|| std::fs::read_to_string(&path).unwrap())
    })
}

fn forget(server: &Server, name: &str) {
    std::fs::remove_file(server.dir().path().join(name)).ok();
}

fn source() -> String {
    "abcdefghij".repeat(10)
}

// A WebSocket client: what a test says, byte for byte.

struct WebSocket(Client);

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;

fn handshake(target: &str, headers: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

impl WebSocket {
    /// Opens one, and returns the head of the answer with it.
    #[track_caller]
    fn open_with(server: &Server, target: &str, headers: &str) -> (WebSocket, String) {
        let mut client = server.client();
        client.send(handshake(target, headers));
        let head = client.take_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        (WebSocket(client), head.to_ascii_lowercase())
    }

    #[track_caller]
    fn open(server: &Server, target: &str) -> WebSocket {
        WebSocket::open_with(server, target, "").0
    }

    fn frame(&mut self, first: u8, payload: &[u8]) -> &mut WebSocket {
        let mut frame = vec![first];
        match payload.len() {
            len @ ..=125 => frame.push(FINAL | len as u8),
            len @ 126..=0xFFFF => {
                frame.push(FINAL | 126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                frame.push(FINAL | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend_from_slice(&mask);
        frame.extend(
            payload
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ mask[at % 4]),
        );
        self.0.send(frame);
        self
    }

    /// The next frame: its first byte and payload.
    #[track_caller]
    fn next(&mut self) -> (u8, Vec<u8>) {
        let start = self.0.take_bytes(2);
        assert!(start[1] < FINAL, "a server does not mask");
        let len = match start[1] {
            126 => {
                let len = self.0.take_bytes(2);
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            127 => {
                let len = self.0.take_bytes(8);
                u64::from_be_bytes(len.try_into().unwrap()) as usize
            }
            len => usize::from(len),
        };
        (start[0], self.0.take_bytes(len))
    }

    /// The next whole message: its kind and payload.
    #[track_caller]
    fn message(&mut self) -> (u8, Vec<u8>) {
        let (first, mut payload) = self.next();
        let mut end = first & FINAL;
        while end == 0 {
            let (next, more) = self.next();
            assert_eq!(next & 0x7F, 0, "a continuation");
            payload.extend(more);
            end = next & FINAL;
        }
        (first & 0xF, payload)
    }

    /// The close frame that must come next, answered.
    #[track_caller]
    fn closed(&mut self) -> (u16, String) {
        let (first, payload) = self.next();
        assert_eq!(first, FINAL | CLOSE);
        self.frame(FINAL | CLOSE, &payload);
        self.0.expect_close();
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        (code, String::from_utf8(payload[2..].to_vec()).unwrap())
    }
}

// The core.

#[test]
fn a01_scope_is_a_dict_with_type_and_versions() {
    ok("/a01");
}

#[test]
fn a02_events_hold_plain_values_only() {
    ok("/a02");
}

#[test]
fn a03_wrong_messages_raise_and_further_keys_do_not() {
    ok("/a03");
}

#[test]
fn a04_an_exception_is_logged_and_ends_the_connection_or_becomes_500() {
    for server in servers() {
        assert_eq!(server.get("/a04").status, 500);
        server.wait_log("ValueError: a page that fails");
        let mut client = server.client();
        client.send("GET /a04?late HTTP/1.1\r\nHost: test\r\n\r\n");
        // Or, where nothing of it has left yet, an error page takes its place.
        let late = client.try_response("GET");
        assert!(
            late.as_ref()
                .is_ok_and(|page| matches!(page.status, 500 | 502))
                || late.is_err(),
            "{late:?}"
        );
    }
}

#[test]
fn a05_send_after_the_client_left_raises_an_oserror_that_is_not_logged() {
    for server in servers() {
        forget(server, "a05");
        let mut client = server.client();
        client.send("GET /a05 HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_text("begin");
        drop(client);
        assert_eq!(mark(server, "a05"), "ConnectionAbortedError");
        ok("/a01");
        assert!(!server.log().contains("ConnectionAbortedError"));
    }
}

#[test]
fn a06_asgi_2_applications_are_called_twice() {
    for kind in kinds() {
        let server = Setup::app("asgi_duties:legacy").kind(kind).start();
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
        let mut socket = WebSocket::open(&server, "/echo");
        assert_eq!(
            socket.frame(FINAL | TEXT, b"hi").message(),
            (TEXT, b"hi".to_vec())
        );
    }
}

#[test]
fn a07_one_call_for_each_request_and_each_websocket() {
    for server in servers() {
        let count = |name: &str| -> u32 {
            server
                .get(&format!("/calls?{name}"))
                .text()
                .parse()
                .unwrap()
        };
        let (requests, sockets) = (count("a07"), count("/a07"));
        for _ in 0..3 {
            assert_eq!(server.get("/a07").status, 404);
            let mut socket = WebSocket::open(server, "/a07");
            socket.frame(FINAL | TEXT, b"x").message();
            socket.frame(FINAL | TEXT, b"y").message();
        }
        assert_eq!((count("a07"), count("/a07")), (requests + 3, sockets + 3));
    }
}

// The http scope.

#[test]
fn a08_the_scope_says_what_was_asked() {
    for server in servers() {
        let mut client = server.client();
        let port = client.local_port();
        client.send(
            "GET /a08/a%20b/%C3%A9/c%2Fd?x=%20&y HTTP/1.1\r\nHost: Example.com\r\nX-B: 1\r\nx-a: 2\r\nX-b: 3\r\nUnder_score: 4\r\n\r\n",
        );
        let scope = client.response().expect(200).json();
        assert_eq!(scope["type"], "http");
        assert_eq!(scope["http_version"], "1.1");
        assert_eq!(scope["method"], "GET");
        assert_eq!(scope["scheme"], "http");
        assert_eq!(scope["path"], "/a08/a b/é/c/d");
        assert_eq!(scope["raw_path"], "/a08/a%20b/%C3%A9/c%2Fd");
        assert_eq!(scope["query_string"], "x=%20&y");
        assert_eq!(scope["root_path"], "");
        assert_eq!(scope["client"], serde_json::json!(["127.0.0.1", port]));
        assert_eq!(
            scope["server"],
            serde_json::json!(["127.0.0.1", server.address().port()])
        );
        let headers = scope["headers"].as_array().unwrap().clone();
        let custom: Vec<_> = headers
            .iter()
            .filter(|pair| pair[0].as_str().unwrap().starts_with("x-"))
            .collect();
        let expected = serde_json::json!([["x-b", "1"], ["x-a", "2"], ["x-b", "3"]]);
        assert_eq!(serde_json::json!(custom), expected, "order and duplicates");
        assert!(headers.contains(&serde_json::json!(["host", "Example.com"])));
        let old = server.client().send("GET /a08 HTTP/1.0\r\n\r\n").response();
        assert_eq!(old.json()["http_version"], "1.0");
    }
}

#[test]
fn a08_a_unix_socket_is_named_by_its_path() {
    let setup = setup("processes").unbound();
    let path = setup.dir().path().join("app.sock");
    let server = setup
        .option("--bind", format!("unix:{}", path.display()))
        .start();
    let mut client = Client::connect_unix(&path);
    let scope = client.get("/a08").expect(200).json();
    let path = path.to_string_lossy();
    assert_eq!(scope["server"], serde_json::json!([path, null]));
    assert_eq!(scope["client"], serde_json::Value::Null);
    drop(server);
}

#[test]
fn a08_root_path_is_part_of_the_path() {
    for kind in kinds() {
        let server = Setup::app("asgi_duties:application")
            .kind(kind)
            .option("--root-path", "/outer")
            .start();
        let scope = server.get("/a08?q").json();
        assert_eq!(scope["root_path"], "/outer");
        assert_eq!(scope["raw_path"], "/a08");
        assert_eq!(scope["path"], "/outer/a08");
    }
}

#[test]
fn a09_bodies_arrive_unchunked_and_in_pieces() {
    for server in servers() {
        let body = vec![7u8; 300_000];
        let response = server.client().request("POST", "/a09", "", &body);
        assert_eq!(response.text(), format!("True 300000 {}", 7 * 300_000));
        let mut client = server.client();
        client.send("POST /a09 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..50 {
            client.send("3;x=y\r\nabc\r\n");
        }
        client.send("0\r\nx-trailer: 1\r\n\r\n");
        assert!(client.response().text().ends_with(" 150 14700"));
        let small = server.client().request("POST", "/a09", "", b"abc");
        assert_eq!(small.text(), "False 3 294");
        client.send(
            "POST /a09 HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        );
        client.wait_text("HTTP/1.1 100 Continue\r\n\r\n");
        client.take_head();
        client.send("abc");
        assert_eq!(client.response().text(), "False 3 294");
    }
}

#[test]
fn a10_receive_waits_and_then_says_that_it_is_over() {
    for server in servers() {
        forget(server, "a10");
        assert_eq!(server.get("/a10").expect(200).text(), "ok");
        assert_eq!(mark(server, "a10"), "after the response");
        forget(server, "a10_leaves.begun");
        forget(server, "a10_leaves");
        let mut client = server.client();
        client.send("GET /a10_leaves HTTP/1.1\r\nHost: test\r\n\r\n");
        mark(server, "a10_leaves.begun");
        drop(client);
        assert_eq!(mark(server, "a10_leaves"), "seen");
    }
}

#[test]
fn a11_the_applications_transfer_encoding_is_ignored() {
    for server in servers() {
        let response = server.get("/a11").expect(200);
        assert_eq!(response.framing, Framing::Chunked);
        assert_eq!(response.text(), "one two");
        assert_eq!(response.header("x-a"), Some("b"));
    }
}

#[test]
fn a12_headers_keep_their_order() {
    for server in servers() {
        let response = server.get("/a12").expect(200);
        let own: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .filter(|header| header.starts_with("x-") || header.starts_with("set-cookie"))
            .collect();
        assert_eq!(
            own,
            [
                "x-3=c",
                "x-1=a",
                "set-cookie=a=1",
                "x-2=b",
                "set-cookie=b=2"
            ]
        );
    }
}

#[test]
fn a13_send_waits_for_a_client_that_does_not_read() {
    for server in servers() {
        let sent = || -> usize {
            std::fs::read_to_string(server.dir().path().join("a13"))
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        forget(server, "a13");
        let mut client = server.client();
        client.send("GET /a13 HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_text("HTTP/1.1 200");
        // It stands still long before its end, with the worker free for others.
        let mut last = 0;
        eventually("it stands still", || {
            let before = std::mem::replace(&mut last, sent());
            std::thread::sleep(std::time::Duration::from_millis(50));
            (before > 0 && before == last).then_some(())
        });
        assert!(last < 350, "{last} of 400 pieces in nobody's memory");
        assert_eq!(server.get("/a01").text(), "ok");
        assert_eq!(client.response().body.len(), 400 * 65536);
        eventually("all is sent", || (sent() == 400).then_some(()));
    }
}

#[test]
fn a13_each_event_is_there_before_the_next_is_made() {
    for server in servers() {
        for number in 0..3 {
            forget(server, &format!("seen{number}"));
        }
        let mut client = server.client();
        client.send("GET /clock HTTP/1.1\r\nHost: test\r\n\r\n");
        for number in 0..3 {
            client.wait_text(&format!("data: {number}\n\n"));
            server.dir().write(&format!("seen{number}"), "");
        }
        assert_eq!(
            client.response().text(),
            "data: 0\n\ndata: 1\n\ndata: 2\n\n"
        );
    }
}

#[test]
fn a14_what_comes_after_the_end_is_ignored() {
    for server in servers() {
        let mut client = server.client();
        assert_eq!(client.get("/a14").expect(200).text(), "ok");
        client.expect_open();
        let head = client.request("HEAD", "/head", "", b"");
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some("5"))
        );
        client.expect_open();
    }
}

#[test]
fn a15_a33_trailers_follow_for_clients_that_take_them() {
    for server in servers() {
        forget(server, "trailers");
        let mut client = server.client();
        client
            .send("GET /trailers HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        client.wait_text("x-last: 2\r\n\r\n");
        let head = client.take_head();
        assert!(
            head.to_ascii_lowercase()
                .contains("transfer-encoding: chunked"),
            "{head}"
        );
        let rest = client.take_head();
        assert!(
            rest.ends_with("0\r\nx-sum: 1\r\nx-last: 2\r\n\r\n"),
            "{rest}"
        );
        client.expect_open();
        assert_eq!(mark(server, "trailers"), "sent");
        let without = server.get("/trailers").expect(200);
        assert_eq!(without.text(), "ok");
        assert!(without.header("x-sum").is_none());
    }
}

// WebSockets.

#[test]
fn a16_the_handshake_waits_for_the_application_and_403_refuses() {
    for server in servers() {
        forget(server, "slow-accept");
        forget(server, "accept-now");
        let mut client = server.client();
        client.send(handshake("/slow-accept", ""));
        mark(server, "slow-accept");
        assert_eq!(server.get("/a01").text(), "ok");
        server.dir().write("accept-now", "");
        assert!(client.take_head().starts_with("HTTP/1.1 101 "));
        let mut client = server.client();
        let refused = client.send(handshake("/refuse", "")).response();
        assert_eq!(refused.status, 403);
    }
}

#[test]
fn a17_accept_names_the_subprotocol_and_headers() {
    for server in servers() {
        let (_, head) =
            WebSocket::open_with(server, "/echo", "Sec-WebSocket-Protocol: one, two\r\n");
        assert!(head.contains("sec-websocket-protocol: two\r\n"), "{head}");
        assert!(head.contains("x-a: b\r\n"), "{head}");
        let (_, head) = WebSocket::open_with(server, "/echo", "");
        assert!(!head.contains("sec-websocket-protocol"), "{head}");
        let mut client = server.client();
        assert_eq!(
            client.send(handshake("/bad-accept", "")).response().status,
            403
        );
    }
}

#[test]
fn a18_messages_arrive_whole_and_pings_are_answered() {
    for server in servers() {
        let mut socket = WebSocket::open(server, "/echo");
        let text = "zwölf Boxkämpfer".as_bytes();
        assert_eq!(
            socket.frame(FINAL | TEXT, text).message(),
            (TEXT, text.to_vec())
        );
        assert_eq!(
            socket.frame(FINAL | BINARY, &[0, 255]).message(),
            (BINARY, vec![0, 255])
        );
        assert_eq!(
            socket.frame(FINAL | TEXT, b"").message(),
            (TEXT, Vec::new())
        );
        // In fragments that split a character, with a ping in between.
        socket
            .frame(TEXT, &text[..3])
            .frame(FINAL | PING, b"there?");
        socket.frame(0, &text[3..8]).frame(FINAL, &text[8..]);
        assert_eq!(socket.next(), (FINAL | PONG, b"there?".to_vec()));
        assert_eq!(socket.message(), (TEXT, text.to_vec()));
        let large: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        let (kind, got) = socket.frame(FINAL | BINARY, &large).message();
        assert!(kind == BINARY && got == large);
    }
}

#[test]
fn a19_a_message_to_send_has_one_of_bytes_and_text() {
    for server in servers() {
        let mut socket = WebSocket::open(server, "/wrong");
        assert_eq!(socket.message(), (TEXT, b"ok".to_vec()));
    }
}

#[test]
fn a20_disconnect_tells_code_and_reason() {
    for server in servers() {
        for (path, close, seen) in [
            (
                "/left1",
                Some(&b"\x03\xe9going"[..]),
                "1001 going ConnectionAbortedError",
            ),
            ("/left2", Some(&b""[..]), "1005  ConnectionAbortedError"),
            ("/left3", None, "1006  ConnectionAbortedError"),
        ] {
            let name = format!("left.{}", &path[1..]);
            forget(server, &name);
            let mut socket = WebSocket::open(server, path);
            socket.frame(FINAL | TEXT, b"x").message();
            if let Some(close) = close {
                socket.frame(FINAL | CLOSE, close);
                assert_eq!(socket.next().0, FINAL | CLOSE);
            }
            drop(socket);
            assert_eq!(mark(server, &name), seen);
        }
        assert!(!server.log().contains("ConnectionAbortedError"));
    }
}

#[test]
fn a21_close_and_the_applications_end_close_the_socket() {
    for server in servers() {
        assert_eq!(
            WebSocket::open(server, "/close").closed(),
            (3001, "asked".to_owned())
        );
        assert_eq!(WebSocket::open(server, "/return").closed().0, 1000);
        assert_eq!(WebSocket::open(server, "/raise-late").closed().0, 1011);
        let mut client = server.client();
        assert_eq!(
            client.send(handshake("/raise-early", "")).response().status,
            500
        );
        server.wait_log("ValueError: after it accepted");
    }
}

#[test]
fn a22_the_websocket_scope() {
    for server in servers() {
        let headers = "Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: two,three\r\n";
        let (mut socket, _) = WebSocket::open_with(server, "/scope?a=b", headers);
        let scope: serde_json::Value = serde_json::from_slice(&socket.message().1).unwrap();
        assert_eq!(scope["type"], "websocket");
        assert_eq!(scope["scheme"], "ws");
        assert_eq!(scope["http_version"], "1.1");
        assert_eq!(scope["path"], "/scope");
        assert_eq!(scope["query_string"], "a=b");
        assert_eq!(
            scope["subprotocols"],
            serde_json::json!(["one", "two", "three"])
        );
        assert_eq!(scope["state"]["from"], "lifespan");
        assert!(scope.get("method").is_none());
    }
}

// The lifespan.

fn with_lifespan(kind: &str, mode: &str) -> Setup {
    setup(kind).env("LIFESPAN", mode)
}

#[test]
fn a23_a28_once_per_loop_with_a_state_that_requests_copy() {
    for kind in kinds() {
        let server = setup(kind).start();
        for count in 1..=3 {
            // One list, shared by the copies of one worker's state.
            assert_eq!(server.get("/a28").expect(200).text(), format!("{count} 1"));
        }
    }
}

#[test]
fn a24_an_application_without_lifespan_is_served() {
    for kind in kinds() {
        let server = with_lifespan(kind, "raises").start();
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
        assert!(!server.log().contains("NotImplementedError"));
    }
}

#[test]
fn a25_nothing_is_accepted_before_the_startup_is_complete() {
    for kind in kinds() {
        let server = with_lifespan(kind, "slow").start();
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
        assert!(server.dir().path().join("slow-startup").exists());
    }
}

#[test]
fn a26_a_failed_startup_is_said_and_ends_the_server() {
    for kind in kinds() {
        let (code, log) = with_lifespan(kind, "fails").run_to_end();
        assert_ne!(code, 0);
        assert!(log.contains("startup failed: no database"), "{log}");
    }
    let (code, log) = with_lifespan("processes", "raises")
        .option("--lifespan", "on")
        .run_to_end();
    assert_ne!(code, 0);
    assert!(log.contains("startup failed: NotImplementedError"), "{log}");
}

#[test]
fn a27_shutdown_comes_after_the_last_request_and_is_waited_for() {
    for kind in kinds() {
        let mut server = setup(kind).start();
        let mut client = server.client();
        client.send("GET /a27 HTTP/1.1\r\nHost: test\r\n\r\n");
        mark(&server, "a27.begun");
        server.signal(harness::server::TERM);
        assert_eq!(client.response().expect(200).text(), "ok");
        assert!(server.wait().success());
        let seen: Vec<_> = std::fs::read_dir(server.dir().path())
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                path.to_string_lossy()
                    .contains("/shutdown.")
                    .then(|| std::fs::read_to_string(path).unwrap())
            })
            .collect();
        assert_eq!(seen, ["request.done"]);
    }
}

// Extensions.

#[test]
fn a29_a_websocket_can_be_denied_with_a_response() {
    for server in servers() {
        let mut client = server.client();
        let denied = client.send(handshake("/deny", "")).response();
        assert_eq!(
            (denied.status, denied.text()),
            (429, "come later".to_owned())
        );
        assert_eq!(denied.header("retry-after"), Some("9"));
    }
}

#[test]
fn a30_pathsend_sends_a_file_by_its_path() {
    for server in servers() {
        let response = server.get("/a30").expect(200);
        assert_eq!(
            (response.framing, response.text()),
            (Framing::Length, source())
        );
        forget(server, "a30_missing");
        assert_eq!(server.get("/a30_missing").status, 500);
        assert_eq!(mark(server, "a30_missing"), "raised");
    }
}

#[test]
fn a31_zerocopysend_sends_parts_of_open_files() {
    for server in servers() {
        let expected = format!("<{}|{}>", &source()[5..15], &source()[3..7]);
        assert_eq!(server.get("/a31").expect(200).text(), expected);
    }
}

#[test]
fn a32_early_hints_go_ahead() {
    for server in servers() {
        let mut client = server.client();
        client.send("GET /a32 HTTP/1.1\r\nHost: test\r\n\r\n");
        let first = client.take_head().to_ascii_lowercase();
        assert!(first.starts_with("http/1.1 103 early hints\r\n"), "{first}");
        assert!(first.contains("link: </a.css>; rel=preload\r\n"), "{first}");
        let second = client.take_head();
        assert!(second.contains("</c.js>"), "{second}");
        assert_eq!(client.response().expect(200).text(), "ok");
    }
}

#[test]
fn a35_a36_neither_tls_on_plain_connections_nor_debug() {
    ok("/a36");
}

// What else is promised.

#[test]
fn a_request_over_its_time_is_cancelled() {
    for kind in kinds() {
        let server = setup(kind).option("--timeout", "1").start();
        assert_eq!(server.get("/sleeps").status, 504);
        assert_eq!(mark(&server, "sleeps"), "cancelled");
        server.wait_log("ran over its time and is cancelled");
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
    }
}

#[test]
fn a_blocked_loop_is_given_nothing_while_another_is_free() {
    for kind in kinds() {
        let server = setup(kind).workers(2).start();
        let mut client = server.client();
        client.send("GET /blocks HTTP/1.1\r\nHost: test\r\n\r\n");
        mark(&server, "blocks");
        for _ in 0..20 {
            assert_eq!(server.get("/a01").expect(200).text(), "ok");
        }
        server.dir().write("gate", "");
        assert_eq!(client.response().expect(200).text(), "released");
    }
}

/// Looking at its stack must not touch the other loops of the process (`sys._current_frames` does, and the process aborts).
#[test]
fn a_loop_blocked_over_its_time_is_shown_and_replaced_and_the_others_live() {
    for kind in kinds() {
        let server = setup(kind).workers(2).option("--timeout", "1").start();
        assert_eq!(server.get("/blocks").status, 504);
        server.wait_log(if kind == "interpreters" {
            "its interpreter is left behind"
        } else {
            "killed: a request ran over its time"
        });
        server.wait_log("in blocks");
        for _ in 0..20 {
            assert_eq!(server.get("/a01").expect(200).text(), "ok");
        }
        assert!(!server.log().contains("SIGABRT"), "{}", server.log());
    }
}
