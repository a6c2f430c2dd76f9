//! What every answer adds to the numbers for a statsd: gathered by a ring thread, handed to the control thread by the batch.
//!
//! Owns one batch per ring thread. Invariant: an answer is handed over at most `HOLD_NS` after it was counted as long as the ring thread
//! calls `flush_due` by then. Must not know what becomes of the numbers.

use crate::access_log::HOLD_NS;
use crate::mailbox::{FromRing, Outbox};

/// A batch is handed over when it has grown this far.
const BATCH: usize = 1024;

/// One answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// From the request's first byte to the last byte of the answer; over an hour is shown as that.
    pub took_us: u32,
}

#[derive(Debug)]
pub struct Tally {
    /// Without anybody to tell nothing is gathered.
    on: bool,
    batch: Vec<Answer>,
    due_ns: u64,
    outbox: Outbox,
}

impl Tally {
    pub fn new(on: bool, outbox: Outbox) -> Tally {
        Tally {
            on,
            batch: Vec::new(),
            due_ns: 0,
            outbox,
        }
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Counts an answer; ring time.
    #[cold]
    pub fn count(&mut self, status: u16, started_ns: u64, now_ns: u64) {
        if self.batch.is_empty() {
            self.due_ns = now_ns + HOLD_NS;
        }
        let took_us = now_ns.saturating_sub(started_ns) / 1000;
        self.batch.push(Answer {
            status,
            took_us: u32::try_from(took_us).unwrap_or(u32::MAX),
        });
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// When `flush_due` wants to be called; `None` while there is nothing to hand over.
    pub fn due_ns(&self) -> Option<u64> {
        (!self.batch.is_empty()).then_some(self.due_ns)
    }

    /// Hands the batch over if its time has come.
    #[inline]
    pub fn flush_due(&mut self, now_ns: u64) {
        if !self.batch.is_empty() && now_ns >= self.due_ns {
            self.flush();
        }
    }

    /// Hands the batch over; before the thread ends.
    pub fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            // What does not fit is not counted anywhere: the control thread is far behind.
            self.outbox.send(FromRing::Answers(batch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::outbox;

    #[test]
    fn answers_are_handed_over_in_time_and_by_the_batch() {
        let (out, mut receiver) = outbox();
        let mut tally = Tally::new(true, out);
        tally.count(200, 1_000_000, 3_500_000);
        assert_eq!(tally.due_ns(), Some(3_500_000 + HOLD_NS));
        tally.flush_due(3_500_000 + HOLD_NS - 1);
        assert!(receiver.try_next().is_none());
        tally.flush_due(3_500_000 + HOLD_NS);
        let Some(FromRing::Answers(batch)) = receiver.try_next() else {
            panic!("a batch")
        };
        let (status, took_us) = (200, 2_500);
        assert_eq!(batch, [Answer { status, took_us }]);
        for _ in 0..BATCH {
            tally.count(404, 0, 1);
        }
        assert_eq!(tally.due_ns(), None);
        assert!(receiver.try_next().is_some());
    }
}
