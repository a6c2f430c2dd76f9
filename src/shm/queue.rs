//! The request queue: bounded, any number of producers and consumers in any number of processes.
//!
//! A cell holds `ticket << 32 | slot`; tickets count pushes (their low 32 bits stand in cells). A push writes the cell first and moves the tail
//! after; whoever finds the tail behind moves it on. A pop reads the cell at the head and moves the head. So each has one linearisation point
//! (the cell's, the head's compare-and-swap) and a process that dies between any two instructions leaves nothing half done.
//!
//! Owns no memory. Trusts nothing: with any contents every call ends after a bounded number of steps.

use crate::sync::{AtomicU64, Ordering, store_load_barrier};

/// Failed rounds after which a push gives up. Every honest failure means that somebody else got through.
const PUSH_ATTEMPTS_MAX: usize = 1024;
/// The same for a pop. Giving up reads as "empty", which is safe: those who got through are awake and look again before they sleep.
const POP_ATTEMPTS_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
pub struct Queue<'a> {
    pub head: &'a AtomicU64,
    pub tail: &'a AtomicU64,
    /// Their number is a power of two.
    pub cells: &'a [AtomicU64],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    Queued {
        ticket: u32,
    },
    Full,
    /// `prepare` said no.
    Refused,
}

#[inline]
fn cell(ticket: u32, slot: u32) -> u64 {
    u64::from(ticket) << 32 | u64::from(slot)
}

impl Queue<'_> {
    /// Makes an empty queue of fresh memory, whose tickets begin at `start`. Before anybody else sees it.
    pub fn format(&self, start: u64) {
        for position in start..start + u64::from(self.entries()) {
            // The ticket that stood here one lap earlier.
            self.cell_of(position).store(
                cell((position as u32).wrapping_sub(self.entries()), 0),
                Ordering::Relaxed,
            );
        }
        self.head.store(start, Ordering::Relaxed);
        self.tail.store(start, Ordering::Release);
    }

    #[inline]
    fn entries(&self) -> u32 {
        self.cells.len() as u32
    }

    #[inline]
    fn cell_of(&self, position: u64) -> &AtomicU64 {
        &self.cells[position as usize & (self.cells.len() - 1)]
    }

    /// Appends `slot`. `prepare` is told the ticket just before each try to publish under it (several, if others are faster).
    #[inline]
    pub fn push(&self, slot: u32, mut prepare: impl FnMut(u32) -> bool) -> Push {
        for _ in 0..PUSH_ATTEMPTS_MAX {
            let tail = self.tail.load(Ordering::Acquire);
            let ticket = tail as u32;
            let place = self.cell_of(tail);
            let found = place.load(Ordering::Acquire);
            let found_ticket = (found >> 32) as u32;
            if found_ticket == ticket {
                // Published, but its producer has not moved the tail (or died before it could).
                self.move_tail(tail);
                continue;
            }
            if found_ticket != ticket.wrapping_sub(self.entries())
                && self.tail.load(Ordering::Acquire) != tail
            {
                // Our tail was a lap old. With the tail unmoved it is garbage, and overwritten below.
                continue;
            }
            let head = self.head.load(Ordering::Acquire);
            // Negative while the tail is one behind a pop.
            if tail.wrapping_sub(head) as i64 >= i64::from(self.entries()) {
                return Push::Full;
            }
            if !prepare(ticket) {
                return Push::Refused;
            }
            // SeqCst: publishes before the producer looks for idle workers.
            if place
                .compare_exchange(
                    found,
                    cell(ticket, slot),
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                // The producer will look for idle workers.
                store_load_barrier();
                self.move_tail(tail);
                return Push::Queued { ticket };
            }
        }
        Push::Full
    }

    #[inline]
    fn move_tail(&self, tail: u64) {
        // Failure means that another producer did it.
        self.tail
            .compare_exchange(
                tail,
                tail.wrapping_add(1),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .ok();
    }

    /// Takes the oldest entry: (ticket, slot). The slot is unchecked.
    #[inline]
    pub fn pop(&self) -> Option<(u32, u32)> {
        for _ in 0..POP_ATTEMPTS_MAX {
            let (head, found) = self.front()?;
            if self
                .head
                .compare_exchange(
                    head,
                    head.wrapping_add(1),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                return Some((head as u32, found as u32));
            }
        }
        None
    }

    /// The head and the cell published there.
    #[inline]
    fn front(&self) -> Option<(u64, u64)> {
        let mut head = self.head.load(Ordering::Acquire);
        for _ in 0..POP_ATTEMPTS_MAX {
            // SeqCst: a worker that is about to sleep reads this after it has said so.
            let found = self.cell_of(head).load(Ordering::SeqCst);
            if (found >> 32) as u32 == head as u32 {
                return Some((head, found));
            }
            let again = self.head.load(Ordering::Acquire);
            if again == head {
                return None;
            }
            head = again;
        }
        None
    }

    /// Up to `most` entries from the oldest on, as they stand at this moment: (ticket, slot), unchecked.
    pub fn peek(&self, most: u64) -> impl Iterator<Item = (u32, u32)> + '_ {
        let head = self.head.load(Ordering::Acquire);
        (0..most.min(u64::from(self.entries()))).map_while(move |at| {
            let at = head.wrapping_add(at);
            let found = self.cell_of(at).load(Ordering::Acquire);
            ((found >> 32) as u32 == at as u32).then_some((at as u32, found as u32))
        })
    }

    /// Nothing to pop. May say "not empty" of an entry that is just being taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    /// Entries, as far as a moment can be spoken of; at most the capacity.
    #[inline]
    pub fn len(&self) -> usize {
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        (tail.wrapping_sub(head) as i64).clamp(0, i64::from(self.entries())) as usize
    }

    /// Has the entry with this ticket left the queue? Right for tickets less than 2^31 pushes old.
    #[inline]
    pub fn has_passed(&self, ticket: u32) -> bool {
        let head = self.head.load(Ordering::Acquire) as u32;
        (head.wrapping_sub(ticket) as i32) > 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Memory {
        head: AtomicU64,
        tail: AtomicU64,
        cells: Vec<AtomicU64>,
    }

    impl Memory {
        fn new(entries: usize, start: u64) -> Memory {
            let memory = Memory {
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
                cells: (0..entries).map(|_| AtomicU64::new(0)).collect(),
            };
            memory.queue().format(0);
            // Pretend that `start` (a multiple of the capacity) entries have gone through.
            memory.head.store(start, Ordering::Relaxed);
            memory.tail.store(start, Ordering::Relaxed);
            for place in &memory.cells {
                place.fetch_add(start << 32, Ordering::Relaxed);
            }
            memory
        }

        fn queue(&self) -> Queue<'_> {
            Queue {
                head: &self.head,
                tail: &self.tail,
                cells: &self.cells,
            }
        }
    }

    #[test]
    fn first_in_first_out_and_full() {
        for start in [0, (1 << 32) - 8, u64::MAX - 7] {
            let memory = Memory::new(8, start);
            let queue = memory.queue();
            for lap in 0..10 {
                assert!(queue.is_empty());
                assert_eq!(queue.pop(), None);
                for slot in 0..8 {
                    assert!(matches!(
                        queue.push(slot + lap, |_| true),
                        Push::Queued { .. }
                    ));
                }
                assert_eq!(queue.len(), 8);
                assert_eq!(queue.push(99, |_| true), Push::Full);
                for slot in 0..8 {
                    assert_eq!(queue.pop().map(|(_, found)| found), Some(slot + lap));
                }
            }
        }
    }

    #[test]
    fn a_producer_that_died_before_moving_the_tail_is_helped() {
        let memory = Memory::new(4, 0);
        let queue = memory.queue();
        memory.cells[0].store(cell(0, 7), Ordering::SeqCst);
        assert_eq!(queue.pop(), Some((0, 7)), "published is published");
        assert_eq!(queue.len(), 0);
        assert_eq!(queue.push(8, |_| true), Push::Queued { ticket: 1 });
        assert_eq!(queue.pop(), Some((1, 8)));
    }

    #[test]
    fn tickets_tell_what_has_passed() {
        let memory = Memory::new(4, (1 << 32) - 4);
        let queue = memory.queue();
        let Push::Queued { ticket } = queue.push(1, |_| true) else {
            panic!()
        };
        assert!(!queue.has_passed(ticket));
        queue.pop();
        assert!(queue.has_passed(ticket));
    }

    #[test]
    fn any_garbage_ends_in_bounded_time() {
        let memory = Memory::new(8, 0);
        let queue = memory.queue();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let value = seed >> 7 & if seed & 1 == 0 { 0xF } else { u64::MAX };
            match seed >> 60 {
                0 => memory.head.store(value, Ordering::Relaxed),
                1 => memory.tail.store(value, Ordering::Relaxed),
                2..6 => memory.cells[value as usize & 7].store(seed, Ordering::Relaxed),
                6..10 => drop(queue.push(value as u32, |_| true)),
                _ => drop((queue.pop(), queue.len(), queue.is_empty())),
            }
            assert!(queue.len() <= 8);
        }
    }
}
