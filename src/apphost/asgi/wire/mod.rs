//! One request's two rings: what is still to be written, what has come in, how far both are. No Python code runs from here.
//!
//! What does not fit the response ring waits in `queue` and goes out, in order, as the edge makes room; `send` waits until the queue is empty. So a message is
//! never torn, whatever becomes of the task that sent it. `head` encodes heads, `outgoing` writes, `incoming` reads.
//!
//! Invariants: while `queue` holds something, nothing is written past it. `claim` is there until the response has ended or the client has gone.

mod head;
mod incoming;
mod outgoing;

use crate::ffi::Object;
use outgoing::Piece;
use shm::Claim;
use shm::request::{Decoded, decode};
use std::collections::VecDeque;

pub use head::{empty_head, put_checked};
pub use incoming::{Gone, Incoming, Intake};

/// How far the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was said; of a WebSocket: not accepted.
    Open,
    /// There is a head, which has not left.
    Begun,
    /// The head is on its way.
    Streaming,
    /// The body is complete; trailers are due.
    Trailers,
    /// The WebSocket is open.
    Talking,
    /// Nothing more can be said.
    Over,
}

/// Why `send` cannot do what it was asked.
pub enum Fault {
    /// The client is gone, or the WebSocket closed.
    Gone,
    Type(String),
    Value(String),
    /// Not now: the order of messages.
    Order(String),
    Os(String),
}

pub struct Wire {
    claim: Option<Claim>,
    pub stage: Stage,
    queue: VecDeque<Piece>,
    /// Encoded (`shm::response`), from `Begun` until it leaves.
    head: Vec<u8>,
    pub status: u16,
    /// Content-Length, by the application or by us.
    length: Option<u64>,
    sent: u64,
    pub head_only: bool,
    pub takes_trailers: bool,
    /// The application will send trailers.
    pub trailers: bool,
    pub gone: Option<Gone>,
    pub intake: Intake,
    /// The last `http.request` was delivered.
    pub body_done: bool,
    /// `websocket.connect` was delivered.
    pub connected: bool,
    /// A message of which some pieces have come.
    partial: Vec<u8>,
    /// Messages that were saved when the client left: (is text, payload).
    saved: VecDeque<(bool, Vec<u8>)>,
    /// Descriptors could not be passed: `pump` again soon.
    pub retry: bool,
    /// The path of a file that is being opened aside: the head waits, for it may fail.
    pub opening: Option<Object>,
}

impl Wire {
    pub fn new(claim: Claim, intake: Intake) -> Wire {
        Wire {
            claim: Some(claim),
            stage: Stage::Open,
            queue: VecDeque::new(),
            head: Vec::new(),
            status: 0,
            length: None,
            sent: 0,
            head_only: false,
            takes_trailers: false,
            trailers: false,
            gone: None,
            intake,
            body_done: false,
            connected: false,
            partial: Vec::new(),
            saved: VecDeque::new(),
            retry: false,
            opening: None,
        }
    }

    /// Whether the edge may still have news of this request.
    pub fn is_live(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether nothing of the response has left yet.
    pub fn is_unsaid(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Begun)
    }

    /// Whether everything sent so far is in the ring.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// The seat is a successor's: nothing of the request is touched again.
    pub fn forfeit(&mut self) {
        std::mem::forget(self.claim.take());
        self.queue.clear();
        self.stage = Stage::Over;
    }

    /// What a WebSocket's client offers; `None`: it is gone.
    pub fn subprotocols(&self) -> Option<Vec<&[u8]>> {
        let decoded = decode(self.claim.as_ref()?.request()).ok()?;
        Some(subprotocols(&decoded).collect())
    }

    pub fn ticket(&self) -> Option<u32> {
        self.claim.as_ref().map(Claim::ticket)
    }
}

/// What the client of a WebSocket offers, in its order (RFC 6455 section 4.1).
pub fn subprotocols<'a>(decoded: &Decoded<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lists = decoded
        .headers
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"sec-websocket-protocol"));
    lists
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|offered| !offered.is_empty())
}
