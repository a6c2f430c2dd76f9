//! A worker's end of the exchange: claim a request, write the answer, sleep when there is none. Called from threads that hold a GIL (all but `park`,
//! `wait_space`), so nothing here blocks except those two.

use std::sync::Arc;
use std::time::Duration;

use sys::eventfd::EventFd;

use crate::corrupt::Corrupt;
use crate::segment::Segment;

/// One worker seat, taken. `Send`; used by one thread at a time.
#[derive(Debug)]
pub struct WorkerSeat {}

impl WorkerSeat {
    /// Sits down. `doorbells` holds one eventfd per ring thread, in order; seats of one process share them. `generation` is for display.
    pub fn attach(
        _segment: Arc<Segment>,
        _index: u16,
        _incarnation: u16,
        _generation: u32,
        _doorbells: Arc<[EventFd]>,
    ) -> Result<WorkerSeat, Corrupt> {
        unimplemented!()
    }

    /// The next request, if there is one. Cheap when there is none (two loads). Also rings doorbells that were held back while there was more to do.
    pub fn try_claim(&mut self) -> Option<Claim> {
        unimplemented!()
    }

    /// Sleeps until there may be a request, a drain or `unpark`, at most `timeout`. Call without the GIL, loop around it. May return early.
    pub fn park(&mut self, _timeout: Duration) {
        unimplemented!()
    }

    /// The host or the supervisor wants this worker to take no more requests and end.
    pub fn should_drain(&self) -> bool {
        unimplemented!()
    }

    /// Drains this seat from within the process (thread-safe twin: `Segment::request_drain`).
    pub fn request_drain(&self) {
        unimplemented!()
    }

    pub fn index(&self) -> u16 {
        unimplemented!()
    }

    pub fn incarnation(&self) -> u16 {
        unimplemented!()
    }
}

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

/// A request being worked on. `Send + 'static`, needs not outlive its seat. Dropped unfinished it ends in `Abort`.
#[derive(Debug)]
pub struct Claim {}

impl Claim {
    /// The submitted part of the request area (`request::decode`).
    pub fn request(&self) -> &[u8] {
        unimplemented!()
    }

    /// Slot number, for messages and logs.
    pub fn slot(&self) -> u32 {
        unimplemented!()
    }

    /// Distinguishes uses of one slot: goes with every descriptor sent on the worker's socket.
    pub fn ticket(&self) -> u32 {
        unimplemented!()
    }

    /// Monotonic ns at which the edge queued it and this worker claimed it.
    pub fn queued_ns(&self) -> u64 {
        unimplemented!()
    }
    pub fn claimed_ns(&self) -> u64 {
        unimplemented!()
    }

    /// The client has gone (or the deadline passed): the answer goes nowhere.
    pub fn cancelled(&self) -> bool {
        unimplemented!()
    }

    /// Writes an encoded head (`response::encode`), whole or not at all. Not visible before `flush`.
    pub fn write_head(&mut self, _head: &[u8]) -> Result<(), WriteError> {
        unimplemented!()
    }

    /// Writes as much of `bytes` as there is room for and says how much (0: `wait_space`). Not visible before `flush`.
    pub fn write_body(&mut self, _bytes: &[u8]) -> usize {
        unimplemented!()
    }

    /// Says: `length` bytes from `offset` of the file sent as `token`. Not visible before `flush`.
    pub fn write_file(
        &mut self,
        _token: u64,
        _offset: u64,
        _length: u64,
    ) -> Result<(), WriteError> {
        unimplemented!()
    }

    /// Asks for the descriptor of the spooled request body, and flushes.
    pub fn want_body(&mut self) -> Result<(), WriteError> {
        unimplemented!()
    }

    /// Makes everything written so far visible to the edge and rings if it sleeps.
    pub fn flush(&mut self) {
        unimplemented!()
    }

    /// Flushes, then sleeps until the edge has freed some room, at most `timeout`. Call without the GIL.
    pub fn wait_space(&mut self, _timeout: Duration) -> WaitSpace {
        unimplemented!()
    }

    /// Flushes and ends the request; the slot is the edge's again.
    pub fn finish(self, _how: Finish) {
        unimplemented!()
    }
}
