//! Receiving: a multishot poll says that something is there, and an inline receive takes it into one of the thread's few buffers.
//!
//! The armed poll belongs to the socket, each filled buffer to its `RecvBuf`. A connection at rest holds no buffer. Invariants: bytes come in
//! order; nothing is taken before it is asked for, so a peer feels at once that nobody reads; what the poll has told is not forgotten
//! before a receive has found nothing more (it tells once: kernel-notes/poll-tells-once.md).

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Socket;
use crate::driver::{Interest, Operation};
use crate::event_loop::{SPARE_BYTES, errno, try_with, with};
use crate::flight::{Key, Yield};
use sys::transfer::POLL_ENDED;

/// Received bytes, in a buffer that goes back to the thread's few on drop.
pub struct RecvBuf {
    /// Present until drop.
    block: Option<Box<[u8; SPARE_BYTES]>>,
    length: usize,
}

/// Buffers kept per thread.
const SPARES_MAX: usize = 8;
/// Receives of one socket that succeed one behind the other before the rest of the loop has its turn.
const RECEIVES_IN_A_ROW: u8 = 4;

/// What is known of a socket's receive queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbox {
    /// Nothing is there that the poll will not tell of.
    Dry,
    /// Something may be there.
    Filled,
    /// The peer has ended its side or died: there is the rest, and then the end.
    Closing,
}

impl Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.block
            .as_ref()
            .map_or(&[], |block| &block[..self.length])
    }
}

impl Drop for RecvBuf {
    #[inline]
    fn drop(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        try_with(|core| {
            let mut spares = core.spares.borrow_mut();
            if spares.len() < SPARES_MAX {
                spares.push(block);
            }
        });
    }
}

impl std::fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecvBuf({} bytes)", self.length)
    }
}

impl Socket {
    /// The next bytes; `None`: the peer has ended its side. Arms the poll when it is not. One reader at a time.
    pub fn recv(&self) -> RecvFuture<'_> {
        RecvFuture { socket: self }
    }

    /// As [`Socket::recv`].
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<RecvBuf>>> {
        if self.ended.get() {
            return Poll::Ready(None);
        }
        loop {
            if self.inbox.get() != Inbox::Dry {
                if self.in_a_row.get() == RECEIVES_IN_A_ROW {
                    self.in_a_row.set(0);
                    with(|core| core.yielded.borrow_mut().push(cx.waker().clone()));
                    return Poll::Pending;
                }
                if let Poll::Ready(received) = self.recv_now() {
                    self.in_a_row.set(self.in_a_row.get() + 1);
                    return Poll::Ready(received);
                }
            }
            let key = match self.receive.get() {
                Some(key) => key,
                None => self.arm_receive(),
            };
            let next = with(|core| core.flights.borrow_mut().next_arrival(key, cx.waker()));
            let Some(arrival) = next else {
                self.in_a_row.set(0);
                return Poll::Pending;
            };
            if !arrival.more {
                self.receive.set(None);
            }
            match arrival.result {
                events @ 0.. if events as u32 & POLL_ENDED != 0 => self.inbox.set(Inbox::Closing),
                0.. => self.inbox.set(Inbox::Filled),
                // Ended by an overflowing completion queue: arm again.
                result if -result == sys::errno::ECANCELED => {}
                result => {
                    self.ended.set(true);
                    return Poll::Ready(Some(Err(errno(result))));
                }
            }
        }
    }

    /// What has come already; pending: nothing has. For the first bytes of a connection whose peer speaks first: where they are there, no
    /// poll has to be armed, which a connection of one request then never needs.
    pub fn recv_now(&self) -> Poll<Option<io::Result<RecvBuf>>> {
        if self.ended.get() {
            return Poll::Ready(None);
        }
        let kept = with(|core| core.spares.borrow_mut().pop());
        let mut block = kept.unwrap_or_else(|| Box::new([0; SPARE_BYTES]));
        let received = loop {
            let received = with(|core| {
                let mut driver = core.driver.borrow_mut();
                driver.receive_now(self.handle(), &mut block[..])
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => break received,
            }
        };
        let buffer = RecvBuf {
            block: Some(block),
            length: *received.as_ref().unwrap_or(&0),
        };
        match received {
            Ok(0) => {
                self.ended.set(true);
                Poll::Ready(None)
            }
            Ok(length) => {
                // A short count has emptied the queue; what comes then, the poll tells.
                if length < SPARE_BYTES && self.inbox.get() == Inbox::Filled {
                    self.inbox.set(Inbox::Dry);
                }
                Poll::Ready(Some(Ok(buffer)))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.inbox.set(Inbox::Dry);
                Poll::Pending
            }
            Err(error) => {
                self.ended.set(true);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// Is a poll armed, or has it told of something?
    pub fn is_receiving(&self) -> bool {
        self.receive.get().is_some()
    }

    fn arm_receive(&self) -> Key {
        with(|core| {
            let key = core.flights.borrow_mut().stream(Yield::Count);
            let operation = Operation::Poll {
                handle: self.handle(),
                interest: Interest::Readable,
                stay: true,
            };
            // SAFETY: a poll points at no memory.
            unsafe { core.driver.borrow_mut().push(key.user_data(), &operation) };
            self.receive.set(Some(key));
            key
        })
    }

    /// Gives up the armed poll. Some: it is still in the kernel under this user data.
    pub(super) fn forget_receive(&self) -> Option<u64> {
        let key = self.receive.take()?;
        try_with(|core| {
            let in_kernel = core.flights.borrow_mut().abandon(key, |_, _| {});
            in_kernel.then_some(key.user_data())
        })
        .flatten()
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
