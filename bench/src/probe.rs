//! Small requests that ask how the server is, beside whatever load the machine bears: open loop, many connections, Poisson arrivals.
//!
//! What is measured is the server's part. The askers have processors of their own beside the server's and go before every other load
//! there; even so they share them (and a kernel that does not preempt itself lets a reader of a megabyte finish first), so neither end of what
//! an answer took is the asker's: it begins when the request is written and ends when the kernel puts the answer's last byte into the socket
//! (SO_TIMESTAMPING), however long the asker then needs to be woken. The latencies are those of askers who are never late: each request is
//! asked when it is due, or when the answer before it is there and the connection is free, and takes what it took.

use crate::openloop::{Latencies, summary};
use crate::process;
use std::io::{self, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is asked, and how often.
pub struct Probe<'a> {
    pub port: u16,
    pub path: &'a str,
    pub connections: usize,
    /// All connections together.
    pub requests_per_second: f64,
    /// Where the askers run.
    pub cpus: &'a [usize],
}

const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Heads and bodies of small answers.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

impl Probe<'_> {
    /// Asks for `seconds` or until `over`.
    pub fn ask(&self, seconds: f64, over: &AtomicBool) -> Result<Latencies, String> {
        let samples = std::thread::scope(|scope| {
            let askers: Vec<_> = (0..self.connections)
                .map(|asker| scope.spawn(move || self.ask_on_one(seconds, asker as u64, over)))
                .collect();
            askers
                .into_iter()
                .map(|asker| asker.join().map_err(|_| "an asker panicked".to_owned()))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut all = Vec::new();
        for sample in samples {
            all.extend(sample.map_err(|error| format!("a small request failed: {error}"))?);
        }
        Ok(summary(all, 0))
    }

    fn ask_on_one(&self, seconds: f64, asker: u64, over: &AtomicBool) -> io::Result<Vec<f64>> {
        process::pin(self.cpus)?;
        process::go_first();
        let mut stream = connect(self.port)?;
        stamp_arrivals(&stream)?;
        let request = format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", self.path);
        let mut random = (asker + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut unit = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut latencies = Vec::new();
        let (started, started_ns) = (Instant::now(), wall_ns());
        let (mut due_s, mut free_ns) = (0.0, 0);
        loop {
            due_s += -(1.0 - unit()).ln() / (self.requests_per_second / self.connections as f64);
            if due_s > seconds || over.load(Ordering::Relaxed) {
                return Ok(latencies);
            }
            let due = started + Duration::from_secs_f64(due_s);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let asked_ns = wall_ns();
            stream.write_all(request.as_bytes())?;
            let took_ns = answer(&stream)?.saturating_sub(asked_ns);
            let due_ns = started_ns + (due_s * 1e9) as u64;
            free_ns = due_ns.max(free_ns) + took_ns;
            latencies.push((free_ns - due_ns) as f64 / 1e6);
        }
    }
}

/// Wall time at which the kernel had the last byte of one answer.
fn answer(stream: &TcpStream) -> io::Result<u64> {
    let mut bytes = [0_u8; ANSWER_BYTES_MAX];
    let mut filled = 0;
    loop {
        let (count, stamp_ns) = receive(stream, &mut bytes[filled..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
        match whole_length(&bytes[..filled]) {
            Some(length) if filled >= length => return Ok(stamp_ns),
            None if filled == bytes.len() => {
                return Err(io::Error::other("no answer with a length"));
            }
            _ => {}
        }
    }
}

/// Head and body, once the head is there and says 200 and a length.
pub fn whole_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let length = head.split("\r\nContent-Length: ").nth(1)?;
    Some(end + length.split('\r').next()?.parse::<usize>().ok()?)
}

/// Asks the kernel to say when bytes came.
fn stamp_arrivals(stream: &TcpStream) -> io::Result<()> {
    let flags = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
    // SAFETY: the option's value outlives the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const flags).cast(),
            size_of_val(&flags) as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Bytes, and the wall time at which the last of them came; now where the kernel does not say (the first packets after a start).
fn receive(stream: &TcpStream, bytes: &mut [u8]) -> io::Result<(usize, u64)> {
    /// A header and three `timespec`, aligned as control messages are.
    #[repr(align(8))]
    struct Control([u8; 128]);
    let mut control = Control([0; 128]);
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: an all-zero msghdr is a valid one without addresses or parts.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: everything the message points at outlives the call.
    let count = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, 0) };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has filled `message`; its control bytes are still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    while let Some(found) = header {
        if found.cmsg_level == libc::SOL_SOCKET && found.cmsg_type == libc::SO_TIMESTAMPING {
            // SAFETY: SCM_TIMESTAMPING holds three `timespec`, the first of them the software's.
            let stamp = unsafe {
                libc::CMSG_DATA(found)
                    .cast::<libc::timespec>()
                    .read_unaligned()
            };
            let ns = stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_nsec as u64;
            if ns > 0 {
                return Ok((count as usize, ns));
            }
        }
        // SAFETY: `found` is a header of `message`.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, found).as_ref() };
    }
    Ok((count as usize, wall_ns()))
}

fn wall_ns() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    Ok(stream)
}
