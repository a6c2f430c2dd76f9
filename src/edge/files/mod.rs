//! The static handler: from a path below a mount to a file, and from a request's conditions and ranges to what is sent of it.
//!
//! One [`Files`] per ring thread; it owns the mounts' directories and the open-file cache. Hot small files are answered
//! from memory in one append; everything else is opened, looked at and sent without ever making the ring thread wait for
//! a disk.
//!
//! What may be stale, and for how long: a path is compared with the file system (opened anew, and its identity, size and times
//! compared) when it is asked for and the last comparison is older than [`FRESH_NS`]. So a change shows at the latest one
//! second after it, a removal and a new file likewise, and so does a mount whose own path comes to name another directory (a
//! deployment that swaps a link); a file that is being sent is sent to its end as it was opened.
//!
//! Floors, ground first: `cache`, `entry`, `request`, `mount` | `load` | `send` | this file. Must not know connections or routing.

mod cache;
mod entry;
mod load;
mod mount;
mod request;
mod send;

pub use load::{Cold, Ready};
pub use request::Request;
pub use send::{Body, send_file};

use crate::respond::{self, Common, Manner};
use cache::{Bounds, Cache, Found};
use entry::{Absent, Entry};
use mount::Mount;
use proto::Method;
use proto::path;
use proto::selection::{self, Selection};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::Rc;

/// How long an entry is used without another look at the file system.
pub const FRESH_NS: u64 = 1_000_000_000;
/// Files known at one time, per ring thread.
const ENTRIES_MAX: usize = 8192;
/// Bytes of memory for heads and small files, per ring thread.
const MEMORY_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Paths known to lead to no file, per ring thread: their own bound, so that a scan for absent files cannot push out
/// the present ones.
const ABSENT_MAX: usize = 1024;
const ABSENT_BYTES_MAX: usize = 1024 * 1024;
/// Descriptors kept open, per ring thread, at most, and at most this share of what the process may have.
const DESCRIPTORS_MAX: usize = 1024;
const DESCRIPTORS_SHARE: u64 = 4;
/// What a file accepts.
const METHODS: &[u8] = b"GET, HEAD, OPTIONS";
/// The file that answers for its directory.
const INDEX: &[u8] = b"index.html";
/// The one hidden name that is public by its purpose (RFC 8615), at the root of the site.
const WELL_KNOWN: &[u8] = b"/.well-known";

/// The static mounts, as one ring thread serves them.
pub struct Files {
    mounts: Vec<Rc<Mount>>,
    found: RefCell<Cache<Rc<Entry>>>,
    absent: RefCell<Cache<Absent>>,
    /// Value of `Server`, for the prepared heads.
    server: String,
    /// `FRESH_NS`, or what a test wants.
    fresh_ns: u64,
    /// Makes multipart boundaries that no file can have been written for.
    seed: Cell<u64>,
}

/// What became of a request.
#[must_use]
pub enum Answer {
    /// The whole answer has been appended.
    Whole { status: u16, body_bytes: u64 },
    /// The head has been appended; the body follows from a file.
    Body { status: u16, body: Body },
    /// The disk has to be asked first.
    Cold(Box<Cold>),
}

impl Files {
    /// Opens the mounts' directories; inside the ring thread's runtime, once, because it may wait for the disk.
    pub fn new(config: &config::Config) -> io::Result<Files> {
        let open = |mount: &config::StaticMount| {
            Mount::open(&mount.dir).map(Rc::new).map_err(|error| {
                let message = format!(
                    "the directory {} of {}: {error}",
                    mount.dir.display(),
                    mount.url
                );
                io::Error::new(error.kind(), message)
            })
        };
        let mounts = config
            .statics
            .iter()
            .map(open)
            .collect::<io::Result<Vec<_>>>()?;
        let allowed = sys::limit::open_files().map_or(DESCRIPTORS_SHARE * 64, |limit| limit.soft);
        let share = allowed / DESCRIPTORS_SHARE / config.rings.max(1) as u64;
        let found = Bounds {
            entries_max: ENTRIES_MAX,
            weight_max: MEMORY_BYTES_MAX,
            descriptors_max: usize::try_from(share)
                .map_or(DESCRIPTORS_MAX, |share| share.min(DESCRIPTORS_MAX)),
        };
        let absent = Bounds {
            entries_max: ABSENT_MAX,
            weight_max: ABSENT_BYTES_MAX,
            descriptors_max: 0,
        };
        Ok(Files {
            found: RefCell::new(Cache::new(mounts.len(), found)),
            absent: RefCell::new(Cache::new(mounts.len(), absent)),
            mounts,
            server: config.server_header.clone(),
            fresh_ns: FRESH_NS,
            seed: Cell::new(RandomState::new().hash_one(0)),
        })
    }

    /// Answers from what the caches of this process and the kernel hold. Appends to `out`, which may hold earlier answers.
    pub fn answer(
        &self,
        request: &Request<'_>,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        match request.head.method {
            Method::Get | Method::Head => {}
            Method::Options => return options(common, manner, out),
            _ => return not_allowed(common, manner, out),
        }
        if is_refused(request) {
            return refuse(404, common, manner, out);
        }
        let now_ns = uring::now();
        let mut found = self.found.borrow_mut();
        let stale = match found.find(request.mount, request.rest(), now_ns) {
            Found::Fresh(entry) => return self.respond(entry, request, common, manner, out),
            Found::Stale(entry) => Some(Rc::clone(entry)),
            Found::Nothing => None,
        };
        drop(found);
        let mut absent = self.absent.borrow_mut();
        if stale.is_none()
            && let Found::Fresh(absent) = absent.find(request.mount, request.rest(), now_ns)
        {
            return self.respond_absent(*absent, request, common, manner, out);
        }
        drop(absent);
        match self.load(request, stale) {
            Ok(ready) => self.finish_now(&ready, request, common, manner, out),
            Err(cold) => Answer::Cold(cold),
        }
    }

    /// The answer after a wait; never cold again.
    pub fn finish(
        &self,
        ready: &Ready,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        ready.with_request(|request| self.finish_now(&ready.outcome, request, common, manner, out))
    }

    fn finish_now(
        &self,
        outcome: &load::Outcome,
        request: &Request<'_>,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        match outcome {
            Ok(entry) => self.respond(entry, request, common, manner, out),
            Err(absent) => self.respond_absent(*absent, request, common, manner, out),
        }
    }

    fn respond_absent(
        &self,
        absent: Absent,
        request: &Request<'_>,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        match absent {
            Absent::Directory => {
                respond::begin(out, 301, common)
                    .compose(b"Location", |out| {
                        path::directory_location(
                            request.path.bytes,
                            request.head.target.query,
                            out,
                        );
                    })
                    .number(b"Content-Length", 0)
                    .connection(manner.version, manner.keep_alive)
                    .finish();
                Answer::Whole {
                    status: 301,
                    body_bytes: 0,
                }
            }
            Absent::Status(status) => refuse(status, common, manner, out),
        }
    }

    /// Answers a GET or HEAD of a file that is there.
    #[inline]
    fn respond(
        &self,
        entry: &Rc<Entry>,
        request: &Request<'_>,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        let wall_s = if request.head.notes.range {
            uring::wall() / 1_000_000_000
        } else {
            0
        };
        let selection = selection::select(request.head, &entry.validators(wall_s), entry.length());
        match selection {
            Selection::Full => {
                let body_bytes = entry.append_full(common.date, manner, out);
                match entry.file() {
                    Some(file) if !manner.head_only => {
                        let body = Body::whole(Rc::clone(file), entry.length());
                        Answer::Body { status: 200, body }
                    }
                    _ => Answer::Whole {
                        status: 200,
                        body_bytes,
                    },
                }
            }
            Selection::NotModified => {
                entry.append_not_modified(common.date, manner, out);
                Answer::Whole {
                    status: 304,
                    body_bytes: 0,
                }
            }
            Selection::PreconditionFailed => refuse(412, common, manner, out),
            Selection::Part(range) => entry.answer_part(range, common, manner, out),
            Selection::Parts(ranges) => {
                let seed = self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
                self.seed.set(seed);
                entry.answer_parts(
                    &ranges,
                    RandomState::new().hash_one(seed),
                    common,
                    manner,
                    out,
                )
            }
            Selection::Unsatisfiable => {
                respond::begin(out, 416, common)
                    .compose(b"Content-Range", |out| {
                        proto::range::append_unsatisfied(entry.length(), out)
                    })
                    .number(b"Content-Length", 0)
                    .connection(manner.version, manner.keep_alive)
                    .finish();
                Answer::Whole {
                    status: 416,
                    body_bytes: 0,
                }
            }
        }
    }
}

/// Names that are never looked up: spellings that two systems may read differently, and hidden files.
fn is_refused(request: &Request<'_>) -> bool {
    let path = &request.path;
    if path.encoded_slash || path.backslash {
        return true;
    }
    path.hidden && is_hidden(path.bytes, request.prefix)
}

#[cold]
fn is_hidden(path: &[u8], prefix: usize) -> bool {
    let rest = match proto::path::strip_mount(path, WELL_KNOWN) {
        Some(rest) if prefix <= WELL_KNOWN.len() => rest,
        _ => &path[prefix..],
    };
    rest.windows(2).any(|pair| pair == b"/.")
}

fn refuse(status: u16, common: Common<'_>, manner: Manner, out: &mut Vec<u8>) -> Answer {
    let body_bytes = respond::page(out, status, "", manner, common);
    Answer::Whole { status, body_bytes }
}

fn options(common: Common<'_>, manner: Manner, out: &mut Vec<u8>) -> Answer {
    respond::begin(out, 204, common)
        .header(b"Allow", METHODS)
        .connection(manner.version, manner.keep_alive)
        .finish();
    Answer::Whole {
        status: 204,
        body_bytes: 0,
    }
}

fn not_allowed(common: Common<'_>, manner: Manner, out: &mut Vec<u8>) -> Answer {
    respond::begin(out, 405, common)
        .header(b"Allow", METHODS)
        .number(b"Content-Length", 0)
        .connection(manner.version, manner.keep_alive)
        .finish();
    Answer::Whole {
        status: 405,
        body_bytes: 0,
    }
}

#[cfg(test)]
mod tests;
