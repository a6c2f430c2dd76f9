//! The limit every edge is held against: a raw ring that finds the blank line and sends a prepared answer.
//!
//! One thread, multishot accept, multishot poll with an inline receive behind it (4 % cheaper than a multishot receive into provided
//! buffers: kernel-notes/small-answers-floor.md), DEFER_TASKRUN, one enter per turn. It parses nothing, so a real server can come near it
//! and not pass it. It speaks only to the load generator: a request split over two receives is not understood. For one request per
//! connection it does what ringgate does, without a ring to speak of: accepting is deferred until there is data, the answer leaves in one
//! segment with the FIN (kernel-notes/deferred-accept.md).

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

const ENTRIES: u32 = 4096;
const BUFFER_BYTES: usize = 2048;
/// Answers laid out one behind the other, so that pipelined requests of one receive cost one send.
const PIPELINED: usize = 32;
/// Larger ones stand alone.
const PIPELINED_BODY_BYTES_MAX: usize = 64 * 1024;

const ACCEPT: u64 = 1 << 32;
const POLL: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const CLOSE: u64 = 4 << 32;

/// What is answered.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// 200 on a connection that stays open.
    Kept,
    /// 200, and the end of the connection.
    Once,
    /// 304.
    Known,
}

pub fn serve(port: u16, body_bytes: usize, kind: Kind) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    set(&listener, libc::TCP_NODELAY, 1);
    if kind == Kind::Once {
        set(&listener, libc::TCP_DEFER_ACCEPT, 1);
        // SAFETY: no memory is passed; listening anew changes the backlog of 128.
        unsafe { libc::listen(listener.as_raw_fd(), 2048) };
    }
    let answer = answer(body_bytes, kind);
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(ENTRIES * 4)
        .build(ENTRIES)?;
    ring.submitter().register_ring_fd()?;
    let mut buffer = vec![0; BUFFER_BYTES];
    push(
        &mut ring,
        &opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .build()
            .user_data(ACCEPT),
    )?;
    let mut completions: Vec<(u64, i32, u32)> = Vec::with_capacity(ENTRIES as usize);
    loop {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
            Err(error) => return Err(error),
        }
        completions.extend(
            ring.completion()
                .map(|entry| (entry.user_data(), entry.result(), entry.flags())),
        );
        for (tag, result, flags) in completions.drain(..) {
            handle(
                &mut ring,
                &mut buffer,
                &listener,
                &answer,
                kind,
                tag,
                result,
                flags,
            )?;
        }
    }
}

/// The prepared answer, as often as it may be needed at once.
struct Answer {
    bytes: Vec<u8>,
    length: usize,
}

fn answer(body_bytes: usize, kind: Kind) -> Answer {
    let (status, connection, body_bytes) = match kind {
        Kind::Kept => ("200 OK", "", body_bytes),
        Kind::Once => ("200 OK", "Connection: close\r\n", body_bytes),
        Kind::Known => ("304 Not Modified", "", 0),
    };
    let mut lines = String::new();
    if kind != Kind::Known {
        lines = format!(
            "Content-Type: text/plain\r\nContent-Length: {body_bytes}\r\nAccept-Ranges: bytes\r\n"
        );
    }
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nServer: canned\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n{lines}{connection}\
         Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\nETag: \"canned-000000\"\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + body_bytes, b'x');
    let length = answer.len();
    if body_bytes <= PIPELINED_BODY_BYTES_MAX {
        answer = answer.repeat(PIPELINED);
    }
    Answer {
        bytes: answer,
        length,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one loop's state, and one completion"
)]
fn handle(
    ring: &mut IoUring,
    buffer: &mut [u8],
    listener: &TcpListener,
    answer: &Answer,
    kind: Kind,
    tag: u64,
    result: i32,
    flags: u32,
) -> io::Result<()> {
    let fd = RawFd::from_ne_bytes((tag as u32).to_ne_bytes());
    match tag & !0xffff_ffff {
        ACCEPT => {
            if result >= 0 && !(kind == Kind::Once && answer_once(result, answer)) {
                push(ring, &poll(result))?;
            }
            if !cqueue::more(flags) {
                push(
                    ring,
                    &opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
                        .build()
                        .user_data(ACCEPT),
                )?;
            }
        }
        // Cancelled: the descriptor may be another connection's by now.
        POLL if result < 0 => {}
        POLL => {
            // The poll tells once: a short count has emptied the socket.
            loop {
                let (at, length) = (buffer.as_mut_ptr().cast(), buffer.len());
                // SAFETY: the buffer outlives the call and its length is given.
                let count = unsafe { libc::recv(fd, at, length, libc::MSG_DONTWAIT) };
                let would_block = io::ErrorKind::WouldBlock;
                if count < 0 && io::Error::last_os_error().kind() == would_block {
                    break;
                }
                let count = count.max(0).cast_unsigned();
                if count == 0 {
                    return end(ring, fd);
                }
                respond(ring, fd, answer, blank_lines(&buffer[..count]))?;
                if count < buffer.len() {
                    break;
                }
            }
            if !cqueue::more(flags) {
                push(ring, &poll(fd))?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn respond(ring: &mut IoUring, fd: RawFd, answer: &Answer, requests: usize) -> io::Result<()> {
    if requests == 0 {
        return Ok(());
    }
    let length = (answer.length * requests).min(answer.bytes.len());
    let length = u32::try_from(length).map_err(|_| io::Error::other("the answer is too long"))?;
    push(
        ring,
        &opcode::Send::new(types::Fd(fd), answer.bytes.as_ptr(), length)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(SEND),
    )
}

/// The armed poll holds the file: without its end the peer would see none.
fn end(ring: &mut IoUring, fd: RawFd) -> io::Result<()> {
    let cancel = opcode::AsyncCancel::new(poll_tag(fd)).build();
    push(
        ring,
        &cancel.flags(squeue::Flags::IO_HARDLINK).user_data(CLOSE),
    )?;
    push(
        ring,
        &opcode::Close::new(types::Fd(fd)).build().user_data(CLOSE),
    )
}

/// Answers what has come with a connection and closes it; false if nothing has.
fn answer_once(fd: RawFd, answer: &Answer) -> bool {
    let mut request = [0_u8; BUFFER_BYTES];
    // SAFETY: both buffers outlive the calls and their lengths are given; the descriptor is the accepted one, closed once.
    unsafe {
        let (at, flags) = (request.as_mut_ptr().cast(), libc::MSG_DONTWAIT);
        if libc::recv(fd, at, BUFFER_BYTES, flags) <= 0 {
            return false;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_MORE;
        libc::send(fd, answer.bytes.as_ptr().cast(), answer.length, flags);
        libc::close(fd);
    }
    true
}

fn poll(fd: RawFd) -> squeue::Entry {
    opcode::PollAdd::new(types::Fd(fd), libc::POLLIN as u32)
        .multi(true)
        .build()
        .user_data(poll_tag(fd))
}

fn poll_tag(fd: RawFd) -> u64 {
    POLL | u64::from(u32::from_ne_bytes(fd.to_ne_bytes()))
}

/// Ends of request heads in one receive: pipelined requests arrive together.
fn blank_lines(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = bytes;
    while rest.len() >= 4 {
        match rest.iter().position(|&byte| byte == b'\r') {
            Some(at) if rest[at..].starts_with(b"\r\n\r\n") => {
                count += 1;
                rest = &rest[at + 4..];
            }
            Some(at) => rest = &rest[at + 1..],
            None => break,
        }
    }
    count
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    loop {
        // SAFETY: the fds and the answer live as long as the process serves; no entry points at anything else.
        if unsafe { ring.submission().push(entry) }.is_ok() {
            return Ok(());
        }
        ring.submit()?;
    }
}

/// Sets an option of the listener, which accepted sockets inherit.
fn set(listener: &TcpListener, option: libc::c_int, value: libc::c_int) {
    // SAFETY: the option value outlives the call and its size is given. A failure costs only speed.
    unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn heads_are_counted() {
        assert_eq!(
            super::blank_lines(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET"),
            2
        );
        assert_eq!(super::blank_lines(b"\r\n"), 0);
    }
}
