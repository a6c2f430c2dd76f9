//! Memory that was needed once and is not any more: when it goes back to the system.
//!
//! Invariant: at most once every `EVERY_NS`, and only if it is worth the while, because ring threads that want memory wait for it. Pure but for
//! what it is given.

use sys::heap::Usage;

/// Between two looks. A load that needs the memory again pays for its pages anew, 0.2 us each.
const EVERY_NS: u64 = 60_000_000_000;
/// So much may lie idle, and this share of what is used.
const IDLE_BYTES_MAX: u64 = 16 << 20;
const IDLE_SHARE: u64 = 2;

#[derive(Debug, Default)]
pub struct Slack {
    due_ns: u64,
}

impl Slack {
    /// Called now and then. True: it is time to give back.
    pub fn is_due(
        &mut self,
        now_ns: u64,
        resident_bytes: impl FnOnce() -> Option<u64>,
        usage: impl FnOnce() -> Option<Usage>,
    ) -> bool {
        if now_ns < self.due_ns {
            return false;
        }
        self.due_ns = now_ns.saturating_add(EVERY_NS);
        // The closer look is not free, and a small process need not be looked at.
        resident_bytes().is_some_and(|bytes| bytes > IDLE_BYTES_MAX)
            && usage().is_some_and(|usage| {
                let may_be = usage.used_bytes + usage.used_bytes / IDLE_SHARE + IDLE_BYTES_MAX;
                usage.resident_bytes > may_be
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(slack: &mut Slack, now_ns: u64, used_mib: u64, resident_mib: u64) -> bool {
        let usage = Usage {
            used_bytes: used_mib << 20,
            resident_bytes: resident_mib << 20,
        };
        slack.is_due(now_ns, || Some(usage.resident_bytes), || Some(usage))
    }

    #[test]
    fn what_lies_idle_is_given_back_now_and_then() {
        let mut slack = Slack::default();
        assert!(look(&mut slack, 5, 10, 100));
        assert!(!look(&mut slack, EVERY_NS, 10, 100), "just now");
        assert!(look(&mut slack, EVERY_NS + 5, 10, 100));
    }

    #[test]
    fn what_is_used_or_little_stays() {
        for (used_mib, resident_mib) in [(80, 100), (1, 15), (0, 16), (10, 31)] {
            let mut slack = Slack::default();
            assert!(!look(&mut slack, 5, used_mib, resident_mib), "{used_mib}");
        }
        let unknown = Slack::default().is_due(5, || Some(1 << 40), || None);
        assert!(!unknown);
    }
}
