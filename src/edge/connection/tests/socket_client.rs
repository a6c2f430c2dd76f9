//! A WebSocket client for the simulation: writes masked frames, reads the server's.

use super::asgi_app::AsgiSite;
use super::site::{Answer, Peer};
use proto::websocket::close;
use proto::websocket::deflate::Inflater;
use proto::websocket::frame::{FIN, Opcode, RSV1, unmask};

const MASK: [u8; 4] = [9, 8, 7, 6];

/// A client's end.
pub struct Client {
    pub peer: Peer,
    /// Of a message that has not ended.
    message: Vec<u8>,
    kind: u8,
    compressed: bool,
    inflater: Inflater,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection's end, without a frame.
    End,
}

pub fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

impl Client {
    pub async fn open(site: &AsgiSite, path: &str) -> Client {
        let (client, answer) = Client::ask(site, path, "").await;
        assert_eq!(answer.status, 101);
        client
    }

    pub async fn ask(site: &AsgiSite, path: &str, more: &str) -> (Client, Answer) {
        let peer = site.connect();
        peer.write(handshake(path, more));
        let answer = peer.answer().await.expect("an answer");
        (Client::of(peer), answer)
    }

    /// On a connection that has become a WebSocket.
    pub fn of(peer: Peer) -> Client {
        Client {
            peer,
            message: Vec::new(),
            kind: 0,
            compressed: false,
            inflater: Inflater::new(),
        }
    }

    pub fn frame(&self, first: u8, payload: &[u8]) {
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                out.push(0xfe);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(0xff);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(MASK);
        let start = out.len();
        out.extend(payload);
        unmask(&mut out[start..], MASK, 0);
        self.peer.write(out);
    }

    pub fn text(&self, text: &str) {
        self.frame(FIN | Opcode::Text as u8, text.as_bytes());
    }

    pub fn binary(&self, bytes: &[u8]) {
        self.frame(FIN | Opcode::Binary as u8, bytes);
    }

    pub fn close(&self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        self.frame(FIN | Opcode::Close as u8, &payload);
    }

    /// One frame of the server.
    pub async fn next_frame(&self) -> Option<(u8, Vec<u8>)> {
        let head = self.peer.exactly(2).await?;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => {
                let bytes = self.peer.exactly(2).await?;
                usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let bytes = self.peer.exactly(8).await?;
                u64::from_be_bytes(bytes.try_into().expect("eight")) as usize
            }
            length => usize::from(length),
        };
        Some((head[0], self.peer.exactly(length).await?))
    }

    pub async fn said(&mut self) -> Said {
        loop {
            let Some((first, payload)) = self.next_frame().await else {
                return Said::End;
            };
            match first & 15 {
                8 => {
                    return match &payload[..] {
                        [] => Said::Close(close::NONE, String::new()),
                        [high, low, reason @ ..] => Said::Close(
                            u16::from_be_bytes([*high, *low]),
                            String::from_utf8(reason.to_vec()).expect("UTF-8"),
                        ),
                        _ => panic!("a close frame of one byte"),
                    };
                }
                9 => return Said::Ping(payload),
                10 => return Said::Pong(payload),
                0 => assert_ne!(self.kind, 0, "a continuation of nothing"),
                kind => {
                    assert_eq!(self.kind, 0, "a message within a message");
                    self.kind = kind;
                    self.compressed = first & RSV1 != 0;
                }
            }
            if self.compressed {
                let (mut rest, room) = (&payload[..], 1 << 20);
                while !rest.is_empty() {
                    let used = self.inflater.inflate(rest, &mut self.message, room);
                    rest = &rest[used.expect("good data")..];
                }
            } else {
                self.message.extend(payload);
            }
            if first & FIN == 0 {
                continue;
            }
            if self.compressed {
                let done = self.inflater.finish(&mut self.message, 1 << 20);
                assert_eq!(done, Ok(true));
                self.inflater.rest();
            }
            let message = std::mem::take(&mut self.message);
            return match std::mem::take(&mut self.kind) {
                1 => Said::Text(String::from_utf8(message).expect("UTF-8")),
                _ => Said::Binary(message),
            };
        }
    }

    pub async fn expect(&mut self, expected: Said) {
        let said = self.said().await;
        assert!(said == expected, "{said:.200?} instead of {expected:.200?}");
    }

    /// A close frame, an answer to it, and the end of the connection.
    pub async fn expect_close(&mut self, code: u16, reason: &str) {
        self.expect(Said::Close(code, reason.into())).await;
        self.close(code, "");
        self.expect(Said::End).await;
    }
}
