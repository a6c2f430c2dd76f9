//! Calls on connected sockets that never sleep and never raise SIGPIPE: what a ring thread may do inline.
//!
//! Owns nothing but `Message`, a scatter list in the kernel's layout. Must not know rings or protocols.
//!
//! `send` and `recv`, of which there is one each per request, are asked of the kernel directly: the C library's are cancellation points, and in a
//! process with threads switch cancellation over and back by two atomic operations each, 1 to 2 % of what a small answer costs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Accepted sockets: close-on-exec and non-blocking (inline sendfile looks at the descriptor's flag).
pub const ACCEPT_FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
/// Flags of a ring send: no signal when the peer is gone.
pub const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// Added to a ring send that should finish whole: the kernel goes on after a short count.
pub const SEND_WHOLE: i32 = libc::MSG_WAITALL;
/// Added to a send when more follows at once: the last segment may wait for it.
pub const SEND_MORE: i32 = libc::MSG_MORE;
/// `poll(2)` events.
pub const POLL_READABLE: u32 = libc::POLLIN as u32 | libc::POLLRDHUP as u32;
/// Among the events that a poll tells: no byte will come behind those that are there.
pub const POLL_ENDED: u32 = libc::POLLRDHUP as u32 | libc::POLLHUP as u32 | libc::POLLERR as u32;
pub const POLL_WRITABLE: u32 = libc::POLLOUT as u32;

/// Which directions `shutdown(2)` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    Read,
    Write,
    Both,
}

/// `send(2)`, non-blocking: bytes taken; `EAGAIN` when the socket's buffer is full.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    let (flags, nobody) = (inline_flags(more), std::ptr::null::<libc::sockaddr>());
    // SAFETY: the pointer and length describe a live slice; no address is passed.
    let n = unsafe {
        libc::syscall(
            libc::SYS_sendto,
            socket.as_raw_fd(),
            bytes.as_ptr(),
            bytes.len(),
            flags,
            nobody,
            0,
        )
    };
    count(n as isize)
}

/// `sendmsg(2)`, non-blocking, of several pieces; at most `PARTS_MAX` of them are looked at.
pub fn send_parts(
    socket: BorrowedFd<'_>,
    parts: &[io::IoSlice<'_>],
    more: bool,
) -> io::Result<usize> {
    // SAFETY: msghdr is plain data; all zero is a valid empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // `IoSlice` is guaranteed to have the layout of `struct iovec`.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len().min(PARTS_MAX) as _;
    // SAFETY: the message and the slices it names live until the call returns; the kernel only reads them.
    let n = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, inline_flags(more)) };
    count(n)
}

/// `UIO_MAXIOV`: the most pieces the kernel takes in one call.
pub const PARTS_MAX: usize = 1024;

fn inline_flags(more: bool) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    if more { flags | libc::MSG_MORE } else { flags }
}

/// `recv(2)`, non-blocking: 0 is the end of the stream.
pub fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let nobody = std::ptr::null_mut::<libc::sockaddr>();
    // SAFETY: the pointer and length describe a live, writable slice; no address is asked for.
    let n = unsafe {
        libc::syscall(
            libc::SYS_recvfrom,
            socket.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
            libc::MSG_DONTWAIT,
            nobody,
            nobody,
        )
    };
    count(n as isize)
}

/// `shutdown(2)`: never sleeps on a TCP or unix socket.
pub fn shutdown(socket: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: no pointers are passed.
    count(unsafe { libc::shutdown(socket.as_raw_fd(), how) } as isize).map(drop)
}

/// The peer's address; `None` for a unix socket.
pub fn peer_address(socket: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
    Ok(socket2::SockRef::from(&socket).peer_addr()?.as_socket())
}

/// Our own address; `None` for a unix socket.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
    Ok(socket2::SockRef::from(&socket).local_addr()?.as_socket())
}

/// Switches Nagle's delay off (`TCP_NODELAY`); accepted sockets inherit it from the listener on Linux.
pub fn set_nodelay(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_tcp_nodelay(on)
}

/// A scatter list for a ring's sendmsg: the header and the pieces it names, at addresses that stay.
///
/// Invariant: `header.msg_iov` points at `_parts`' heap block, which is never resized after `new`.
pub struct Message {
    header: Box<libc::msghdr>,
    _parts: Vec<libc::iovec>,
}

impl Message {
    /// # Safety
    /// Every piece must stay valid for as long as the kernel may read through `as_ptr`.
    pub unsafe fn new(parts: impl Iterator<Item = (*const u8, usize)>) -> Message {
        let mut parts: Vec<libc::iovec> = parts
            .take(PARTS_MAX)
            .map(|(at, length)| libc::iovec {
                iov_base: at.cast_mut().cast(),
                iov_len: length,
            })
            .collect();
        // SAFETY: msghdr is plain data; all zero is a valid empty message.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        header.msg_iov = parts.as_mut_ptr();
        header.msg_iovlen = parts.len() as _;
        Message {
            header,
            _parts: parts,
        }
    }

    /// The `struct msghdr`.
    pub fn as_ptr(&self) -> NonNull<std::ffi::c_void> {
        NonNull::from(&*self.header).cast()
    }
}

fn count(n: isize) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// The pieces of a `struct msghdr`, as (address, length).
///
/// # Safety
/// `message` points at a live header whose list of pieces is alive as long as the iterator.
pub unsafe fn pieces(
    message: NonNull<std::ffi::c_void>,
) -> impl Iterator<Item = (*const u8, usize)> {
    // SAFETY: the caller says so.
    let parts = unsafe {
        let header = message.cast::<libc::msghdr>().as_ref();
        std::slice::from_raw_parts(header.msg_iov.cast_const(), header.msg_iovlen)
    };
    parts
        .iter()
        .map(|part| (part.iov_base.cast_const().cast(), part.iov_len))
}
