use super::*;

fn sample() -> Request<'static> {
    Request {
        method: b"POST",
        target: b"/shop/caf%C3%A9?x=1",
        path: "/shop/café".as_bytes(),
        script_name_len: 5,
        query: b"x=1",
        minor_version: 1,
        flags: FLAG_CHUNKED,
        server_name: b"example.org",
        server_port: 8000,
        remote_addr: b"127.0.0.1",
        remote_port: 54321,
        content_length: Some(5),
    }
}

const HEADERS: [(&[u8], &[u8]); 3] = [
    (b"host", b"example.org"),
    (b"x-empty", b""),
    (b"accept", b"*/*"),
];

#[test]
fn what_is_encoded_is_decoded() {
    let mut area = vec![0xAA; 4096];
    let body_at = encode(&mut area, &sample(), HEADERS).unwrap();
    area[body_at..body_at + 5].copy_from_slice(b"hello");
    let total = set_body(
        &mut area,
        Body::Inline {
            offset: body_at,
            len: 5,
        },
        Some(5),
    );
    let decoded = decode(&area[..total]).unwrap();
    assert_eq!(decoded.request, sample());
    assert_eq!(decoded.request.scheme(), "http");
    assert_eq!(decoded.headers.len(), 3);
    assert!(decoded.headers.eq(HEADERS));
    assert_eq!(decoded.inline_body(), b"hello");
}

#[test]
fn a_body_may_live_in_a_file() {
    let mut area = vec![0; 4096];
    encode(&mut area, &sample(), HEADERS).unwrap();
    let total = set_body(&mut area, Body::File { len: 1 << 40 }, Some(1 << 40));
    let decoded = decode(&area[..total]).unwrap();
    assert_eq!(decoded.body, Body::File { len: 1 << 40 });
    assert_eq!(decoded.request.content_length, Some(1 << 40));
    assert_eq!(decoded.inline_body(), b"");
}

#[test]
fn no_body_needs_no_set_body() {
    let mut area = vec![0; 4096];
    let body_at = encode(
        &mut area,
        &Request {
            content_length: None,
            ..sample()
        },
        HEADERS,
    )
    .unwrap();
    let decoded = decode(&area[..body_at]).unwrap();
    assert_eq!(decoded.request.content_length, None);
    assert_eq!(decoded.inline_body(), b"");
}

#[test]
fn a_head_that_does_not_fit_is_refused() {
    let mut area = vec![0; 4096];
    let body_at = encode(&mut area, &sample(), HEADERS).unwrap();
    for len in 0..body_at - 8 {
        assert_eq!(encode(&mut area[..len], &sample(), HEADERS), None, "{len}");
    }
}

#[test]
fn every_truncation_and_every_changed_byte_is_survived() {
    let mut area = vec![0; 4096];
    let body_at = encode(&mut area, &sample(), HEADERS).unwrap();
    let total = set_body(
        &mut area,
        Body::Inline {
            offset: body_at,
            len: 8,
        },
        Some(8),
    );
    for len in 0..total {
        assert!(decode(&area[..len]).is_err(), "{len}");
    }
    for at in 0..total {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut copy = area[..total].to_vec();
            copy[at] = value;
            fuzz_decode(&copy);
        }
    }
}
