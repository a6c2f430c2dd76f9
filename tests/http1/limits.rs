//! Sizes: of the request line, the fields, the body, what stands between chunks.

use crate::{exchange, get, refused, server};

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
