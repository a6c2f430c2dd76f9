//! What every answer adds to the numbers for a statsd: gathered by a ring thread, handed to the control thread by the batch.
//!
//! Owns one batch per ring thread. Invariant: an answer is handed over in time as long as the ring thread calls `flush_due` by `due_ns`.
//! Must not know what becomes of the numbers.

use crate::batch::Batch;
use crate::mailbox::{FromRing, Outbox};

/// A batch is handed over when it has grown this far.
const BATCH_ANSWERS: usize = 1024;

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
    batch: Batch<Answer>,
    outbox: Outbox,
}

impl Tally {
    pub fn new(on: bool, outbox: Outbox) -> Tally {
        Tally {
            on,
            batch: Batch::new(BATCH_ANSWERS),
            outbox,
        }
    }

    /// Whether there is somebody to tell from now on.
    pub fn turn_to(&mut self, on: bool) {
        self.flush();
        self.on = on;
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Counts an answer; ring time.
    #[cold]
    pub fn count(&mut self, status: u16, started_ns: u64, now_ns: u64) {
        let took_us = now_ns.saturating_sub(started_ns) / 1000;
        self.batch.open(now_ns, Vec::new).push(Answer {
            status,
            took_us: u32::try_from(took_us).unwrap_or(u32::MAX),
        });
        let answers = self.batch.take_full();
        self.hand_over(answers);
    }

    /// When `flush_due` wants to be called; `None` while there is nothing to hand over.
    pub fn due_ns(&self) -> Option<u64> {
        self.batch.due_ns()
    }

    /// Hands the batch over if its time has come.
    #[inline]
    pub fn flush_due(&mut self, now_ns: u64) {
        let answers = self.batch.take_due(now_ns);
        self.hand_over(answers);
    }

    /// Hands the batch over; before the thread ends.
    pub fn flush(&mut self) {
        let answers = self.batch.take();
        self.hand_over(answers);
    }

    #[inline]
    fn hand_over(&self, answers: Option<Vec<Answer>>) {
        if let Some(answers) = answers {
            // What does not fit is counted by the outbox and reported by the control thread.
            self.outbox.send(FromRing::Answers(answers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::HOLD_NS;
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
        for _ in 0..BATCH_ANSWERS {
            tally.count(404, 0, 1);
        }
        assert_eq!(tally.due_ns(), None);
        assert!(receiver.try_next().is_some());
    }
}
