//! HTTP/1.1 as bytes on a connection: what is served, what is refused and how, what slow clients may do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::response::Framing;
use harness::{Client, Response, Server, Setup, shared};
use std::sync::OnceLock;

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || {
        Setup::app("basic:application")
            .workers(2)
            .option("--limit-request-body", "65536")
    })
}

/// A server whose timeouts are short; what is tested is what happens then, not when.
fn hasty() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let setup = || {
        Setup::app("basic:application")
            .workers(1)
            .option("--keep-alive", "1")
            .option("--header-timeout", "1")
            .option("--body-timeout", "1")
    };
    shared(&SERVER, || setup().option("--write-timeout", "1"))
}

#[track_caller]
fn exchange(request: impl AsRef<[u8]>) -> Response {
    server().client().send(request).response()
}

/// The request must be refused with this status, and the connection must end.
#[track_caller]
fn refused(request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let mut client = server().client();
    // The refusal may come before all was sent.
    if client.try_send(request).is_err() {
        return;
    }
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    let response = client
        .try_response("GET")
        .unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(response.status, status, "{shown:?}: {response:?}");
    assert!(
        response.closes(),
        "{shown:?}: no Connection: close in {response:?}"
    );
    let rest = client.rest();
    assert!(
        rest.is_empty(),
        "{shown:?}: something behind the refusal: {:?}",
        String::from_utf8_lossy(&rest)
    );
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

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
    harness::eventually("the first request runs", || {
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

#[test]
fn chunked_requests_are_decoded() {
    let mut client = server().client();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n");
    client.send("5\r\nhello\r\n00A;name=\"quoted; value\"\r\n0123456789\r\n0\r\n\r\n");
    assert_eq!(client.response().expect(200).text(), "hello0123456789");
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
fn absolute_form() {
    let mut client = server().client();
    client
        .send("GET http://test/hello HTTP/1.1\r\nHost: test\r\n\r\n")
        .response()
        .expect(200);
    client.send("GET http://test:81/environ/x?q=1 HTTP/1.1\r\nHost: test:81\r\n\r\n");
    let environ = client.response().expect(200).json();
    assert_eq!(
        (
            environ["PATH_INFO"].as_str(),
            environ["QUERY_STRING"].as_str()
        ),
        (Some("/environ/x"), Some("q=1"))
    );
    client
        .send("GET HTTP://TEST/hello HTTP/1.1\r\nHost: test\r\n\r\n")
        .response()
        .expect(200);
    client.send("GET http://test HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(
        client.response().status,
        404,
        "the root, which basic.py does not have"
    );
}

#[test]
fn absolute_form_against_another_host_is_refused() {
    refused("GET http://other/hello HTTP/1.1\r\nHost: test\r\n\r\n", 400);
    refused(
        "GET http://test:8080/hello HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
    );
}

#[test]
fn options_asterisk() {
    let mut client = server().client();
    let response = client
        .send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
        .response();
    assert!(matches!(response.status, 200 | 204), "{response:?}");
    assert!(response.header("allow").is_some(), "{response:?}");
    client.expect_open();
    refused("GET * HTTP/1.1\r\nHost: test\r\n\r\n", 400);
}

#[test]
fn connect_is_not_for_us() {
    let mut client = server().client();
    client.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    let response = client.response();
    assert!(matches!(response.status, 400 | 405 | 501), "{response:?}");
}

#[test]
fn own_methods_reach_the_app() {
    for method in ["PUT", "DELETE", "PATCH", "PROPFIND", "M-SEARCH", "X!"] {
        let response = server()
            .client()
            .request(method, "/echo", "", b"abc")
            .expect(200);
        assert_eq!(response.header("x-method"), Some(method));
    }
}

#[test]
fn the_query_and_the_path_are_taken_apart() {
    let mut client = server().client();
    for (target, path, query) in [
        ("/environ/a%20b?c=%20d?e", "/environ/a b", "c=%20d?e"),
        ("/environ/?", "/environ/", ""),
        ("/environ/%25%32%35", "/environ/%25", ""),
        ("/environ/a;b=c", "/environ/a;b=c", ""),
    ] {
        let environ = client.get(target).expect(200).json();
        assert_eq!(
            (
                environ["PATH_INFO"].as_str(),
                environ["QUERY_STRING"].as_str()
            ),
            (Some(path), Some(query)),
            "{target}"
        );
    }
}

#[test]
fn limits_on_the_request_line() {
    exchange(get(&format!("/hello?{}", "q".repeat(8000)))).expect(200);
    refused(get(&format!("/hello?{}", "q".repeat(9000))), 414);
    refused(format!("GET /{}", "a".repeat(100_000)), 414);
}

#[test]
fn limits_on_header_fields() {
    let fields = |count: usize| {
        (0..count)
            .map(|number| format!("X-{number}: y\r\n"))
            .collect::<String>()
    };
    exchange(format!(
        "GET /hello HTTP/1.1\r\nHost: test\r\n{}\r\n",
        fields(90)
    ))
    .expect(200);
    refused(
        format!("GET /hello HTTP/1.1\r\nHost: test\r\n{}\r\n", fields(101)),
        431,
    );
    refused(
        format!(
            "GET /hello HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
            "y".repeat(20_000)
        ),
        431,
    );
    refused(
        format!(
            "GET /hello HTTP/1.1\r\nHost: test\r\nX: {}",
            "y".repeat(100_000)
        ),
        431,
    );
    refused(
        format!(
            "GET /hello HTTP/1.1\r\nHost: test\r\n{}: y\r\n\r\n",
            "X".repeat(20_000)
        ),
        431,
    );
}

#[test]
fn limits_on_the_body() {
    let mut client = server().client();
    client
        .request("POST", "/echo", "", &[b'x'; 65_536])
        .expect(200);
    refused(
        "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\n\r\n",
        413,
    );
    let mut chunks =
        b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        chunks.extend(b"400\r\n");
        chunks.extend([b'x'; 0x400]);
        chunks.extend(b"\r\n");
    }
    refused(chunks, 413);
}

#[test]
fn limits_on_trailers() {
    let trailers = "X: y\r\n".repeat(5000);
    let mut client = server().client();
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n"
    );
    if client.try_send(request).is_ok() {
        let response = client.response();
        assert!(matches!(response.status, 400 | 431), "{response:?}");
        assert!(response.closes());
    }
}

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
fn a_chunk_line_is_bounded() {
    let mut client = server().client();
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;{}",
        "x".repeat(100_000)
    );
    if client.try_send(request).is_ok() {
        client.response().expect(400);
    }
    refused(
        format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{}5\r\nhello\r\n0\r\n\r\n",
            "0".repeat(1000)
        ),
        400,
    );
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
fn paths_that_cannot_be_decoded_are_refused() {
    let mut client = server().client();
    for target in ["/%zz", "/%4", "/%", "/a%00b", "/../..", "/%2e%2e/x"] {
        client.get(target).expect(400);
    }
}

#[test]
fn a_host_is_required_once_and_well_formed() {
    refused("GET /hello HTTP/1.1\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refused("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    for host in [
        "a b", "a/b", "a@b", "a,b", "a:b:c", "a:99999x", "[::1", "a?b", "a#b", "a\\b",
    ] {
        refused(format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    for host in ["a", "a.b:80", "127.0.0.1", "[::1]:8000", "xn--4ca", "a_b"] {
        exchange(format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect(200);
    }
}

#[test]
fn other_versions_are_refused() {
    refused("GET /hello HTTP/2.0\r\nHost: test\r\n\r\n", 505);
    refused("GET /hello HTTP/3.1\r\nHost: test\r\n\r\n", 505);
    refused("GET /hello HTTP/0.9\r\nHost: test\r\n\r\n", 505);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    for version in [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/11",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP /1.1",
        "HTTP/a.b",
        "XTTP/1.1",
        "HTTP/01.1",
    ] {
        let response = exchange(format!("GET /hello {version}\r\nHost: test\r\n\r\n"));
        assert!(
            matches!(response.status, 400 | 505),
            "{version}: {response:?}"
        );
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
    assert!(!server().dir().path().join("smuggled.started").exists());
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

#[test]
fn a_client_that_stops_sending_may_count_as_gone() {
    let mut client = server().client();
    client.send(get("/hello")).finish_sending();
    // The end of the stream looks the same whether the client only finished or left; the app's answer may be dropped.
    if let Ok(response) = client.try_response("GET") {
        assert_eq!(response.status, 200);
    }
    client.expect_close();
    server().get("/hello").expect(200);
}

#[test]
fn a_slow_head_is_answered_408_or_closed() {
    let mut client = hasty().client();
    client.send("GET /hello HT");
    if let Ok(response) = client.try_response("GET") {
        assert_eq!(response.status, 408);
    }
    client.expect_close();
}

#[test]
fn a_slow_body_costs_no_worker() {
    let mut slow = hasty().client();
    slow.send("POST /block/slow-body HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    hasty().get("/hello").expect(200);
    if let Ok(response) = slow.try_response("GET") {
        assert_eq!(response.status, 408);
    }
    slow.expect_close();
    assert!(!hasty().dir().path().join("slow-body.started").exists());
}

#[test]
fn an_idle_connection_is_closed() {
    let mut client = hasty().client();
    client.get("/hello").expect(200);
    client.expect_close();
    hasty().client().expect_close();
}

#[test]
fn a_client_that_never_reads_is_dropped_and_costs_no_worker() {
    let server = hasty();
    let mut client = server.client();
    client.send(get("/endless/never-read"));
    // The app goes on until nothing fits any more; then the write timeout ends it.
    let path = server.dir().path().join("never-read.closed");
    harness::eventually("the iterable is closed", || path.exists().then_some(()));
    server.get("/hello").expect(200);
}

#[test]
fn a_client_that_pipelines_and_never_reads_costs_little() {
    let server = hasty();
    let edge = server.edge().expect("an edge runs");
    let before = harness::process::resident_kib(edge);
    let requests = get("/big/60000").repeat(100);
    // Sending stops when the server stops reading, or the write timeout closes.
    server.client().flood(requests.as_bytes(), 64 * 1024 * 1024);
    let after = harness::process::resident_kib(edge);
    assert!(after < before + 32 * 1024, "{before} KiB -> {after} KiB");
    server.get("/hello").expect(200);
}

#[test]
fn three_hundred_slow_connections_stop_nobody() {
    let server = server();
    let mut slow: Vec<Client> = (0..300).map(|_| server.client()).collect();
    for client in &mut slow {
        client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhe");
    }
    for _ in 0..20 {
        server.get("/hello").expect(200);
    }
    for client in &mut slow {
        client.send("llohello");
    }
    for client in &mut slow {
        assert_eq!(client.response().expect(200).text(), "hellohello");
    }
}

#[test]
fn a_full_queue_is_answered_503() {
    const PENDING: usize = 64;
    const CLIENTS: usize = 100;
    let setup = Setup::app("basic:application").workers(1);
    let server = setup.option("--pending", PENDING.to_string()).start();
    let mut running = server.client();
    running.send(get("/block/full"));
    harness::eventually("the worker is busy", || {
        server
            .dir()
            .path()
            .join("full.started")
            .exists()
            .then_some(())
    });
    let (report, reports) = std::sync::mpsc::channel();
    for _ in 0..CLIENTS {
        let (mut client, report) = (server.client(), report.clone());
        std::thread::spawn(move || report.send(client.get("/hello")));
    }
    // Those beyond the limit are answered at once, while the worker is still busy; the others wait for it.
    for response in reports.iter().take(CLIENTS + 1 - PENDING) {
        let response = response.expect(503);
        assert!(response.header("retry-after").is_some(), "{response:?}");
        assert!(
            !response.closes(),
            "a full queue is no reason to lose the connection: {response:?}"
        );
    }
    server.dir().write("full.go", "");
    running.response().expect(200);
    for response in reports.iter().take(PENDING - 1) {
        response.expect(200);
    }
}
