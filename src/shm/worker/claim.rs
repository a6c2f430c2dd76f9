//! A claimed request: read it, answer it, end it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Seat, wait};
use crate::corrupt::Corrupt;
use crate::event::EventKind;
use crate::parking;
use crate::segment::SlotBlock;
use crate::state;
use crate::stream::{self, NO_TICKET, Reader, Writer};
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
    /// Of the inbound ring.
    reader: Reader,
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
        if !seat.looped.load(Ordering::Relaxed) {
            record.since_ns.store(claimed_ns, Ordering::Relaxed);
        }
        record.slot.store(slot + 1, Ordering::Relaxed);
        let running = record.running.load(Ordering::Relaxed);
        record
            .running
            .store(running.wrapping_add(1), Ordering::Relaxed);
        Claim {
            seat,
            slot,
            ticket,
            claimed_ns,
            begun: false,
            finished: false,
            writer: Writer::new(ticket),
            reader: Reader::default(),
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

    /// Writes an encoded head (`response::encode`), whole or not at all. Not visible before `flush`; so with everything that is written.
    pub fn write_head(&mut self, head: &[u8]) -> Result<(), WriteError> {
        self.write_whole(stream::HEAD, head)
    }

    /// Writes the encoded head of an interim response.
    pub fn write_informational(&mut self, head: &[u8]) -> Result<(), WriteError> {
        self.write_whole(stream::INFORMATIONAL, head)
    }

    /// Writes trailers: an encoded head with status 0.
    pub fn write_trailers(&mut self, head: &[u8]) -> Result<(), WriteError> {
        self.write_whole(stream::TRAILERS, head)
    }

    /// Accepts the WebSocket handshake: an encoded head with status 101.
    pub fn write_accept(&mut self, head: &[u8]) -> Result<(), WriteError> {
        self.write_whole(stream::ACCEPT, head)
    }

    /// Closes the WebSocket: what `event::disconnect` made.
    pub fn write_close(&mut self, payload: &[u8]) -> Result<(), WriteError> {
        self.write_whole(stream::CLOSE, payload)
    }

    fn write_whole(&mut self, kind: u8, payload: &[u8]) -> Result<(), WriteError> {
        let segment = &self.seat.segment;
        let ring = segment.response_area(self.slot);
        self.writer
            .whole(&ring, &segment.slot(self.slot).consumed, kind, payload)
            .map_err(refusal)
    }

    /// Writes as much of `bytes` as there is room for and says how much (0: `wait_space` or `want_space`).
    pub fn write_body(&mut self, bytes: &[u8]) -> usize {
        self.write_pieces((stream::BODY, stream::BODY), bytes)
    }

    /// Writes as much as there is room for of the rest of a WebSocket message and says how much; all of it: the message is complete. `Full`: nothing.
    pub fn write_message(&mut self, binary: bool, rest: &[u8]) -> Result<usize, WriteError> {
        let kinds = if binary {
            (stream::BINARY_PART, stream::BINARY_END)
        } else {
            (stream::TEXT_PART, stream::TEXT_END)
        };
        if rest.is_empty() {
            return self.write_whole(kinds.1, rest).map(|()| 0);
        }
        match self.write_pieces(kinds, rest) {
            0 => Err(WriteError::Full),
            written => Ok(written),
        }
    }

    fn write_pieces(&mut self, kinds: (u8, u8), bytes: &[u8]) -> usize {
        let segment = &self.seat.segment;
        let ring = segment.response_area(self.slot);
        self.writer
            .pieces(&ring, &segment.slot(self.slot).consumed, kinds, bytes)
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

    /// Asks for the descriptor of the spooled request body, or for a streamed body of which the client waits to be asked (100 Continue). Flushes.
    pub fn want_body(&mut self) -> Result<(), WriteError> {
        self.write_whole(stream::WANT_BODY, &[])?;
        // Not `flush`: the response has not begun with this.
        if self
            .writer
            .publish(&self.seat.segment.slot(self.slot).produced)
        {
            self.seat.announce(self.slot);
        }
        Ok(())
    }

    /// The next event of the request, if there is one: its payload is appended to `out`, its room is given back to the edge.
    pub fn next_event(&mut self, out: &mut Vec<u8>) -> Result<Option<EventKind>, Corrupt> {
        let segment = &self.seat.segment;
        let block = segment.slot(self.slot);
        let ring = segment.inbound_area(self.slot);
        // SeqCst: after the claim, see `state::claim`.
        let produced = block.in_produced.load(Ordering::SeqCst);
        let Some(number) = self.reader.take(&ring, produced, NO_TICKET, out)? else {
            return Ok(None);
        };
        let size = segment.layout().inbound_bytes;
        if self.reader.publish(
            size,
            &block.in_consumed,
            &block.in_produced,
            &block.in_waiting,
        ) {
            block.in_waiting.store(0, Ordering::SeqCst);
            self.seat.announce(self.slot);
        }
        EventKind::from_number(number)
            .map(Some)
            .ok_or(Corrupt("inbound ring: unknown kind of event"))
    }

    /// The kind of the next event, which stays.
    pub fn peek_event(&self) -> Result<Option<EventKind>, Corrupt> {
        let segment = &self.seat.segment;
        let ring = segment.inbound_area(self.slot);
        let produced = segment.slot(self.slot).in_produced.load(Ordering::SeqCst);
        let number = self.reader.peek(&ring, produced, NO_TICKET)?;
        Ok(number.and_then(EventKind::from_number))
    }

    /// Sleeps until there is an event (`Retry`), the request is cancelled, or `timeout` is over. Flushes. Call without the GIL. For workers without a loop.
    pub fn wait_event(&mut self, timeout: Duration) -> WaitSpace {
        self.flush_pending();
        self.seat.pay_rings();
        let word = &self.seat.record().wake.0.word;
        let end = Instant::now() + timeout;
        loop {
            let noted = parking::lie_down(word);
            let found = !matches!(self.peek_event(), Ok(None));
            let left = end.saturating_duration_since(Instant::now());
            let stop = if found {
                Some(WaitSpace::Retry)
            } else if self.cancelled() {
                Some(WaitSpace::Cancelled)
            } else {
                left.is_zero().then_some(WaitSpace::TimedOut)
            };
            if stop.is_none() && noted {
                wait(word, left);
            }
            parking::get_up(word);
            if let Some(stop) = stop {
                return stop;
            }
        }
    }

    /// For workers with a loop, after a write was refused: flushes and asks to be told. True: there is room already. False: this slot comes up
    /// in `WorkerSeat::inbox` when there is room, or when the client is gone.
    pub fn want_space(&mut self) -> bool {
        self.flush_pending();
        let block = self.seat.segment.slot(self.slot);
        let size = self.seat.segment.layout().response_bytes;
        let room = self.writer.lie_down(size, &block.consumed, &block.waiting);
        if room {
            block.waiting.store(0, Ordering::Relaxed);
        }
        room
    }

    fn flush_pending(&mut self) {
        if self.writer.has_unpublished() {
            self.flush();
        }
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
        let running = record.running.load(Ordering::Relaxed).saturating_sub(1);
        record.running.store(running, Ordering::Relaxed);
        if running == 0 {
            record.slot.store(0, Ordering::Relaxed);
        }
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
