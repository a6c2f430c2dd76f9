//! Multishot accept: one submission, a completion per connection.
//!
//! Owns the listening descriptor and the armed operation. Invariant: what was accepted and never asked for is closed.
//! Must not know policy: when descriptors run out, the caller backs off.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use super::Socket;
use crate::descriptor::Descriptor;
use crate::driver::{Handle, Operation};
use crate::event_loop::{errno, try_with, with};
use crate::flight::{Key, Yield};

/// A listening socket.
#[derive(Debug)]
pub struct Listener(Descriptor);

impl Listener {
    /// Takes over a bound and listening socket.
    pub fn from_fd(fd: OwnedFd) -> Listener {
        Listener(Descriptor::from(fd))
    }

    pub(crate) fn from_handle(handle: Handle) -> Listener {
        Listener(Descriptor::from_handle(handle))
    }

    /// Starts accepting at the first `next`. Dropping the stream stops accepting and closes the listener.
    pub fn accept(self) -> AcceptStream {
        AcceptStream {
            listener: Some(self.0),
            armed: Cell::new(None),
            ending: Ending::No,
        }
    }
}

/// Connections as they come in.
pub struct AcceptStream {
    listener: Option<Descriptor>,
    armed: Cell<Option<Key>>,
    ending: Ending,
}

/// How far the last look at the queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// So many looks are left; the armed operation, if any, has still to be told to end.
    Looks(u32),
    /// It has been told.
    Told(u32),
}

/// Looks at the queue of a listener that is being left. Each takes all that wait; another is needed only if somebody came during the last.
const LAST_LOOKS_MAX: u32 = 64;

impl AcceptStream {
    /// The next connection. Failures of the single connection (reset before it was taken, say) are passed over. Any other
    /// error has ended the operation, and the next call arms it again: on `EMFILE` and `ENFILE` wait before you call.
    pub async fn next(&mut self) -> io::Result<Socket> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`AcceptStream::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        // Bounded by the connections that are waiting, and each pass consumes one.
        loop {
            let key = match self.armed.get() {
                Some(key) => key,
                None => self.arm(),
            };
            let next = with(|core| core.flights.borrow_mut().next_arrival(key, cx.waker()));
            let arrival = ready!(next.map_or(Poll::Pending, Poll::Ready));
            if !arrival.more {
                self.armed.set(None);
            }
            match -arrival.result {
                ..=0 => return Poll::Ready(Ok(Socket::from_handle(Handle(arrival.result)))),
                // The connection died in the queue (accept(2) lists these as the network's errors), or somebody ended
                // the operation: completion queue overflow may.
                number if is_passing(number) => {}
                _ => return Poll::Ready(Err(errno(arrival.result))),
            }
        }
    }

    /// As `poll_next`, for one who leaves the listener to others that have it too: what the kernel has taken still comes, with all that wait,
    /// and then the end. Nobody is left in the queue whose wake-up went to us (kernel-notes/accept-wakes-one.md).
    pub fn poll_last(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Socket>>> {
        loop {
            if self.ending == Ending::No {
                self.ending = Ending::Looks(LAST_LOOKS_MAX);
            }
            if self.armed.get().is_none() {
                let (Ending::Looks(left) | Ending::Told(left)) = self.ending else {
                    return Poll::Ready(None);
                };
                let listener = self.listener.as_ref().expect("present until drop").handle();
                let waits = with(|core| core.driver.borrow_mut().is_waiting_now(listener));
                if left == 0 || !waits {
                    return Poll::Ready(None);
                }
                self.ending = Ending::Looks(left - 1);
                self.arm();
            }
            if let Ending::Looks(left) = self.ending {
                self.look_again();
                self.ending = Ending::Told(left);
            }
            let key = self.armed.get().expect("just looked at");
            let next = with(|core| core.flights.borrow_mut().next_arrival(key, cx.waker()));
            let arrival = ready!(next.map_or(Poll::Pending, Poll::Ready));
            if !arrival.more {
                self.armed.set(None);
            }
            match -arrival.result {
                ..=0 => {
                    let socket = Socket::from_handle(Handle(arrival.result));
                    return Poll::Ready(Some(Ok(socket)));
                }
                number if is_passing(number) => {}
                _ => return Poll::Ready(Some(Err(errno(arrival.result)))),
            }
        }
    }

    /// Makes the kernel look at the queue of connections once more, by ending the armed operation: the next call of `next`
    /// arms a new one, which begins with a look. For connections whose wake-up went to another process's operation on the
    /// same socket, which then died with it (kernel-notes/accept-wakes-one.md).
    pub fn look_again(&self) {
        let Some(key) = self.armed.get() else { return };
        with(|core| core.cancel(key.user_data()));
    }

    fn arm(&self) -> Key {
        let listener = self.listener.as_ref().expect("present until drop").handle();
        with(|core| {
            let key = core.flights.borrow_mut().stream(Yield::Descriptor);
            // SAFETY: accepting points at no memory.
            unsafe {
                core.driver
                    .borrow_mut()
                    .push(key.user_data(), &Operation::Accept { listener })
            };
            self.armed.set(Some(key));
            key
        })
    }
}

/// Errors of one connection, not of the listener.
fn is_passing(number: i32) -> bool {
    use sys::errno::{EAGAIN, ECANCELED, ECONNABORTED, EINTR, EPROTO};
    [EAGAIN, ECANCELED, ECONNABORTED, EINTR, EPROTO].contains(&number)
}

impl Drop for AcceptStream {
    fn drop(&mut self) {
        let cancel = self.armed.take().and_then(|key| {
            try_with(|core| {
                let mut unwanted = Vec::new();
                let in_kernel = core
                    .flights
                    .borrow_mut()
                    .abandon(key, |arrival, _| unwanted.push(arrival));
                for arrival in unwanted {
                    core.discard(arrival, Yield::Descriptor);
                }
                in_kernel.then_some(key.user_data())
            })
            .flatten()
        });
        if let Some(listener) = self.listener.take() {
            listener.close_after(cancel);
        }
    }
}
