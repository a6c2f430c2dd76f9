//! Multishot receive into provided buffers: a connection at rest holds no buffer.
//!
//! The armed operation belongs to the socket, each filled buffer to its `RecvBuf`. Invariants: bytes come in order;
//! a reader that lags pauses its receive after `RECEIVE_BACKLOG_MAX` results; a receive that ran out of buffers is armed
//! again when one returns (the kernel does not resume by itself).

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::Socket;
use crate::driver::Operation;
use crate::event_loop::{SPARE_BYTES, errno, try_with, with};
use crate::flight::{Arrival, Key, Yield};

/// Received bytes, in a provided buffer that goes back to the ring on drop. Never keep one while waiting for more input:
/// copy what is needed, or all connections starve together.
///
/// Invariant: `at` points at `length` bytes of a provided buffer, at a whole heap block that is ours, or at the first
/// `length` of a block of `SPARE_BYTES` that is ours.
pub struct RecvBuf {
    at: NonNull<u8>,
    length: u32,
    source: Source,
    /// Belongs to this thread's ring.
    local: PhantomData<*const ()>,
}

enum Source {
    Provided(u16),
    /// The bytes had to leave their buffer while their reader lagged.
    Heap,
    /// Received inline, into a buffer of `SPARE_BYTES` that goes back to the thread's few.
    Spare,
}

/// Buffers for inline receives kept per thread.
const SPARES_MAX: usize = 8;

impl Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: a provided buffer has `length` readable, unchanging bytes until `give_back` (`Driver`'s contract), which
        // only our drop calls, and the runtime keeps the memory when buffers outlive it (`abandon_buffers`); a heap block
        // is ours and never touched.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.length as usize) }
    }
}

impl Drop for RecvBuf {
    #[inline]
    fn drop(&mut self) {
        match self.source {
            Source::Provided(id) => {
                try_with(|core| core.give_back(id));
            }
            Source::Heap => {
                let block = NonNull::slice_from_raw_parts(self.at, self.length as usize);
                // SAFETY: `from_heap` took this block from a box of exactly this length, and we free it once.
                drop(unsafe { Box::from_raw(block.as_ptr()) });
            }
            Source::Spare => {
                // SAFETY: `from_spare` took this block from a box of exactly this length, and we take it back once.
                let spare = unsafe { Box::from_raw(self.at.cast::<[u8; SPARE_BYTES]>().as_ptr()) };
                try_with(|core| {
                    let mut spares = core.spares.borrow_mut();
                    if spares.len() < SPARES_MAX {
                        spares.push(spare);
                    }
                });
            }
        }
    }
}

impl std::fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecvBuf({} bytes)", self.length)
    }
}

impl Socket {
    /// The next bytes; `None`: the peer has ended its side. Arms the receive when it is not. One reader at a time.
    pub fn recv(&self) -> RecvFuture<'_> {
        RecvFuture { socket: self }
    }

    /// As [`Socket::recv`].
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<RecvBuf>>> {
        if self.ended.get() {
            return Poll::Ready(None);
        }
        // At most twice around: a receive that was paused or ran dry is armed again once.
        loop {
            let key = match self.receive.get() {
                Some(key) => key,
                None => self.arm_receive(),
            };
            let next = with(|core| core.flights.borrow_mut().next_arrival(key, cx.waker()));
            let Some(arrival) = next else {
                return Poll::Pending;
            };
            if !arrival.more {
                self.receive.set(None);
            }
            match self.take(arrival, cx) {
                Taken::Again => {}
                Taken::Starved => return Poll::Pending,
                Taken::Result(result) => return Poll::Ready(result),
            }
        }
    }

    /// What has come already, inline, without the ring; pending: nothing has. For the first bytes of a connection whose peer
    /// speaks first: where they are there, no receive has to be armed, which a connection of one request then never needs.
    /// Only with no receive armed, else bytes would overtake each other.
    pub fn recv_now(&self) -> Poll<Option<io::Result<RecvBuf>>> {
        debug_assert!(self.receive.get().is_none(), "an armed receive would race");
        if self.ended.get() {
            return Poll::Ready(None);
        }
        let kept = with(|core| core.spares.borrow_mut().pop());
        let mut spare = kept.unwrap_or_else(|| Box::new([0; SPARE_BYTES]));
        let received = with(|core| {
            let mut driver = core.driver.borrow_mut();
            driver.receive_now(self.handle(), &mut spare[..])
        });
        let taken = RecvBuf::from_spare(spare, *received.as_ref().unwrap_or(&0));
        match received {
            Ok(0) => {
                self.ended.set(true);
                Poll::Ready(None)
            }
            Ok(_) => Poll::Ready(Some(Ok(taken))),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Poll::Pending,
                _ => {
                    self.ended.set(true);
                    Poll::Ready(Some(Err(error)))
                }
            },
        }
    }

    fn take(&self, arrival: Arrival, cx: &mut Context<'_>) -> Taken {
        if let Some(bytes) = arrival.spilled {
            return Taken::Result((!bytes.is_empty()).then(|| Ok(RecvBuf::from_heap(bytes))));
        }
        match (arrival.result, arrival.buffer) {
            (1.., Some(id)) => {
                Taken::Result(Some(Ok(RecvBuf::from_ring(id, arrival.result as u32))))
            }
            (0, buffer) => {
                if let Some(id) = buffer {
                    with(|core| core.give_back(id));
                }
                self.ended.set(true);
                Taken::Result(None)
            }
            (result, _) => match -result {
                // Paused by us, or ended by an overflowing completion queue: arm again.
                sys::errno::ECANCELED | sys::errno::EAGAIN | sys::errno::EINTR => Taken::Again,
                // No provided buffer was left. Wait for one to come back.
                sys::errno::ENOBUFS => self.starve(cx),
                _ => {
                    self.ended.set(true);
                    Taken::Result(Some(Err(errno(result))))
                }
            },
        }
    }

    fn starve(&self, cx: &mut Context<'_>) -> Taken {
        with(|core| {
            core.tallies
                .starvations
                .set(core.tallies.starvations.get() + 1);
            if core.buffers_out.get() < u32::from(core.options.buffers) {
                // Some came back meanwhile.
                return Taken::Again;
            }
            core.starved.borrow_mut().push(cx.waker().clone());
            Taken::Starved
        })
    }

    /// Stops receiving until the next `recv` or `poll_recv`, so that the peer feels back-pressure; what has arrived
    /// stays queued.
    pub fn pause_recv(&self) {
        if let Some(key) = self.receive.get() {
            with(|core| {
                if core.flights.borrow_mut().pause(key) {
                    core.cancel(key.user_data());
                }
            });
        }
    }

    /// Is a receive armed, or are bytes waiting from one?
    pub fn is_receiving(&self) -> bool {
        self.receive.get().is_some()
    }

    fn arm_receive(&self) -> Key {
        with(|core| {
            let key = core.flights.borrow_mut().stream(Yield::Buffer);
            // SAFETY: the memory it writes to is the driver's own.
            unsafe {
                core.driver.borrow_mut().push(
                    key.user_data(),
                    &Operation::Receive {
                        socket: self.handle(),
                    },
                )
            };
            self.receive.set(Some(key));
            key
        })
    }

    /// Gives up the armed receive and what it brought. Some: it is still in the kernel under this user data.
    pub(super) fn forget_receive(&self) -> Option<u64> {
        let key = self.receive.take()?;
        try_with(|core| {
            let mut unread = Vec::new();
            let in_kernel = core
                .flights
                .borrow_mut()
                .abandon(key, |arrival, _| unread.push(arrival));
            for arrival in unread {
                core.discard(arrival, Yield::Buffer);
            }
            in_kernel.then_some(key.user_data())
        })
        .flatten()
    }
}

enum Taken {
    Result(Option<io::Result<RecvBuf>>),
    Again,
    Starved,
}

impl RecvBuf {
    fn from_ring(id: u16, length: u32) -> RecvBuf {
        let at = with(|core| core.driver.borrow_mut().buffer(id));
        RecvBuf {
            at,
            length,
            source: Source::Provided(id),
            local: PhantomData,
        }
    }

    fn from_spare(bytes: Box<[u8; SPARE_BYTES]>, length: usize) -> RecvBuf {
        RecvBuf {
            at: NonNull::from(Box::leak(bytes)).cast(),
            length: length.min(SPARE_BYTES) as u32,
            source: Source::Spare,
            local: PhantomData,
        }
    }

    fn from_heap(bytes: Box<[u8]>) -> RecvBuf {
        let length = bytes.len() as u32;
        let at = NonNull::from(Box::leak(bytes)).cast();
        RecvBuf {
            at,
            length,
            source: Source::Heap,
            local: PhantomData,
        }
    }
}

/// Future of [`Socket::recv`]; dropping it loses nothing.
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a> {
    socket: &'a Socket,
}

impl Future for RecvFuture<'_> {
    type Output = Option<io::Result<RecvBuf>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.socket.poll_recv(cx)
    }
}
