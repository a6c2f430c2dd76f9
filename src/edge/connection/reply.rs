//! An app's answer on its way from the exchange to the socket.
//!
//! Owns the state of one answer: its framing, what is left of its length, what has left. Nothing the worker says is believed:
//! the head is judged, a body is cut to its length, and anything out of order is a fault. Invariants: whatever was
//! appended can be taken back until a byte of it has left; at most `BUFFER_MAX_BYTES` wait in the edge for a slow client,
//! beyond that the worker waits. Must not wait itself.

use super::handover::{Handover, is_wish};
use super::output::Output;
use crate::app::{Call, News};
use crate::respond::{Common, Manner};
use proto::http1::app_head::{self, AppHead, Disposition};
use proto::http1::chunked::{self, ChunkHead};
use proto::http1::framing::Framing;
use proto::http1::response::Writer;
use proto::{Method, status};
use shm::Chunk;
use std::fmt;
use std::io;
use uring::net::Socket;

/// What the edge keeps of one answer for a client that is slower than the worker.
const BUFFER_MAX_BYTES: usize = 1024 * 1024;
/// Up to here head and body are copied together for one send; beyond, the body leaves from where the worker wrote it.
const COPY_MAX_BYTES: usize = 16 * 1024;

/// One answer under way.
pub struct Reply {
    manner: Manner,
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
    /// The app sent more than it announced, or a body where none belongs.
    pub excess: bool,
    /// The socket takes nothing at the moment: what comes is kept.
    pub blocked: bool,
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
            Fault::Gone(error) => write!(f, "the client is gone: {error}"),
        }
    }
}

impl Reply {
    pub fn new(manner: Manner, out: &Output) -> Reply {
        Reply {
            manner,
            start: out.position(),
            framing: None,
            status: 0,
            left: 0,
            body_bytes: 0,
            handover: None,
            close: !manner.keep_alive,
            excess: false,
            blocked: false,
        }
    }

    /// Whether the head has come from the worker.
    pub fn has_head(&self) -> bool {
        self.framing.is_some()
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
            let mut head = Ok(());
            let news = call.next(|bytes| head = self.handle_head(bytes, out.buffer(), common));
            let news = news.map_err(|corrupt| Fault::Corrupt(corrupt.0))?;
            head?;
            match news {
                None => return Ok(Pull::Waiting),
                Some(News::Head) => {}
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
                }
                Some(News::End) => {
                    self.handle_end(out)?;
                    return Ok(Pull::End);
                }
                Some(News::Abort) => return Err(Fault::Aborted),
                Some(News::Lost) => return Err(Fault::Lost),
            }
        }
    }

    /// Judges the head and writes ours.
    fn handle_head(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        common: Common<'_>,
    ) -> Result<(), Fault> {
        if self.framing.is_some() {
            return Err(Fault::Order("a second head"));
        }
        let head = shm::response::decode(bytes).map_err(|corrupt| Fault::Corrupt(corrupt.0))?;
        app_head::check_status(head.status, head.reason).map_err(Fault::Head)?;
        let start = out.len();
        let mut writer = match head.reason {
            b"" => Writer::start(out, head.status),
            reason => Writer::start_with(out, head.status, reason),
        };
        let (mut seen, mut wished) = (AppHead::new(), false);
        for (name, value) in head.headers {
            if seen.admit(name, value).map_err(Fault::Head)? == Disposition::Send {
                wished |= is_wish(name);
                writer.header(name, value);
            }
        }
        if wished {
            self.handover = Handover::new(head.headers).map(Box::new);
            self.close |= seen.close;
            self.status = head.status;
            self.framing = Some(Framing::NoBody { announced: None });
            out.truncate(start);
            return Ok(());
        }
        if !seen.has_server && !common.server.is_empty() {
            writer.server(common.server);
        }
        if !seen.has_date {
            writer.date(common.date);
        }
        let method = if self.manner.head_only {
            Method::Head
        } else {
            Method::Get
        };
        let framing = Framing::decide(
            &method,
            self.manner.version,
            head.status,
            seen.content_length,
        );
        self.close |= seen.close || !framing.can_persist();
        writer
            .framing(framing)
            .connection(self.manner.version, !self.close)
            .finish();
        self.left = if let Framing::Length(length) = framing {
            length
        } else {
            0
        };
        self.status = head.status;
        self.framing = Some(framing);
        Ok(())
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
                out.buffer().extend_from_slice(chunked::LAST_CHUNK);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }
}
