//! The wheel against a sorted list.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

const MS: u64 = 1_000_000;
const TICK: u64 = 1 << TICK_SHIFT;

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counter() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (count.clone(), count.into())
}

/// A little generator: the tests must not need a crate for it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn fires_once_and_not_early() {
    let mut wheel = Wheel::new(5 * MS);
    let (count, waker) = counter();
    let key = wheel.insert();
    wheel.set(key, 100 * MS);
    assert!(!wheel.poll(key, &waker));
    wheel.advance(99 * MS, Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    wheel.advance(102 * MS, Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(wheel.poll(key, &waker));
    wheel.advance(10_000 * MS, Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(wheel.next_at(), None);
}

#[test]
fn moving_later_needs_no_refiling_and_earlier_is_seen() {
    let mut wheel = Wheel::new(0);
    let (count, waker) = counter();
    let key = wheel.insert();
    for at in 1..1000 {
        wheel.set(key, at * 10 * MS);
        assert!(!wheel.poll(key, &waker));
        wheel.advance(at * MS, Waker::wake);
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    wheel.set(key, 1001 * MS);
    wheel.advance(1003 * MS, Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_disarmed_timer_does_not_fire_and_can_be_armed_again() {
    let mut wheel = Wheel::new(0);
    let (count, waker) = counter();
    let key = wheel.insert();
    wheel.set(key, 10 * MS);
    assert!(!wheel.poll(key, &waker));
    wheel.set(key, NEVER);
    wheel.advance(20 * MS, Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    wheel.set(key, 30 * MS);
    wheel.advance(40 * MS, Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    wheel.remove(key);
    assert_eq!(wheel.len(), 0);
}

#[test]
fn next_at_is_never_late_whatever_is_armed_and_moved() {
    for seed in 1..200 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut now = random.below(1 << 50);
        let mut wheel = Wheel::new(now);
        let mut timers: Vec<(TimerKey, Arc<Count>, u64)> = Vec::new();
        for _ in 0..400 {
            match random.below(4) {
                0 => {
                    let key = wheel.insert();
                    timers.push((key, counter().0, NEVER));
                }
                1 | 2 if !timers.is_empty() => {
                    let index = random.below(timers.len() as u64) as usize;
                    let reach = 1 << (18 + random.below(28));
                    let at = now + random.below(reach);
                    let (key, count, expected) = &mut timers[index];
                    wheel.set(*key, at);
                    *expected = at;
                    let waker: Waker = count.clone().into();
                    wheel.poll(*key, &waker);
                }
                3 if !timers.is_empty() && random.below(8) == 0 => {
                    let index = random.below(timers.len() as u64) as usize;
                    wheel.remove(timers.swap_remove(index).0);
                }
                _ => now = step(&mut wheel, &mut timers, now, &mut random),
            }
        }
        while wheel.next_at().is_some() {
            now = step(&mut wheel, &mut timers, now, &mut random);
        }
        assert!(
            timers.iter().all(|timer| timer.2 == NEVER),
            "seed {seed}: a timer was lost"
        );
    }
}

/// Sleeps as the loop would, then checks every timer against its time.
fn step(
    wheel: &mut Wheel,
    timers: &mut [(TimerKey, Arc<Count>, u64)],
    now: u64,
    random: &mut Random,
) -> u64 {
    let now = match wheel.next_at() {
        Some(at) if random.below(3) > 0 => now.max(at) + random.below(3) * TICK / 2,
        _ => now + random.below(20 * MS),
    };
    wheel.advance(now, Waker::wake);
    for (_, count, expected) in timers {
        let fired = count.0.swap(0, Ordering::Relaxed) > 0;
        if fired {
            assert!(*expected <= now, "fired early");
            *expected = NEVER;
        } else {
            assert!(*expected == NEVER || *expected + TICK > now, "fired late");
        }
    }
    now
}
