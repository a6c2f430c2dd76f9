//! The WebSocket protocol (RFC 6455) and its compression (RFC 7692), a server's side: bytes in, messages out, and back.
//!
//! Owns: the opening handshake, frames both ways, the order of things within messages, UTF-8, close codes, and what
//! permessage-deflate does to payloads. Invariants: a client's byte never panics; no message grows beyond its limit, not
//! even while it is being inflated; after a [`Fault`] nothing more is read. Must not know: sockets, timers, what an
//! app does with a message. When to ping and how long to wait is the caller's affair.

pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod reader;
mod sha1;
mod utf8;
pub mod writer;

#[cfg(test)]
mod tests;

pub use reader::{Reader, Step};
pub use writer::Writer;

/// What a data message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Binary,
}

/// A violation by the client: the connection ends with this close code (RFC 6455 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: u16,
    /// One clause, for the log and for the close frame.
    pub reason: &'static str,
}

impl Fault {
    pub(crate) const fn protocol(reason: &'static str) -> Fault {
        Fault {
            code: close::PROTOCOL,
            reason,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.reason)
    }
}

impl std::error::Error for Fault {}

/// Close codes (RFC 6455 7.4.1 and the registry).
pub mod close {
    pub const NORMAL: u16 = 1000;
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL: u16 = 1002;
    /// Never on the wire: the close frame held no code.
    pub const NONE: u16 = 1005;
    /// Never on the wire: the connection broke without a close frame.
    pub const ABNORMAL: u16 = 1006;
    pub const INVALID_DATA: u16 = 1007;
    pub const TOO_BIG: u16 = 1009;
    pub const INTERNAL: u16 = 1011;
    pub const RESTART: u16 = 1012;

    /// Whether a close frame may carry `code`: the registered ones, those for frameworks and those for private use.
    pub const fn is_sendable(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The longest payload of a control frame (RFC 6455 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// The longest reason of a close frame: what the code leaves.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// As much of `text` as fits a close frame, cut at a character.
pub fn clip_reason(text: &str) -> &str {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
