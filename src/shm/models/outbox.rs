//! The dirty bitmap with the bell: whatever workers publish, a ring thread that goes to sleep is woken for it, and what it then reads is ordered
//! after what they wrote.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::{Bell, check};
use crate::outbox::{AWAKE, Outbox, Ring};
use crate::sync::{AtomicU32, AtomicU64};

/// The time that all publish at.
const NOW_NS: u64 = 5;
const LATER_NS: u64 = 6;

struct Ears {
    bell: AtomicU32,
    due_ns: AtomicU64,
    words: Vec<AtomicU64>,
    eventfd: Bell,
    /// What each slot's worker published.
    news: Vec<UnsafeCell<u32>>,
}

// SAFETY: the cells are what loom checks; everything else is atomic or a lock.
unsafe impl Sync for Ears {}

impl Ears {
    fn new(words: usize, slots: usize) -> Arc<Ears> {
        Arc::new(Ears {
            bell: AtomicU32::new(AWAKE),
            due_ns: AtomicU64::new(0),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            eventfd: Bell::new(),
            news: (0..slots).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn outbox(&self) -> Outbox<'_> {
        Outbox {
            bell: &self.bell,
            due_ns: &self.due_ns,
            words: &self.words,
        }
    }

    /// Worker: publishes in slot `local`; true if it owes a ring.
    fn publish(&self, local: usize, busy: bool) -> bool {
        // SAFETY: checked by loom.
        self.news[local].with_mut(|cell| unsafe { *cell += 1 });
        match self.outbox().mark(local as u32, || busy, || NOW_NS) {
            Ring::No => false,
            Ring::Now => {
                self.eventfd.ring();
                false
            }
            Ring::Later => true,
        }
    }

    fn pay(&self) {
        if self.outbox().overdue() {
            self.eventfd.ring();
        }
    }

    /// Ring thread: takes what is there; how many slots had news.
    fn take(&self) -> usize {
        let mut count = 0;
        for word in 0..self.words.len() {
            let mut bits = self.outbox().take(word as u32);
            while bits != 0 {
                let local = word * 64 + bits.trailing_zeros() as usize;
                // SAFETY: checked by loom.
                assert!(self.news[local].with(|cell| unsafe { *cell }) > 0);
                bits &= bits - 1;
                count += 1;
            }
        }
        count
    }

    /// Ring thread: turns until it has seen `want` slots, sleeping whenever it may. Naps first where `nap_ns` says until when.
    fn run(&self, want: usize, mut nap_ns: Option<u64>) {
        let mut seen = self.take();
        while seen < want {
            match nap_ns.take() {
                // Whoever publishes now has it ended.
                Some(due_ns) if due_ns <= NOW_NS => {
                    if self.outbox().nap(due_ns) {
                        self.eventfd.wait();
                    }
                }
                // It ends by itself: it does not wait here.
                Some(due_ns) => {
                    if self.outbox().nap(due_ns) {
                        thread::yield_now();
                    }
                }
                None => {
                    if self.outbox().sleep() {
                        self.eventfd.wait();
                    }
                }
            }
            self.outbox().get_up();
            seen += self.take();
        }
    }
}

#[test]
fn a_sleeper_hears_two_workers() {
    check(|| {
        let ears = Ears::new(1, 2);
        for local in 0..2 {
            let ears = Arc::clone(&ears);
            thread::spawn(move || assert!(!ears.publish(local, false)));
        }
        ears.run(2, None);
    });
}

#[test]
fn two_words_of_the_bitmap() {
    check(|| {
        let ears = Ears::new(2, 65);
        for local in [0, 64] {
            let ears = Arc::clone(&ears);
            thread::spawn(move || ears.publish(local, false));
        }
        ears.run(2, None);
    });
}

#[test]
fn rings_held_back_during_a_nap_are_paid() {
    check(|| {
        let ears = Ears::new(1, 2);
        let worker = {
            let ears = Arc::clone(&ears);
            thread::spawn(move || {
                let first = ears.publish(0, true);
                let second = ears.publish(1, true);
                if first || second {
                    ears.pay();
                }
            })
        };
        ears.run(2, Some(LATER_NS));
        worker.join().unwrap();
    });
}

#[test]
fn a_nap_that_is_never_paid_ends_by_itself() {
    // The worker turns to a long request and pays nobody: the nap's end must find its news.
    check(|| {
        let ears = Ears::new(1, 1);
        let worker = {
            let ears = Arc::clone(&ears);
            thread::spawn(move || ears.publish(0, true))
        };
        ears.run(1, Some(LATER_NS));
        worker.join().unwrap();
    });
}

#[test]
fn a_nap_that_is_due_to_end_is_ended_by_busy_workers() {
    check(|| {
        let ears = Ears::new(1, 2);
        for local in 0..2 {
            let ears = Arc::clone(&ears);
            thread::spawn(move || ears.publish(local, true));
        }
        ears.run(1, Some(NOW_NS));
    });
}

#[test]
fn several_answers_of_one_worker() {
    check(|| {
        let ears = Ears::new(1, 3);
        let worker = {
            let ears = Arc::clone(&ears);
            thread::spawn(move || {
                for local in 0..3 {
                    ears.publish(local, false);
                }
            })
        };
        ears.run(3, None);
        worker.join().unwrap();
    });
}
