//! Loom models: the algorithms of this crate, in every interleaving (within a preemption bound) and every outcome the memory model permits.
//!
//! Run by `scripts/loom`. A lost wake shows as a deadlock, a missing happens-before as a race on a checked cell, a lost or doubled request
//! as a failed assertion.

mod inbound;
mod outbox;
mod parking;
mod queue;
mod slot;
mod stream;

use loom::sync::{Condvar, Mutex};

use crate::sync::{AtomicU32, Ordering};

/// Preemptions per execution: published bugs of such protocols need two or three; more multiply the time.
const PREEMPTIONS: usize = 3;

fn check(model: impl Fn() + Send + Sync + 'static) {
    check_within(PREEMPTIONS, model);
}

fn check_within(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 50_000;
    builder.check(model);
}

/// What futex(2) promises: comparing and falling asleep are one step against a wake.
struct Futex {
    lock: Mutex<()>,
    bell: Condvar,
}

impl Futex {
    fn new() -> Futex {
        Futex {
            lock: Mutex::new(()),
            bell: Condvar::new(),
        }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) {
        let guard = self.lock.lock().unwrap();
        if word.load(Ordering::SeqCst) == expected {
            drop(self.bell.wait(guard).unwrap());
        }
    }

    fn wake(&self) {
        drop(self.lock.lock().unwrap());
        self.bell.notify_all();
    }
}

/// What an eventfd promises to a thread that polls it: a ring before or during the wait ends it.
struct Bell {
    rung: Mutex<u32>,
    bell: Condvar,
}

impl Bell {
    fn new() -> Bell {
        Bell {
            rung: Mutex::new(0),
            bell: Condvar::new(),
        }
    }

    fn ring(&self) {
        *self.rung.lock().unwrap() += 1;
        self.bell.notify_all();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while *rung == 0 {
            rung = self.bell.wait(rung).unwrap();
        }
        *rung = 0;
    }
}
