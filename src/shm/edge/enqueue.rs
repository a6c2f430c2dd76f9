//! Getting a request into the queue: the first time, again after its entry was lost with a worker, and when the queue is full of leftovers.

use super::{EdgeRing, SlotId};
use crate::queue::Push;
use crate::state::{self, State};

/// A queue full of leftovers is swept at most this often.
const SWEEP_PAUSE_NS: u64 = 10_000_000;

impl EdgeRing {
    pub(super) fn push(&mut self, slot: SlotId, now_ns: u64) -> bool {
        for _ in 0..2 {
            let word = &self.block(slot).state;
            let pushed = self.segment.queue().push(slot.0, |ticket| {
                state::enqueue(word, ticket);
                true
            });
            if let Push::Queued { .. } = pushed {
                return true;
            }
            if !self.sweep(now_ns) {
                return false;
            }
        }
        false
    }

    /// The queue has four entries per slot, so a full one holds mostly leftovers of cancelled requests: takes everything out and puts the living back
    /// in their order. False if that was tried a moment ago.
    #[cold]
    fn sweep(&mut self, now_ns: u64) -> bool {
        if self.swept_ns != 0 && now_ns.saturating_sub(self.swept_ns) < SWEEP_PAUSE_NS {
            return false;
        }
        self.swept_ns = now_ns.max(1);
        let queue = self.segment.queue();
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
            self.requeue(slot, ticket);
        }
        true
    }

    /// Queues again a request whose queue entry is gone. False only if the queue is full.
    pub(super) fn requeue(&self, slot: u32, ticket: u32) -> bool {
        let word = &self.segment.slot(slot).state;
        let mut current = ticket;
        let pushed = self.segment.queue().push(slot, |ticket| {
            let still_queued = state::requeue(word, current, ticket);
            current = ticket;
            still_queued
        });
        pushed != Push::Full
    }
}
