//! Bodies of requests and answers: framing that is served, `Expect`, answers that have none.

use crate::harness::response::Framing;
use crate::{exchange, get, server};

#[test]
fn chunked_requests_are_decoded() {
    let mut client = server().client();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n");
    client.send(
        "5\r\nhello\r\n00A;name=\"quoted; value\"\r\n0123456789\r\n1 ; name\r\n!\r\n0\r\n\r\n",
    );
    assert_eq!(client.response().expect(200).text(), "hello0123456789!");
    client.expect_open();
}

#[test]
fn trailers_are_accepted() {
    let mut client = server().client();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n");
    assert_eq!(client.response().expect(200).text(), "abc");
    client.expect_open();
}

#[test]
fn responses_of_unknown_length_are_chunked() {
    let mut client = server().client();
    let response = client.get("/stream/20/1000").expect(200);
    assert_eq!(
        (response.framing, response.body.len()),
        (Framing::Chunked, 20_000)
    );
    client.expect_open();
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    let mut client = server().client();
    let body: Vec<u8> = (0..65_536u32).map(|index| (index % 251) as u8).collect();
    assert!(client.request("POST", "/echo", "", &body).expect(200).body == body);
    let response = client.get("/big/8000000").expect(200);
    assert_eq!(response.body.len(), 8_000_000);
    assert!(
        response
            .body
            .iter()
            .enumerate()
            .all(|(index, byte)| *byte == (index % 251) as u8)
    );
    client.expect_open();
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let mut client = server().client();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n",
    );
    assert_eq!(client.response().status, 100);
    client.send("hello");
    assert_eq!(client.response().expect(200).text(), "hello");
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.response().expect(200).text(), "abc");
}

#[test]
fn no_100_continue_where_the_body_is_there_or_refused() {
    let mut client = server().client();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n");
    client.response().expect(413);
    client.expect_close();
}

#[test]
fn unknown_expectations_are_refused() {
    let response = exchange(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\nx",
    );
    assert_eq!(response.status, 417);
}

#[test]
fn head_has_no_body() {
    let mut client = server().client();
    let response = client.request("HEAD", "/hello", "", b"").expect(200);
    assert_eq!(response.header("content-length"), Some("14"));
    client.request("HEAD", "/stream/3/10", "", b"").expect(200);
    client.request("HEAD", "/no-such-page", "", b"").expect(404);
    client.expect_open();
}

#[test]
fn a_body_the_app_does_not_read_does_not_become_a_request() {
    let mut client = server().client();
    let hidden = get("/block/unread-smuggled");
    let response = client.request("POST", "/unread", "", hidden.as_bytes());
    assert_eq!(response.expect(200).text(), "not read\n");
    client.expect_open();
    assert!(
        !server()
            .dir()
            .path()
            .join("unread-smuggled.started")
            .exists()
    );
}

#[test]
fn errors_have_a_body_and_a_date() {
    let response = exchange("GET /%zz HTTP/1.1\r\nHost: test\r\n\r\n").expect(400);
    assert!(!response.body.is_empty());
    assert!(
        response.header("date").is_some() && response.header("content-type").is_some(),
        "{response:?}"
    );
}

#[test]
fn responses_of_the_app_are_framed_whatever_the_status() {
    let mut client = server().client();
    for code in [
        "200", "201", "299", "400", "404", "418", "500", "503", "599", "999",
    ] {
        let response = client.get(&format!("/status/{code}/Some/Reason"));
        assert_eq!(
            (
                response.status.to_string().as_str(),
                response.text().as_str()
            ),
            (code, "body\n")
        );
        assert_eq!(response.reason, "Some Reason");
    }
    client.get("/bodiless/204").expect(204);
    client.get("/bodiless/304").expect(304);
    client.expect_open();
}
