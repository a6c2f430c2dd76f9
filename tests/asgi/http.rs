//! Bodies, headers and back-pressure of HTTP (A9 to A15).

use crate::harness::eventually;
use crate::harness::response::Framing;
use crate::servers;

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
        server.dir().forget("a10");
        assert_eq!(server.get("/a10").expect(200).text(), "ok");
        assert_eq!(server.dir().wait("a10"), "after the response");
        server.dir().forget("a10_leaves.begun");
        server.dir().forget("a10_leaves");
        let mut client = server.client();
        client.send("GET /a10_leaves HTTP/1.1\r\nHost: test\r\n\r\n");
        server.dir().wait("a10_leaves.begun");
        drop(client);
        assert_eq!(server.dir().wait("a10_leaves"), "seen");
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
        server.dir().forget("a13");
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
            server.dir().forget(&format!("seen{number}"));
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
        server.dir().forget("trailers");
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
        assert_eq!(server.dir().wait("trailers"), "sent");
        let without = server.get("/trailers").expect(200);
        assert_eq!(without.text(), "ok");
        assert!(without.header("x-sum").is_none());
    }
}
