//! What goes wrong, and how often.

use super::Random;

/// Chances in a thousand, unless a unit is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// A transfer moves less than it could.
    pub short: u32,
    /// A completion comes late, and others before it.
    pub delay: u32,
    /// Nanoseconds it comes late at most, and a packet travels at most.
    pub delay_max_ns: u64,
    /// A multishot operation ends although it had no reason to.
    pub ended: u32,
    /// Accepting fails: the descriptor table is full, or the connection died in the queue.
    pub accept: u32,
    /// An inline call would have to wait.
    pub would_block: u32,
    /// Reading a file fails with EIO.
    pub io_error: u32,
    /// A peer dies (resets) at some time in its life.
    pub kill: u32,
    /// A reset destroys what the peer has not read yet.
    pub reset_loses: u32,
    /// Submission queue entries; the queue is flushed when it is full.
    pub queue: usize,
    /// Bytes a socket's send buffer holds.
    pub window: usize,
}

impl Faults {
    /// A perfect world, in which only time passes.
    pub const NONE: Faults = Faults {
        short: 0,
        delay: 0,
        delay_max_ns: 50_000,
        ended: 0,
        accept: 0,
        would_block: 0,
        io_error: 0,
        kill: 0,
        reset_loses: 0,
        queue: 1024,
        window: 64 * 1024,
    };

    /// Everything that a correct program hides from its peers: nothing here loses a request. (Kills, EIO and lossy resets
    /// are for tests that expect them.)
    pub fn harmless(seed: u64) -> Faults {
        let mut random = Random::new(seed ^ 0xfa17);
        let mut often = |most: u64| random.below(most + 1) as u32;
        Faults {
            short: often(900),
            delay: often(500),
            ended: often(200),
            accept: often(200),
            would_block: often(500),
            delay_max_ns: 1 + random.below(20_000_000),
            queue: 2 + random.below(8) as usize,
            window: 1 + random.below(8192) as usize,
            ..Faults::NONE
        }
    }

    /// Harmless ones, and peers that die.
    pub fn deadly(seed: u64) -> Faults {
        Faults {
            kill: 300,
            reset_loses: 500,
            ..Faults::harmless(seed)
        }
    }
}
