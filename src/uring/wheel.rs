//! A hierarchical timer wheel: six levels of 64 slots, ticks of about a millisecond.
//!
//! Owns the timers, in a slab, linked into their slots. Invariants: a timer never fires before its time; an armed timer
//! stands in exactly one slot, whose time is at or before its own (moving a timer later only writes its time: the early
//! slot re-files it when it comes up). Pure: time comes in as an argument. Must not know tasks beyond their wakers.

use std::num::NonZeroU32;
use std::task::Waker;

use crate::store::Store;

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
pub struct TimerKey(NonZeroU32);

impl TimerKey {
    fn index(self) -> u32 {
        self.0.get() - 1
    }
}

/// The wheel.
pub struct Wheel {
    timers: Store<Timer>,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// Every tick before this one has been handled.
    tick: u64,
}

impl Wheel {
    pub fn new(now: u64) -> Wheel {
        Wheel {
            timers: Store::default(),
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            tick: now >> TICK_SHIFT,
        }
    }

    /// A timer, not armed.
    pub fn insert(&mut self) -> TimerKey {
        let timer = Timer {
            at: NEVER,
            waker: None,
            previous: NIL,
            next: NIL,
            slot: NOWHERE,
            fired: false,
        };
        TimerKey(
            NonZeroU32::new(self.timers.insert(timer) + 1).expect("the last number is never given"),
        )
    }

    pub fn remove(&mut self, key: TimerKey) {
        self.unlink(key.index());
        self.timers.remove(key.index());
    }

    /// Moves a timer. Later is a store, earlier re-files; `NEVER` disarms.
    pub fn set(&mut self, key: TimerKey, at: u64) {
        let timer = self.timer(key.index());
        timer.at = at;
        timer.fired = false;
        if at == NEVER {
            // The slot drops it when it comes up.
            return;
        }
        let slot = timer.slot;
        if slot == NOWHERE {
            self.file(key.index());
        } else if due_tick(at) < self.tick_of(slot) {
            self.unlink(key.index());
            self.file(key.index());
        }
    }

    pub fn at(&self, key: TimerKey) -> u64 {
        self.timers.get(key.index()).map_or(NEVER, |timer| timer.at)
    }

    /// Has it fired since it was set? Otherwise leaves the waker to be woken when it does.
    pub fn poll(&mut self, key: TimerKey, waker: &Waker) -> bool {
        let timer = self.timer(key.index());
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
                let tick = self.tick;
                let timer = self.timer(at);
                let next = timer.next;
                timer.slot = NOWHERE;
                if timer.at == NEVER {
                    // Disarmed meanwhile.
                } else if due_tick(timer.at) <= tick {
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

    /// The tick at which a slot comes up next: the one that the timers in it are filed under, since none is filed further
    /// ahead than one turn of its level.
    fn tick_of(&self, slot: u16) -> u64 {
        let (level, slot) = (usize::from(slot) / SLOTS, u64::from(slot) % SLOTS as u64);
        let shift = level as u32 * SLOT_BITS;
        let first = (self.tick + (1 << shift) - 1) >> shift;
        let ahead = slot.wrapping_sub(first) % SLOTS as u64;
        (first + ahead) << shift
    }

    /// A timer by its place.
    #[inline]
    fn timer(&mut self, index: u32) -> &mut Timer {
        let timer = self.timers.get_mut(index);
        timer.expect("keys and links name timers that are there")
    }

    /// Links a timer into the slot for its time.
    fn file(&mut self, index: u32) {
        let due = due_tick(self.timer(index).at).max(self.tick);
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
            self.timer(head).previous = index;
        }
        let timer = self.timer(index);
        timer.previous = NIL;
        timer.next = head;
        timer.slot = (level * SLOTS + slot) as u16;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let timer = self.timer(index);
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
            self.timer(previous).next = next;
        }
        if next != NIL {
            self.timer(next).previous = previous;
        }
    }
}

/// The first tick that begins at or after `at`.
fn due_tick(at: u64) -> u64 {
    (at >> TICK_SHIFT) + u64::from(at & ((1 << TICK_SHIFT) - 1) != 0)
}

#[cfg(test)]
mod tests;
