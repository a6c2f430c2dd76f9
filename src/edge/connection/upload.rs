//! A request body on its way in: complete before an app hears of the request, so that a slow client costs no worker.
//!
//! Owns the bytes: in memory as long as they fit the slot, in an unlinked file beyond that. Invariants: never more than the
//! limit is taken in, never more in memory than fits inline. Known cost: the file is written from the ring thread, into the
//! page cache; under heavy write-back that can stall, which is where a ring write would help.

use super::input::Input;
use super::output::Output;
use super::request::TAKEN_IN;
use super::source::Source;
use super::submission::{Content, Upload, explain};
use super::{Connection, Ring};
use crate::app::{Call, Refusal};
use crate::respond::Manner;
use proto::http1::request::{Parse, parse};
use proto::http1::response::CONTINUE;
use proto::{Body, HeaderStorage, Reject, path};
use std::fs::File;
use std::io::{self, Seek, Write};
use uring::time::within;

/// Why there is no call.
pub(super) enum Failed {
    /// Answer so; `true`: the body was taken in whole, so the connection can go on.
    Answer(u16, &'static str, bool),
    /// The client left, or fell silent without having been promised anything.
    Gone,
}

impl From<Reject> for Failed {
    fn from(reject: Reject) -> Failed {
        Failed::Answer(reject.status, reject.reason, false)
    }
}

/// A body as it gathers.
struct Gathered {
    /// Invariant: empty once `spool` is there.
    memory: Vec<u8>,
    memory_max: usize,
    /// What is to come in all, as far as that is known.
    announced: usize,
    spool: Option<File>,
    length: u64,
    length_max: u64,
}

const TOO_LARGE: Failed = Failed::Answer(413, "the request body is too large", false);
const NO_ROOM: Failed = Failed::Answer(503, "no room for the request body", false);

impl Gathered {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.length += bytes.len() as u64;
        if self.length > self.length_max {
            return Err(TOO_LARGE);
        }
        if self.spool.is_none() && self.memory.len() + bytes.len() > self.memory_max {
            let spool = sys::file::temporary(&std::env::temp_dir()).map_err(|_| NO_ROOM)?;
            let memory = std::mem::take(&mut self.memory);
            self.spool
                .insert(spool)
                .write_all(&memory)
                .map_err(|_| NO_ROOM)?;
        }
        match &mut self.spool {
            Some(spool) => spool.write_all(bytes).map_err(|_| NO_ROOM),
            None => {
                if self.memory.is_empty() {
                    self.memory
                        .reserve_exact(self.announced.min(self.memory_max));
                }
                self.memory.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

impl Connection {
    /// Takes in a body, then submits its request.
    pub(super) async fn take_in(
        &mut self,
        upload: &Upload,
        manner: Manner,
        input: &mut Input,
        out: &mut Output,
    ) -> Result<Call, Failed> {
        let memory_max = upload.app.inline_room(upload.head.len());
        let mut gathered = Gathered {
            memory: Vec::new(),
            memory_max,
            announced: match upload.body {
                Body::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
                Body::Chunked | Body::None => 0,
            },
            spool: None,
            length: 0,
            length_max: self.ring.site().body_bytes_max,
        };
        if upload.expects && input.is_empty() {
            debug_assert!(manner.version == proto::Version::Http11);
            out.buffer().extend_from_slice(CONTINUE);
        }
        let mut source = Source::new(upload.body);
        while !source.draw(input, |bytes| gathered.push(bytes).map(|()| true))? {
            self.flush(out).await.map_err(|_| Failed::Gone)?;
            self.more_body(input).await?;
        }
        self.submit_upload(upload, gathered)
    }

    /// Waits for more of the body.
    async fn more_body(&mut self, input: &mut Input) -> Result<(), Failed> {
        Ring::arm(&self.deadline, uring::now(), self.ring.times().body_ns);
        match within(&self.deadline, self.socket.recv()).await {
            Some(Some(Ok(chunk))) => {
                self.received(&chunk);
                input.push(chunk);
                Ok(())
            }
            Some(_) => Err(Failed::Gone),
            None => Err(Failed::Answer(408, "the request body took too long", false)),
        }
    }

    fn submit_upload(&self, upload: &Upload, gathered: Gathered) -> Result<Call, Failed> {
        let mut storage = HeaderStorage::new();
        let Parse::Complete { head, .. } = parse(&upload.head, &mut storage, &TAKEN_IN) else {
            return Err(Failed::Answer(400, "malformed request", false));
        };
        let mut scratch = self.ring.scratch.borrow_mut();
        let path = path::normalise(head.target.path, &mut scratch).map_err(path::Fault::reject)?;
        let chunked = upload.body == Body::Chunked;
        let Gathered {
            memory,
            spool,
            length,
            ..
        } = gathered;
        let content = match &spool {
            Some(_) => Content::Spooled { length, chunked },
            None => Content::Inline {
                bytes: &memory,
                chunked,
            },
        };
        let refused = |refusal: Refusal| {
            let (status, detail) = explain(refusal);
            Failed::Answer(status, detail, true)
        };
        let mut call = self
            .submit(&upload.app, &head, path, content)
            .map_err(refused)?;
        if let Some(mut spool) = spool {
            let rewound: io::Result<()> = spool.rewind();
            rewound.map_err(|_| NO_ROOM)?;
            call.spool = Some(spool);
        }
        Ok(call)
    }
}
