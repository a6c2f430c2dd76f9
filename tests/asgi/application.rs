//! The application as a callable: scopes, messages, errors, versions (A1 to A7).

use crate::harness::Setup;
use crate::harness::python;
use crate::socket::{FINAL, TEXT, WebSocket};
use crate::{ok, servers};

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
        server.dir().forget("a05");
        let mut client = server.client();
        client.send("GET /a05 HTTP/1.1\r\nHost: test\r\n\r\n");
        client.wait_text("begin");
        drop(client);
        assert_eq!(server.dir().wait("a05"), "ConnectionAbortedError");
        ok("/a01");
        assert!(!server.log().contains("ConnectionAbortedError"));
    }
}

#[test]
fn a06_asgi_2_applications_are_called_twice() {
    for kind in python::kinds() {
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
