//! How a worker sleeps and is woken: a word of its own that it waits on (a futex outside, a condition variable in the models), and a mask of those
//! who may be picked.
//!
//! Against lost wakes: the worker writes its word and its idle bit, then looks for work; a waker publishes work, then reads the idle bits. A
//! wake leaves a token in the word, so one that comes too early is found at the next `lie_down`.

use crate::sync::{AtomicU32, AtomicU64, Ordering, store_load_barrier};

pub const RUNNING: u32 = 0;
pub const PARKED: u32 = 1;
/// A wake came; the next (or present) wait ends at once.
pub const NOTIFIED: u32 = 2;

/// Worker: about to wait on `word`. False: a wake is already there (and now used up).
#[inline]
pub fn lie_down(word: &AtomicU32) -> bool {
    if word
        .compare_exchange(RUNNING, PARKED, Ordering::SeqCst, Ordering::Relaxed)
        .is_err()
    {
        // A swap, so that what the waker published before is visible.
        word.swap(RUNNING, Ordering::SeqCst);
        return false;
    }
    store_load_barrier();
    true
}

/// Worker: done waiting, or found something to do instead.
#[inline]
pub fn get_up(word: &AtomicU32) {
    word.swap(RUNNING, Ordering::SeqCst);
}

/// Anyone: leaves a wake. True: the worker waits on its word and the system call is needed.
#[inline]
pub fn notify(word: &AtomicU32) -> bool {
    word.swap(NOTIFIED, Ordering::SeqCst) == PARKED
}

/// Worker: sleeps by `wait` (which returns when the word is not `PARKED`, or whenever it likes) unless there is something to do. Meanwhile its
/// seat is in `idle` and may be picked.
#[inline]
pub fn sleep(
    word: &AtomicU32,
    idle: Mask<'_>,
    index: u16,
    mut worth_getting_up: impl FnMut() -> bool,
    wait: impl FnOnce(&AtomicU32),
) {
    if !lie_down(word) {
        return;
    }
    idle.insert(index);
    if !worth_getting_up() {
        wait(word);
    }
    get_up(word);
    idle.remove(index);
}

/// A set of worker seats.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a>(pub &'a [AtomicU64]);

impl Mask<'_> {
    #[inline]
    pub fn insert(&self, index: u16) {
        if let Some(word) = self.0.get(usize::from(index) / 64) {
            word.fetch_or(1 << (index % 64), Ordering::SeqCst);
            store_load_barrier();
        }
    }

    /// True if it was in: of several removers one is told so.
    #[inline]
    pub fn remove(&self, index: u16) -> bool {
        let bit = 1 << (index % 64);
        match self.0.get(usize::from(index) / 64) {
            // The plain look first: mostly somebody else has removed it, and the line need not be taken away from others.
            Some(word) => {
                word.load(Ordering::SeqCst) & bit != 0
                    && word.fetch_and(!bit, Ordering::SeqCst) & bit != 0
            }
            None => false,
        }
    }

    #[inline]
    pub fn contains(&self, index: u16) -> bool {
        self.0
            .get(usize::from(index) / 64)
            .is_some_and(|word| word.load(Ordering::SeqCst) >> (index % 64) & 1 != 0)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::SeqCst) == 0)
    }

    pub fn count(&self) -> usize {
        self.0
            .iter()
            .map(|word| word.load(Ordering::SeqCst).count_ones() as usize)
            .sum()
    }

    /// Takes out the member that `rank` puts highest, none that it refuses to rank; others may be taken by others meanwhile.
    pub fn take_best(&self, mut rank: impl FnMut(u16) -> Option<u64>) -> Option<u16> {
        // Each failed round means that somebody else took our choice.
        for _ in 0..self.0.len() * 64 {
            let ranked = self
                .members()
                .filter_map(|index| Some((rank(index)?, index)));
            let (_, best) = ranked.max()?;
            if self.remove(best) {
                return Some(best);
            }
        }
        None
    }

    pub fn members(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut bits = word.load(Ordering::SeqCst);
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some(at as u16 * 64 + bit as u16)
            })
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_early_wake_is_kept() {
        let word = AtomicU32::new(RUNNING);
        assert!(!notify(&word));
        assert!(!lie_down(&word));
        assert!(lie_down(&word));
        assert!(notify(&word));
        get_up(&word);
        assert!(lie_down(&word));
    }

    #[test]
    fn the_best_member_is_taken_once() {
        let words: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
        let mask = Mask(&words);
        for index in [3, 64, 255] {
            mask.insert(index);
        }
        mask.insert(256);
        assert_eq!(mask.count(), 3);
        assert_eq!(mask.members().collect::<Vec<_>>(), [3, 64, 255]);
        assert_eq!(
            mask.take_best(|index| Some(if index == 64 { 9 } else { 1 })),
            Some(64)
        );
        assert_eq!(mask.take_best(|_| None), None);
        assert!(!mask.remove(64) && mask.contains(3) && mask.remove(3) && mask.remove(255));
        assert!(mask.is_empty() && mask.take_best(|_| Some(0)).is_none());
    }
}
