//! A client that speaks WebSocket by hand.

use crate::harness::{Client, Server};

// A WebSocket client: what a test says, byte for byte.

pub struct WebSocket(pub Client);

pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 1;

pub const BINARY: u8 = 2;

pub const CLOSE: u8 = 8;

pub const PING: u8 = 9;

pub const PONG: u8 = 10;

pub const FINAL: u8 = 0x80;

pub fn handshake(target: &str, headers: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

impl WebSocket {
    /// Opens one, and returns the head of the answer with it.
    #[track_caller]
    pub fn open_with(server: &Server, target: &str, headers: &str) -> (WebSocket, String) {
        let mut client = server.client();
        client.send(handshake(target, headers));
        let head = client.take_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        (WebSocket(client), head.to_ascii_lowercase())
    }

    #[track_caller]
    pub fn open(server: &Server, target: &str) -> WebSocket {
        WebSocket::open_with(server, target, "").0
    }

    pub fn frame(&mut self, first: u8, payload: &[u8]) -> &mut WebSocket {
        let mut frame = vec![first];
        match payload.len() {
            len @ ..=125 => frame.push(FINAL | len as u8),
            len @ 126..=0xFFFF => {
                frame.push(FINAL | 126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                frame.push(FINAL | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend_from_slice(&mask);
        frame.extend(
            payload
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ mask[at % 4]),
        );
        self.0.send(frame);
        self
    }

    /// The next frame: its first byte and payload.
    #[track_caller]
    pub fn next(&mut self) -> (u8, Vec<u8>) {
        let start = self.0.take_bytes(2);
        assert!(start[1] < FINAL, "a server does not mask");
        let len = match start[1] {
            126 => {
                let len = self.0.take_bytes(2);
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            127 => {
                let len = self.0.take_bytes(8);
                u64::from_be_bytes(len.try_into().unwrap()) as usize
            }
            len => usize::from(len),
        };
        (start[0], self.0.take_bytes(len))
    }

    /// The next whole message: its kind and payload.
    #[track_caller]
    pub fn message(&mut self) -> (u8, Vec<u8>) {
        let (first, mut payload) = self.next();
        let mut end = first & FINAL;
        while end == 0 {
            let (next, more) = self.next();
            assert_eq!(next & 0x7F, 0, "a continuation");
            payload.extend(more);
            end = next & FINAL;
        }
        (first & 0xF, payload)
    }

    /// The close frame that must come next, answered.
    #[track_caller]
    pub fn closed(&mut self) -> (u16, String) {
        let (first, payload) = self.next();
        assert_eq!(first, FINAL | CLOSE);
        self.frame(FINAL | CLOSE, &payload);
        self.0.expect_close();
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        (code, String::from_utf8(payload[2..].to_vec()).unwrap())
    }
}
