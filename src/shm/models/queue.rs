//! The request queue: nothing lost, nothing doubled, order kept, a full queue never overwritten, the dead helped.

use loom::sync::Arc;
use loom::thread;

use super::{check, check_within};
use crate::queue::{Push, Queue};
use crate::sync::{AtomicU64, Ordering};

pub(super) struct Memory {
    head: AtomicU64,
    tail: AtomicU64,
    cells: Vec<AtomicU64>,
}

impl Memory {
    pub fn new(entries: usize) -> Memory {
        let memory = Memory {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            cells: (0..entries).map(|_| AtomicU64::new(0)).collect(),
        };
        memory.queue().format(0);
        memory
    }

    pub fn queue(&self) -> Queue<'_> {
        Queue {
            head: &self.head,
            tail: &self.tail,
            cells: &self.cells,
        }
    }
}

fn pushed(memory: &Memory, slot: u32) -> bool {
    matches!(memory.queue().push(slot, |_| true), Push::Queued { .. })
}

fn drain(memory: &Memory) -> Vec<u32> {
    std::iter::from_fn(|| memory.queue().pop())
        .map(|(_, slot)| slot)
        .collect()
}

#[test]
fn two_producers_and_two_consumers() {
    check_within(2, || {
        let memory = Arc::new(Memory::new(4));
        let producers: Vec<_> = [1, 3]
            .map(|first| {
                let memory = Arc::clone(&memory);
                thread::spawn(move || assert!(pushed(&memory, first) && pushed(&memory, first + 1)))
            })
            .into();
        let consumer = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                let got = [memory.queue().pop(), memory.queue().pop()];
                got.into_iter()
                    .flatten()
                    .map(|(_, slot)| slot)
                    .collect::<Vec<_>>()
            })
        };
        let mut ours: Vec<u32> = memory
            .queue()
            .pop()
            .into_iter()
            .map(|(_, slot)| slot)
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        let theirs = consumer.join().unwrap();
        ours.extend(drain(&memory));
        for one in [&theirs, &ours] {
            for pair in [[1, 2], [3, 4]] {
                let places = pair.map(|slot| one.iter().position(|&found| found == slot));
                assert!(
                    !matches!(places, [Some(first), Some(second)] if first > second),
                    "order"
                );
            }
        }
        ours.extend(theirs);
        ours.sort_unstable();
        assert_eq!(ours, [1, 2, 3, 4]);
    });
}

#[test]
fn a_full_queue_refuses_and_laps_cleanly() {
    check(|| {
        let memory = Arc::new(Memory::new(2));
        assert!(pushed(&memory, 1));
        let producer = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || [2, 3].map(|slot| pushed(&memory, slot)))
        };
        let other = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || pushed(&memory, 4))
        };
        let mut got: Vec<u32> = memory
            .queue()
            .pop()
            .into_iter()
            .map(|(_, slot)| slot)
            .collect();
        let [two, three] = producer.join().unwrap();
        let four = other.join().unwrap();
        got.extend(drain(&memory));
        let mut expected = vec![1];
        expected.extend(
            [(two, 2), (three, 3), (four, 4)]
                .iter()
                .filter(|(ok, _)| *ok)
                .map(|(_, slot)| slot),
        );
        got.sort_unstable();
        assert_eq!(got, expected);
        assert!(expected.len() >= 2, "one place was free from the start");
    });
}

#[test]
fn a_producer_that_dies_after_publishing_holds_nobody_up() {
    check(|| {
        let memory = Arc::new(Memory::new(4));
        let dying = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                // The first half of a push: the cell, not the tail.
                let old = u64::from(0u32.wrapping_sub(4)) << 32;
                let ours = 7;
                memory.cells[0]
                    .compare_exchange(old, ours, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            })
        };
        let producer = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || assert!(pushed(&memory, 1)))
        };
        let mut got: Vec<u32> = memory
            .queue()
            .pop()
            .into_iter()
            .map(|(_, slot)| slot)
            .collect();
        let published = dying.join().unwrap();
        producer.join().unwrap();
        assert!(pushed(&memory, 2));
        got.extend(drain(&memory));
        got.sort_unstable();
        assert_eq!(got, if published { vec![1, 2, 7] } else { vec![1, 2] });
    });
}

#[test]
fn a_queue_that_is_never_empty_never_looks_empty() {
    check(|| {
        let memory = Arc::new(Memory::new(2));
        assert!(pushed(&memory, 1));
        let other = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                assert!(pushed(&memory, 2));
                assert!(memory.queue().pop().is_some());
                // Into the cell that the first one left: whoever still holds the old head sees a ticket of the next lap there.
                assert!(pushed(&memory, 3));
            })
        };
        assert!(
            memory.queue().pop().is_some(),
            "one was there at every moment"
        );
        other.join().unwrap();
    });
}
