//! Sleeping and deadlines over the loop's timer wheel. Resolution: a tick of about a millisecond, never early.
//!
//! Owns one wheel entry per `Deadline` that was ever set. Must not know what is timed.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use crate::event_loop::{try_with, with};
use crate::runtime::now;
use crate::wheel::{NEVER, TimerKey};

/// A point in time that may move. One per connection; moving it later is a store, and re-arming never allocates.
#[derive(Default)]
pub struct Deadline {
    key: Cell<Option<TimerKey>>,
}

impl Deadline {
    /// Not set; occupies no wheel entry before the first `set`.
    pub const fn new() -> Deadline {
        Deadline {
            key: Cell::new(None),
        }
    }

    /// Expire at `at_ns` on the clock of [`now`]; replaces an earlier time and forgets an earlier expiry.
    pub fn set(&self, at_ns: u64) {
        with(|core| {
            let mut wheel = core.wheel.borrow_mut();
            let key = self.key.get().unwrap_or_else(|| wheel.insert());
            self.key.set(Some(key));
            wheel.set(key, at_ns.min(NEVER - 1));
        });
    }

    /// Expire `ns` from now.
    pub fn set_after(&self, ns: u64) {
        self.set(now().saturating_add(ns));
    }

    /// Never expire.
    pub fn clear(&self) {
        if let Some(key) = self.key.get() {
            with(|core| core.wheel.borrow_mut().set(key, NEVER));
        }
    }

    /// When it will expire; `None` when it is not set or has expired.
    pub fn at(&self) -> Option<u64> {
        let key = self.key.get()?;
        let at = with(|core| core.wheel.borrow().at(key));
        (at != NEVER).then_some(at)
    }

    /// Ready once it has expired, until it is set or cleared. Unset: pending, and nothing will wake.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(key) = self.key.get() else {
            return Poll::Pending;
        };
        let expired = with(|core| core.wheel.borrow_mut().poll(key, cx.waker()));
        if expired {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits for the expiry.
    pub fn expired(&self) -> impl Future<Output = ()> + '_ {
        poll_fn(|cx| self.poll_expired(cx))
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(key) = self.key.get() {
            try_with(|core| core.wheel.borrow_mut().remove(key));
        }
    }
}

/// Waits `ns` nanoseconds.
pub async fn sleep(ns: u64) {
    let deadline = Deadline::new();
    deadline.set_after(ns);
    deadline.expired().await;
}

/// Runs `future` until the deadline expires; `None`: it did, and the future is dropped.
pub async fn within<F: Future>(deadline: &Deadline, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        deadline.poll_expired(cx).map(|()| None)
    })
    .await
}
