//! The segment: the memory file, its mapping, and the view of its worker records that anyone may take.

use std::io;
use std::os::fd::OwnedFd;

use crate::corrupt::Corrupt;
use crate::layout::Layout;

/// A mapped exchange. Cheap to share (`Arc`), `Send + Sync`.
#[derive(Debug)]
pub struct Segment {}

/// What a worker's seat looks like from outside. Written by the worker: believe it for display only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRecord {
    pub index: u16,
    pub status: WorkerStatus,
    pub incarnation: u16,
    pub generation: u32,
    pub pid: u32,
    /// The slot it runs, and since when (monotonic ns).
    pub slot: Option<u32>,
    pub since_ns: u64,
    /// Requests finished by this incarnation.
    pub served: u64,
    pub draining: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerStatus {
    /// Nobody sits here.
    Empty,
    Idle,
    Busy,
}

impl Segment {
    /// Creates and formats the sealed memory file and maps it. The supervisor calls it once per app and hands the descriptor to everybody.
    pub fn create(_layout: &Layout) -> io::Result<(OwnedFd, Segment)> {
        unimplemented!()
    }

    /// Maps a segment that somebody else created; checks seals, magic, version, bounds and size.
    pub fn attach(_fd: OwnedFd) -> Result<Segment, Corrupt> {
        unimplemented!()
    }

    pub fn layout(&self) -> &Layout {
        unimplemented!()
    }

    /// Entries in the request queue (cancelled ones included until they are skipped).
    pub fn queue_len(&self) -> usize {
        unimplemented!()
    }

    /// Workers parked right now.
    pub fn idle_workers(&self) -> usize {
        unimplemented!()
    }

    /// One seat; `None` beyond the layout.
    pub fn worker(&self, _index: u16) -> Option<WorkerRecord> {
        unimplemented!()
    }

    /// Every seat that is not empty.
    pub fn workers(&self) -> Vec<WorkerRecord> {
        unimplemented!()
    }

    /// Asks the worker to claim no more and to end (`WorkerSeat::should_drain`), and wakes it.
    pub fn request_drain(&self, _index: u16) {
        unimplemented!()
    }

    /// Wakes the worker if it is parked, whatever for.
    pub fn unpark(&self, _index: u16) {
        unimplemented!()
    }
}
