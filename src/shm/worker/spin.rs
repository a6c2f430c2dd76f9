//! Whether a worker spins for a few microseconds before it sleeps: only with a second processor at hand, and only while that has helped lately.
//!
//! Waking a sleeping processor costs about 25 us in a virtual machine, a request found while spinning nothing; on one processor a spinning
//! worker only keeps the ring thread from submitting.

/// One spin. Shorter than a wake costs.
const SPIN_NS: u64 = 10_000;
/// A sleep that ended before this would have been saved by spinning, or nearly.
const SHORT_NS: u64 = 40_000;
const CREDIT_MAX: u32 = 16;
/// Looks between two readings of the clock (about 20-30 ns each).
const LOOKS: u32 = 16;

#[derive(Debug)]
pub(super) struct Spin {
    /// 0: sleep at once. Rises with short sleeps and spins that paid, falls with spins that did not.
    credit: u32,
    allowed: bool,
}

impl Spin {
    pub fn new(cpus: usize) -> Spin {
        Spin {
            credit: 0,
            allowed: cpus > 1,
        }
    }

    /// True if `found` came true while spinning.
    pub fn run(&mut self, clock: fn() -> u64, mut found: impl FnMut() -> bool) -> bool {
        if self.credit == 0 {
            return false;
        }
        let end = clock() + SPIN_NS;
        loop {
            for _ in 0..LOOKS {
                if found() {
                    self.credit = (self.credit + 1).min(CREDIT_MAX);
                    return true;
                }
                std::hint::spin_loop();
            }
            if clock() >= end {
                self.credit -= 1;
                return false;
            }
        }
    }

    /// A sleep took so long.
    pub fn learn(&mut self, slept_ns: u64) {
        if self.allowed && slept_ns < SHORT_NS {
            self.credit = (self.credit + 2).min(CREDIT_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen() -> u64 {
        0
    }

    #[test]
    fn spins_only_after_short_sleeps_and_never_on_one_processor() {
        let mut spin = Spin::new(1);
        spin.learn(1);
        assert!(!spin.run(frozen, || panic!("one processor")));
        let mut spin = Spin::new(2);
        assert!(!spin.run(frozen, || panic!("no credit yet")));
        spin.learn(1_000_000);
        assert!(!spin.run(frozen, || panic!("long sleeps give none")));
        spin.learn(1);
        assert!(spin.run(frozen, || true));
        let credit = spin.credit;
        for _ in 0..credit {
            assert!(!spin.run(sys::clock::monotonic_ns, || false));
        }
        assert!(!spin.run(frozen, || panic!("used up")));
    }
}
