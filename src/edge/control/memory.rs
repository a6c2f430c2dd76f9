//! What processes take, as the kernel accounts for shared pages: read seldom, because the kernel walks all of a process's pages for it.
//!
//! Invariants: a process is looked at no more often than every `FRESH_NS`, and one asking takes no longer than `PATIENCE_NS` and one process more,
//! however many there are; what is not looked at anew is what it was. Must not know whose processes they are.

use std::collections::HashMap;
use sys::process::MemoryShares;

const FRESH_NS: u64 = 5_000_000_000;
const PATIENCE_NS: u64 = 50_000_000;

/// By pid: when it was looked at, and what it took.
#[derive(Debug, Default)]
pub struct Memory(HashMap<u32, (u64, MemoryShares)>);

impl Memory {
    /// What is known of these, those that were looked at longest ago first looked at anew; others are forgotten.
    pub fn look(
        &mut self,
        pids: &[u32],
        clock: impl Fn() -> u64,
        read: impl Fn(u32) -> Option<MemoryShares>,
    ) {
        self.0.retain(|pid, _| pids.contains(pid));
        let begun_ns = clock();
        let seen_ns = |pid: &u32| self.0.get(pid).map_or(0, |(at_ns, _)| *at_ns);
        let mut due: Vec<u32> = pids.to_vec();
        due.retain(|pid| !self.0.contains_key(pid) || begun_ns >= seen_ns(pid) + FRESH_NS);
        due.sort_by_key(seen_ns);
        for pid in due {
            let now_ns = clock();
            if now_ns > begun_ns + PATIENCE_NS {
                break;
            }
            match read(pid) {
                Some(shares) => drop(self.0.insert(pid, (now_ns, shares))),
                None => drop(self.0.remove(&pid)),
            }
        }
    }

    pub fn of(&self, pid: u32) -> Option<&MemoryShares> {
        self.0.get(&pid).map(|(_, shares)| shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn each_is_looked_at_now_and_then_and_not_all_at_once() {
        let now_ns = Cell::new(1);
        let looks = RefCell::new(Vec::new());
        let mut memory = Memory::default();
        let mut look = |pids: &[u32], cost_ns: u64| {
            let read = |pid: u32| {
                looks.borrow_mut().push(pid);
                now_ns.set(now_ns.get() + cost_ns);
                let resident_bytes = u64::from(pid);
                (pid != 9).then_some(MemoryShares {
                    resident_bytes,
                    ..MemoryShares::default()
                })
            };
            memory.look(pids, || now_ns.get(), read);
            let known = (1..9).filter(|pid| memory.of(*pid).is_some()).collect();
            (looks.take(), known)
        };
        let slow = 30_000_000;
        assert_eq!(look(&[1, 2, 3, 4, 9], slow), (vec![1, 2], vec![1, 2]));
        // Those that nobody knows go first, and 9 is gone.
        assert_eq!(look(&[1, 2, 3, 4, 9], slow), (vec![3, 4], vec![1, 2, 3, 4]));
        assert_eq!(look(&[1, 2, 3, 9], 0), (vec![9], vec![1, 2, 3]));
        now_ns.set(now_ns.get() + FRESH_NS);
        assert_eq!(look(&[2, 3], 0), (vec![2, 3], vec![2, 3]));
        assert_eq!(look(&[2, 3], 0), (vec![], vec![2, 3]));
    }
}
