//! Holds the workers of a new generation back until all of them could serve, so that no request is lost to a sibling that fails.
//!
//! For threads of one process. Invariant: once open it stays open. (Forked workers wait for an eventfd instead, see `zygote`.)

use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    /// Sleeps until it is open. Not with the GIL.
    pub fn pass(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.opened
                .wait_while(open, |open| !*open)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
