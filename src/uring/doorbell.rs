//! A doorbell: an eventfd that other threads and processes ring to make the loop turn.
//!
//! Owns the descriptor and its multishot poll. The poll completes once per ring, edge-triggered, so nobody has to read
//! the counter (it would take 2^64 rings to fill).

use std::cell::Cell;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use crate::descriptor::Descriptor;
use crate::driver::{Handle, Interest, Operation};
use crate::event_loop::{try_with, with};
use crate::flight::{Key, Yield};
use crate::runtime::spawn;

/// Listens to a doorbell for as long as the runtime lives: the loop turns whenever it is rung.
pub struct Doorbell {
    descriptor: Option<Descriptor>,
    armed: Cell<Option<Key>>,
}

impl Doorbell {
    /// Starts listening. What was rung before counts.
    pub fn from_fd(fd: OwnedFd) {
        Doorbell::listen(Descriptor::from(fd));
    }

    pub(crate) fn from_handle(handle: Handle) {
        Doorbell::listen(Descriptor::from_handle(handle));
    }

    fn listen(descriptor: Descriptor) {
        let bell = Doorbell {
            descriptor: Some(descriptor),
            armed: Cell::new(None),
        };
        spawn(async move {
            // The completion itself has turned the loop and run the poller; there is nothing else to do.
            loop {
                if poll_fn(|cx| bell.poll_rung(cx)).await.is_err() {
                    return;
                }
            }
        });
    }

    fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<Result<(), i32>> {
        loop {
            let key = match self.armed.get() {
                Some(key) => key,
                None => self.arm(),
            };
            let next = with(|core| core.flights.borrow_mut().next_arrival(key, cx.waker()));
            let Some(arrival) = next else {
                return Poll::Pending;
            };
            if !arrival.more {
                self.armed.set(None);
            }
            match arrival.result {
                0.. => {}
                // Ended by an overflowing completion queue: arm again.
                result if -result == sys::errno::ECANCELED => {}
                result => return Poll::Ready(Err(result)),
            }
        }
    }

    fn arm(&self) -> Key {
        let handle = self
            .descriptor
            .as_ref()
            .expect("present until drop")
            .handle();
        with(|core| {
            let key = core.flights.borrow_mut().stream(Yield::Count);
            let operation = Operation::Poll {
                handle,
                interest: Interest::Readable,
                stay: true,
            };
            // SAFETY: a poll points at no memory.
            unsafe { core.driver.borrow_mut().push(key.user_data(), &operation) };
            self.armed.set(Some(key));
            key
        })
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let cancel = self.armed.take().and_then(|key| {
            try_with(|core| {
                core.flights
                    .borrow_mut()
                    .abandon(key, |_, _| {})
                    .then_some(key.user_data())
            })
            .flatten()
        });
        if let Some(descriptor) = self.descriptor.take() {
            descriptor.close_after(cancel);
        }
    }
}
