//! Requests that two servers could read in two ways, and those that nobody can read.

use crate::{refused, server};

#[test]
fn two_framings_are_refused() {
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    );
}

#[test]
fn doubtful_lengths_are_refused() {
    for length in [
        "5, 5",
        "5,5",
        "+5",
        "-5",
        "5x",
        "0x5",
        " ",
        "",
        "5 5",
        "99999999999999999999",
        "5;",
        "\u{664}",
    ] {
        refused(
            format!("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\nhello"),
            400,
        );
    }
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        400,
    );
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        400,
    );
}

#[test]
fn doubtful_transfer_codings_are_refused() {
    for coding in [
        "identity",
        "chunked, identity",
        "chunked, chunked",
        "xchunked",
        "chunked;x",
        "\"chunked\"",
        "",
        "chunked,",
        ",chunked",
        "cow, chunked",
    ] {
        let mut client = server().client();
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
        ));
        let response = client.response();
        assert!(
            matches!(response.status, 400 | 501),
            "{coding:?}: {response:?}"
        );
        client.expect_close();
    }
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    );
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    );
    refused(
        "POST /echo HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
}

#[test]
fn malformed_chunks_never_reach_the_app() {
    for chunks in [
        "x\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";ext\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\x00b\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        "5\r\nhello\r\n0\r\n folded: x\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
    ] {
        refused(
            format!(
                "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
            ),
            400,
        );
    }
}

#[test]
fn a_body_that_breaks_off_never_reaches_the_app() {
    for request in [
        "POST /block/never-1 HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhello",
        "POST /block/never-2 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "POST /block/never-3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let mut client = server().client();
        client.send(request).finish_sending();
        if let Ok(response) = client.try_response("GET") {
            assert_eq!(response.status, 400, "{response:?}");
        }
        client.rest();
    }
    for number in 1..=3 {
        assert!(
            !server()
                .dir()
                .path()
                .join(format!("never-{number}.started"))
                .exists(),
            "the app was called for a cut request"
        );
    }
}

#[test]
fn malformed_heads_are_refused() {
    for request in [
        "GET /hello HTTP/1.1\r\nHost: test\r\nX : y\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\n X: y\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: y\r\n folded\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: y\r\n\tfolded\r\n\r\n",
        "GET /hello HTTP/1.1\r\n Host: test\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\n: y\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX(y): z\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: a\x00b\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: a\x01b\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: a\x7fb\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nX: a\nY: b\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: test\n\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\n\n",
        "GET /hello HTTP/1.1\nHost: test\r\n\r\n",
        "GET  /hello HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hello  HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET\t/hello\tHTTP/1.1\r\nHost: test\r\n\r\n",
        " GET /hello HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hello HTTP/1.1 \r\nHost: test\r\n\r\n",
        "GET /he llo HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hello\x00 HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hello\x7f HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET hello HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hello#fragment HTTP/1.1\r\nHost: test\r\n\r\n",
        "G(T /hello HTTP/1.1\r\nHost: test\r\n\r\n",
        "/hello HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /hello\r\nHost: test\r\n\r\n",
        "GET /hello\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        let mut client = server().client();
        client.send(request);
        let response = client
            .try_response("GET")
            .unwrap_or_else(|error| panic!("{request:?}: {error}"));
        assert_eq!(response.status, 400, "{request:?}: {response:?}");
        assert!(response.closes(), "{request:?}");
        client.expect_close();
    }
}

#[test]
fn a_smuggled_request_is_never_served() {
    let hidden = "GET /block/smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    for front in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n",
        "Content-Length: 0\r\n\tX: y\r\n\r\n",
    ] {
        let mut client = server().client();
        let request = format!("POST /unread HTTP/1.1\r\nHost: test\r\n{front}{hidden}");
        client.send(request).response().expect(400);
        client.expect_close();
    }
    assert!(!server().dir().has("smuggled.started"));
}
