//! An app's answer on its way from the exchange to the socket.
//!
//! Owns the state of one answer: its framing, what is left of its length, what has left. Nothing the worker says is believed:
//! the head is judged, a body is cut to its length, and anything out of order is a fault. Invariants: whatever was
//! appended can be taken back until a byte of it has left; at most `BUFFER_MAX_BYTES` wait in the edge for a slow client,
//! beyond that the worker waits. Must not wait itself.

mod heads;

use super::handover::Handover;
use super::output::Output;
use crate::app::{Call, HeadKind, News, Served};
use crate::respond::{Common, Manner};
use proto::http1::app_head;
use proto::http1::chunked::{self, ChunkHead};
use proto::http1::framing::Framing;
use proto::http1::response::CONTINUE;
use proto::websocket::handshake::Offer;
use proto::{Reject, status};
use shm::Chunk;
use std::fmt;
use std::io;
use uring::net::Socket;

/// What the edge keeps of one answer for a client that is slower than the worker.
const BUFFER_MAX_BYTES: usize = 1024 * 1024;
/// Up to here head and body are copied together for one send; beyond, the body leaves from where the worker wrote it.
const COPY_MAX_BYTES: usize = 16 * 1024;

/// What a request lets its answer be, beyond the plain.
#[derive(Debug, Default)]
pub struct Asks {
    /// A WebSocket instead of an answer.
    pub socket: Option<Box<Offer>>,
    /// Fields behind the body.
    pub trailers: bool,
    /// `Server-Timing`.
    pub timing: bool,
    /// The access log shows headers of answers.
    pub head: bool,
}

/// One answer under way.
pub struct Reply {
    manner: Manner,
    pub asks: Asks,
    /// Where this answer begins in the output.
    start: u64,
    /// `None` until the head has come.
    framing: Option<Framing>,
    pub status: u16,
    /// Bytes the announced length still asks for.
    left: u64,
    /// Bytes of the body handed on.
    pub body_bytes: u64,
    /// The app asks the edge to send something else; nothing of its answer goes out.
    pub handover: Option<Box<Handover>>,
    /// The connection ends after this answer.
    pub close: bool,
    /// If the head comes now: likewise, for too much of the request is still to come.
    pub body_is_far: bool,
    /// The app sent more than it announced, or a body where none belongs.
    pub excess: bool,
    /// The socket takes nothing at the moment: what comes is kept.
    pub blocked: bool,
    /// Lines that follow the last chunk; `None`: none may.
    trailers: Option<Vec<u8>>,
    /// How the request has fared so far, if the client is to know.
    timing: Option<Served>,
    /// As it was written, until the access log has seen it.
    pub head: Option<Vec<u8>>,
}

/// Why the pulling stopped.
pub enum Pull {
    /// Nothing new from the worker.
    Waiting,
    /// Enough waits in the edge; the client has to take some first.
    Full,
    /// Then a file: its piece's head is in the output.
    File {
        token: u64,
        offset: u64,
        length: u64,
    },
    /// The app waits for a body of which the client may wait to be asked.
    WantBody,
    /// The WebSocket's accepting head is in the output.
    Accepted,
    /// The answer is complete in the output.
    End,
}

/// Why an answer cannot go on.
#[derive(Debug)]
pub enum Fault {
    /// The worker died.
    Lost,
    /// The worker gave up.
    Aborted,
    /// The segment holds garbage.
    Corrupt(&'static str),
    /// The worker broke the order of things.
    Order(&'static str),
    /// The head cannot be sent.
    Head(app_head::Fault),
    /// Less body than announced.
    Short { missing: u64 },
    /// The request's body, while the app has the request.
    Body(Reject),
    /// The client.
    Gone(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost => f.write_str("the worker died"),
            Fault::Aborted => f.write_str("the worker gave the answer up"),
            Fault::Corrupt(what) => write!(f, "garbage in the exchange: {what}"),
            Fault::Order(what) => write!(f, "the worker broke the protocol: {what}"),
            Fault::Head(fault) => write!(f, "bad response head: {fault}"),
            Fault::Short { missing } => write!(
                f,
                "the response body is {missing} bytes shorter than its Content-Length"
            ),
            Fault::Body(reject) => write!(f, "the request body: {reject}"),
            Fault::Gone(error) => write!(f, "the client is gone: {error}"),
        }
    }
}

impl Reply {
    pub fn new(manner: Manner, asks: Asks, out: &Output) -> Reply {
        Reply {
            manner,
            asks,
            start: out.position(),
            framing: None,
            status: 0,
            left: 0,
            body_bytes: 0,
            handover: None,
            close: !manner.keep_alive,
            body_is_far: false,
            excess: false,
            blocked: false,
            trailers: None,
            timing: None,
            head: None,
        }
    }

    /// Whether the head has come from the worker.
    pub fn has_head(&self) -> bool {
        self.framing.is_some()
    }

    /// The client may send the body that it announced. Nothing to say if the answer has begun.
    pub fn tell_to_go_on(&mut self, out: &mut Output) {
        if !self.has_head() {
            out.buffer().extend_from_slice(CONTINUE);
            self.start = out.position();
        }
    }

    /// Takes the answer back; false if some of it has left.
    pub fn take_back(&mut self, out: &mut Output) -> bool {
        out.rewind(self.start)
    }

    /// Takes in everything the worker has said, sending what is too large to gather.
    pub fn pull(
        &mut self,
        call: &mut Call,
        socket: &Socket,
        out: &mut Output,
        common: Common<'_>,
    ) -> Result<Pull, Fault> {
        loop {
            if out.len() >= BUFFER_MAX_BYTES {
                return Ok(Pull::Full);
            }
            if self.asks.timing && self.framing.is_none() {
                self.timing = Some(call.served(uring::now()));
            }
            let mut head = Ok(());
            let news = call.next(|kind, bytes| head = self.handle(kind, bytes, out, common));
            let news = news.map_err(|corrupt| Fault::Corrupt(corrupt.0))?;
            head?;
            match news {
                None => return Ok(Pull::Waiting),
                Some(News::Head(HeadKind::Accept)) => return Ok(Pull::Accepted),
                Some(News::Head(_)) => {}
                Some(News::Body(chunk)) => self.handle_body(call, chunk, socket, out)?,
                Some(News::File {
                    token,
                    offset,
                    length,
                }) => {
                    if let Some(length) = self.begin_file(length, out)? {
                        return Ok(Pull::File {
                            token,
                            offset,
                            length,
                        });
                    }
                    // Nobody else will: it would stay open.
                    drop(call.file(token));
                }
                Some(News::End) => {
                    self.handle_end(out)?;
                    return Ok(Pull::End);
                }
                Some(News::WantBody) => return Ok(Pull::WantBody),
                Some(News::Message { .. } | News::Close { .. }) => {
                    return Err(Fault::Order("a WebSocket's frame before it is one"));
                }
                Some(News::Abort) => return Err(Fault::Aborted),
                Some(News::Lost) => return Err(Fault::Lost),
            }
        }
    }

    /// How much of `length` more bytes may go out.
    fn admit(&mut self, length: u64) -> Result<u64, Fault> {
        let admitted = match self.framing {
            None => return Err(Fault::Order("a body before the head")),
            Some(Framing::NoBody { .. }) => 0,
            Some(Framing::Length(_)) => length.min(self.left),
            Some(Framing::Chunked | Framing::Close) => length,
        };
        // A body in answer to HEAD is what a plain app does; anything else is a mistake of the app's.
        let none_belongs =
            self.manner.head_only || self.handover.is_some() || status::has_no_content(self.status);
        self.excess |= admitted < length && !none_belongs;
        self.left = self.left.saturating_sub(admitted);
        self.body_bytes += admitted;
        Ok(admitted)
    }

    fn handle_body(
        &mut self,
        call: &Call,
        chunk: Chunk,
        socket: &Socket,
        out: &mut Output,
    ) -> Result<(), Fault> {
        let admitted = self.admit(chunk.len() as u64)? as usize;
        if admitted > 0 {
            let chunked = self.framing == Some(Framing::Chunked);
            let sent = call.with_bytes(chunk, |bytes| {
                let bytes = &bytes[..admitted.min(bytes.len())];
                if self.blocked || out.len() + bytes.len() <= COPY_MAX_BYTES {
                    if chunked {
                        chunked::append(out.buffer(), bytes);
                    } else {
                        out.buffer().extend_from_slice(bytes);
                    }
                    Ok(true)
                } else if chunked {
                    let head = ChunkHead::new(bytes.len());
                    out.try_send_through(socket, [head.as_bytes(), bytes, chunked::CHUNK_END])
                } else {
                    out.try_send_through(socket, [bytes, b"", b""])
                }
            });
            self.blocked |= !sent.unwrap_or(Ok(true)).map_err(Fault::Gone)?;
        }
        call.consume(chunk.mark());
        Ok(())
    }

    /// Writes what stands before a file's bytes; `None`: none of them go out.
    fn begin_file(&mut self, length: u64, out: &mut Output) -> Result<Option<u64>, Fault> {
        let admitted = self.admit(length)?;
        if admitted == 0 {
            return Ok(None);
        }
        if self.framing == Some(Framing::Chunked) {
            let size =
                usize::try_from(admitted).map_err(|_| Fault::Order("a file beyond all bounds"))?;
            out.buffer()
                .extend_from_slice(ChunkHead::new(size).as_bytes());
        }
        Ok(Some(admitted))
    }

    /// Writes what stands behind a file's bytes.
    pub fn end_file(&self, out: &mut Output) {
        if self.framing == Some(Framing::Chunked) {
            out.buffer().extend_from_slice(chunked::CHUNK_END);
        }
    }

    fn handle_end(&mut self, out: &mut Output) -> Result<(), Fault> {
        match self.framing {
            None => Err(Fault::Order("an end without a head")),
            Some(Framing::Length(_)) if self.left > 0 => Err(Fault::Short { missing: self.left }),
            Some(Framing::Chunked) => {
                match self.trailers.take() {
                    Some(trailers) => chunked::append_last(out.buffer(), &trailers),
                    None => out.buffer().extend_from_slice(chunked::LAST_CHUNK),
                }
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}
