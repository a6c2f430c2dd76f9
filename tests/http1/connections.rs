//! Connections: how long they are kept, and requests that follow one another on them.

use crate::{get, server};

#[test]
fn keep_alive_is_the_rule_of_1_1() {
    let mut client = server().client();
    for _ in 0..10 {
        let response = client.get("/hello").expect(200);
        assert_eq!(
            (response.text().as_str(), response.version.as_str()),
            ("Hello, world!\n", "HTTP/1.1")
        );
        assert!(!response.closes());
    }
}

#[test]
fn connection_close_is_obeyed() {
    let mut client = server().client();
    let response = client
        .request("GET", "/hello", "Connection: close\r\n", b"")
        .expect(200);
    assert!(response.closes());
    client.expect_close();
    let mut client = server().client();
    client
        .request("GET", "/hello", "Connection: foo, CLOSE\r\n", b"")
        .expect(200);
    client.expect_close();
}

#[test]
fn http_1_0_closes_unless_asked_to_keep() {
    let mut client = server().client();
    client
        .send("GET /hello HTTP/1.0\r\n\r\n")
        .response()
        .expect(200);
    client.expect_close();
    let mut client = server().client();
    client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response().expect(200);
    assert_eq!(
        response
            .header("connection")
            .map(str::to_ascii_lowercase)
            .as_deref(),
        Some("keep-alive")
    );
    client
        .send("GET /hello HTTP/1.0\r\n\r\n")
        .response()
        .expect(200);
    client.expect_close();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut client = server().client();
    let mut bytes = Vec::new();
    for number in 0..40 {
        bytes.extend(
            format!(
                "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nbody{number:04}"
            )
            .into_bytes(),
        );
    }
    client.send(bytes);
    for number in 0..40 {
        assert_eq!(
            client.response().expect(200).text(),
            format!("body{number:04}")
        );
    }
}

#[test]
fn pipelined_requests_of_different_speed_stay_in_order() {
    let server = server();
    let mut client = server.client();
    client.send(get("/block/order") + &get("/hello") + &get("/stream/3/10"));
    crate::harness::eventually("the first request runs", || {
        server
            .dir()
            .path()
            .join("order.started")
            .exists()
            .then_some(())
    });
    server.dir().write("order.go", "");
    assert_eq!(client.response().expect(200).text(), "released\n");
    assert_eq!(client.response().expect(200).text(), "Hello, world!\n");
    assert_eq!(
        client.response().expect(200).text(),
        "aaaaaaaaaabbbbbbbbbbcccccccccc"
    );
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut client = server().client();
    for byte in b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().expect(200).text(), "hello");
    client.expect_open();
}

#[test]
fn an_empty_line_before_a_request_is_skipped() {
    let mut client = server().client();
    client
        .send(format!("\r\n{}", get("/hello")))
        .response()
        .expect(200);
    client
        .send(format!("\r\n{}", get("/hello")))
        .response()
        .expect(200);
}
