//! WebSockets and streamed uploads through the real binary: what a client may send wrongly and how that ends, a client that others
//! wrote, workers that die, servers that stop. The duties towards apps are in tests/asgi.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Client, Server, Setup, eventually, process, python, shared, skipped};
use std::process::Command;
use std::sync::OnceLock;

fn setup() -> Setup {
    Setup::app("sockets:application")
        .kind("processes")
        .workers(2)
        .option("--ws-max-size", "1000000")
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, setup)
}

fn open(server: &Server) -> Client {
    try_open(server).unwrap_or_else(|head| panic!("{head}"))
}

/// Or the head of the refusal.
fn try_open(server: &Server) -> Result<Client, String> {
    let mut client = server.client();
    client.send(
        "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let head = client.take_head();
    match head.starts_with("HTTP/1.1 101 ") {
        true => Ok(client),
        false => Err(head),
    }
}

/// Chance decides which ring thread a connection comes to; an even share of two for each of the four would run out long before eight are open.
#[test]
fn all_of_an_apps_websockets_may_be_on_any_ring_and_another_app_has_its_own() {
    let server = setup()
        .also("--mount", "/other=sockets:application")
        .option("--rings", "4")
        .option("--websockets", "8")
        .start();
    let mut clients: Vec<_> = (0..8).map(|_| open(&server)).collect();
    for _ in 0..4 {
        let refusal = try_open(&server).err().expect("eight are open");
        assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
    }
    let mut other = server.client();
    other.send(
        "GET /other/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let head = other.take_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // Whoever leaves makes room, on whichever ring the next one comes.
    for _ in 0..8 {
        drop(clients.remove(0));
        clients.push(eventually("there is room again", || try_open(&server).ok()));
    }
}

/// A short frame of a client's, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![
        first,
        0x80 | u8::try_from(payload.len()).unwrap(),
        0,
        0,
        0,
        0,
    ];
    frame.extend(payload);
    frame
}

/// The next frame, a short one.
fn next(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.take_bytes(2);
    assert!(head[1] < 126, "{head:?}");
    (head[0], client.take_bytes(usize::from(head[1])))
}

#[track_caller]
fn closes(client: &mut Client, code: u16) {
    let (first, payload) = next(client);
    assert_eq!(first, 0x88);
    assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), code);
}

#[test]
fn what_clients_do_wrongly() {
    let long = frame(0x82, &[0; 100]);
    let mut announced = vec![0x82, 0xff];
    announced.extend(2_000_000u64.to_be_bytes());
    announced.extend([0; 4]);
    for (what, bytes, code) in [
        ("a reserved bit", frame(0xc1, b"x"), 1002),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("no mask", vec![0x81, 1, b'x'], 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("a long ping", vec![0x89, 0xfe, 0, 126, 0, 0, 0, 0], 1002),
        ("a continuation of nothing", frame(0x80, b"x"), 1002),
        (
            "a message within another",
            [frame(0x01, b"x"), long].concat(),
            1002,
        ),
        (
            "a length in two forms",
            vec![0x82, 0xfe, 0, 5, 0, 0, 0, 0],
            1002,
        ),
        ("bad UTF-8", frame(0x81, b"\xc3\x28"), 1007),
        ("half a character", frame(0x81, b"\xe2\x82"), 1007),
        (
            "a forbidden code",
            frame(0x88, &1005u16.to_be_bytes()),
            1002,
        ),
        ("a code of one byte", frame(0x88, b"x"), 1002),
        ("too much", announced, 1009),
    ] {
        let mut client = open(server());
        client.send(frame(0x81, b"fine"));
        assert_eq!(next(&mut client), (0x81, b"fine".to_vec()), "{what}");
        client.send(&bytes);
        closes(&mut client, code);
        client.expect_close();
    }
    assert!(server().status()["apps"][0]["websockets"].as_u64().unwrap() >= 13);
}

#[test]
fn messages_byte_by_byte() {
    let mut client = open(server());
    for byte in [
        frame(0x01, b"fr\xe2"),
        frame(0x89, b"?"),
        frame(0x80, b"\x82\xac"),
    ]
    .concat()
    {
        client.send([byte]);
    }
    assert_eq!(next(&mut client), (0x8a, b"?".to_vec()));
    assert_eq!(next(&mut client), (0x81, "fr\u{20ac}".into()));
    client.send(frame(0x88, b"\x0f\xa0why"));
    closes(&mut client, 4000);
    client.expect_close();
    server().wait_log("gone 4000 why");
}

#[test]
fn a_client_that_others_wrote() {
    if !python::has("websockets") {
        return skipped("the websockets library is not there");
    }
    let output = Command::new(python::python())
        .arg(python::root().join("tests/visitors/sockets.py"))
        .arg(format!("ws://{}", server().address()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn uploads_stream() {
    let body: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut client = server().client();
    let whole = client.request("POST", "/up", "", &body).expect(200).text();
    client.send("POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(70_000) {
        client
            .send(format!("{:x}\r\n", piece.len()))
            .send(piece)
            .send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().expect(200).text(), whole);
    assert_eq!(whole.len(), 64);
}

#[test]
fn a_dead_worker_and_a_stop_are_told() {
    let server = setup().workers(1).start();
    let mut client = open(&server);
    client.send(frame(0x81, b"fine"));
    assert_eq!(next(&mut client), (0x81, b"fine".to_vec()));
    process::kill(server.process_workers()[0], harness::server::KILL);
    closes(&mut client, 1012);
    // The next worker serves the next client.
    let mut client = open(&server);
    server.signal(harness::server::TERM);
    closes(&mut client, 1012);
    client.send(frame(0x88, &1012u16.to_be_bytes()));
    client.expect_close();
    assert!(server.stop().0.success());
}
