//! A request body that an app reads while it comes: from the connection into the exchange, as fast as the app takes it.
//!
//! Owns what has been taken off the connection and has no room yet (bounded by a piece). Invariants: no more than the limit
//! is taken in; while the app lags nothing is received; the end is told after the last byte, once.

use super::input::Input;
use super::source::Source;
use crate::app::Call;
use proto::{Body, Reject};
use shm::EventKind;

/// What is still to come of a body that nobody reads any more, and is read for the connection's sake; beyond, the connection ends.
pub const DRAIN_BYTES_MAX: u64 = 1024 * 1024;

const TOO_LARGE: Reject = Reject::new(413, "the request body is too large");

pub struct StreamBody {
    source: Source,
    /// Taken off the connection, not in the exchange yet.
    rest: Vec<u8>,
    length: u64,
    length_max: u64,
    /// All of it has been taken off the connection.
    complete: bool,
    /// The app has been told that it is complete.
    told: bool,
    /// The client waits for `100 Continue`, and nobody has said so.
    expects: bool,
    /// When the client, or the app that let it wait, last did something.
    pub heard_ns: u64,
}

impl StreamBody {
    pub fn new(body: Body, length_max: u64, expects: bool, now_ns: u64) -> StreamBody {
        StreamBody {
            source: Source::new(body),
            rest: Vec::new(),
            length: 0,
            length_max,
            complete: false,
            told: false,
            expects,
            heard_ns: now_ns,
        }
    }

    /// Moves what has arrived, as far as there is room.
    pub fn pump(&mut self, call: &Call, input: &mut Input, now_ns: u64) -> Result<(), Reject> {
        if self.told {
            return Ok(());
        }
        if !self.rest.is_empty() {
            let count = call.push_bytes(EventKind::Body, None, &self.rest);
            self.rest.drain(..count);
            if count > 0 {
                self.heard_ns = now_ns;
            }
        }
        if self.rest.is_empty() && !self.complete && !input.is_empty() {
            self.expects = false;
            self.heard_ns = now_ns;
            let (rest, length, length_max) = (&mut self.rest, &mut self.length, self.length_max);
            self.complete = self.source.draw(input, |bytes| {
                *length += bytes.len() as u64;
                if *length > length_max {
                    return Err(TOO_LARGE);
                }
                let count = call.push_bytes(EventKind::Body, None, bytes);
                rest.extend_from_slice(&bytes[count..]);
                Ok(rest.is_empty())
            })?;
        }
        self.told =
            self.complete && self.rest.is_empty() && call.push_event(EventKind::BodyEnd, b"");
        call.commit();
        Ok(())
    }

    /// More of it is to be received now.
    pub fn wants(&self) -> bool {
        !self.complete && self.rest.is_empty()
    }

    /// The client's turn: it is late if it does nothing.
    pub fn waits_for_client(&self) -> bool {
        self.wants() && !self.expects
    }

    /// The app asks for it; true: the client has to be told to send.
    pub fn ask(&mut self, now_ns: u64) -> bool {
        self.heard_ns = now_ns;
        std::mem::take(&mut self.expects)
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Too far from its end for the connection to go on if the answer comes now.
    pub fn is_far(&self) -> bool {
        !self.complete
            && (self.expects
                || self
                    .source
                    .left()
                    .is_some_and(|left| left > DRAIN_BYTES_MAX))
    }

    /// Passes over what has arrived, for an app that has answered. True: the next request may follow.
    pub fn skip(&mut self, input: &mut Input) -> Result<bool, Reject> {
        if !self.complete {
            let length = &mut self.length;
            self.complete = self.source.draw(input, |bytes| {
                *length += bytes.len() as u64;
                Ok::<bool, Reject>(true)
            })?;
        }
        Ok(self.complete)
    }

    /// Bytes taken off the connection.
    pub fn length(&self) -> u64 {
        self.length
    }
}
