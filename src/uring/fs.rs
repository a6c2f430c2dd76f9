//! Files: opened below a directory, looked at and read; inline where the caches answer, through the ring where not.
//!
//! Owns descriptors. Must not know URLs or caching policy.

use std::ffi::{CStr, CString};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::task::Poll;

use crate::descriptor::Descriptor;
use crate::driver::{Handle, Operation};
use crate::event_loop::{errno, launch, try_with, with};
use crate::flight::{Arrival, Key, Payload, Yield};
use crate::reader::Reader;
pub use sys::file::{Kind, OpenHow, Stat, Symlinks, Walk};

/// A directory that paths are resolved from and cannot leave.
#[derive(Debug)]
pub struct Directory(Descriptor);

impl Directory {
    /// Opens it; may sleep, so only at start-up.
    pub fn open(path: &Path) -> io::Result<Directory> {
        let handle = with(|core| core.driver.borrow_mut().open_root_now(path))?;
        Ok(Directory(Descriptor::from_handle(handle)))
    }

    pub fn from_fd(fd: OwnedFd) -> Directory {
        Directory(Descriptor::from(fd))
    }

    /// For a thread that reads below it.
    pub fn reader(&self) -> io::Result<Reader> {
        with(|core| core.driver.borrow_mut().reader_now(self.0.handle()))
    }

    /// Opens a file inline; with `Walk::CachedOnly`, `WouldBlock` says to use `open_file`.
    pub fn try_open_file(&self, path: &CStr, how: &OpenHow) -> io::Result<File> {
        let handle = with(|core| {
            core.driver
                .borrow_mut()
                .open_now(self.0.handle(), path, how)
        })?;
        Ok(File(Descriptor::from_handle(handle)))
    }

    /// Opens a file through the ring: a cold walk waits on a kernel worker.
    pub async fn open_file(&self, path: CString, how: OpenHow) -> io::Result<File> {
        let directory = self.0.handle();
        let payload = Payload::Open(Box::new((path, how.may_block())));
        // SAFETY: path and arguments are the payload's, behind their boxes.
        let key = unsafe {
            launch(payload, Yield::Descriptor, |payload| match payload {
                Payload::Open(open) => Operation::Open {
                    directory,
                    path: open.0.as_ptr(),
                    how: &raw const open.1,
                },
                _ => unreachable!("just put there"),
            })
        };
        let (result, _) = InFlight::wait(key).await;
        if result < 0 {
            return Err(errno(result));
        }
        Ok(File(Descriptor::from_handle(Handle(result))))
    }
}

/// An open file, closed through the ring.
#[derive(Debug)]
pub struct File(Descriptor);

impl File {
    pub fn from_fd(fd: OwnedFd) -> File {
        File(Descriptor::from(fd))
    }

    pub(crate) fn from_descriptor(descriptor: Descriptor) -> File {
        File(descriptor)
    }

    pub fn handle(&self) -> Handle {
        self.0.handle()
    }

    /// What was opened with `OpenHow::root`, as that which paths are resolved from.
    pub fn into_directory(self) -> Directory {
        Directory(self.0)
    }

    /// `fstat(2)`.
    pub fn stat(&self) -> io::Result<Stat> {
        with(|core| core.driver.borrow_mut().stat_now(self.handle()))
    }

    /// What the page cache holds; `WouldBlock` where the disk would be asked. 0 is the end.
    pub fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        with(|core| {
            core.driver
                .borrow_mut()
                .read_now(self.handle(), buffer, offset)
        })
    }

    /// Is the whole range in the page cache?
    pub fn is_cached(&self, offset: u64, length: u64) -> bool {
        with(|core| {
            core.driver
                .borrow_mut()
                .is_cached(self.handle(), offset, length)
        })
    }

    /// Lets a range be brought into the page cache, up to 4 GiB. Done once its reading is under way; a kernel worker has borne the cost of
    /// that. A hint: a file system may not heed it.
    pub async fn read_ahead(&self, offset: u64, length: u64) -> io::Result<()> {
        let operation = Operation::ReadAhead {
            file: self.handle(),
            offset,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        };
        // SAFETY: it points at no memory.
        let key = unsafe { launch(Payload::None, Yield::Count, |_| operation) };
        match InFlight::wait(key).await {
            (0.., _) => Ok(()),
            (failed, _) => Err(errno(failed)),
        }
    }

    /// Reads at most `length` bytes through the ring, appending to `buffer`; the count may be short, 0 is the end.
    pub async fn read_at(
        &self,
        mut buffer: Vec<u8>,
        length: usize,
        offset: u64,
    ) -> (io::Result<usize>, Vec<u8>) {
        buffer.reserve(length);
        let start = buffer.len();
        let length = length.min(i32::MAX as usize) as u32;
        let file = self.handle();
        // SAFETY: the spare capacity is the payload's; the flight hands it back only after the kernel is done.
        let key = unsafe {
            launch(
                Payload::Bytes(buffer),
                Yield::Count,
                |payload| match payload {
                    Payload::Bytes(bytes) => {
                        let buffer = bytes.spare_capacity_mut().as_mut_ptr().cast();
                        Operation::Read {
                            file,
                            buffer,
                            length,
                            offset,
                        }
                    }
                    _ => unreachable!("just put there"),
                },
            )
        };
        let (result, payload) = InFlight::wait(key).await;
        let Payload::Bytes(mut buffer) = payload else {
            unreachable!("a flight returns what it took")
        };
        if result < 0 {
            return (Err(errno(result)), buffer);
        }
        debug_assert!(result as u32 <= length);
        // SAFETY: the kernel wrote `result` bytes, at most `length`, into the reserved space behind `start`.
        unsafe { buffer.set_len(start + result as usize) };
        (Ok(result as usize), buffer)
    }
}

/// A file operation in flight. Dropping it leaves the operation to finish alone: kernel workers cannot be called back.
struct InFlight(Option<Key>);

impl InFlight {
    async fn wait(key: Key) -> (i32, Payload) {
        let mut flight = InFlight(Some(key));
        let done =
            poll_fn(
                |cx| match with(|core| core.flights.borrow_mut().collect(key, cx.waker())) {
                    Some(done) => Poll::Ready(done),
                    None => Poll::Pending,
                },
            )
            .await;
        flight.0 = None;
        done
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(key) = self.0.take() else { return };
        try_with(|core| {
            let mut unwanted: Option<(Arrival, Yield)> = None;
            core.flights
                .borrow_mut()
                .abandon(key, |arrival, yields| unwanted = Some((arrival, yields)));
            if let Some((arrival, yields)) = unwanted {
                core.discard(arrival, yields);
            }
        });
    }
}
