//! When something that died may be started again: at once while that is rare, ever later while it is not.
//!
//! A leaky bucket for restarts of what had worked, doubling pauses for what never comes up. Pure.

/// Each restart adds this much debt, which time pays off: at full debt one restart in this time.
const COST_MS: u64 = 3_000;
/// Restarts within this much debt are immediate: twenty in a row.
const CREDIT_MS: u64 = 60_000;
const FIRST_PAUSE_MS: u64 = 500;
const LONGEST_PAUSE_MS: u64 = 30_000;

#[derive(Debug, Default, Clone)]
pub struct Backoff {
    debt_ms: u64,
    counted_at_ms: u64,
    /// Starts that failed since the last that worked.
    failures: u32,
}

impl Backoff {
    /// It had worked and died: when to start it again.
    pub fn after_death(&mut self, now_ms: u64) -> u64 {
        let elapsed = now_ms.saturating_sub(self.counted_at_ms);
        self.debt_ms = self.debt_ms.saturating_sub(elapsed) + COST_MS;
        self.counted_at_ms = now_ms;
        now_ms + self.debt_ms.saturating_sub(CREDIT_MS)
    }

    /// It did not come up: when to try again.
    pub fn after_failure(&mut self, now_ms: u64) -> u64 {
        let pause = FIRST_PAUSE_MS << self.failures.min(10);
        self.failures += 1;
        now_ms + pause.min(LONGEST_PAUSE_MS)
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It came up.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_deaths_cost_no_pause_and_a_crash_loop_slows_down_to_one_in_three_seconds() {
        let mut backoff = Backoff::default();
        let mut now = 0;
        for _ in 0..20 {
            assert_eq!(backoff.after_death(now), now);
        }
        for _ in 0..5 {
            let next = backoff.after_death(now);
            assert_eq!(next - now, COST_MS);
            now = next;
        }
        assert_eq!(backoff.after_death(now + 120_000), now + 120_000);
    }

    #[test]
    fn failures_double_the_pause_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..9).map(|_| backoff.after_failure(0)).collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
        );
        backoff.worked();
        assert_eq!(backoff.after_failure(0), 500);
    }
}
