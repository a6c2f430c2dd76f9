//! The static handler: from a path below a location to a file, and from a request's conditions and ranges to what is sent of it.
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
//! Floors, ground first: `allowance`, `cache`, `errand`, `listing`, `mount`, `prepared`, `refusal`, `request`, `send`, `tag` | `location` |
//! `entry` | `walk` | `load` | `answer`, `standing` | this file. Must not know connections or routing.

mod allowance;
mod answer;
mod cache;
mod entry;
mod errand;
mod listing;
mod load;
mod location;
mod mount;
mod prepared;
mod refusal;
mod request;
mod send;
mod standing;
mod tag;
mod walk;

pub use load::Cold;
pub use request::Request;
pub use send::{Body, send_file};
pub use standing::Standing;

use crate::respond::{Common, Manner};
use answer::Asked;
use cache::{Bounds, Cache, Found};
use entry::{Absent, Entry};
use location::Location;
use proto::{Head, Method};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::Rc;
use uring::fs::Directory;

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
/// A file that nobody has asked for this long is closed, at the next look: a file that was removed gives its room on the disk back, and
/// a file system can be unmounted.
const IDLE_NS: u64 = 60_000_000_000;
const IDLE_LOOK_NS: u64 = 30_000_000_000;

/// The static locations, as one ring thread serves them.
pub struct Files {
    /// As `config.statics`, then `config.sendfile_roots`, which have no URL.
    locations: Vec<Location>,
    found: RefCell<Cache<Rc<Entry>>>,
    absent: RefCell<Cache<Absent>>,
    /// Value of `Server`, for the prepared heads.
    server: String,
    /// `FRESH_NS`, or what a test wants.
    fresh_ns: u64,
    /// A task looks for files that nobody asks for; there is one while files are open.
    looks: Cell<bool>,
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

/// The locations in their order: those with a URL, then the roots of `X-Sendfile`.
pub fn mounts(config: &config::Config) -> impl Iterator<Item = &config::StaticMount> {
    config.statics.iter().chain(&config.sendfile_roots)
}

/// Why there is no location, for the user.
pub fn cannot_open(mount: &config::StaticMount, error: &io::Error) -> io::Error {
    let message = format!(
        "location {}/: the directory {} cannot be used by the user whom its files are served as ({})",
        mount.url,
        mount.dir.display(),
        config::world::plain(error)
    );
    io::Error::new(error.kind(), message)
}

impl Files {
    /// Opens the mounts' directories; inside the ring thread's runtime, once, because it may wait for the disk.
    pub fn new(config: &config::Config) -> io::Result<Files> {
        let open = |mount: &config::StaticMount| {
            let directory = Directory::open(&mount.dir);
            directory.map_err(|error| cannot_open(mount, &error))
        };
        let directories = mounts(config).map(open).collect::<io::Result<_>>()?;
        Files::over(config, directories)
    }

    /// Over directories that have been opened in the order of [`mounts`].
    pub fn over(config: &config::Config, directories: Vec<Directory>) -> io::Result<Files> {
        let locations = mounts(config)
            .zip(directories)
            .map(|(mount, directory)| Location::new(mount, directory))
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
            found: RefCell::new(Cache::new(locations.len(), found)),
            absent: RefCell::new(Cache::new(locations.len(), absent)),
            locations,
            server: config.server_header.clone(),
            fresh_ns: FRESH_NS,
            looks: Cell::new(false),
            seed: Cell::new(RandomState::new().hash_one(0)),
        })
    }

    /// Answers from what the caches of this process and the kernel hold. Appends to `out`, which may hold earlier answers.
    pub fn answer(
        self: &Rc<Self>,
        request: &Request<'_>,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        let asked = Asked {
            files: self,
            request,
            common,
            manner,
            waited: false,
        };
        let location = asked.location();
        if location.options.internal {
            return asked.conclude(&Err(Absent::Status(404)), out);
        }
        match request.head.method {
            Method::Get | Method::Head => asked.look_up(out),
            Method::Options => asked.options(out),
            _ => asked.conclude(&Err(Absent::Method), out),
        }
    }

    /// As [`Files::answer`], in an app's name (`X-Accel-Redirect`): internal locations are open, and every method but HEAD reads.
    pub fn answer_internal(
        self: &Rc<Self>,
        request: &Request<'_>,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        let method = if request.head.method == Method::Head {
            Method::Head
        } else {
            Method::Get
        };
        let head = Head {
            method,
            ..*request.head
        };
        let request = &Request {
            head: &head,
            ..*request
        };
        Asked {
            files: self,
            request,
            common,
            manner,
            waited: false,
        }
        .look_up(out)
    }

    /// Sees to it that files which have been opened do not stay open for nobody.
    fn mind_open(self: &Rc<Self>) {
        if self.looks.get() || !self.found.borrow().holds_descriptors() {
            return;
        }
        self.looks.set(true);
        let files = Rc::downgrade(self);
        uring::spawn(async move {
            loop {
                uring::time::sleep(IDLE_LOOK_NS).await;
                // With the site that it belongs to.
                let Some(files) = files.upgrade() else { return };
                let before_ns = uring::now().saturating_sub(IDLE_NS);
                if !files.found.borrow_mut().close_idle(before_ns) {
                    return files.looks.set(false);
                }
            }
        });
    }

    /// What a key is known to be, if the file system was asked lately.
    #[inline]
    fn known(&self, mount: usize, key: &[u8], now_ns: u64) -> Known {
        match self.found.borrow_mut().find(mount, key, now_ns) {
            Found::Fresh(entry) if !entry.is_cut() => Known::Entry(Rc::clone(entry)),
            Found::Fresh(entry) | Found::Stale(entry) => Known::Stale(Rc::clone(entry)),
            Found::Nothing => Known::Nothing,
        }
    }
}

enum Known {
    Entry(Rc<Entry>),
    Stale(Rc<Entry>),
    Nothing,
}

#[cfg(test)]
mod tests;
