//! Extensions: denial responses, files, early hints (A29 to A33).

use crate::harness::response::Framing;
use crate::socket::handshake;
use crate::{ok, servers, source};

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
        server.dir().forget("a30_missing");
        assert_eq!(server.get("/a30_missing").status, 500);
        assert_eq!(server.dir().wait("a30_missing"), "raised");
    }
}

#[test]
fn a30_a_file_that_takes_long_to_open_does_not_hold_the_loop() {
    for server in servers() {
        server.dir().forget("a30_slow");
        let mut client = server.client();
        client.send("GET /a30_slow HTTP/1.1\r\nHost: test\r\n\r\n");
        server.dir().wait("a30_slow");
        // The same loop, for there is one worker.
        server.get("/a30_release").expect(200);
        let response = client.response().expect(200);
        assert_eq!(
            (response.framing, response.text()),
            (Framing::Length, source())
        );
    }
}

#[test]
fn a30_what_cannot_be_opened_may_be_answered_otherwise() {
    ok("/a30_instead");
}

#[test]
fn a31_zerocopysend_sends_parts_of_open_files() {
    for server in servers() {
        let expected = format!("<{}|{}>", &source()[5..15], &source()[3..7]);
        assert_eq!(server.get("/a31").expect(200).text(), expected);
    }
}

#[test]
fn a31_without_an_offset_each_part_begins_where_the_file_stands() {
    let expected = [3..7, 7..11, 0..4, 9..13, 4..8].map(|part| source()[part].to_owned());
    for server in servers() {
        let response = server.get("/a31_position").expect(200);
        assert_eq!(response.text(), expected.concat());
    }
}

#[test]
fn a31_a_pipe_is_refused_with_what_to_do_instead() {
    for server in servers() {
        let said = server.get("/a31_pipe").expect(200).text();
        assert!(said.contains("http.response.body"), "{said}");
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
