//! What an application has said of its response so far, and what may follow. Pure bookkeeping and the encoded head.
//!
//! Invariant: `head` holds a complete encoded head whenever `stage` is `Ready`; `sent <= length` where there is a length.

use crate::header;

/// How far the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// start_response was not called, or failed.
    Open,
    /// There is a head; nothing of it has left.
    Ready,
    /// The head is on its way; nobody can change it any more.
    Sent,
    /// The edge has all of it.
    Finished,
}

/// One response. Reused for the next request: its buffer stays.
#[derive(Debug)]
pub struct Response {
    pub stage: Stage,
    /// start_response was called, successfully or not.
    pub called: bool,
    /// Hop-by-hop headers are passed on, for the edge to leave them out.
    tolerant: bool,
    /// Encoded (`shm::response`).
    head: Vec<u8>,
    pub status: u16,
    /// Content-Length, by the application or by us.
    pub length: Option<u64>,
    /// Body bytes handed to the exchange.
    pub sent: u64,
    /// The request was HEAD.
    pub head_only: bool,
    /// The body went beyond Content-Length; the rest was cut.
    pub overrun: bool,
}

impl Response {
    pub fn new(tolerant: bool) -> Response {
        Response {
            stage: Stage::Open,
            called: false,
            tolerant,
            head: Vec::with_capacity(1024),
            status: 0,
            length: None,
            sent: 0,
            head_only: false,
            overrun: false,
        }
    }

    /// For the next request.
    pub fn reset(&mut self, head_only: bool) {
        self.stage = Stage::Open;
        self.called = false;
        self.head.clear();
        self.status = 0;
        self.length = None;
        self.sent = 0;
        self.head_only = head_only;
        self.overrun = false;
    }

    /// Begins a new head, dropping one that was not sent.
    pub fn begin_head(&mut self, status: u16, reason: &[u8]) -> Result<(), &'static str> {
        self.head.clear();
        self.length = None;
        self.stage = Stage::Open;
        self.status = status;
        shm::response::Encoder::new(&mut self.head, status, reason)
            .map(shm::response::Encoder::finish)
            .ok_or("the status text is too long")
    }

    /// Adds a header after checking it.
    pub fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        header::name(name)?;
        header::value(value)?;
        if header::is_hop_by_hop(name) && !self.tolerant {
            return Err(
                "headers of the connection are the server's to send (PEP 3333; --tolerate-hop-by-hop leaves them out)",
            );
        }
        if name.len() == 14 && name.eq_ignore_ascii_case(b"content-length") {
            let length = header::content_length(value).ok_or("Content-Length is not a number")?;
            if self.length.replace(length).is_some() {
                return Err("Content-Length appears twice");
            }
        }
        self.put(name, value)
    }

    fn put(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let added = shm::response::Encoder::resume(&mut self.head, 0).and_then(|mut encoder| {
            encoder.header(name, value)?;
            encoder.finish();
            Some(())
        });
        if added.is_none() {
            return Err("too many or too long headers");
        }
        if self.head.len() > HEAD_BYTES_MAX {
            return Err("the headers are too long");
        }
        Ok(())
    }

    /// The head is complete.
    pub fn end_head(&mut self) {
        self.stage = Stage::Ready;
    }

    /// Gives a body of known size its Content-Length if the application gave none (PEP 3333 "Handling the Content-Length Header").
    pub fn set_length(&mut self, length: u64) {
        if self.stage != Stage::Ready || self.length.is_some() || header::is_bodiless(self.status) {
            return;
        }
        let mut digits = [0; 20];
        let text = decimal(length, &mut digits);
        if self.put(b"Content-Length", text).is_ok() {
            self.length = Some(length);
        }
    }

    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether body bytes are dropped rather than sent.
    pub fn is_bodiless(&self) -> bool {
        self.head_only || header::is_bodiless(self.status)
    }

    /// How many of `len` further bytes may be sent; notes an overrun.
    pub fn admit(&mut self, len: usize) -> usize {
        let Some(length) = self.length else {
            return len;
        };
        let room = usize::try_from(length - self.sent).unwrap_or(usize::MAX);
        if len > room {
            self.overrun = true;
        }
        len.min(room)
    }

    /// Whether the client will have all it was promised.
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Sent && (self.is_bodiless() || self.length == Some(self.sent))
    }
}

/// Longest encoded head. The exchange's smallest sensible response ring holds it.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// A number's decimal digits, at the end of `buffer`.
pub fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
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
