//! A hierarchical timer wheel: six levels of 64 slots, ticks of about a millisecond.
//!
//! Owns the timers, in a slab, linked into their slots. Invariants: a timer never fires before its time; an armed timer
//! stands in exactly one slot, whose time is at or before its own (moving a timer later only writes its time: the early
//! slot re-files it when it comes up). Pure: time comes in as an argument. Must not know tasks beyond their wakers.

use slab::Slab;
use std::task::Waker;

/// Nanoseconds per tick, as a power of two: 1.05 ms.
const TICK_SHIFT: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// 64^6 ticks are two years; later times wait in the last slot and are re-filed.
const LEVELS: usize = 6;
const NIL: u32 = u32::MAX;

/// Stands for "not armed".
pub const NEVER: u64 = u64::MAX;

struct Timer {
    /// When to fire, or `NEVER`.
    at: u64,
    /// The tick its slot stands for; meaningful while linked.
    filed: u64,
    waker: Option<Waker>,
    previous: u32,
    next: u32,
    /// Level * SLOTS + slot, or `NOWHERE`.
    slot: u16,
    fired: bool,
}

const NOWHERE: u16 = u16::MAX;

/// Names a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey(u32);

/// The wheel.
pub struct Wheel {
    timers: Slab<Timer>,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// Every tick before this one has been handled.
    tick: u64,
}

impl Wheel {
    pub fn new(now: u64) -> Wheel {
        Wheel {
            timers: Slab::new(),
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            tick: now >> TICK_SHIFT,
        }
    }

    /// A timer, not armed.
    pub fn insert(&mut self) -> TimerKey {
        let timer = Timer {
            at: NEVER,
            filed: 0,
            waker: None,
            previous: NIL,
            next: NIL,
            slot: NOWHERE,
            fired: false,
        };
        TimerKey(self.timers.insert(timer) as u32)
    }

    pub fn remove(&mut self, key: TimerKey) {
        self.unlink(key.0);
        self.timers.remove(key.0 as usize);
    }

    /// Moves a timer. Later is a store, earlier re-files; `NEVER` disarms.
    pub fn set(&mut self, key: TimerKey, at: u64) {
        let timer = &mut self.timers[key.0 as usize];
        timer.at = at;
        timer.fired = false;
        if at == NEVER {
            // The slot drops it when it comes up.
            return;
        }
        if timer.slot == NOWHERE {
            self.file(key.0);
        } else if due_tick(at) < timer.filed {
            self.unlink(key.0);
            self.file(key.0);
        }
    }

    pub fn at(&self, key: TimerKey) -> u64 {
        self.timers[key.0 as usize].at
    }

    /// Has it fired since it was set? Otherwise leaves the waker to be woken when it does.
    pub fn poll(&mut self, key: TimerKey, waker: &Waker) -> bool {
        let timer = &mut self.timers[key.0 as usize];
        if timer.fired {
            return true;
        }
        match &timer.waker {
            Some(old) if old.will_wake(waker) => {}
            _ => timer.waker = Some(waker.clone()),
        }
        false
    }

    /// Fires what is due at `now`.
    pub fn advance(&mut self, now: u64, mut fire: impl FnMut(Waker)) {
        let target = now >> TICK_SHIFT;
        while self.tick <= target {
            match self.next_tick() {
                Some(next) if next <= target => {
                    self.tick = next;
                    self.turn(&mut fire);
                    self.tick += 1;
                }
                _ => {
                    self.tick = target + 1;
                    // Slots of higher levels that begin at the new tick are found by `next_tick` as due now.
                }
            }
        }
    }

    /// When to call `advance` next, in nanoseconds; `None`: nothing is armed. May be early, never late.
    pub fn next_at(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick << TICK_SHIFT)
    }

    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Handles the current tick: cascades higher levels that begin here, highest first, then fires level 0.
    fn turn(&mut self, fire: &mut impl FnMut(Waker)) {
        for level in (0..LEVELS).rev() {
            let shift = level as u32 * SLOT_BITS;
            if self.tick & ((1 << shift) - 1) != 0 {
                continue;
            }
            let slot = (self.tick >> shift) as usize % SLOTS;
            let mut at = std::mem::replace(&mut self.heads[level][slot], NIL);
            self.occupied[level] &= !(1 << slot);
            while at != NIL {
                let timer = &mut self.timers[at as usize];
                let next = timer.next;
                timer.slot = NOWHERE;
                if timer.at == NEVER {
                    // Disarmed meanwhile.
                } else if due_tick(timer.at) <= self.tick {
                    timer.fired = true;
                    timer.at = NEVER;
                    if let Some(waker) = timer.waker.take() {
                        fire(waker);
                    }
                } else {
                    self.file(at);
                }
                at = next;
            }
        }
    }

    /// The earliest tick at or after `self.tick` at which a slot comes up.
    fn next_tick(&self) -> Option<u64> {
        let mut best: Option<u64> = None;
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = level as u32 * SLOT_BITS;
            // The first period of this level that begins at or after the current tick.
            let from = (self.tick + (1 << shift) - 1) >> shift;
            let turned = occupied.rotate_right((from % SLOTS as u64) as u32);
            let tick = (from + u64::from(turned.trailing_zeros())) << shift;
            best = Some(best.map_or(tick, |other| other.min(tick)));
        }
        best
    }

    /// Links a timer into the slot for its time.
    fn file(&mut self, index: u32) {
        let due = due_tick(self.timers[index as usize].at).max(self.tick);
        let distance = due - self.tick;
        let mut level = 0;
        while level + 1 < LEVELS && distance >= 1 << (SLOT_BITS * (level as u32 + 1)) {
            level += 1;
        }
        let shift = level as u32 * SLOT_BITS;
        let first = (self.tick + (1 << shift) - 1) >> shift;
        // The slot begins at or before the due tick, but not before the current one, and within one turn of the wheel.
        let period = (due >> shift).clamp(first, first + SLOTS as u64 - 1);
        let slot = (period % SLOTS as u64) as usize;
        let head = std::mem::replace(&mut self.heads[level][slot], index);
        if head != NIL {
            self.timers[head as usize].previous = index;
        }
        let timer = &mut self.timers[index as usize];
        timer.previous = NIL;
        timer.next = head;
        timer.slot = (level * SLOTS + slot) as u16;
        timer.filed = period << shift;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let timer = &mut self.timers[index as usize];
        if timer.slot == NOWHERE {
            return;
        }
        let (level, slot) = (timer.slot as usize / SLOTS, timer.slot as usize % SLOTS);
        let (previous, next) = (timer.previous, timer.next);
        timer.slot = NOWHERE;
        if previous == NIL {
            self.heads[level][slot] = next;
            if next == NIL {
                self.occupied[level] &= !(1 << slot);
            }
        } else {
            self.timers[previous as usize].next = next;
        }
        if next != NIL {
            self.timers[next as usize].previous = previous;
        }
    }
}

/// The first tick that begins at or after `at`.
fn due_tick(at: u64) -> u64 {
    (at >> TICK_SHIFT) + u64::from(at & ((1 << TICK_SHIFT) - 1) != 0)
}

#[cfg(test)]
mod tests;
