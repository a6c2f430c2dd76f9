//! Who may touch a worker's part of the exchange: the worker itself, until its seat is taken away from it.
//!
//! A worker stuck in Python cannot be stopped from outside when it is an interpreter among others. Its seat is given to a successor instead, and the lease
//! makes sure that the stuck one, should it ever come back, writes nothing more: it holds the lease whenever it touches shared memory, and lets it go around every
//! call into Python. Two atomic operations per crossing, both uncontended.

use std::sync::atomic::{AtomicU8, Ordering};

const FREE: u8 = 0;
const HELD: u8 = 1;
const REVOKED: u8 = 2;

/// Shared between a worker and its host.
#[derive(Debug, Default)]
pub struct Lease(AtomicU8);

/// Why the lease cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Another thread of the application has it, e.g. in `write()`.
    Busy,
    /// The seat has a new occupant; touch nothing.
    Revoked,
}

impl Lease {
    /// Before touching shared memory.
    #[inline]
    pub fn hold(&self) -> Result<(), Denied> {
        match self
            .0
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(HELD) => Err(Denied::Busy),
            Err(_) => Err(Denied::Revoked),
        }
    }

    /// Before calling into Python.
    #[inline]
    pub fn release(&self) {
        self.0.store(FREE, Ordering::Release);
    }

    pub fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Acquire) == REVOKED
    }

    /// Takes the seat away. `false`: the worker is at work in shared memory right now, hence not stuck in Python; ask again later.
    pub fn revoke(&self) -> bool {
        self.0
            .compare_exchange(FREE, REVOKED, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the seat away whoever is at work: in a copy of the process, where nobody else is.
    pub fn seize(&self) {
        self.0.store(REVOKED, Ordering::Release);
    }
}
