//! Workers that sleep and are woken: nobody sleeps while there is work and a waker has been by.

use loom::sync::Arc;
use loom::thread;

use super::queue::Memory;
use super::{Futex, check, check_within};
use crate::parking::{self, Mask, NOTIFIED, PARKED, RUNNING};
use crate::queue::Push;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

struct Yard {
    memory: Memory,
    idle: Vec<AtomicU64>,
    seats: Vec<(AtomicU32, Futex)>,
    drain: AtomicU32,
}

impl Yard {
    fn new(workers: usize) -> Arc<Yard> {
        Arc::new(Yard {
            memory: Memory::new(4),
            idle: vec![AtomicU64::new(0)],
            seats: (0..workers)
                .map(|_| (AtomicU32::new(RUNNING), Futex::new()))
                .collect(),
            drain: AtomicU32::new(0),
        })
    }

    fn unpark(&self, index: u16) {
        let (word, futex) = &self.seats[usize::from(index)];
        if parking::notify(word) {
            futex.wake();
        }
    }

    /// Edge: queues and wakes one (`wake::wake_one`).
    fn submit(&self, slot: u32) {
        assert!(matches!(
            self.memory.queue().push(slot, |_| true),
            Push::Queued { .. }
        ));
        self.wake_one();
    }

    fn wake_one(&self) {
        if let Some(index) = Mask(&self.idle).take_best(|_| Some(0)) {
            self.unpark(index);
        }
    }

    /// Worker: one claim, however long it takes; `None` when told to drain. Hands on what it leaves (`WorkerSeat::try_claim`, `drop`).
    fn next(&self, index: u16) -> Option<u32> {
        loop {
            let drained = self.drain.load(Ordering::SeqCst) != 0;
            if drained {
                if !self.memory.queue().is_empty() {
                    self.wake_one();
                }
                return None;
            }
            if let Some((_, slot)) = self.memory.queue().pop() {
                if !self.memory.queue().is_empty() {
                    self.wake_one();
                }
                return Some(slot);
            }
            let (word, futex) = &self.seats[usize::from(index)];
            let worth =
                || !self.memory.queue().is_empty() || self.drain.load(Ordering::SeqCst) != 0;
            parking::sleep(word, Mask(&self.idle), index, worth, |word| {
                futex.wait(word, PARKED)
            });
        }
    }
}

#[test]
fn a_worker_never_sleeps_through_a_request() {
    check(|| {
        let yard = Yard::new(1);
        let worker = {
            let yard = Arc::clone(&yard);
            thread::spawn(move || [yard.next(0), yard.next(0)])
        };
        yard.submit(1);
        yard.submit(2);
        assert_eq!(worker.join().unwrap(), [Some(1), Some(2)]);
        assert_ne!(yard.seats[0].0.load(Ordering::SeqCst), PARKED);
    });
}

#[test]
fn two_rings_and_two_workers() {
    check_within(1, || {
        let yard = Yard::new(2);
        let workers: Vec<_> = [0, 1]
            .map(|index| {
                let yard = Arc::clone(&yard);
                thread::spawn(move || yard.next(index).unwrap())
            })
            .into();
        let ring = {
            let yard = Arc::clone(&yard);
            thread::spawn(move || yard.submit(1))
        };
        yard.submit(2);
        ring.join().unwrap();
        let mut got: Vec<u32> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn a_drain_reaches_a_sleeper() {
    check(|| {
        let yard = Yard::new(1);
        let worker = {
            let yard = Arc::clone(&yard);
            thread::spawn(move || yard.next(0))
        };
        yard.drain.store(1, Ordering::SeqCst);
        yard.unpark(0);
        assert_eq!(worker.join().unwrap(), None);
    });
}

#[test]
fn waking_twice_is_waking_once() {
    check(|| {
        let yard = Yard::new(1);
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let yard = Arc::clone(&yard);
                thread::spawn(move || yard.unpark(0))
            })
            .collect();
        let (word, futex) = &yard.seats[0];
        parking::sleep(
            word,
            Mask(&yard.idle),
            0,
            || false,
            |word| futex.wait(word, PARKED),
        );
        for waker in wakers {
            waker.join().unwrap();
        }
        assert!([RUNNING, NOTIFIED].contains(&word.load(Ordering::SeqCst)));
        assert!(Mask(&yard.idle).is_empty());
    });
}
