//! A connected socket.
//!
//! Owns the descriptor and its armed receive. Invariant: dropping never blocks and the peer sees the end at once: an armed
//! receive would keep the file open (closing is not closing), so it is cancelled in the same submission. Must not know
//! protocols.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::receive::Inbox;
use crate::descriptor::Descriptor;
use crate::driver::Handle;
use crate::event_loop::with;
use crate::flight::Key;
use crate::fs::File;
use sys::transfer::Shutdown;

/// A connected stream socket, non-blocking. 16 bytes, plus one flight while a receive is armed.
#[derive(Debug)]
pub struct Socket {
    /// Taken by the drop alone.
    descriptor: ManuallyDrop<Descriptor>,
    pub(super) receive: Cell<Option<Key>>,
    /// The peer has ended its side, or an error has: no receive will be armed again.
    pub(super) ended: Cell<bool>,
    pub(super) inbox: Cell<Inbox>,
    /// Successful receives since the last wait.
    pub(super) in_a_row: Cell<u8>,
    /// Operations other than the receive have been pushed, of which one may wait in the submission queue still.
    pub(super) pushed: Cell<bool>,
}

impl Socket {
    /// Takes over a connected socket; it must be non-blocking for `try_sendfile` not to sleep.
    pub fn from_fd(fd: OwnedFd) -> Socket {
        Socket::from_descriptor(Descriptor::from(fd))
    }

    pub(crate) fn from_handle(handle: Handle) -> Socket {
        Socket::from_descriptor(Descriptor::from_handle(handle))
    }

    fn from_descriptor(descriptor: Descriptor) -> Socket {
        Socket {
            descriptor: ManuallyDrop::new(descriptor),
            receive: Cell::new(None),
            ended: Cell::new(false),
            inbox: Cell::new(Inbox::Dry),
            in_a_row: Cell::new(0),
            pushed: Cell::new(false),
        }
    }

    pub fn handle(&self) -> Handle {
        self.descriptor.handle()
    }

    /// The handle, for an operation that goes through the submission queue.
    pub(super) fn handle_to_push(&self) -> Handle {
        self.pushed.set(true);
        self.handle()
    }

    /// The peer's address; `None` on a unix socket.
    pub fn peer(&self) -> io::Result<Option<SocketAddr>> {
        with(|core| core.driver.borrow_mut().peer_now(self.handle()))
    }

    /// Our own address; `None` on a unix socket.
    pub fn local(&self) -> io::Result<Option<SocketAddr>> {
        with(|core| core.driver.borrow_mut().local_now(self.handle()))
    }

    /// Ends one or both directions at once; queued ring sends may be cut off, so await them first.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        with(|core| core.driver.borrow_mut().shutdown_now(self.handle(), how))
    }

    /// What the socket's buffer takes at once, without the ring; `WouldBlock` when it is full: await `writable`.
    #[inline]
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        with(|core| {
            core.driver
                .borrow_mut()
                .send_now(self.handle(), bytes, false)
        })
    }

    /// As `try_send`, announcing that more follows at once (`MSG_MORE`: a partial segment may wait for it).
    pub fn try_send_more(&self, bytes: &[u8]) -> io::Result<usize> {
        with(|core| {
            core.driver
                .borrow_mut()
                .send_now(self.handle(), bytes, true)
        })
    }

    /// As `try_send` for several pieces in one call; `more`: as `try_send_more`.
    pub fn try_send_parts(&self, parts: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        with(|core| {
            core.driver
                .borrow_mut()
                .send_parts_now(self.handle(), parts, more)
        })
    }

    /// What is there to read, without the ring and its buffers: for draining a socket that is about to be closed. 0 is the
    /// end. Only with no receive armed, else bytes would overtake each other.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(self.receive.get().is_none(), "an armed receive would race");
        with(|core| core.driver.borrow_mut().receive_now(self.handle(), buffer))
    }

    /// Pages of a file to the socket, inline. Non-blocking on the socket's side; on the file's side it sleeps for pages
    /// that are not cached: ask `File::is_cached` first. 0: the file ended before `offset + length`.
    pub fn try_sendfile(&self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        with(|core| {
            core.driver
                .borrow_mut()
                .sendfile_now(self.handle(), file.handle(), offset, length)
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let cancel = self.forget_receive();
        // SAFETY: taken once, here, and not used afterwards.
        let descriptor = unsafe { ManuallyDrop::take(&mut self.descriptor) };
        if cancel.is_none() && !self.pushed.get() {
            // A socket without SO_LINGER does not sleep in close(2), and what was held back for the end leaves now.
            descriptor.close_now();
        } else {
            // An operation that is not submitted yet must not meet the number in another file's service.
            descriptor.close_after(cancel);
        }
    }
}
