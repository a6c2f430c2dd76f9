//! Counters of one runtime.
//!
//! Owns plain cells, written by the loop; `Stats` is a copy to hand out.

use std::cell::Cell;

/// A turn that kept the ring waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Nanoseconds from the completions to the next submission.
    pub elapsed_ns: u64,
    /// Tasks polled in that time.
    pub polls: u32,
}

/// Counters since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub turns: u64,
    pub polls: u64,
    pub completions: u64,
    pub spawned: u64,
    /// Completions for nothing we know: always 0 unless the kernel or we are wrong.
    pub strays: u64,
    /// Tasks that panicked and ended alone.
    pub panics: u64,
    pub stalls: u64,
    pub turn_longest_ns: u64,
    pub tasks: usize,
    pub flights: usize,
    pub timers: usize,
}

#[derive(Default)]
pub(crate) struct Tallies {
    pub turns: Cell<u64>,
    pub polls: Cell<u64>,
    pub completions: Cell<u64>,
    pub spawned: Cell<u64>,
    pub strays: Cell<u64>,
    pub panics: Cell<u64>,
    pub stalls: Cell<u64>,
    pub turn_longest_ns: Cell<u64>,
    /// Polls of the running turn.
    pub turn_polls: Cell<u32>,
    /// `before_park` was called and wants its `after_park`.
    pub parked: Cell<bool>,
}

impl Tallies {
    pub fn stats(&self, tasks: usize, flights: usize, timers: usize) -> Stats {
        Stats {
            turns: self.turns.get(),
            polls: self.polls.get(),
            completions: self.completions.get(),
            spawned: self.spawned.get(),
            strays: self.strays.get(),
            panics: self.panics.get(),
            stalls: self.stalls.get(),
            turn_longest_ns: self.turn_longest_ns.get(),
            tasks,
            flights,
            timers,
        }
    }
}
