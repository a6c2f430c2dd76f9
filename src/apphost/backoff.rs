//! How long to wait before a worker that died is started again. Pure.
//!
//! One that had come up says nothing about starting: whoever killed it (an administrator, the kernel short of memory, its own request), the next one is
//! wanted at once, as long as that does not become a loop. One that never came up is likely to end the same way again.

use std::time::{Duration, Instant};

/// What each death of a worker that had come up costs; time pays it off, so in a loop one is replaced in this time.
const COST: Duration = Duration::from_secs(1);
/// Deaths within this much debt are made good at once: ten in a row.
const CREDIT: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The deaths of one seat's workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    /// In a row, each before it had come up.
    early_deaths: u32,
    debt: Duration,
    counted_at: Option<Instant>,
}

impl Backoff {
    /// Workers that died before they had come up, in a row.
    pub fn early_deaths(&self) -> u32 {
        self.early_deaths
    }

    /// A worker died. Returns the pause before the next.
    pub fn after(&mut self, came_up: bool, now: Instant) -> Duration {
        match came_up {
            true => self.died(now),
            false => self.died_early(),
        }
    }

    /// A worker died that had come up. Returns the pause before the next: none, unless it has become a habit.
    fn died(&mut self, now: Instant) -> Duration {
        self.early_deaths = 0;
        let elapsed = self.counted_at.map_or(Duration::ZERO, |at| now - at);
        self.debt = self.debt.saturating_sub(elapsed) + COST;
        self.counted_at = Some(now);
        self.debt.saturating_sub(CREDIT)
    }

    /// A worker died that had not come up. Returns the pause before the next: none for the first, then 100 ms, doubling up to 10 s.
    fn died_early(&mut self) -> Duration {
        self.early_deaths = self.early_deaths.saturating_add(1);
        match self.early_deaths {
            1 => Duration::ZERO,
            deaths => FIRST.saturating_mul(1 << (deaths - 2).min(10)).min(LONGEST),
        }
    }
}
