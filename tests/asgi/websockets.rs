//! WebSockets from handshake to close (A16 to A22).

use crate::servers;
use crate::socket::{BINARY, CLOSE, FINAL, PING, PONG, TEXT, WebSocket, handshake};

// WebSockets.

#[test]
fn a16_the_handshake_waits_for_the_application_and_403_refuses() {
    for server in servers() {
        server.dir().forget("slow-accept");
        server.dir().forget("accept-now");
        let mut client = server.client();
        client.send(handshake("/slow-accept", ""));
        server.dir().wait("slow-accept");
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

/// RFC 6455 section 4.2.2: a client fails the connection over a subprotocol that it did not ask for.
#[test]
fn a17_a_subprotocol_that_was_not_offered_is_the_applications_mistake() {
    for server in servers() {
        for (offer, shown) in [
            (
                "Sec-WebSocket-Protocol: one, Three\r\nsec-websocket-protocol: two\r\n",
                "one, Three, two",
            ),
            ("", "none"),
        ] {
            let (mut socket, head) = WebSocket::open_with(server, "/unoffered", offer);
            assert!(!head.contains("sec-websocket-protocol"), "{head}");
            let (kind, text) = socket.message();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(kind, TEXT);
            assert_eq!(
                text,
                format!(
                    "the client did not offer the subprotocol 'three' (RFC 6455 section 4.2.2); it offers: {shown}"
                )
            );
        }
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
            server.dir().forget(&name);
            let mut socket = WebSocket::open(server, path);
            socket.frame(FINAL | TEXT, b"x").message();
            if let Some(close) = close {
                socket.frame(FINAL | CLOSE, close);
                assert_eq!(socket.next().0, FINAL | CLOSE);
            }
            drop(socket);
            assert_eq!(server.dir().wait(&name), seen);
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
