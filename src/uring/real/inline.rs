//! The real driver's inline calls: `sys` on borrowed descriptors.
//!
//! Owns nothing.

use std::ffi::CStr;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};
use std::path::Path;

use super::Ring;
use crate::driver::{Handle, Inline, Shutdown};
use crate::reader::Reader;
use sys::file::{self, OpenHow, Stat};
use sys::transfer;

#[inline]
fn borrow<'a>(handle: Handle) -> BorrowedFd<'a> {
    // SAFETY: handles reach a driver only through a live `Descriptor`, which keeps the number open for the call.
    unsafe { BorrowedFd::borrow_raw(handle.0) }
}

impl Inline for Ring {
    #[inline]
    fn send_now(&mut self, socket: Handle, bytes: &[u8], more: bool) -> io::Result<usize> {
        transfer::send(borrow(socket), bytes, more)
    }

    fn send_parts_now(
        &mut self,
        socket: Handle,
        parts: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        transfer::send_parts(borrow(socket), parts, more)
    }

    fn receive_now(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        transfer::recv(borrow(socket), buffer)
    }

    fn sendfile_now(
        &mut self,
        socket: Handle,
        file: Handle,
        offset: u64,
        length: usize,
    ) -> io::Result<usize> {
        file::sendfile(borrow(socket), borrow(file), offset, length)
    }

    fn shutdown_now(&mut self, socket: Handle, how: Shutdown) -> io::Result<()> {
        transfer::shutdown(borrow(socket), how)
    }

    fn is_waiting_now(&mut self, listener: Handle) -> bool {
        let mut watch = [sys::socket::Watch::read(borrow(listener))];
        // If it cannot be told, nobody is there to be taken.
        sys::socket::poll(&mut watch, Some(0)).is_ok() && watch[0].readable
    }

    fn peer_now(&mut self, socket: Handle) -> io::Result<Option<SocketAddr>> {
        transfer::peer_address(borrow(socket))
    }

    fn local_now(&mut self, socket: Handle) -> io::Result<Option<SocketAddr>> {
        transfer::local_address(borrow(socket))
    }

    fn open_root_now(&mut self, path: &Path) -> io::Result<Handle> {
        file::open_root(path).map(|fd| Handle(fd.into_raw_fd()))
    }

    fn open_now(&mut self, directory: Handle, path: &CStr, how: &OpenHow) -> io::Result<Handle> {
        file::open_beneath(borrow(directory), path, how).map(|fd| Handle(fd.into_raw_fd()))
    }

    fn stat_now(&mut self, file: Handle) -> io::Result<Stat> {
        sys::file::stat(borrow(file))
    }

    fn read_now(&mut self, file: Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        sys::file::read_at_nowait(borrow(file), buffer, offset)
    }

    fn is_cached(&mut self, file: Handle, offset: u64, length: u64) -> bool {
        sys::file::is_cached(borrow(file), offset, length)
    }

    fn reader_now(&mut self, directory: Handle) -> io::Result<Reader> {
        borrow(directory).try_clone_to_owned().map(Reader::real)
    }

    fn thread_now(&mut self, work: Box<dyn FnOnce() + Send>) -> io::Result<Handle> {
        let (ours, theirs) = io::pipe()?;
        std::thread::Builder::new()
            .name("beside".into())
            .spawn(move || {
                // Goes at the end, also at that of a panic: the pipe's end of file is the news.
                let _held = theirs;
                // It was born on the ring thread's processor; where that is refused, it works there.
                sys::cpu::step_back().ok();
                work();
            })?;
        Ok(Handle(OwnedFd::from(ours).into_raw_fd()))
    }
}
