//! What the segment shows of its workers: for status, and for whoever judges whether one is stuck.
//!
//! Written by the workers: believe it for display only.

use crate::request;
use crate::segment::Segment;
use crate::state::{self, State, WorkerId};
use crate::stream::Bytes;
use crate::sync::Ordering;

/// What a worker's seat looks like from outside. Written by the worker: believe it for display only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRecord {
    pub index: u16,
    pub status: WorkerStatus,
    pub incarnation: u16,
    pub generation: u32,
    pub pid: u32,
    /// The slot it runs.
    pub slot: Option<u32>,
    /// When it claimed that, or when it went idle (monotonic ns).
    pub since_ns: u64,
    /// Requests finished by this incarnation.
    pub served: u64,
    /// Requests it runs right now; more than one only in an event loop.
    pub running: u32,
    /// It runs an event loop: `since_ns` is the beginning of the loop's present or last turn.
    pub looped: bool,
    /// Counts the loop's turns; odd while it is in one. The same odd number for long: something blocks the loop.
    pub turn: u64,
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
    /// One seat; `None` beyond the layout.
    pub fn worker(&self, index: u16) -> Option<WorkerRecord> {
        let record = self.record(index)?;
        let slot = record.slot.load(Ordering::Relaxed).checked_sub(1);
        let occupied = record.occupied.load(Ordering::Acquire) != 0;
        let idle = self.idle().contains(index);
        let looped = record.looped.load(Ordering::Relaxed) != 0;
        let since = if slot.is_some() || looped {
            &record.since_ns
        } else {
            &record.idle_since_ns
        };
        Some(WorkerRecord {
            index,
            status: match (occupied, idle && slot.is_none()) {
                (false, _) => WorkerStatus::Empty,
                (true, true) => WorkerStatus::Idle,
                (true, false) => WorkerStatus::Busy,
            },
            incarnation: record.incarnation.load(Ordering::Relaxed) as u16,
            generation: record.generation.load(Ordering::Relaxed),
            pid: record.pid.load(Ordering::Relaxed),
            slot,
            since_ns: since.load(Ordering::Relaxed),
            served: record.served.load(Ordering::Relaxed),
            running: record.running.load(Ordering::Relaxed),
            looped,
            turn: record.turn.load(Ordering::Relaxed),
            draining: record.wake.0.drain.load(Ordering::Relaxed) != 0,
        })
    }

    /// `METHOD target` of the request that this worker is running in this slot, cut to a screenful; for display. `None` if it has ended
    /// meanwhile: the area is written by a ring thread only while the slot is free, so what was read between two looks at an unchanged claim
    /// was not being written.
    pub fn request_line(&self, slot: u32, worker: WorkerId) -> Option<String> {
        const SHOWN_BYTES: usize = request::FIXED_BYTES + 512;
        if slot >= self.layout().slots {
            return None;
        }
        let word = &self.slot(slot).state;
        let before = state::load(word)?;
        if !matches!(before, State::Claimed { worker: by, .. } if by == worker) {
            return None;
        }
        let mut beginning = [0; SHOWN_BYTES];
        let shown = SHOWN_BYTES.min(self.layout().request_bytes as usize);
        self.request_area(slot).get(0, &mut beginning[..shown]);
        std::sync::atomic::fence(Ordering::Acquire);
        if state::load(word)? != before {
            return None;
        }
        let (method, target) = request::peek(&beginning[..shown])?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Some(format!("{} {}", text(method), text(target)))
    }

    /// Every seat that is not empty.
    pub fn workers(&self) -> Vec<WorkerRecord> {
        (0..self.layout().workers as u16)
            .filter_map(|index| self.worker(index))
            .filter(|record| record.status != WorkerStatus::Empty)
            .collect()
    }
}
