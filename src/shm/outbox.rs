//! From workers to a ring thread: a bitmap of slots with news, and the bell that says whether the thread must be woken for them.
//!
//! The bitmap is a level, not a message: it cannot overflow, setting a bit twice is harmless, and a worker that dies in between loses nothing that
//! a look at all slots does not find. The truth is in the slot; a bit only says "look".
//!
//! The bell protocol, against lost wakes: the worker sets the bit, then reads the bell; the ring thread writes the bell, then reads the bits.
//! A nap is due to end at a time that workers know: the first that publishes something after it rings. So the thread needs no timer of its own for it
//! that would have to be exact, and costs much in a virtual machine (kernel-notes/early-timers-cost-exits.md).

use crate::sync::{AtomicU32, AtomicU64, Ordering, store_load_barrier};

/// The ring thread looks at the bitmap by itself before it blocks.
pub const AWAKE: u32 = 0;
/// It blocks for a while: worth a ring only when the worker has nothing else to do, or the nap is due to end.
pub const NAPPING: u32 = 1;
/// It blocks until somebody rings.
pub const SLEEPING: u32 = 2;

#[derive(Debug, Clone, Copy)]
pub struct Outbox<'a> {
    pub bell: &'a AtomicU32,
    /// When a nap is due to end; says nothing with another bell.
    pub due_ns: &'a AtomicU64,
    pub words: &'a [AtomicU64],
}

/// What the worker owes the ring thread after setting a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    No,
    /// Write to its eventfd.
    Now,
    /// Ask `overdue` before going idle.
    Later,
}

impl Outbox<'_> {
    /// Worker: something was published in the slot with this local number. `busy` tells whether more work waits, `clock` the time (both
    /// asked only if it matters).
    #[inline]
    pub fn mark(
        &self,
        local: u32,
        busy: impl FnOnce() -> bool,
        clock: impl FnOnce() -> u64,
    ) -> Ring {
        let Some(word) = self.words.get(local as usize / 64) else {
            return Ring::No;
        };
        word.fetch_or(1 << (local % 64), Ordering::SeqCst);
        store_load_barrier();
        match self.bell.load(Ordering::SeqCst) {
            AWAKE => Ring::No,
            NAPPING if busy() && clock() < self.due_ns.load(Ordering::Relaxed) => Ring::Later,
            found => self.answer(found),
        }
    }

    /// Worker, out of work, with a ring owed: is it still needed?
    #[inline]
    pub fn overdue(&self) -> bool {
        match self.bell.load(Ordering::SeqCst) {
            AWAKE => false,
            found => self.is_dirty() && self.answer(found) == Ring::Now,
        }
    }

    /// One worker rings for all.
    #[inline]
    fn answer(&self, found: u32) -> Ring {
        match self
            .bell
            .compare_exchange(found, AWAKE, Ordering::SeqCst, Ordering::Relaxed)
        {
            Ok(_) => Ring::Now,
            // Somebody rang, or the thread got up and looks by itself. (Or it lay down again: then it saw our bit before.)
            Err(_) => Ring::No,
        }
    }

    /// Ring thread: as `sleep`, to be woken for news from `due_ns` on, or earlier by a worker that has nothing else to do.
    #[inline]
    pub fn nap(&self, due_ns: u64) -> bool {
        self.due_ns.store(due_ns, Ordering::Relaxed);
        self.lie_down(NAPPING)
    }

    /// Ring thread: about to block until there is news. True: it may; false: there is, the bell is back on awake.
    #[inline]
    pub fn sleep(&self) -> bool {
        self.lie_down(SLEEPING)
    }

    #[inline]
    fn lie_down(&self, depth: u32) -> bool {
        self.bell.store(depth, Ordering::SeqCst);
        store_load_barrier();
        if self.is_dirty() {
            self.get_up();
            return false;
        }
        true
    }

    /// Ring thread: looks by itself again. `take` must follow before the next `nap` or `sleep` is trusted to find everything.
    #[inline]
    pub fn get_up(&self) {
        self.bell.store(AWAKE, Ordering::SeqCst);
    }

    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.words
            .iter()
            .any(|word| word.load(Ordering::SeqCst) != 0)
    }

    /// Ring thread: clears one word of the bitmap and returns what stood in it.
    #[inline]
    pub fn take(&self, index: u32) -> u64 {
        match self.words.get(index as usize) {
            // Acquire: what the workers wrote before their bits is visible.
            Some(word) if word.load(Ordering::Relaxed) != 0 => word.swap(0, Ordering::AcqRel),
            _ => 0,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn rings_once_and_only_where_somebody_sleeps() {
        let bell = AtomicU32::new(AWAKE);
        let words: Vec<AtomicU64> = (0..2).map(|_| AtomicU64::new(0)).collect();
        let due_ns = AtomicU64::new(0);
        let outbox = Outbox {
            bell: &bell,
            due_ns: &due_ns,
            words: &words,
        };
        let mark = |local, busy| outbox.mark(local, || busy, || 1_000);
        assert_eq!(mark(3, false), Ring::No);
        assert!(!outbox.sleep(), "a bit is set");
        assert_eq!(outbox.take(0), 1 << 3);
        assert!(outbox.sleep());
        assert_eq!(mark(100, true), Ring::Now);
        assert_eq!(mark(101, true), Ring::No);
        outbox.get_up();
        assert_eq!(
            (outbox.take(0), outbox.take(1), outbox.take(2)),
            (0, 3 << 36, 0)
        );
        assert!(outbox.nap(1_001));
        assert_eq!(mark(1, true), Ring::Later);
        assert!(outbox.overdue());
        assert!(!outbox.overdue());
        assert_eq!(mark(128, true), Ring::No, "beyond the bitmap");
        outbox.take(0);
        assert!(outbox.nap(1_000));
        assert_eq!(mark(1, true), Ring::Now, "the nap is due to end");
    }
}
