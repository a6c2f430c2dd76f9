//! The way out: heads, bodies, messages, files, and what waits until there is room for it.

use super::head::{check_header, decimal, encoded, put, too_long};
use super::{Fault, Gone, Stage, Wire};
use crate::ffi::Object;
use crate::header;
use shm::handover::Label;
use shm::response::{Encoder, HEAD_TRAILERS_FOLLOW};
use shm::{Finish, WriteError};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Room made for a head at once; most need no more.
const HEAD_BYTES: usize = 512;

/// What waits for room.
pub(super) enum Piece {
    Head(Vec<u8>),
    Informational(Vec<u8>),
    Accept(Vec<u8>),
    Trailers(Vec<u8>),
    Close(Vec<u8>),
    /// A `bytes` object from `at` on.
    Body {
        bytes: Object,
        at: usize,
    },
    /// `bytes` or `str`.
    Message {
        payload: Object,
        at: usize,
    },
    File {
        fd: OwnedFd,
        handed_over: bool,
        token: u64,
        offset: u64,
        length: u64,
    },
    Finish(Finish),
}

/// Whether a piece has left.
enum Left {
    Yes,
    /// There is no room; the edge will say when there is.
    Full,
    /// The socket for descriptors is full; nobody says when it is not.
    Later,
}

impl Wire {
    /// Begins a head in `head`, without anything in it.
    pub fn begin_head(&mut self, status: u16) -> Result<(), Fault> {
        if !(100..=999).contains(&status) {
            return Err(Fault::Value(format!("the status {status} is no status")));
        }
        self.head.clear();
        self.head.reserve(HEAD_BYTES);
        self.length = None;
        self.status = status;
        encoded(Encoder::new(&mut self.head, status, b"").map(Encoder::finish))
    }

    /// Adds a header after checking it. Transfer-Encoding is the server's (A11).
    pub fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        check_header(name, value)?;
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = header::content_length(value.trim_ascii())
                    .ok_or_else(|| Fault::Value("content-length is not a number".to_owned()))?;
                if self
                    .length
                    .replace(length)
                    .is_some_and(|first| first != length)
                {
                    return Err(Fault::Value(
                        "two different content-length headers".to_owned(),
                    ));
                }
                return Ok(());
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return Ok(()),
            _ => {}
        }
        self.put_header(name, value)
    }

    fn put_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        put(&mut self.head, name, value)
    }

    /// The head is complete and waits for the first byte of the body.
    pub fn end_head(&mut self) {
        self.stage = Stage::Begun;
    }

    fn is_bodiless(&self) -> bool {
        self.head_only || header::is_bodiless(self.status)
    }

    /// Sends the head. `total`: the length of the body, if it is known and the application has not said it.
    pub fn push_head(&mut self, total: Option<u64>, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        if self.length.is_none() && !header::is_bodiless(self.status) {
            // The answer to HEAD may leave out its length, and must not say a wrong one.
            self.length = total.filter(|&total| total > 0 || !self.head_only);
        }
        if let Some(length) = self.length {
            let mut digits = [0; 20];
            let digits = decimal(length, &mut digits);
            self.put_header(b"content-length", digits)?;
        }
        if self.trailers && self.takes_trailers {
            // A head of ours: it can be taken up again.
            if let Some(mut encoder) = Encoder::resume(&mut self.head, 0) {
                encoder.flags(HEAD_TRAILERS_FOLLOW);
            }
        }
        self.stage = Stage::Streaming;
        let head = std::mem::take(&mut self.head);
        self.push(Piece::Head(head), socket)
    }

    /// Sends the head that was begun, its body's length unknown, if it has not left yet.
    pub fn flush_head(&mut self, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        if self.stage == Stage::Begun && self.opening.is_none() {
            self.push_head(None, socket)?;
            self.flush();
        }
        Ok(())
    }

    /// One `http.response.body` (or a denial's). The head must have been begun.
    pub fn push_body(
        &mut self,
        bytes: &Object,
        more: bool,
        socket: BorrowedFd<'_>,
    ) -> Result<(), Fault> {
        let len = bytes.as_bytes().map_or(0, <[u8]>::len) as u64;
        if self.stage == Stage::Begun {
            self.push_head((!more && !self.trailers).then_some(len), socket)?;
        }
        if len > 0 && !self.is_bodiless() {
            self.admit(len)?;
            self.push(
                Piece::Body {
                    bytes: bytes.clone(),
                    at: 0,
                },
                socket,
            )?;
        }
        if more {
            self.flush();
            return Ok(());
        }
        self.end_body(socket)
    }

    /// A part of a file as body.
    pub fn push_file(
        &mut self,
        fd: OwnedFd,
        token: u64,
        offset: u64,
        length: u64,
        more: bool,
        socket: BorrowedFd<'_>,
    ) -> Result<(), Fault> {
        if self.stage == Stage::Begun {
            self.push_head((!more && !self.trailers).then_some(length), socket)?;
        }
        if length > 0 && !self.is_bodiless() {
            self.admit(length)?;
            self.push(
                Piece::File {
                    fd,
                    handed_over: false,
                    token,
                    offset,
                    length,
                },
                socket,
            )?;
        }
        if more {
            self.flush();
            return Ok(());
        }
        self.end_body(socket)
    }

    fn admit(&mut self, len: u64) -> Result<(), Fault> {
        if self.length.is_some_and(|length| self.sent + len > length) {
            return Err(Fault::Order(
                "the response is longer than its content-length".to_owned(),
            ));
        }
        self.sent += len;
        Ok(())
    }

    fn end_body(&mut self, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        let short = self
            .length
            .filter(|&length| self.sent < length && !self.is_bodiless());
        if let Some(length) = short {
            let sent = self.sent;
            self.finish(Finish::Abort, socket);
            return Err(Fault::Order(format!(
                "the response is shorter than its content-length: {sent} of {length} bytes; the connection is cut"
            )));
        }
        if self.trailers && self.takes_trailers && !self.is_bodiless() {
            self.stage = Stage::Trailers;
            self.flush();
            return Ok(());
        }
        self.finish(Finish::End, socket);
        Ok(())
    }

    pub fn push_trailers(
        &mut self,
        head: Vec<u8>,
        more: bool,
        socket: BorrowedFd<'_>,
    ) -> Result<(), Fault> {
        self.push(Piece::Trailers(head), socket)?;
        if !more {
            self.finish(Finish::End, socket);
        }
        Ok(())
    }

    pub fn push_informational(
        &mut self,
        head: Vec<u8>,
        socket: BorrowedFd<'_>,
    ) -> Result<(), Fault> {
        self.push(Piece::Informational(head), socket)?;
        self.flush();
        Ok(())
    }

    pub fn push_accept(&mut self, head: Vec<u8>, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        self.stage = Stage::Talking;
        self.push(Piece::Accept(head), socket)?;
        self.flush();
        Ok(())
    }

    /// A whole message; `str` is sent as text.
    pub fn push_message(&mut self, payload: Object, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        self.push(Piece::Message { payload, at: 0 }, socket)?;
        self.flush();
        Ok(())
    }

    /// Closes the WebSocket.
    pub fn close(&mut self, code: u16, reason: &str, socket: BorrowedFd<'_>) {
        let payload = shm::event::disconnect(code, reason);
        if self.push(Piece::Close(payload), socket).is_ok() {
            self.finish(Finish::End, socket);
        }
        if self.gone.is_none() {
            self.gone = Some(Gone {
                code,
                reason: reason.as_bytes().to_vec(),
                timed_out: false,
            });
        }
    }

    /// Ends the response once everything before has left.
    pub fn finish(&mut self, how: Finish, socket: BorrowedFd<'_>) {
        self.stage = Stage::Over;
        if how == Finish::Abort {
            // Nobody needs what waits.
            self.queue.clear();
        }
        // It cannot be too long for the ring.
        drop(self.push(Piece::Finish(how), socket));
    }

    #[inline]
    fn push(&mut self, mut piece: Piece, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        if self.queue.is_empty() {
            match self.write(&mut piece, socket)? {
                Left::Yes => return Ok(()),
                Left::Full => {}
                Left::Later => self.retry = true,
            }
        }
        self.queue.push_back(piece);
        Ok(())
    }

    /// Writes what there is room for. True: nothing waits any more.
    pub fn pump(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Fault> {
        self.retry = false;
        while let Some(mut piece) = self.queue.pop_front() {
            match self.write(&mut piece, socket)? {
                Left::Yes => continue,
                Left::Full => {}
                Left::Later => self.retry = true,
            }
            self.queue.push_front(piece);
            return Ok(false);
        }
        self.flush();
        Ok(true)
    }

    fn write(&mut self, piece: &mut Piece, socket: BorrowedFd<'_>) -> Result<Left, Fault> {
        loop {
            let Some(claim) = &mut self.claim else {
                // The client is gone: it goes nowhere.
                return Ok(Left::Yes);
            };
            let written = match piece {
                Piece::Head(head) => claim.write_head(head),
                Piece::Informational(head) => claim.write_informational(head),
                Piece::Accept(head) => claim.write_accept(head),
                Piece::Trailers(head) => claim.write_trailers(head),
                Piece::Close(payload) => claim.write_close(payload),
                Piece::Body { bytes, at } => {
                    let rest = &bytes.as_bytes().unwrap_or_default()[*at..];
                    let written = claim.write_body(rest);
                    *at += written;
                    if written == rest.len() {
                        Ok(())
                    } else {
                        Err(WriteError::Full)
                    }
                }
                Piece::Message { payload, at } => {
                    let (binary, bytes) = match payload.as_bytes() {
                        Some(bytes) => (true, bytes),
                        None => (false, payload.as_utf8().unwrap_or_default()),
                    };
                    let rest = &bytes[*at..];
                    match claim.write_message(binary, rest) {
                        Ok(written) if written == rest.len() => Ok(()),
                        Ok(written) => {
                            *at += written;
                            Err(WriteError::Full)
                        }
                        Err(error) => Err(error),
                    }
                }
                Piece::File {
                    fd,
                    handed_over,
                    token,
                    offset,
                    length,
                } => {
                    if !*handed_over {
                        let label = Label {
                            slot: claim.slot(),
                            ticket: claim.ticket(),
                            token: *token,
                        };
                        match sys::socket::try_send_with_fds(socket, &label.encode(), &[fd.as_fd()])
                        {
                            Ok(()) => *handed_over = true,
                            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                                return Ok(Left::Later);
                            }
                            Err(error) => {
                                return Err(Fault::Os(format!(
                                    "the file could not be handed over: {error}"
                                )));
                            }
                        }
                    }
                    claim.write_file(*token, *offset, *length)
                }
                Piece::Finish(how) => {
                    let how = *how;
                    if let Some(claim) = self.claim.take() {
                        claim.finish(how);
                    }
                    return Ok(Left::Yes);
                }
            };
            match written {
                Ok(()) => return Ok(Left::Yes),
                Err(WriteError::TooLong) => return Err(too_long()),
                Err(WriteError::Full) if claim.want_space() => {}
                Err(WriteError::Full) => return Ok(Left::Full),
            }
        }
    }

    /// Lets the edge have what was written.
    #[inline]
    pub fn flush(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.flush();
        }
    }
}
