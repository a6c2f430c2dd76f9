//! Random connections, the same on every run: requests of every framing, pipelined and cut anywhere, with other requests hidden in their bodies,
//! and sometimes a malformed one at the end. What the app saw is what was sent; nobody answers what was hidden.

use crate::seed::Seed;
use crate::server;

const CONNECTIONS: u64 = 150;
const REQUESTS_MAX: u64 = 6;

/// What ends a connection: each is refused with 400 wherever it stands.
const MALFORMED: [&str; 8] = [
    "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding : chunked\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nX: y\r\n Content-Length: 40\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nX: y\nContent-Length: 40\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n",
    "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n",
];

/// A request that must not be answered.
const HIDDEN: &str = "GET /block/hidden HTTP/1.1\r\nHost: test\r\n\r\n";

/// One good request, and the body that the app is to see.
fn request(seed: &mut Seed, bytes: &mut Vec<u8>) -> Vec<u8> {
    let body: Vec<u8> = match seed.below(4) {
        0 => Vec::new(),
        1 => HIDDEN.into(),
        2 => (0..seed.below(3000)).map(|_| seed.next() as u8).collect(),
        _ => "0\r\n\r\n5\r\n".repeat(seed.below(40) as usize).into(),
    };
    if seed.below(8) == 0 {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"POST /echo HTTP/1.1\r\nHost: test\r\n");
    if body.is_empty() && seed.below(2) == 0 {
        bytes.extend_from_slice(b"\r\n");
    } else if seed.below(2) == 0 {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
    } else {
        bytes.extend_from_slice(b"transfer-encoding:Chunked \r\n\r\n");
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(1 + seed.below(rest.len() as u64) as usize);
            let extension = [" ;a", "", ";a=\"b;\"", ""][seed.below(4) as usize];
            bytes.extend_from_slice(format!("0{:X}{extension}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = behind;
        }
        let trailer = ["", "X-Sum: 1\r\n", "Content-Length: 7\r\n"][seed.below(3) as usize];
        bytes.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
    }
    body
}

#[test]
fn what_the_app_saw_is_what_was_sent() {
    let mut seed = Seed::new(1);
    for number in 0..CONNECTIONS {
        let (mut bytes, mut bodies) = (Vec::new(), Vec::new());
        for _ in 0..1 + seed.below(REQUESTS_MAX) {
            bodies.push(request(&mut seed, &mut bytes));
        }
        let ends_badly = seed.below(2) == 0;
        if ends_badly {
            let malformed = MALFORMED[seed.below(MALFORMED.len() as u64) as usize];
            bytes.extend_from_slice(malformed.as_bytes());
            bytes.extend_from_slice(HIDDEN.as_bytes());
        }
        let mut client = server().client();
        let mut rest = &bytes[..];
        let most = [2, 40, 400, 4000, 40_000][seed.below(5) as usize];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + seed.below(most) as usize));
            // A refusal may come before all was sent; it is looked at below.
            if client.try_send(piece).is_err() {
                break;
            }
            rest = behind;
        }
        for body in &bodies {
            let response = client.response().expect(200);
            assert!(response.body == *body, "connection {number}: {response:?}");
        }
        if ends_badly {
            client.response().expect(400);
            client.expect_close();
        } else {
            client.expect_open();
        }
    }
    assert!(!server().dir().has("hidden.started"));
}
