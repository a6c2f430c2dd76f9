//! `wsgi.input`: the request body, as a rule complete before the worker was taken, in the request area or in a spool file.
//!
//! Reading past the end yields `b""`, so `wsgi.input_terminated` is true (W10, W11, W13).

use super::session::{Session, Stop, Ticket};
use crate::ffi::{
    Arguments, Class, Iterate, Method, MethodEntry, Object, Python, Result, Slot, methods,
};
use std::os::fd::{AsFd, OwnedFd};

/// How much of a spool file is read ahead for lines.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug)]
enum Source {
    Empty,
    /// In the request area.
    Inline {
        offset: usize,
    },
    /// `file` comes from the edge on the first read.
    File {
        file: Option<OwnedFd>,
    },
    /// On the inbound ring, while the client sends it: the edge took the application for one of ASGI, as its last generation was.
    Stream {
        asked: bool,
    },
}

/// A body and how far it was read. Invariants: `position <= len`; `ahead[ahead_at..]` are the bytes from `position` on.
#[derive(Debug)]
pub struct Body {
    source: Source,
    len: u64,
    position: u64,
    ahead: Vec<u8>,
    ahead_at: usize,
}

impl Body {
    pub fn new() -> Body {
        Body {
            source: Source::Empty,
            len: 0,
            position: 0,
            ahead: Vec::new(),
            ahead_at: 0,
        }
    }

    pub fn set(&mut self, body: shm::request::Body) {
        self.position = 0;
        (self.source, self.len) = match body {
            shm::request::Body::Inline { len: 0, .. } => (Source::Empty, 0),
            shm::request::Body::Inline { offset, len } => (Source::Inline { offset }, len as u64),
            shm::request::Body::File { len } => (Source::File { file: None }, len),
            shm::request::Body::Stream => (Source::Stream { asked: false }, u64::MAX),
        };
    }

    /// Forgets the body; closes its file.
    #[inline]
    pub fn clear(&mut self) {
        if !matches!(self.source, Source::Empty) {
            *self = Body::new();
        }
    }

    /// The next bytes: all that are left, at most `limit`, and with `line` not beyond a line's end.
    fn take(
        &mut self,
        py: Python<'_>,
        session: &Session,
        limit: Option<usize>,
        line: bool,
    ) -> Result<Object> {
        let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
        let limit = limit.unwrap_or(usize::MAX).min(left);
        if limit == 0 {
            return py.bytes(b"");
        }
        if let Source::Inline { offset } = self.source {
            let start = offset + self.position as usize;
            let found = session.inside(|| {
                session.with_request(|area| {
                    let rest = area.get(start..start + limit).unwrap_or_default();
                    let count = if line { line_len(rest) } else { rest.len() };
                    (py.bytes(&rest[..count]), count)
                })
            });
            let (bytes, count) = found.map_err(|stop| stop.raise(py))?;
            self.position += count as u64;
            return bytes;
        }
        let bytes = self
            .take_from_file(py, session, limit, line)
            .map_err(|stop| stop.raise(py))?;
        py.bytes(&bytes)
    }

    fn take_from_file(
        &mut self,
        py: Python<'_>,
        session: &Session,
        limit: usize,
        line: bool,
    ) -> std::result::Result<Vec<u8>, Stop> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            if self.ahead_at == self.ahead.len() {
                self.read_ahead(py, session)?;
            }
            let ahead = &self.ahead[self.ahead_at..];
            let ahead = &ahead[..ahead.len().min(limit - taken.len())];
            if ahead.is_empty() {
                break;
            }
            let count = if line { line_len(ahead) } else { ahead.len() };
            taken.extend_from_slice(&ahead[..count]);
            self.ahead_at += count;
            self.position += count as u64;
            if line && taken.last() == Some(&b'\n') {
                break;
            }
        }
        Ok(taken)
    }

    fn read_ahead(&mut self, py: Python<'_>, session: &Session) -> std::result::Result<(), Stop> {
        let file = match &mut self.source {
            Source::File { file } => file,
            Source::Stream { .. } if self.position == self.len => return Ok(()),
            Source::Stream { asked } => {
                let first = !std::mem::replace(asked, true);
                let mut chunk = std::mem::take(&mut self.ahead);
                chunk.clear();
                if session.inside(|| session.receive_part(py, first, &mut chunk))? {
                    self.len = self.position + chunk.len() as u64;
                }
                self.ahead = chunk;
                self.ahead_at = 0;
                return Ok(());
            }
            Source::Empty | Source::Inline { .. } => return Ok(()),
        };
        if file.is_none() {
            *file = Some(session.inside(|| session.receive_body(py))?);
        }
        let Some(file) = file.as_ref() else {
            return Ok(());
        };
        let mut chunk = std::mem::take(&mut self.ahead);
        chunk.resize(CHUNK_BYTES, 0);
        let position = self.position;
        let count = py
            .detached(|| sys::file::read_at(file.as_fd(), &mut chunk, position))
            .map_err(|_| Stop::Handover)?;
        chunk.truncate(count);
        self.ahead = chunk;
        self.ahead_at = 0;
        Ok(())
    }
}

/// Up to and including the first line feed, or everything.
fn line_len(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

/// The object in the environ.
pub struct Input(pub Ticket);

impl Input {
    fn take(&self, py: Python<'_>, limit: Option<usize>, line: bool) -> Result<Object> {
        let session = self.0.session(py)?;
        match session.body.try_borrow_mut() {
            Ok(mut body) => body.take(py, session, limit, line),
            Err(_) => Err(Stop::Concurrent.raise(py)),
        }
    }
}

/// A size argument: absent, None and negative mean all.
fn size(argument: Option<&Object>) -> Result<Option<usize>> {
    match argument {
        Some(argument) if !argument.is_none() => Ok(usize::try_from(argument.to_isize()?).ok()),
        _ => Ok(None),
    }
}

impl Class for Input {
    const NAME: &'static std::ffi::CStr = c"_ringgate.Input";
    const DOC: &'static std::ffi::CStr = c"The request body (PEP 3333, wsgi.input).";
    const METHODS: &'static [MethodEntry] = &[
        methods::entry::<Read>(),
        methods::entry::<ReadLine>(),
        methods::entry::<ReadLines>(),
        methods::END,
    ];

    fn slots() -> Vec<Slot<Input>> {
        Slot::iterator().into()
    }
}

impl Iterate for Input {
    fn next(py: Python<'_>, this: &Input) -> Result<Option<Object>> {
        let line = this.take(py, None, true)?;
        Ok(if line.as_bytes().is_none_or(<[u8]>::is_empty) {
            None
        } else {
            Some(line)
        })
    }
}

struct Read;
impl Method for Read {
    type Class = Input;
    const NAME: &'static std::ffi::CStr = c"read";
    const DOC: &'static std::ffi::CStr =
        c"read(size=-1): the next size bytes, or all that are left; b\"\" at the end.";

    fn call(py: Python<'_>, this: &Input, arguments: Arguments<'_>) -> Result<Object> {
        let arguments = arguments.between(py, "read", 0, 1)?;
        this.take(py, size(arguments.first())?, false)
    }
}

struct ReadLine;
impl Method for ReadLine {
    type Class = Input;
    const NAME: &'static std::ffi::CStr = c"readline";
    const DOC: &'static std::ffi::CStr =
        c"readline(size=-1): the next line, at most size bytes of it; b\"\" at the end.";

    fn call(py: Python<'_>, this: &Input, arguments: Arguments<'_>) -> Result<Object> {
        let arguments = arguments.between(py, "readline", 0, 1)?;
        this.take(py, size(arguments.first())?, true)
    }
}

struct ReadLines;
impl Method for ReadLines {
    type Class = Input;
    const NAME: &'static std::ffi::CStr = c"readlines";
    const DOC: &'static std::ffi::CStr =
        c"readlines(hint=-1): the lines that are left, ending after hint bytes.";

    fn call(py: Python<'_>, this: &Input, arguments: Arguments<'_>) -> Result<Object> {
        let arguments = arguments.between(py, "readlines", 0, 1)?;
        // A hint of 0 means none, as for files.
        let hint = size(arguments.first())?.filter(|hint| *hint > 0);
        let lines = py.list()?;
        let mut total = 0;
        while hint.is_none_or(|hint| total < hint) {
            let line = this.take(py, None, true)?;
            let len = line.as_bytes().map_or(0, <[u8]>::len);
            if len == 0 {
                break;
            }
            lines.append(&line)?;
            total += len;
        }
        Ok(lines)
    }
}
