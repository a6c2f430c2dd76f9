//! A claimed request: read it, answer it, end it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Seat, wait};
use crate::parking;
use crate::segment::SlotBlock;
use crate::state;
use crate::stream::Writer;
use crate::sync::Ordering;

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    End,
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// No room now: `wait_space`, then again.
    Full,
    /// Never fits the response ring.
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitSpace {
    /// There is room (or the wait came back early): try again.
    Retry,
    TimedOut,
    /// The client is gone: stop and `finish(Abort)`.
    Cancelled,
}

/// A request being worked on. `Send + 'static`. Dropped unfinished it ends in `Abort`.
#[derive(Debug)]
pub struct Claim {
    seat: Arc<Seat>,
    slot: u32,
    ticket: u32,
    claimed_ns: u64,
    /// Something was shown to the edge already.
    begun: bool,
    finished: bool,
    writer: Writer,
}

impl Claim {
    pub(super) fn new(seat: Arc<Seat>, slot: u32, ticket: u32) -> Claim {
        let claimed_ns = (seat.clock)();
        let block = seat.segment.slot(slot);
        block.claimed_ns.store(claimed_ns, Ordering::Relaxed);
        block.first_ns.store(0, Ordering::Relaxed);
        block.last_ns.store(0, Ordering::Relaxed);
        block.waiting.store(0, Ordering::Relaxed);
        let record = seat.record();
        record.since_ns.store(claimed_ns, Ordering::Relaxed);
        record.slot.store(slot + 1, Ordering::Relaxed);
        Claim {
            seat,
            slot,
            ticket,
            claimed_ns,
            begun: false,
            finished: false,
            writer: Writer::new(ticket),
        }
    }

    fn block(&self) -> &SlotBlock {
        self.seat.segment.slot(self.slot)
    }

    /// The submitted part of the request area (`request::decode`).
    pub fn request(&self) -> &[u8] {
        let len = self.block().request_len.load(Ordering::Relaxed);
        self.seat.segment.request_area(self.slot).bytes(0, len)
    }

    /// Slot number, for messages and logs.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Distinguishes uses of one slot: goes with every descriptor sent on the worker's socket.
    pub fn ticket(&self) -> u32 {
        self.ticket
    }

    /// Monotonic ns at which the edge queued it.
    pub fn queued_ns(&self) -> u64 {
        self.block().queued_ns.load(Ordering::Relaxed)
    }

    /// Monotonic ns at which this worker claimed it.
    pub fn claimed_ns(&self) -> u64 {
        self.claimed_ns
    }

    /// The client has gone (or the deadline passed): the answer goes nowhere.
    pub fn cancelled(&self) -> bool {
        self.block().cancelled.load(Ordering::SeqCst) != 0
    }

    /// Writes an encoded head (`response::encode`), whole or not at all. Not visible before `flush`.
    pub fn write_head(&mut self, head: &[u8]) -> Result<(), WriteError> {
        let segment = &self.seat.segment;
        let ring = segment.response_area(self.slot);
        self.writer
            .head(&ring, &segment.slot(self.slot).consumed, head)
            .map_err(refusal)
    }

    /// Writes as much of `bytes` as there is room for and says how much (0: `wait_space`). Not visible before `flush`.
    pub fn write_body(&mut self, bytes: &[u8]) -> usize {
        let segment = &self.seat.segment;
        let ring = segment.response_area(self.slot);
        self.writer
            .body(&ring, &segment.slot(self.slot).consumed, bytes)
    }

    /// Says: `length` bytes from `offset` of the file sent as `token`. Not visible before `flush`.
    pub fn write_file(&mut self, token: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        let segment = &self.seat.segment;
        let ring = segment.response_area(self.slot);
        let consumed = &segment.slot(self.slot).consumed;
        self.writer
            .file(&ring, consumed, token, offset, length)
            .map_err(refusal)
    }

    /// Asks for the descriptor of the spooled request body, and flushes.
    pub fn want_body(&mut self) -> Result<(), WriteError> {
        let segment = &self.seat.segment;
        let ring = segment.response_area(self.slot);
        self.writer
            .want_body(&ring, &segment.slot(self.slot).consumed)
            .map_err(refusal)?;
        if self.writer.publish(&segment.slot(self.slot).produced) {
            self.seat.announce(self.slot);
        }
        Ok(())
    }

    /// Makes everything written so far visible to the edge and rings if it sleeps.
    pub fn flush(&mut self) {
        let block = self.seat.segment.slot(self.slot);
        if !self.begun {
            block.first_ns.store((self.seat.clock)(), Ordering::Relaxed);
        }
        if self.writer.publish(&block.produced) {
            self.begun = true;
            self.seat.announce(self.slot);
        }
    }

    /// Flushes, then sleeps until the edge has freed some room, at most `timeout`. Call without the GIL.
    pub fn wait_space(&mut self, timeout: Duration) -> WaitSpace {
        self.flush();
        // Other rings may wait for what we held back while we were busy; now we are not.
        self.seat.pay_rings();
        let segment = &self.seat.segment;
        let (block, size) = (segment.slot(self.slot), segment.layout().response_bytes);
        let word = &self.seat.record().wake.0.word;
        let end = Instant::now() + timeout;
        loop {
            let noted = parking::lie_down(word);
            let room = self.writer.lie_down(size, &block.consumed, &block.waiting);
            let cancelled = block.cancelled.load(Ordering::SeqCst) != 0;
            let left = end.saturating_duration_since(Instant::now());
            let stop = match (cancelled, room) {
                (true, _) => Some(WaitSpace::Cancelled),
                (false, true) => Some(WaitSpace::Retry),
                (false, false) if left.is_zero() => Some(WaitSpace::TimedOut),
                (false, false) => None,
            };
            if stop.is_none() && noted {
                wait(word, left);
            }
            parking::get_up(word);
            if let Some(stop) = stop {
                block.waiting.store(0, Ordering::SeqCst);
                return stop;
            }
        }
    }

    /// Flushes and ends the request; the slot is the edge's again.
    pub fn finish(mut self, how: Finish) {
        self.end(how);
    }

    fn end(&mut self, how: Finish) {
        self.finished = true;
        let block = self.seat.segment.slot(self.slot);
        let now_ns = (self.seat.clock)();
        if !self.begun {
            block.first_ns.store(now_ns, Ordering::Relaxed);
        }
        block.last_ns.store(now_ns, Ordering::Relaxed);
        self.writer.publish(&block.produced);
        let record = self.seat.record();
        record.served.store(
            record.served.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
        record.slot.store(0, Ordering::Relaxed);
        if state::finish(
            &block.state,
            self.ticket,
            self.seat.worker,
            how == Finish::Abort,
        ) {
            self.seat.announce(self.slot);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.finished {
            self.end(Finish::Abort);
        }
    }
}

fn refusal(later: bool) -> WriteError {
    if later {
        WriteError::Full
    } else {
        WriteError::TooLong
    }
}
