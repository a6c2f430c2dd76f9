//! A descriptor that somebody owns: closed through the ring when dropped, without blocking.
//!
//! Owns the handle. Must not know what it refers to.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use crate::driver::Handle;
use crate::event_loop::try_with;

/// Owner of a [`Handle`].
#[derive(Debug)]
pub struct Descriptor(Handle);

impl Descriptor {
    /// Takes over a handle that its driver gave out.
    pub(crate) fn from_handle(handle: Handle) -> Descriptor {
        Descriptor(handle)
    }

    pub fn handle(&self) -> Handle {
        self.0
    }

    /// Closes at once, without the ring, on which no operation may hold the file: for what closing never sleeps on.
    pub(crate) fn close_now(self) {
        let handle = self.0;
        if handle.is_virtual() {
            return;
        }
        std::mem::forget(self);
        // SAFETY: the handle is a descriptor of this process, and its one owner is being consumed.
        drop(unsafe { OwnedFd::from_raw_fd(handle.0) });
    }

    /// Closes, ending `cancel` first, an operation that still holds the file.
    pub(crate) fn close_after(self, cancel: Option<u64>) {
        let handle = self.0;
        std::mem::forget(self);
        close(handle, cancel);
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Descriptor {
        Descriptor(Handle(fd.into_raw_fd()))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        close(self.0, None);
    }
}

fn close(handle: Handle, cancel: Option<u64>) {
    if try_with(|core| core.close(handle, cancel)).is_none() && !handle.is_virtual() {
        // The runtime is gone and with it every operation on the file.
        // SAFETY: the handle is a descriptor of this process, and its one owner is being consumed.
        drop(unsafe { OwnedFd::from_raw_fd(handle.0) });
    }
}
