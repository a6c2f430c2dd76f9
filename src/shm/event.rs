//! What the edge tells a worker while its request runs: kinds and payloads of the inbound ring's frames.
//!
//! A request body streams as any number of `Body` and one `BodyEnd`. A WebSocket message is any number of `...Part` and one `...End`, each with payload.
//! Text is UTF-8 as a whole message (the edge has checked it); pieces may split characters. `Disconnect` is the last event of all.

use crate::stream;

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// Bytes of the request body.
    Body = stream::BODY,
    WsTextPart = stream::TEXT_PART,
    WsTextEnd = stream::TEXT_END,
    WsBinaryPart = stream::BINARY_PART,
    WsBinaryEnd = stream::BINARY_END,
    /// The request body is complete. Empty.
    BodyEnd = 16,
    /// The client is gone: see [`disconnect`].
    Disconnect = 17,
}

impl EventKind {
    /// `None` for a number that no edge writes.
    #[inline]
    pub fn from_number(number: u8) -> Option<EventKind> {
        [
            EventKind::Body,
            EventKind::WsTextPart,
            EventKind::WsTextEnd,
            EventKind::WsBinaryPart,
            EventKind::WsBinaryEnd,
            EventKind::BodyEnd,
            EventKind::Disconnect,
        ]
        .into_iter()
        .find(|&kind| kind as u8 == number)
    }
}

/// Longest close reason (RFC 6455 section 5.5: 125 bytes of a control frame less the code).
pub const REASON_BYTES_MAX: usize = 123;

/// `Disconnect`'s code for a plain HTTP client that left, and for one whose request ran over its time.
pub const CODE_LEFT: u16 = 0;
pub const CODE_TIMEOUT: u16 = 1;

/// The payload of `Disconnect` and of a response's close frame: `u16` code, then the reason (cut if too long, never within a character).
pub fn disconnect(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_le_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}

/// Code and reason from such a payload; the reason is whatever bytes were there.
pub fn read_disconnect(payload: &[u8]) -> (u16, &[u8]) {
    match payload {
        [low, high, reason @ ..] => (u16::from_le_bytes([*low, *high]), reason),
        _ => (0, &[]),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_payloads_survive_the_trip() {
        for number in 0..=u8::MAX {
            if let Some(kind) = EventKind::from_number(number) {
                assert_eq!(kind as u8, number);
            }
        }
        assert_eq!(EventKind::from_number(17), Some(EventKind::Disconnect));
        assert_eq!(EventKind::from_number(0), None);
        let long = "é".repeat(100);
        let payload = disconnect(1001, &long);
        assert_eq!(read_disconnect(&payload), (1001, "é".repeat(61).as_bytes()));
        assert_eq!(read_disconnect(b"x"), (0, &b""[..]));
    }
}
