//! From a path to an entry: opened, judged, read; inline where the kernel's caches answer, through the ring where not.
//!
//! Owns the policy of what may be served. Invariants: a path is resolved by `openat2` below its mount and cannot leave it;
//! nothing but regular files is read; no call here sleeps on the ring thread. What was learned goes into the caches.

use super::cache::Found;
use super::entry::{Absent, Content, Entry, MEMORY_FILE_BYTES_MAX};
use super::request::{OwnedRequest, Request};
use super::{Files, INDEX};
use std::ffi::CString;
use std::io;
use std::rc::Rc;
use sys::errno;
use uring::fs::{Directory, File, Kind, OpenHow, Stat, Symlinks, Walk};

/// What a path has come to.
pub type Outcome = Result<Rc<Entry>, Absent>;

/// How often a file may change under a reader before we give up.
const ATTEMPTS_MAX: usize = 3;

/// A request that has to wait for the disk, with all it needs of its connection.
pub struct Cold {
    request: OwnedRequest,
    /// What the path is resolved from; if the mount has moved meanwhile, the outcome is not kept.
    directory: Rc<Directory>,
    stale: Option<Rc<Entry>>,
    step: Step,
}

enum Step {
    /// Names on the way are not in the kernel's cache, or descriptors have run out.
    Open,
    /// The bytes are not.
    Read(File, Stat),
}

/// A request whose wait is over.
pub struct Ready {
    request: OwnedRequest,
    pub(super) outcome: Outcome,
}

impl Ready {
    pub(super) fn with_request<R>(&self, f: impl FnOnce(&Request<'_>) -> R) -> R {
        self.request.with(f)
    }
}

impl Cold {
    /// Waits for the disk, on the kernel's workers.
    pub async fn wait(self, files: &Files) -> Ready {
        let Cold {
            request,
            directory,
            stale,
            mut step,
        } = self;
        let ready = |request: OwnedRequest, outcome| files.ready(request, &directory, outcome);
        for _ in 0..ATTEMPTS_MAX {
            let (file, stat) = match step {
                Step::Read(file, stat) => (file, stat),
                Step::Open => match open_cold(&directory, &request).await {
                    Ok(opened) => opened,
                    Err(error) => return ready(request, Err(absent(&error))),
                },
            };
            if let Some(outcome) = files.judge(request.rest(), &stat, stale.as_ref()) {
                return ready(request, outcome);
            }
            if stat.size > MEMORY_FILE_BYTES_MAX {
                let outcome = Ok(files.entry(request.rest(), stat, Content::File(file)));
                return ready(request, outcome);
            }
            match read_whole(&file, &stat).await {
                Ok(Some(bytes)) => {
                    let outcome = Ok(files.entry(request.rest(), stat, Content::Memory(bytes)));
                    return ready(request, outcome);
                }
                // It changed meanwhile: open it anew.
                Ok(None) => step = Step::Open,
                Err(error) => return ready(request, Err(absent(&error))),
            }
        }
        ready(request, Err(Absent::Status(503)))
    }
}

impl Files {
    /// One inline attempt; `Err` if something would sleep.
    pub(super) fn load(
        &self,
        request: &Request<'_>,
        stale: Option<Rc<Entry>>,
    ) -> Result<Outcome, Box<Cold>> {
        let mount = &self.mounts[request.mount];
        let mut stale = stale;
        if mount.has_moved(uring::now(), self.fresh_ns) {
            self.found.borrow_mut().clear(request.mount);
            self.absent.borrow_mut().clear(request.mount);
            stale = None;
        }
        let directory = mount.directory();
        let cold = |stale, step| {
            Err(Box::new(Cold {
                request: OwnedRequest::new(request),
                directory: Rc::clone(&directory),
                stale,
                step,
            }))
        };
        let rest = request.rest();
        let Some(path) = path_of(rest) else {
            return Ok(self.learn(request.mount, rest, Err(Absent::Status(404))));
        };
        let how = OpenHow::beneath(Symlinks::WithinRoot, Walk::CachedOnly);
        let opened = directory.try_open_file(&path, &how);
        let (file, stat) = match opened.and_then(with_stat) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return cold(stale, Step::Open);
            }
            Err(error) if is_out_of_descriptors(&error) => {
                // The close goes through the ring, so the descriptor is free a moment later.
                self.found.borrow_mut().release_descriptor();
                return cold(stale, Step::Open);
            }
            Err(error) => return Ok(self.learn(request.mount, rest, Err(absent(&error)))),
        };
        if let Some(outcome) = self.judge(rest, &stat, stale.as_ref()) {
            return Ok(self.learn(request.mount, rest, outcome));
        }
        if stat.size > MEMORY_FILE_BYTES_MAX {
            return Ok(self.learn(
                request.mount,
                rest,
                Ok(self.entry(rest, stat, Content::File(file))),
            ));
        }
        match read_whole_now(&file, &stat) {
            Some(bytes) => Ok(self.learn(
                request.mount,
                rest,
                Ok(self.entry(rest, stat, Content::Memory(bytes))),
            )),
            None => cold(stale, Step::Read(file, stat)),
        }
    }

    /// Whether the file's kind, or its being unchanged, settles the outcome.
    fn judge(&self, rest: &[u8], stat: &Stat, stale: Option<&Rc<Entry>>) -> Option<Outcome> {
        match stat.kind {
            Kind::Regular => stale
                .filter(|entry| entry.is(stat))
                .map(|entry| Ok(Rc::clone(entry))),
            // An index that is a directory is none.
            Kind::Directory if rest.ends_with(b"/") => Some(Err(Absent::Status(404))),
            Kind::Directory => Some(Err(Absent::Directory)),
            Kind::Fifo | Kind::Socket | Kind::Device | Kind::Symlink | Kind::Unknown => {
                Some(Err(Absent::Status(403)))
            }
        }
    }

    fn entry(&self, rest: &[u8], stat: Stat, content: Content) -> Rc<Entry> {
        let name = if rest.ends_with(b"/") { INDEX } else { rest };
        Rc::new(Entry::new(
            name,
            stat,
            content,
            &self.server,
            uring::wall() / 1_000_000_000,
        ))
    }

    /// Puts an outcome into the cache it belongs to.
    fn learn(&self, mount: usize, rest: &[u8], outcome: Outcome) -> Outcome {
        let fresh_until_ns = uring::now().saturating_add(self.fresh_ns);
        let mut found = self.found.borrow_mut();
        match &outcome {
            Ok(entry) => {
                let is_known = match found.find(mount, rest, 0) {
                    Found::Fresh(known) | Found::Stale(known) => Rc::ptr_eq(known, entry),
                    Found::Nothing => false,
                };
                if is_known {
                    found.confirm(mount, rest, fresh_until_ns);
                } else {
                    found.insert(mount, rest, Rc::clone(entry), fresh_until_ns);
                }
            }
            Err(absent) => {
                found.remove(mount, rest);
                // A shortage of ours says nothing about the path.
                if *absent != Absent::Status(503) {
                    self.absent
                        .borrow_mut()
                        .insert(mount, rest, *absent, fresh_until_ns);
                }
            }
        }
        outcome
    }

    fn ready(&self, request: OwnedRequest, directory: &Rc<Directory>, outcome: Outcome) -> Ready {
        let is_current = Rc::ptr_eq(directory, &self.mounts[request.mount()].directory());
        let outcome = if is_current {
            self.learn(request.mount(), request.rest(), outcome)
        } else {
            outcome
        };
        Ready { request, outcome }
    }
}

/// The path to open, relative to the mount: the index below a directory, the mount itself for "".
fn path_of(rest: &[u8]) -> Option<CString> {
    let start = rest
        .iter()
        .position(|&byte| byte != b'/')
        .unwrap_or(rest.len());
    let relative = &rest[start..];
    let mut path = Vec::with_capacity(relative.len() + INDEX.len() + 1);
    path.extend_from_slice(relative);
    if rest.ends_with(b"/") {
        path.extend_from_slice(INDEX);
    } else if relative.is_empty() {
        path.push(b'.');
    }
    // A NUL has been refused with the path already; here it would be no such file.
    CString::new(path).ok()
}

async fn open_cold(directory: &Directory, request: &OwnedRequest) -> io::Result<(File, Stat)> {
    let path = path_of(request.rest()).ok_or(io::ErrorKind::NotFound)?;
    let how = OpenHow::beneath(Symlinks::WithinRoot, Walk::MayBlock);
    with_stat(directory.open_file(path, how).await?)
}

fn with_stat(file: File) -> io::Result<(File, Stat)> {
    let stat = file.stat()?;
    Ok((file, stat))
}

/// The whole file from the page cache; `None` if the disk would be asked, or if it is not as long as it was.
fn read_whole_now(file: &File, stat: &Stat) -> Option<Vec<u8>> {
    let length = usize::try_from(stat.size).ok()?;
    // One byte more, to notice growth.
    let mut bytes = vec![0; length + 1];
    let mut read = 0;
    while read < bytes.len() {
        match file.try_read_at(&mut bytes[read..], read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(_) => return None,
        }
    }
    bytes.truncate(read);
    (read == length && file.stat().ok()? == *stat).then_some(bytes)
}

/// As `read_whole_now`, through the ring; `None` if the file changed.
async fn read_whole(file: &File, stat: &Stat) -> io::Result<Option<Vec<u8>>> {
    let length = usize::try_from(stat.size).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(length + 1);
    while bytes.len() <= length {
        let (offset, room) = (bytes.len() as u64, length + 1 - bytes.len());
        let (count, returned) = file.read_at(bytes, room, offset).await;
        bytes = returned;
        if count? == 0 {
            break;
        }
    }
    Ok((bytes.len() == length && file.stat()? == *stat).then_some(bytes))
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EMFILE | errno::ENFILE))
}

/// What an error of opening, looking or reading means to the client.
fn absent(error: &io::Error) -> Absent {
    Absent::Status(match error.raw_os_error() {
        // Nothing there; or a way that leaves the mount (EXDEV), or links in a circle: as if it were not there.
        Some(
            errno::ENOENT | errno::ENOTDIR | errno::EXDEV | errno::ELOOP | errno::ENAMETOOLONG,
        ) => 404,
        // Not for us; ENXIO is what a socket answers, EISDIR and the like what odd file systems do.
        Some(errno::EACCES | errno::EPERM | errno::ENXIO) => 403,
        // A shortage, or (EAGAIN) a tree that is being rearranged under the walk.
        Some(errno::EMFILE | errno::ENFILE | errno::ENOMEM | errno::EAGAIN) => 503,
        None if error.kind() == io::ErrorKind::NotFound => 404,
        _ => 500,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_relative() {
        for (rest, path) in [
            ("", "."),
            ("/", "index.html"),
            ("//", "index.html"),
            ("/a", "a"),
            ("//etc/passwd", "etc/passwd"),
            ("/a/", "a/index.html"),
            ("/a//b", "a//b"),
        ] {
            let found = path_of(rest.as_bytes()).expect("no NUL");
            assert_eq!(found.to_str(), Ok(path), "{rest}");
        }
        assert!(path_of(b"/a\0b").is_none());
    }

    #[test]
    fn every_error_has_its_status() {
        for (number, status) in [
            (errno::ENOENT, 404),
            (errno::EXDEV, 404),
            (errno::ELOOP, 404),
            (errno::EACCES, 403),
            (errno::ENXIO, 403),
            (errno::EMFILE, 503),
            (errno::EIO, 500),
        ] {
            assert_eq!(
                absent(&io::Error::from_raw_os_error(number)),
                Absent::Status(status),
                "{number}"
            );
        }
    }
}
