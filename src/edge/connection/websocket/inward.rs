//! From the client to the app: frames read, messages put into the exchange, pings answered.
//!
//! Invariants: what is read is either in the exchange or in `Rest`, in order; nothing is read while `Rest` holds something.

use super::{Phase, Session};
use crate::app::Call;
use crate::ring::Ring;
use proto::websocket::frame::Opcode;
use proto::websocket::writer::{append_close, append_control};
use proto::websocket::{Fault, Kind, Step};
use shm::EventKind;

/// Read of a message at a time.
const PIECE_BYTES: usize = 16 * 1024;
/// With so much waiting for a client it gets no further pongs: it floods us with pings and takes nothing.
const PONGS_MAX_BYTES: usize = 64 * 1024;

/// A piece of a message that the exchange had no room for.
#[derive(Default)]
pub struct Rest {
    bytes: Vec<u8>,
    /// What it is a piece of, and whether it ends it.
    piece: Option<(Kind, bool)>,
}

impl Rest {
    pub fn is_empty(&self) -> bool {
        self.piece.is_none()
    }

    /// Tries again. True: nothing is left.
    fn push(&mut self, call: &Call) -> bool {
        if let Some((kind, end)) = self.piece {
            let count = push(call, kind, end, &self.bytes);
            self.bytes.drain(..count.unwrap_or(0));
            if count.is_some() && self.bytes.is_empty() {
                *self = Rest::default();
            }
        }
        self.is_empty()
    }
}

/// The count of bytes taken; `None`: not even the mark of an empty end.
fn push(call: &Call, kind: Kind, end: bool, bytes: &[u8]) -> Option<usize> {
    let (part, last) = match kind {
        Kind::Text => (EventKind::WsTextPart, EventKind::WsTextEnd),
        Kind::Binary => (EventKind::WsBinaryPart, EventKind::WsBinaryEnd),
    };
    if bytes.is_empty() {
        return (!end || call.push_event(last, b"")).then_some(0);
    }
    Some(call.push_bytes(part, end.then_some(last), bytes))
}

impl Session {
    /// Reads what has come, as far as there is room.
    pub(super) fn take_in(&mut self, ring: &Ring) {
        if self.served.is_none() && !self.told && !self.rest.is_empty() {
            if !self.rest.push(&self.call) {
                return;
            }
            self.call.commit();
            // It could not have been heard.
            self.pulse.handle_sign();
        }
        if self.input.is_empty() && self.reader.is_between() {
            return;
        }
        let mut piece = ring.take_buffer();
        let machines = &mut *ring.machines.borrow_mut();
        let mut complete = false;
        while self.rest.is_empty() && !matches!(self.phase, Phase::Over { .. }) {
            piece.clear();
            let step = self
                .reader
                .step(self.input.bytes(), &mut piece, PIECE_BYTES, machines);
            match step {
                Err(fault) => self.fail(fault),
                Ok((used, step)) => {
                    self.input.consume(used);
                    match step {
                        Step::More => break,
                        Step::Data { kind, end } => {
                            self.put(kind, end, &piece);
                            complete |= end;
                        }
                        Step::Ping => self.pong(),
                        Step::Pong => {}
                        Step::Close { code } => self.handle_close(code),
                    }
                }
            }
        }
        // A part of a message alone is not worth waking the app for; when there is no room it has been shown.
        if complete && self.served.is_none() {
            self.call.commit();
        }
        ring.give_buffer(piece);
    }

    fn put(&mut self, kind: Kind, end: bool, piece: &[u8]) {
        // After the close nobody listens.
        if self.served.is_some() || self.told || self.phase != Phase::Open {
            return;
        }
        let count = push(&self.call, kind, end, piece);
        if count != Some(piece.len()) {
            self.rest = Rest {
                bytes: piece[count.unwrap_or(0)..].to_vec(),
                piece: Some((kind, end)),
            };
        }
    }

    fn pong(&mut self) {
        if self.phase == Phase::Open && self.out.len() < PONGS_MAX_BYTES {
            append_control(self.out.buffer(), Opcode::Pong, self.reader.control());
        }
    }

    /// RFC 6455 5.5.1: a close frame is answered with one, unless it is the answer.
    fn handle_close(&mut self, code: u16) {
        let reason = self.reader.reason().to_owned();
        if self.phase == Phase::Open {
            append_close(self.out.buffer(), code, "");
        }
        self.phase = Phase::Over { linger: false };
        self.tell(code, &reason);
    }

    /// RFC 6455 7.1.7: the connection is failed; what the client still sends is not read.
    fn fail(&mut self, fault: Fault) {
        if self.phase == Phase::Open {
            append_close(self.out.buffer(), fault.code, fault.reason);
        }
        self.phase = Phase::Over { linger: true };
        self.tell(fault.code, fault.reason);
    }
}
