//! One request's two rings: what is still to be written, what has come in, how far both are. No Python code runs from here.
//!
//! What does not fit the response ring waits in `queue` and goes out, in order, as the edge makes room; `send` waits until the queue is empty. So a message is
//! never torn, whatever becomes of the task that sent it.
//!
//! Invariants: while `queue` holds something, nothing is written past it. `claim` is there until the response has ended or the client has gone.

use crate::ffi::Object;
use crate::header;
use shm::event::{CODE_TIMEOUT, read_disconnect};
use shm::handover::Label;
use shm::response::{Encoder, HEAD_TRAILERS_FOLLOW};
use shm::{Claim, EventKind, Finish, WriteError};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest encoded head. The exchange's smallest sensible response ring holds it.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most bytes of a streamed body in one event.
const EVENT_BYTES_MAX: usize = 256 * 1024;
/// How much of a spooled body is in one event.
const SPOOL_READ_BYTES: usize = 64 * 1024;

/// How far the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was said; of a WebSocket: not accepted.
    Open,
    /// There is a head, which has not left.
    Begun,
    /// The head is on its way.
    Streaming,
    /// The body is complete; trailers are due.
    Trailers,
    /// The WebSocket is open.
    Talking,
    /// Nothing more can be said.
    Over,
}

/// Why `send` cannot do what it was asked.
pub enum Fault {
    /// The client is gone, or the WebSocket closed.
    Gone,
    Type(String),
    Value(String),
    /// Not now: the order of messages.
    Order(String),
    Os(String),
}

/// What waits for room.
enum Piece {
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

/// Where the request's body comes from.
pub enum Intake {
    /// In the request area.
    Inline { offset: usize, len: usize },
    /// On the inbound ring. `ask`: the client waits for 100 Continue.
    Stream { ask: bool },
    /// In a file that the edge hands over when asked.
    File {
        len: u64,
        position: u64,
        file: Option<OwnedFd>,
        asked: bool,
    },
}

/// How a request's client left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Of a WebSocket's close frame; 1006 without one.
    pub code: u16,
    pub reason: Vec<u8>,
    pub timed_out: bool,
}

/// Something for `receive`.
pub enum Incoming {
    Body { more: bool },
    Text,
    Binary,
}

pub struct Wire {
    claim: Option<Claim>,
    pub stage: Stage,
    queue: VecDeque<Piece>,
    /// Encoded (`shm::response`), from `Begun` until it leaves.
    head: Vec<u8>,
    pub status: u16,
    /// Content-Length, by the application or by us.
    length: Option<u64>,
    sent: u64,
    pub head_only: bool,
    pub takes_trailers: bool,
    /// The application will send trailers.
    pub trailers: bool,
    pub gone: Option<Gone>,
    pub intake: Intake,
    /// The last `http.request` was delivered.
    pub body_done: bool,
    /// `websocket.connect` was delivered.
    pub connected: bool,
    /// A message of which some pieces have come.
    partial: Vec<u8>,
    /// Messages that were saved when the client left: (is text, payload).
    saved: VecDeque<(bool, Vec<u8>)>,
    /// Descriptors could not be passed: `pump` again soon.
    pub retry: bool,
}

impl Wire {
    pub fn new(claim: Claim, intake: Intake) -> Wire {
        Wire {
            claim: Some(claim),
            stage: Stage::Open,
            queue: VecDeque::new(),
            head: Vec::new(),
            status: 0,
            length: None,
            sent: 0,
            head_only: false,
            takes_trailers: false,
            trailers: false,
            gone: None,
            intake,
            body_done: false,
            connected: false,
            partial: Vec::new(),
            saved: VecDeque::new(),
            retry: false,
        }
    }

    /// Whether the edge may still have news of this request.
    pub fn is_live(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether nothing of the response has left yet.
    pub fn is_unsaid(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Begun)
    }

    /// Whether everything sent so far is in the ring.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// The seat is a successor's: nothing of the request is touched again.
    pub fn forfeit(&mut self) {
        std::mem::forget(self.claim.take());
        self.queue.clear();
        self.stage = Stage::Over;
    }

    pub fn ticket(&self) -> Option<u32> {
        self.claim.as_ref().map(Claim::ticket)
    }

    // The response.

    /// Begins a head in `head`, without anything in it.
    pub fn begin_head(&mut self, status: u16) -> Result<(), Fault> {
        if !(100..=999).contains(&status) {
            return Err(Fault::Value(format!("the status {status} is no status")));
        }
        self.head.clear();
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
        if self.stage == Stage::Begun {
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

    // What comes in.

    /// Looks whether the client has gone. True: it just has, or has been so before.
    pub fn note_gone(&mut self, websocket: bool) -> bool {
        let Some(claim) = &mut self.claim else {
            return self.gone.is_some();
        };
        let cancelled = claim.cancelled();
        if !cancelled && !matches!(claim.peek_event(), Ok(Some(EventKind::Disconnect)) | Err(_)) {
            return false;
        }
        if !cancelled && websocket {
            // Its turn comes in `next_message`.
            return self.gone.is_some();
        }
        let mut gone = Gone {
            code: 1006,
            reason: Vec::new(),
            timed_out: false,
        };
        // What came before is still the application's.
        loop {
            let start = self.partial.len();
            match claim.next_event(&mut self.partial) {
                Ok(Some(EventKind::Disconnect)) => {
                    gone.take(&self.partial[start..]);
                    break;
                }
                Ok(Some(kind @ (EventKind::WsTextEnd | EventKind::WsBinaryEnd))) => {
                    let message = std::mem::take(&mut self.partial);
                    self.saved
                        .push_back((kind == EventKind::WsTextEnd, message));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.leave(gone);
        true
    }

    /// The client has gone: the edge has its slot back, what waits goes nowhere.
    fn leave(&mut self, gone: Gone) {
        // A WebSocket that the application has closed keeps its own code.
        self.gone.get_or_insert(gone);
        self.partial = Vec::new();
        self.queue.clear();
        self.stage = Stage::Over;
        if let Some(claim) = self.claim.take() {
            claim.finish(Finish::Abort);
        }
    }

    /// The next part of the request's body, appended to `out`. `None`: nothing has come, or nothing will (`body_done`).
    pub fn next_body(&mut self, out: &mut Vec<u8>) -> Option<Incoming> {
        let claim = self.claim.as_mut()?;
        if self.body_done {
            return None;
        }
        match &mut self.intake {
            Intake::Inline { offset, len } => {
                let area = claim.request();
                out.extend_from_slice(area.get(*offset..*offset + *len).unwrap_or_default());
                self.body_done = true;
            }
            Intake::Stream { ask } => {
                if *ask && claim.want_body().is_ok() {
                    *ask = false;
                }
                while out.len() < EVENT_BYTES_MAX {
                    match claim.peek_event() {
                        Ok(Some(EventKind::Body)) => {}
                        Ok(Some(EventKind::BodyEnd)) => self.body_done = true,
                        _ => break,
                    }
                    if claim.next_event(out).is_err() || self.body_done {
                        break;
                    }
                }
                if out.is_empty() && !self.body_done {
                    return None;
                }
            }
            Intake::File {
                len,
                position,
                file,
                asked,
            } => {
                let Some(file) = file else {
                    if !*asked {
                        *asked = claim.want_body().is_ok();
                    }
                    return None;
                };
                let wanted = (*len - *position).min(SPOOL_READ_BYTES as u64) as usize;
                out.resize(wanted, 0);
                let count = sys::file::read_at(file.as_fd(), out, *position).unwrap_or(0);
                out.truncate(count);
                *position += count as u64;
                self.body_done = count < wanted || *position == *len;
            }
        }
        Some(Incoming::Body {
            more: !self.body_done,
        })
    }

    /// The spooled body's file has come.
    pub fn take_spool(&mut self, received: OwnedFd) {
        if let Intake::File { file, .. } = &mut self.intake {
            *file = Some(received);
        }
    }

    /// The next whole message, moved into `out`. `None`: none has come, or the client has gone.
    pub fn next_message(&mut self, out: &mut Vec<u8>) -> Option<Incoming> {
        let kind = |text: bool| {
            if text {
                Incoming::Text
            } else {
                Incoming::Binary
            }
        };
        if let Some((text, message)) = self.saved.pop_front() {
            *out = message;
            return Some(kind(text));
        }
        let claim = self.claim.as_mut()?;
        loop {
            let start = self.partial.len();
            match claim.next_event(&mut self.partial) {
                Ok(Some(found @ (EventKind::WsTextEnd | EventKind::WsBinaryEnd))) => {
                    std::mem::swap(out, &mut self.partial);
                    self.partial.clear();
                    return Some(kind(found == EventKind::WsTextEnd));
                }
                Ok(Some(EventKind::Disconnect)) => {
                    let mut gone = Gone {
                        code: 1006,
                        reason: Vec::new(),
                        timed_out: false,
                    };
                    gone.take(&self.partial[start..]);
                    self.leave(gone);
                    return None;
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(_) => {
                    // Not an edge's doing: nothing sensible follows.
                    self.leave(Gone {
                        code: 1006,
                        reason: Vec::new(),
                        timed_out: false,
                    });
                    return None;
                }
            }
        }
    }
}

impl Gone {
    fn take(&mut self, payload: &[u8]) {
        let (code, reason) = read_disconnect(payload);
        self.timed_out = code == CODE_TIMEOUT;
        if code >= 1000 {
            self.code = code;
        }
        self.reason = reason.to_vec();
    }
}

/// Appends a checked header to a head that begins `head`.
pub fn put_checked(head: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    check_header(name, value)?;
    put(head, name, value)
}

fn put(head: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    encoded(Encoder::resume(head, 0).and_then(|mut encoder| {
        encoder.header(name, value)?;
        encoder.finish();
        Some(())
    }))?;
    if head.len() > HEAD_BYTES_MAX {
        return Err(too_long());
    }
    Ok(())
}

fn check_header(name: &[u8], value: &[u8]) -> Result<(), Fault> {
    let fault = |fault: &str| {
        Fault::Value(format!(
            "{fault}: {}: {}",
            name.escape_ascii(),
            value.escape_ascii()
        ))
    };
    header::name(name).map_err(fault)?;
    header::value(value).map_err(fault)
}

/// An empty head, to be filled by [`put_checked`].
pub fn empty_head(status: u16) -> Vec<u8> {
    let mut head = Vec::new();
    Encoder::new(&mut head, status, b"")
        .map(Encoder::finish)
        .expect("an empty reason fits");
    head
}

fn encoded(done: Option<()>) -> Result<(), Fault> {
    done.ok_or_else(too_long)
}

#[cold]
fn too_long() -> Fault {
    Fault::Value("the headers are too long".to_owned())
}

/// A number's decimal digits, at the end of `buffer`.
fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}
