//! How long to wait before a worker that died is started again. Pure.

use std::time::Duration;

/// A worker that lived so long did not die of its start.
const SETTLED: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The deaths of one seat's workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    /// In a row, each soon after its start.
    early_deaths: u32,
}

impl Backoff {
    /// Workers that died soon after their start, in a row.
    pub fn early_deaths(&self) -> u32 {
        self.early_deaths
    }

    /// A worker died after `lived`. Returns the pause before the next: none for the first early death, then 100 ms, doubling up to 10 s.
    pub fn died(&mut self, lived: Duration) -> Duration {
        if lived >= SETTLED {
            self.early_deaths = 0;
            return Duration::ZERO;
        }
        self.early_deaths = self.early_deaths.saturating_add(1);
        match self.early_deaths {
            1 => Duration::ZERO,
            deaths => FIRST.saturating_mul(1 << (deaths - 2).min(10)).min(LONGEST),
        }
    }
}
