//! epoll(7): the sleep of an event loop that watches descriptors of others by number.
//!
//! Level-triggered. The numbers are the caller's business: a descriptor that is closed leaves the set by itself, and one that takes its number over
//! must be added again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

pub const READABLE: u32 = libc::EPOLLIN as u32;
pub const WRITABLE: u32 = libc::EPOLLOUT as u32;

/// Most descriptors reported by one wait; the others come with the next.
const READY_MAX: usize = 256;

/// An epoll set.
pub struct Epoll(OwnedFd);

/// Room for what a wait reports. Invariant: `count <= events.len()`.
pub struct Room {
    events: Box<[libc::epoll_event]>,
    count: usize,
}

/// One descriptor with news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub token: u64,
    /// `READABLE`, `WRITABLE` and whatever else epoll_ctl(2) names (errors, hang-ups).
    pub events: u32,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn add(&self, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    pub fn modify(&self, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: RawFd,
        events: u32,
        token: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the event outlives the call; numbers that are no descriptors are refused by the kernel.
        if unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits for news, at most `timeout_ms` (`None`: for ever), and leaves it in `room`. A signal ends the wait early, with nothing.
    pub fn wait(&self, room: &mut Room, timeout_ms: Option<u32>) -> io::Result<()> {
        let timeout = timeout_ms.map_or(-1, |ms| ms.min(i32::MAX as u32) as libc::c_int);
        room.count = 0;
        // SAFETY: the buffer is writable for as many events as are named.
        let count = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                room.events.as_mut_ptr(),
                READY_MAX as libc::c_int,
                timeout,
            )
        };
        if count >= 0 {
            room.count = count as usize;
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        }
    }
}

impl Room {
    pub fn new() -> Room {
        Room {
            events: vec![libc::epoll_event { events: 0, u64: 0 }; READY_MAX].into(),
            count: 0,
        }
    }

    /// What the last wait found.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events[..self.count].iter().map(|event| Ready {
            token: event.u64,
            events: event.events,
        })
    }
}

impl Default for Room {
    fn default() -> Room {
        Room::new()
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventfd::EventFd;

    #[test]
    fn reports_what_is_ready_until_it_is_not() {
        let epoll = Epoll::new().unwrap();
        let mut room = Room::new();
        let mut wait = |timeout_ms| {
            epoll.wait(&mut room, timeout_ms).unwrap();
            room.ready().collect::<Vec<_>>()
        };
        let bells = [EventFd::new().unwrap(), EventFd::new().unwrap()];
        for (token, bell) in bells.iter().enumerate() {
            epoll
                .add(bell.as_fd().as_raw_fd(), READABLE, token as u64)
                .unwrap();
        }
        assert_eq!(wait(Some(0)).len(), 0);
        bells[1].ring().unwrap();
        let ready = Ready {
            token: 1,
            events: READABLE,
        };
        assert_eq!(wait(None), [ready]);
        assert_eq!(wait(Some(0)).len(), 1);
        bells[1].take().unwrap();
        assert_eq!(wait(Some(0)).len(), 0);
        let fd = bells[0].as_fd().as_raw_fd();
        epoll.modify(fd, WRITABLE, 7).unwrap();
        let ready = wait(None);
        assert_eq!((ready[0].token, ready[0].events), (7, WRITABLE));
        epoll.remove(fd).unwrap();
        assert!(epoll.remove(fd).is_err());
    }
}
