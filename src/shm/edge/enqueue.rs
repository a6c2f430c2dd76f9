//! Getting a request into the queue: the first time, again after its entry was lost with a worker, and when the queue is full of leftovers.

use super::{EdgeRing, Entry, Phase, SlotId};
use crate::queue::{Push, Queue};
use crate::state::{self, State};
use crate::stream::Reader;
use crate::sync::Ordering;

/// A queue full of leftovers is swept at most this often.
const SWEEP_PAUSE_NS: u64 = 10_000_000;

impl EdgeRing {
    /// Queues the request: the first `request_len` bytes of its area. Wakes nobody yet. `false`: the queue is full (only a misbehaving app brings
    /// that about); the slot is still reserved, answer 503 and `abandon` it.
    #[must_use]
    pub fn submit(&mut self, slot: SlotId, request_len: usize, now_ns: u64) -> bool {
        self.submit_since(slot, request_len, now_ns, now_ns, false)
    }

    /// As `submit`, for a request that has waited since `since_ns` already; an `urgent` one is taken before all others.
    #[must_use]
    pub fn submit_since(
        &mut self,
        slot: SlotId,
        request_len: usize,
        since_ns: u64,
        now_ns: u64,
        urgent: bool,
    ) -> bool {
        debug_assert_eq!(self.entry(slot).phase, Phase::Reserved);
        let area_bytes = self.segment.layout().request_bytes as usize;
        let block = self.block(slot);
        block.queued_ns.store(since_ns, Ordering::Relaxed);
        block
            .request_len
            .store(request_len.min(area_bytes) as u32, Ordering::Relaxed);
        let Some(urgent) = self.push(slot, urgent, now_ns) else {
            state::free(&self.block(slot).state);
            return false;
        };
        let entry = self.entry(slot);
        *entry = Entry {
            phase: Phase::Submitted,
            dead: false,
            done: false,
            urgent,
            queued_ns: now_ns,
            reader: Reader::default(),
            ..*entry
        };
        self.submitted += 1;
        self.sleeper.stir();
        true
    }

    pub(super) fn queue(&self, urgent: bool) -> Queue<'_> {
        let line = self.segment.line();
        if urgent { line.urgent } else { line.usual }
    }

    /// In which queue it is now: `Some(urgent)`. What is urgent takes the usual queue if its own is full.
    pub(super) fn push(&mut self, slot: SlotId, urgent: bool, now_ns: u64) -> Option<bool> {
        if urgent && self.try_push(slot, true) {
            return Some(true);
        }
        for _ in 0..2 {
            if self.try_push(slot, false) {
                return Some(false);
            }
            if !self.sweep(now_ns) {
                return None;
            }
        }
        None
    }

    fn try_push(&self, slot: SlotId, urgent: bool) -> bool {
        let word = &self.block(slot).state;
        let pushed = self.queue(urgent).push(slot.0, |ticket| {
            state::enqueue(word, ticket);
            true
        });
        matches!(pushed, Push::Queued { .. })
    }

    /// The queue has four entries per slot, so a full one holds mostly leftovers of cancelled requests: takes everything out and puts the living back
    /// in their order. False if that was tried a moment ago.
    #[cold]
    fn sweep(&mut self, now_ns: u64) -> bool {
        if self.swept_ns != 0 && now_ns.saturating_sub(self.swept_ns) < SWEEP_PAUSE_NS {
            return false;
        }
        self.swept_ns = now_ns.max(1);
        let queue = self.segment.line().usual;
        let slots = self.segment.layout().slots;
        let mut living = Vec::new();
        for _ in 0..self.segment.layout().queue_entries() {
            let Some((ticket, slot)) = queue.pop() else {
                break;
            };
            if slot < slots
                && state::load(&self.segment.slot(slot).state) == Some(State::Queued { ticket })
            {
                living.push((slot, ticket));
            }
        }
        for (slot, ticket) in living {
            // Refused: cancelled meanwhile. Full cannot be, save by garbage; its ring finds the request by its passed ticket then.
            self.requeue(false, slot, ticket);
        }
        true
    }

    /// Queues again a request whose queue entry is gone. False only if the queue is full.
    pub(super) fn requeue(&self, urgent: bool, slot: u32, ticket: u32) -> bool {
        let word = &self.segment.slot(slot).state;
        let mut current = ticket;
        let pushed = self.queue(urgent).push(slot, |ticket| {
            let still_queued = state::requeue(word, current, ticket);
            current = ticket;
            still_queued
        });
        pushed != Push::Full
    }
}
