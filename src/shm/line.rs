//! The requests that wait, as workers see them: a small queue for what is urgent (health checks) before the usual one.
//!
//! Both are plain queues. Tickets of the urgent one count from the middle of their range, so that a slot that was queued first here and then there
//! is not taken for its former self.

use crate::queue::Queue;
use crate::sync::Ordering;

/// Where the tickets of the urgent queue begin.
pub const URGENT_TICKET: u64 = 1 << 31;

#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub urgent: Queue<'a>,
    pub usual: Queue<'a>,
}

impl Line<'_> {
    /// Makes both empty in fresh memory. Before anybody else sees them.
    pub fn format(&self) {
        self.urgent.format(URGENT_TICKET);
        self.usual.format(0);
    }

    /// Takes the next entry: (ticket, slot). The slot is unchecked.
    #[inline]
    pub fn pop(&self) -> Option<(u32, u32)> {
        if let Some(urgent) = self.urgent.pop() {
            return Some(urgent);
        }
        self.usual.pop()
    }

    /// Nothing to pop. May say "not empty" of an entry that is just being taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.usual.is_empty() && self.urgent.is_empty()
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.usual.len() + self.urgent.len()
    }

    /// Changes with every entry taken.
    #[inline]
    pub fn taken(&self) -> u64 {
        let head = |queue: &Queue<'_>| queue.head.load(Ordering::Relaxed);
        head(&self.usual).wrapping_add(head(&self.urgent))
    }
}
