//! Bytes of files to sockets: zero-copy while the pages are hot, read through the ring while they are cold.
//!
//! Cold pages are brought into memory by a kernel worker, who bears what that costs, a stretch ahead of what is sent, and are hot from then
//! on: a slow peer holds neither a buffer nor a pipe, and "no progress" means the peer, not the disk. Where that does not help
//! (the kernel throws pages away as fast as they come, the file system heeds no hint) they are read into a buffer, from which the
//! socket takes what it takes at once: so there is progress always.
//!
//! Owns the plan of one body, and a few read buffers per thread. Invariants: exactly the announced number of bytes leaves or
//! the result is an error (then the connection must be closed: a file that shrank has no other honest end); no call sleeps
//! for a disk; what all bodies together send in a turn is bounded (`allowance`). Must not know what the bytes are.

use super::allowance;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use uring::fs::File;
use uring::net::Socket;
use uring::time::{Deadline, within};

/// How far ahead pages are asked about: 1.3 us per 256 KiB.
const LOOK_BYTES: u64 = 1024 * 1024;
/// What the disk is asked for at a time: 10 to 30 us of a kernel worker. It reads the next stretch while one is waited for and sent.
const STRETCH_BYTES: u64 = 256 * 1024;
/// What is read into a buffer: the kernel's usual readahead.
const READ_BYTES: u64 = 128 * 1024;
/// Read buffers kept per thread.
const BUFFERS_MAX: usize = allowance::READS_MAX;
/// How long a read waits for others to end before it runs beside them.
const READ_PATIENCE_NS: u64 = 100_000_000;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// How long a small file that was found wholly in the page cache is taken to be there still: long enough to save the question
/// (0.5 us of 6) where it is asked for all the time, short enough that an eviction seldom falls into it.
const HOT_NS: u64 = 100_000_000;

/// An open file of the cache.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    /// Ring time until which the whole of it is taken to be in the page cache.
    hot_until_ns: Cell<u64>,
    /// It was found shorter than it was when it was looked at.
    is_cut: Cell<bool>,
}

impl OpenFile {
    pub fn new(file: File) -> OpenFile {
        OpenFile {
            file,
            hot_until_ns: Cell::new(0),
            is_cut: Cell::new(false),
        }
    }

    /// Whether what is known of the file is known to be wrong.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Remembers an end that came too early, so that only those meet it who are under way.
    fn judge(&self, sent: io::Result<()>) -> io::Result<()> {
        let is_cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        if sent.as_ref().is_err_and(is_cut) {
            self.is_cut.set(true);
        }
        sent
    }

    fn is_hot(&self, length: u64) -> bool {
        if length > LOOK_BYTES {
            return false;
        }
        let now_ns = uring::now();
        if now_ns < self.hot_until_ns.get() {
            return true;
        }
        let is_hot = self.file.is_cached(0, length);
        if is_hot {
            self.hot_until_ns.set(now_ns.saturating_add(HOT_NS));
        }
        is_hot
    }
}

/// A body that comes from a file, pieces of one with text between them, or one that was made and is too long to be copied.
#[derive(Debug)]
pub struct Body {
    plan: Plan,
    length: u64,
    /// What of it has left already (`try_send`).
    sent: u64,
}

#[derive(Debug)]
enum Plan {
    Part {
        file: Rc<OpenFile>,
        offset: u64,
    },
    Pieces {
        file: Rc<OpenFile>,
        pieces: Vec<Piece>,
    },
    Made(Vec<u8>),
}

#[derive(Debug)]
pub enum Piece {
    Bytes(Vec<u8>),
    File { offset: u64, length: u64 },
}

impl Body {
    pub fn whole(file: Rc<OpenFile>, length: u64) -> Body {
        Body::part(file, 0, length)
    }

    pub fn part(file: Rc<OpenFile>, offset: u64, length: u64) -> Body {
        Body {
            plan: Plan::Part { file, offset },
            length,
            sent: 0,
        }
    }

    pub fn pieces(file: Rc<OpenFile>, pieces: Vec<Piece>) -> Body {
        let length = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File { length, .. } => *length,
        };
        Body {
            length: pieces.iter().map(length).sum(),
            plan: Plan::Pieces { file, pieces },
            sent: 0,
        }
    }

    pub fn made(bytes: Vec<u8>) -> Body {
        Body {
            length: bytes.len() as u64,
            plan: Plan::Made(bytes),
            sent: 0,
        }
    }

    /// Bytes of the body.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Sends `head` and the body as far as both leave at once, if the body is all of a file that is hot and short enough for what is
    /// left of this turn. Returns the bytes of `head` that have left, and whether the body has, all of it; `send` does the rest.
    pub fn try_send(&mut self, socket: &Socket, head: &[u8]) -> io::Result<(usize, bool)> {
        let Plan::Part { file, offset: 0 } = &self.plan else {
            return Ok((0, false));
        };
        if self.length > allowance::at_hand() || !file.is_hot(self.length) {
            return Ok((0, false));
        }
        let gone = at_once(socket.try_send_more(head))?;
        if gone < head.len() {
            return Ok((gone, false));
        }
        let sent = at_once(socket.try_sendfile(&file.file, 0, self.length as usize))?;
        allowance::spend(sent as u64);
        self.sent = sent as u64;
        Ok((gone, self.sent == self.length))
    }

    /// Sends `head` (what is waiting to go out before the body, may be empty) and the body. Gives up with `TimedOut` when
    /// the peer takes nothing for `write_ns`.
    pub async fn send(&self, socket: &Socket, head: &[u8], write_ns: u64) -> io::Result<()> {
        match &self.plan {
            Plan::Part { file, offset } => {
                let (from, left) = (*offset + self.sent, self.length - self.sent);
                let hot_bytes = if from == 0 && file.is_hot(left) {
                    left
                } else {
                    0
                };
                file.judge(send(socket, head, &file.file, from, left, hot_bytes, write_ns).await)
            }
            Plan::Pieces { file, pieces } => {
                send_bytes(socket, head, true, write_ns).await?;
                for (index, piece) in pieces.iter().enumerate() {
                    match piece {
                        Piece::Bytes(bytes) => {
                            send_bytes(socket, bytes, index + 1 < pieces.len(), write_ns).await?;
                        }
                        Piece::File { offset, length } => {
                            let sent =
                                send_file(socket, b"", &file.file, *offset, *length, write_ns);
                            file.judge(sent.await)?;
                        }
                    }
                }
                Ok(())
            }
            Plan::Made(bytes) => {
                send_bytes(socket, head, !bytes.is_empty(), write_ns).await?;
                let mut pieces = bytes.chunks(allowance::TURN_BYTES as usize).peekable();
                while let Some(piece) = pieces.next() {
                    let more = pieces.peek().is_some();
                    send_bytes(socket, piece, more, write_ns).await?;
                    if more {
                        uring::yield_now().await;
                    }
                }
                Ok(())
            }
        }
    }
}

/// What has left at once; nothing where it would have to wait.
fn at_once(sent: io::Result<usize>) -> io::Result<usize> {
    use io::ErrorKind::{Interrupted, WouldBlock};
    match sent {
        Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => Ok(0),
        sent => sent,
    }
}

/// Sends `head`, then `length` bytes of a file from `offset`. `UnexpectedEof`: the file is shorter than that; `TimedOut`: the
/// peer took nothing for `write_ns`. After any error an unknown part has left.
pub async fn send_file(
    socket: &Socket,
    head: &[u8],
    file: &File,
    offset: u64,
    length: u64,
    write_ns: u64,
) -> io::Result<()> {
    send(socket, head, file, offset, length, 0, write_ns).await
}

/// As [`send_file`]; the first `hot_bytes` are known to be in the page cache.
async fn send(
    socket: &Socket,
    head: &[u8],
    file: &File,
    offset: u64,
    length: u64,
    hot_bytes: u64,
    write_ns: u64,
) -> io::Result<()> {
    send_bytes(socket, head, length > 0, write_ns).await?;
    let end = offset
        .checked_add(length)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut at = offset;
    let mut hot_until = offset + hot_bytes.min(length);
    let mut disk = Disk {
        file,
        end,
        asked_until: offset,
        is_heeded: true,
    };
    while at < end {
        if at >= hot_until {
            let window = (end - at).min(LOOK_BYTES);
            hot_until = if file.is_cached(at, window) {
                at + window
            } else if let Some(until) = disk.bring(at, write_ns).await? {
                until
            } else {
                at += send_cold(socket, file, at, end, write_ns).await?;
                continue;
            };
        }
        let wanted = (hot_until - at).min(allowance::share().await);
        match socket.try_sendfile(file, at, wanted as usize) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                at += count as u64;
                allowance::spend(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                writable(socket, write_ns).await?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a body has asked of the disk.
struct Disk<'a> {
    file: &'a File,
    /// Nothing behind it is wanted.
    end: u64,
    /// What has been asked for, up to here.
    asked_until: u64,
    /// Asking has helped so far.
    is_heeded: bool,
}

impl Disk<'_> {
    /// Waits for the stretch at `at` to come into memory; the next one is asked for. Returns its end; `None` if it is not there.
    async fn bring(&mut self, at: u64, write_ns: u64) -> io::Result<Option<u64>> {
        if !self.is_heeded {
            return Ok(None);
        }
        let until = self.end.min(at + STRETCH_BYTES);
        let deadline = Deadline::new();
        deadline.set_after(READ_PATIENCE_NS);
        let Some(asking) = within(&deadline, allowance::ask()).await else {
            return Ok(None);
        };
        deadline.set_after(write_ns);
        let came = within(&deadline, async {
            self.asked_until = self.asked_until.max(at);
            while self.asked_until < self.end.min(until + STRETCH_BYTES) {
                let bytes = STRETCH_BYTES.min(self.end - self.asked_until);
                self.file.read_ahead(self.asked_until, bytes).await?;
                self.asked_until += bytes;
            }
            drop(asking);
            // Wakes when the last of it is there.
            self.file.read_at(Vec::new(), 1, until - 1).await.0
        });
        let came = came.await.ok_or(io::ErrorKind::TimedOut)?;
        // An error shows again, with its reason, when the stretch itself is read.
        self.is_heeded = came.is_ok() && self.file.is_cached(at, until - at);
        Ok(self.is_heeded.then_some(until))
    }
}

/// Reads pages in and sends what the socket takes of them at once; 0 if it is full.
async fn send_cold(
    socket: &Socket,
    file: &File,
    at: u64,
    end: u64,
    write_ns: u64,
) -> io::Result<u64> {
    let deadline = Deadline::new();
    deadline.set_after(READ_PATIENCE_NS);
    let reading = within(&deadline, allowance::read()).await;
    deadline.set_after(write_ns);
    let buffer = take_buffer();
    let wanted = (end - at).min(READ_BYTES);
    let read = within(&deadline, file.read_at(buffer, wanted as usize, at)).await;
    let (count, buffer) = read.ok_or(io::ErrorKind::TimedOut)?;
    let count = count?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    drop(reading);
    let share = allowance::share().await;
    let bytes = &buffer[..count.min(share as usize)];
    let more = at + (bytes.len() as u64) < end;
    let sent = socket.try_send_parts(&[IoSlice::new(bytes)], more);
    keep_buffer(buffer);
    allowance::spend(*sent.as_ref().unwrap_or(&0) as u64);
    match sent {
        Ok(sent) => Ok(sent as u64),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            writable(socket, write_ns).await.map(|()| 0)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(error),
    }
}

/// Sends bytes whole; `more` if a file's follow at once, so that they share a segment.
async fn send_bytes(
    socket: &Socket,
    mut bytes: &[u8],
    more: bool,
    write_ns: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.try_send_parts(&[IoSlice::new(bytes)], more) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                writable(socket, write_ns).await?
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn writable(socket: &Socket, write_ns: u64) -> io::Result<()> {
    let deadline = Deadline::new();
    deadline.set_after(write_ns);
    within(&deadline, socket.writable())
        .await
        .ok_or(io::ErrorKind::TimedOut)?
}

fn take_buffer() -> Vec<u8> {
    let kept = BUFFERS.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| Vec::with_capacity(READ_BYTES as usize))
}

fn keep_buffer(mut buffer: Vec<u8>) {
    buffer.clear();
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < BUFFERS_MAX {
            buffers.push(buffer);
        }
    });
}
