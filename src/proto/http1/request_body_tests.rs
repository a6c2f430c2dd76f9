//! What the fields of a request mean for its body and its connection, by section of RFC 9112.

use super::request::*;
use super::request_tests::{accepted, get, post, status, verdict};

#[test]
fn section_6_body_framing() {
    let body = |headers: &str| {
        verdict(post(headers).as_bytes(), &Limits::default())
            .map(|(body, ..)| body)
            .map_err(|reject| reject.status)
    };
    for (headers, expected) in [
        ("", Ok(Body::None)),
        ("Content-Length: 0\r\n", Ok(Body::Length(0))),
        ("content-length:10 \r\n", Ok(Body::Length(10))),
        (
            "Content-Length: 18446744073709551615\r\n",
            Ok(Body::Length(u64::MAX)),
        ),
        ("Content-Length: 18446744073709551616\r\n", Err(400)),
        ("Content-Length: \r\n", Err(400)),
        ("Content-Length: +1\r\n", Err(400)),
        ("Content-Length: -1\r\n", Err(400)),
        ("Content-Length: 1.0\r\n", Err(400)),
        ("Content-Length: 0x1\r\n", Err(400)),
        ("Content-Length: 1 1\r\n", Err(400)),
        ("Content-Length: 1,1\r\n", Err(400)),
        ("Content-Length: 1, 2\r\n", Err(400)),
        ("Content-Length: \"1\"\r\n", Err(400)),
        ("Content-Length: \u{ff11}\r\n", Err(400)),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", Err(400)),
        ("Content-Length: 1\r\ncontent-length: 2\r\n", Err(400)),
        ("Transfer-Encoding: chunked\r\n", Ok(Body::Chunked)),
        ("transfer-encoding: CHUNKED \r\n", Ok(Body::Chunked)),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            Err(400),
        ),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            Err(400),
        ),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            Err(400),
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(400),
        ),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            Err(400),
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            Err(400),
        ),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(400)),
        ("Transfer-Encoding: chunked, identity\r\n", Err(400)),
        ("Transfer-Encoding: identity\r\n", Err(400)),
        ("Transfer-Encoding: identity, chunked\r\n", Err(501)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(501)),
        ("Transfer-Encoding: gzip\r\n", Err(400)),
        ("Transfer-Encoding: xchunked\r\n", Err(400)),
        ("Transfer-Encoding: chunkedx\r\n", Err(400)),
        ("Transfer-Encoding: \"chunked\"\r\n", Err(400)),
        ("Transfer-Encoding: chunked;q=1\r\n", Err(400)),
        ("Transfer-Encoding: ,chunked\r\n", Err(400)),
        ("Transfer-Encoding: chunked,\r\n", Err(400)),
        ("Transfer-Encoding:\r\n", Err(400)),
        ("Transfer-Encoding: \u{a0}chunked\r\n", Err(400)),
        ("Transfer-Encoding: \x0bchunked\r\n", Err(400)),
        ("Transfer-Encoding : chunked\r\n", Err(400)),
        ("Transfer-Encoding:\r\n chunked\r\n", Err(400)),
        ("Transfer_Encoding: chunked\r\n", Ok(Body::None)),
    ] {
        assert_eq!(body(headers), expected, "{headers:?}");
    }
    assert_eq!(
        status(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400
    );
    assert_eq!(
        status(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
        200,
        "a GET may have a body"
    );
}

#[test]
fn section_9_3_persistence() {
    for (headers, on_11, on_10) in [
        ("", true, false),
        ("Connection: close\r\n", false, false),
        ("Connection: Keep-Alive\r\n", true, true),
        ("Connection: keep-alive, close\r\n", false, false),
        ("Connection: x\r\nConnection: CLOSE\r\n", false, false),
        ("Connection: te ,keep-alive\r\n", true, true),
        ("Connection: closed\r\n", true, false),
        ("Connection: \"close\"\r\n", true, false),
    ] {
        for (version, expected) in [("1.1", on_11), ("1.0", on_10)] {
            let input = format!("GET / HTTP/{version}\r\nHost: a\r\n{headers}\r\n");
            assert_eq!(
                accepted(&input, |head| head.keep_alive),
                expected,
                "{input:?}"
            );
        }
    }
}

#[test]
fn expectations_and_upgrades() {
    let expects = |input: &str| accepted(input, |head| head.expect_continue);
    assert!(expects(&post(
        "Content-Length: 1\r\nExpect: 100-Continue\r\n"
    )));
    assert!(expects(&post(
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    )));
    assert!(!expects(&post(
        "Content-Length: 0\r\nExpect: 100-continue\r\n"
    )));
    assert!(!expects(&post("Expect: 100-continue\r\n")));
    assert!(!expects(
        "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(status(post("Expect: tea\r\n").as_bytes()), 417);

    let upgrade = |headers: &str| accepted(&get(headers), |head| head.upgrade.map(<[u8]>::to_vec));
    assert_eq!(
        upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        Some(b"websocket".to_vec())
    );
    assert_eq!(upgrade("Upgrade: websocket\r\n"), None);
    assert_eq!(upgrade("Connection: upgrade\r\n"), None);
}

#[test]
fn fields_worth_a_second_look_are_noted() {
    let notes = |headers: &str| accepted(&get(headers), |head| head.notes);
    assert_eq!(
        notes("User-Agent: x\r\nIf-Range: \"x\"\r\n"),
        Notes::default()
    );
    for name in [
        "If-Match",
        "If-None-Match",
        "if-modified-since",
        "IF-UNMODIFIED-SINCE",
    ] {
        assert!(notes(&format!("{name}: x\r\n")).conditional, "{name}");
    }
    assert!(notes("Range: bytes=0-\r\n").range && notes("accept-encoding: br\r\n").accept_encoding);
}
