//! From ring threads to a worker: a bitmap of slots with news for it (events, room, a cancellation), the mirror of the outbox.
//!
//! A level, not a message: setting a bit twice is harmless and the truth is in the slot. A summary word says which groups of words to look at, so that
//! a worker's look costs one load when there is nothing. Whoever sets a bit wakes the worker afterwards; the worker looks here before it sleeps.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug, Clone, Copy)]
pub struct Inbox<'a> {
    /// Bit n: group n of words may hold bits.
    pub summary: &'a AtomicU64,
    pub words: &'a [AtomicU64],
}

impl Inbox<'_> {
    /// Words that one bit of the summary stands for.
    #[inline]
    fn group(&self) -> usize {
        self.words.len().div_ceil(64).max(1)
    }

    /// Edge: there is news for the worker in `slot`. Word first: who finds the summary's bit finds the slot's.
    #[inline]
    pub fn mark(&self, slot: u32) {
        let index = slot as usize / 64;
        let Some(word) = self.words.get(index) else {
            return;
        };
        word.fetch_or(1 << (slot % 64), Ordering::SeqCst);
        self.summary
            .fetch_or(1 << (index / self.group()), Ordering::SeqCst);
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.summary.load(Ordering::SeqCst) == 0
    }

    /// Worker: clears the bitmap and calls `look` with every slot that was in it.
    #[inline]
    pub fn drain(&self, mut look: impl FnMut(u32)) {
        if self.is_empty() {
            return;
        }
        let mut groups = self.summary.swap(0, Ordering::SeqCst);
        while groups != 0 {
            let start = groups.trailing_zeros() as usize * self.group();
            groups &= groups - 1;
            for index in start..(start + self.group()).min(self.words.len()) {
                let word = &self.words[index];
                if word.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                // Acquire: what the edge wrote before its bit is visible.
                let mut bits = word.swap(0, Ordering::AcqRel);
                while bits != 0 {
                    look((index * 64) as u32 + bits.trailing_zeros());
                    bits &= bits - 1;
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_marked_slot_is_found_once() {
        for count in [1, 16, 100, 1024] {
            let summary = AtomicU64::new(0);
            let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
            let inbox = Inbox {
                summary: &summary,
                words: &words,
            };
            let last = count as u32 * 64 - 1;
            let mut marked = vec![0, 63.min(last), last / 2, last];
            marked.sort_unstable();
            marked.dedup();
            for &slot in marked.iter().chain(&marked) {
                inbox.mark(slot);
            }
            inbox.mark(last + 1);
            assert!(!inbox.is_empty());
            let mut found = Vec::new();
            inbox.drain(|slot| found.push(slot));
            assert_eq!(found, marked);
            inbox.drain(|slot| panic!("{slot}"));
        }
    }
}
