//! Sockets: listeners, seqpacket pairs, messages with descriptors.
//!
//! Everything comes back owned and close-on-exec. Knows no protocol.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// The kernel's bound on descriptors in one message (net/core/scm.h, SCM_MAX_FD).
const SCM_MAX_FD: usize = 253;
/// Bytes of a control buffer that holds them all, in u64 so that it is aligned for `cmsghdr`.
const CONTROL_WORDS: usize = (SCM_MAX_FD * 4 + 64) / 8;

/// Two connected SOCK_SEQPACKET ends.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors that the kernel writes.
    let result = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so both are open and nobody else's.
    unsafe { Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))) }
}

/// Sends one packet with descriptors beside it; never SIGPIPE. A packet is sent whole or not at all.
pub fn send_with_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_packet(socket, bytes, fds, 0)
}

/// The same without waiting for room: WouldBlock if there is none, whatever the socket's mode.
pub fn try_send_with_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_packet(socket, bytes, fds, libc::MSG_DONTWAIT)
}

fn send_packet(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: libc::c_int,
) -> io::Result<()> {
    assert!(fds.len() <= SCM_MAX_FD, "callers bound their descriptors");
    let mut control = [0u64; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: msghdr is plain data; all zero is a valid empty message.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let data_bytes = mem::size_of_val(fds) as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only computes; `control` has room for SCM_MAX_FD descriptors, checked above.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(data_bytes) } as _;
        // SAFETY: msg_control points at CONTROL_WORDS aligned words, enough for one header and `fds`; the header is
        // therefore in bounds, and so is the data area, which may be unaligned for c_int and is written as bytes.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(data_bytes) as _;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            for (at, fd) in fds.iter().enumerate() {
                data.add(at).write_unaligned(fd.as_raw_fd());
            }
        }
    }
    loop {
        // SAFETY: the message and everything it points at live until the call returns.
        let sent =
            unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL | flags) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Receives one packet; appends its descriptors (close-on-exec). 0 bytes: the peer is gone.
///
/// `InvalidData` if the packet or its descriptors did not fit: a peer that breaks the bound is a broken peer.
pub fn recv_with_fds(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain data; all zero is a valid empty message.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control) as _;
    let count = loop {
        // SAFETY: buffer and control are writable for the lengths given, until the call returns.
        let count =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
        if count >= 0 {
            break count as usize;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    // SAFETY: the kernel filled `control` up to msg_controllen with well-formed headers; each SCM_RIGHTS header
    // carries (cmsg_len - CMSG_LEN(0)) / 4 descriptors, installed for us alone.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data_bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for at in 0..data_bytes / mem::size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(at).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "packet or descriptors larger than agreed",
        ));
    }
    Ok(count)
}

/// Throws away what waits on a socket, descriptors included, without blocking. At most `most` packets.
pub fn discard_pending(socket: BorrowedFd<'_>, most: usize) -> io::Result<()> {
    let mut byte = [0u8; 1];
    for _ in 0..most {
        let mut fds = Vec::new();
        let mut pending = libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, valid for the call.
        if unsafe { libc::poll(&mut pending, 1, 0) } <= 0 || pending.revents & libc::POLLIN == 0 {
            return Ok(());
        }
        match recv_with_fds(socket, &mut byte, &mut fds) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Truncated on purpose.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    // SAFETY: fcntl on a borrowed, hence open, descriptor; no memory is passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    let wanted = if nonblocking {
        flags | libc::O_NONBLOCK
    } else {
        flags & !libc::O_NONBLOCK
    };
    // SAFETY: as above.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, wanted) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A bound TCP socket that does not listen yet: so a whole SO_REUSEPORT group can be bound before any takes connections.
///
/// TCP_NODELAY is set on the listener and inherited by accepted sockets (Linux). An IPv6 address is IPv6 only.
pub fn tcp_bind(address: SocketAddr, reuse_port: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the last run's TIME_WAIT connections.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Connections are handed over with their first bytes, or without any after about a second.
fn defer_accept(socket: BorrowedFd<'_>) -> io::Result<()> {
    let seconds: libc::c_int = 1;
    // SAFETY: the option's value outlives the call, and its size is given.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Starts to take connections on a bound socket.
///
/// A connection is handed over with its first bytes, or without any after about a second (TCP_DEFER_ACCEPT, tcp(7)): whoever
/// takes it need not wait for them. Only for protocols whose client speaks first.
pub fn tcp_listen(socket: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    defer_accept(socket)?;
    listen(socket, backlog)
}

/// Listens, or, on a socket that does already, changes how many connections may wait for being accepted.
pub fn listen(socket: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    if unsafe { libc::listen(socket.as_raw_fd(), backlog.min(i32::MAX as u32) as i32) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The address a TCP socket is bound to; after binding port 0, with the port that the kernel chose.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    socket2::SockRef::from(&socket)
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))
}

/// Where a socket listens that was bound by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    Ip(SocketAddr),
    Unix(std::path::PathBuf),
}

/// Listens on a stream socket that is bound (it may listen already), and says where that is.
pub fn listen_bound(socket: BorrowedFd<'_>, backlog: u32) -> io::Result<Bound> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let fd = socket;
    let socket = socket2::SockRef::from(&socket);
    if socket.r#type()? != Type::STREAM {
        return Err(wrong("it is no stream socket"));
    }
    let address = socket.local_addr()?;
    let bound = match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) if address.port() != 0 => Bound::Ip(address),
        (_, Some(path)) => Bound::Unix(path.to_owned()),
        _ => return Err(wrong("it is not bound to an address")),
    };
    if let Bound::Ip(_) = bound {
        socket.set_tcp_nodelay(true)?;
        defer_accept(fd)?;
    }
    socket.listen(backlog.min(i32::MAX as u32) as i32)?;
    Ok(bound)
}

/// Binds and listens on a unix stream socket. `AddrInUse` if the path exists, whoever put it there.
pub fn unix_listen(path: &Path, backlog: u32) -> io::Result<OwnedFd> {
    unix_listen_with(path, backlog, None)
}

/// Binds and listens on a unix stream socket, its file with the given permissions (`None`: as the umask has it).
///
/// `AddrInUse` if the path exists, whoever put it there. Permissions are set before anybody can connect.
pub fn unix_listen_with(path: &Path, backlog: u32, mode: Option<u32>) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    socket.listen(backlog.min(i32::MAX as u32) as i32)?;
    Ok(socket.into())
}

/// Connects to a unix stream socket. `ConnectionRefused`: the path is there but nobody listens.
pub fn unix_connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

/// A duplicate, close-on-exec, of a descriptor that foreign code names by its number; an error if it is not open.
pub fn duplicate_number(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain integers; the kernel checks the number.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A second descriptor for the same open file, close-on-exec.
pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned()
}

/// A pipe: (read end, write end), close-on-exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors that the kernel writes.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so both are open and nobody else's.
    unsafe { Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))) }
}

/// One descriptor of a `poll` call: what to watch, and what was seen.
pub struct Watch<'a> {
    pub fd: BorrowedFd<'a>,
    /// Wake when it takes bytes, not only when it has some.
    pub write: bool,
    pub readable: bool,
    pub writable: bool,
}

impl<'a> Watch<'a> {
    pub fn read(fd: BorrowedFd<'a>) -> Watch<'a> {
        Watch {
            fd,
            write: false,
            readable: false,
            writable: false,
        }
    }
}

/// Waits until one of the descriptors is ready, or `timeout_ms` passed (`None`: for ever). A hang-up counts as readable.
/// A signal counts as nothing ready.
pub fn poll(watches: &mut [Watch<'_>], timeout_ms: Option<u64>) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> = watches
        .iter()
        .map(|watch| libc::pollfd {
            fd: watch.fd.as_raw_fd(),
            events: libc::POLLIN | if watch.write { libc::POLLOUT } else { 0 },
            revents: 0,
        })
        .collect();
    let timeout = timeout_ms.map_or(-1, |ms| ms.min(i32::MAX as u64) as i32);
    // SAFETY: `polled` has exactly the length given and lives until the call returns.
    let count = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    if count < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    for (watch, seen) in watches.iter_mut().zip(&polled) {
        let broken = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
        watch.readable = seen.revents & (libc::POLLIN | broken) != 0;
        watch.writable = seen.revents & (libc::POLLOUT | broken) != 0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn packets_keep_their_bounds_and_carry_descriptors() {
        let (a, b) = seqpacket_pair().expect("pair");
        let (read, write) = pipe().expect("pipe");
        send_with_fds(a.as_fd(), b"one", &[read.as_fd(), write.as_fd()]).expect("send");
        send_with_fds(a.as_fd(), b"two", &[]).expect("send");
        let (mut buffer, mut fds) = ([0; 16], Vec::new());
        assert_eq!(
            recv_with_fds(b.as_fd(), &mut buffer, &mut fds).expect("recv"),
            3
        );
        assert_eq!(fds.len(), 2);
        assert_eq!(
            recv_with_fds(b.as_fd(), &mut buffer, &mut fds).expect("recv"),
            3
        );
        assert_eq!(&buffer[..3], b"two");
        drop(a);
        assert_eq!(
            recv_with_fds(b.as_fd(), &mut buffer, &mut fds).expect("recv"),
            0
        );
    }

    #[test]
    fn a_truncated_packet_is_an_error() {
        let (a, b) = seqpacket_pair().expect("pair");
        send_with_fds(a.as_fd(), b"too long", &[]).expect("send");
        let error = recv_with_fds(b.as_fd(), &mut [0; 3], &mut Vec::new()).expect_err("truncated");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn pending_packets_can_be_thrown_away() {
        let (a, b) = seqpacket_pair().expect("pair");
        for _ in 0..3 {
            send_with_fds(a.as_fd(), b"stale", &[a.as_fd()]).expect("send");
        }
        discard_pending(b.as_fd(), 8).expect("discard");
        let mut watch = [Watch::read(b.as_fd())];
        poll(&mut watch, Some(0)).expect("poll");
        assert!(!watch[0].readable);
    }

    #[test]
    fn a_reuseport_group_shares_the_chosen_port() {
        let first = tcp_bind("127.0.0.1:0".parse().expect("address"), true).expect("bind");
        let address = local_address(first.as_fd()).expect("address");
        assert_ne!(address.port(), 0);
        let second = tcp_bind(address, true).expect("bind again");
        tcp_listen(first.as_fd(), 16).expect("listen");
        tcp_listen(second.as_fd(), 16).expect("listen");
    }
}
