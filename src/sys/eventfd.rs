//! eventfd(2): the doorbell of a ring thread. Any process that holds it rings it; the ring polls it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A non-blocking, close-on-exec event counter.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
        Ok(EventFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes a descriptor that came from another process (it must be an eventfd; anything else fails at `ring`).
    pub fn from_fd(fd: OwnedFd) -> EventFd {
        EventFd(fd)
    }

    pub fn try_clone(&self) -> io::Result<EventFd> {
        self.0.try_clone().map(EventFd)
    }

    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Adds one to the counter and so wakes whoever polls it. A full counter (EAGAIN) is as good as a ring: the reader has not looked yet.
    pub fn ring(&self) -> io::Result<()> {
        let one: u64 = 1;
        // SAFETY: the pointer and the length describe `one`.
        let written = unsafe {
            libc::write(
                self.0.as_raw_fd(),
                (&raw const one).cast(),
                size_of::<u64>(),
            )
        };
        if written >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(()),
            _ => Err(error),
        }
    }

    /// Sleeps until the counter is not zero or `timeout` is over; true if it rang. For threads without a ring.
    pub fn poll(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut entry = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let limit = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        });
        let limit = limit
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref::<libc::timespec>);
        // SAFETY: one pollfd, a timespec or null, no signal mask; all outlive the call.
        let ready = unsafe { libc::ppoll(&mut entry, 1, limit, std::ptr::null()) };
        if ready >= 0 {
            return Ok(ready > 0);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => Ok(false),
            _ => Err(error),
        }
    }

    /// Takes the counter (0 when nobody rang) and so silences it.
    pub fn take(&self) -> io::Result<u64> {
        let mut count: u64 = 0;
        // SAFETY: the pointer and the length describe `count`.
        let read = unsafe {
            libc::read(
                self.0.as_raw_fd(),
                (&raw mut count).cast(),
                size_of::<u64>(),
            )
        };
        if read >= 0 {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(0),
            _ => Err(error),
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rings_until_taken() {
        let bell = EventFd::new().unwrap();
        assert_eq!(bell.take().unwrap(), 0);
        bell.ring().unwrap();
        bell.try_clone().unwrap().ring().unwrap();
        assert_eq!(bell.take().unwrap(), 2);
        assert_eq!(bell.take().unwrap(), 0);
    }
}
