//! What a thread of its own may read of a directory: the real one by calls that sleep, a simulation's copy.
//!
//! Owns a descriptor, or that copy. Must not know rings or threads.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use sys::errno;
use sys::file::{self, Kind, OpenHow, Stat, Symlinks, Walk};

/// Which links a path may go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    pub symlinks: Symlinks,
    /// Links that `symlinks` refuses are followed if their owners own what they lead to.
    pub by_owner: bool,
}

/// An entry of a simulated directory, or an errno in its place.
pub type Listing = Result<(String, Stat), i32>;

/// A simulated directory; errors are errnos.
pub trait Below: Send {
    fn entries(&self, path: &str, symlinks: Symlinks) -> Result<Vec<Listing>, i32>;
    fn stat(&self, path: &str, symlinks: Symlinks) -> Result<Stat, i32>;
}

/// A directory to read below; every call may sleep.
pub struct Reader(Source);

enum Source {
    Real(OwnedFd),
    Simulated(Box<dyn Below>),
}

impl Reader {
    pub(crate) fn real(directory: OwnedFd) -> Reader {
        Reader(Source::Real(directory))
    }

    pub(crate) fn simulated(below: Box<dyn Below>) -> Reader {
        Reader(Source::Simulated(below))
    }

    /// What lies in the directory at `path`.
    pub fn entries(&self, path: &[u8], links: Links) -> io::Result<Entries> {
        Ok(Entries(match &self.0 {
            Source::Real(root) => Listed::Real(file::Entries::of(open(root, path, links)?)?),
            Source::Simulated(below) => {
                let entries = below.entries(text(path)?, links.symlinks);
                Listed::Simulated(entries.map_err(failed)?.into_iter(), Vec::new())
            }
        }))
    }

    /// Opens past links, each looked at with its owner. `Unsupported` in a simulation, which knows no owners.
    pub fn open_owned(&self, path: &[u8]) -> io::Result<OwnedFd> {
        match &self.0 {
            Source::Real(root) => file::open_owned(root.as_fd(), path),
            Source::Simulated(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// What `path` leads to.
    pub fn stat(&self, path: &[u8], links: Links) -> io::Result<Stat> {
        match &self.0 {
            Source::Real(root) => file::stat(open(root, path, links)?.as_fd()),
            Source::Simulated(below) => {
                let found = below.stat(text(path)?, links.symlinks);
                found.map_err(failed)
            }
        }
    }
}

/// The entries of a directory, without `.` and `..`.
pub struct Entries(Listed);

enum Listed {
    Real(file::Entries),
    /// What is to come, and what has come.
    Simulated(std::vec::IntoIter<Listing>, Vec<(CString, Stat)>),
}

impl Entries {
    /// Looks at an entry; a link is looked at itself.
    pub fn stat(&self, name: &CStr) -> io::Result<Stat> {
        match &self.0 {
            Listed::Real(entries) => entries.stat(name),
            Listed::Simulated(_, seen) => {
                let entry = seen.iter().find(|(seen, _)| seen.as_c_str() == name);
                entry.map(|(_, stat)| *stat).ok_or(failed(errno::ENOENT))
            }
        }
    }
}

impl Iterator for Entries {
    /// The name, and the kind where the file system tells it for free (`Unknown` else).
    type Item = io::Result<(CString, Kind)>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Listed::Real(entries) => entries.next(),
            Listed::Simulated(entries, seen) => Some(match entries.next()? {
                Ok((name, stat)) => CString::new(name).map_err(io::Error::from).map(|name| {
                    seen.push((name.clone(), stat));
                    (name, stat.kind)
                }),
                Err(number) => Err(failed(number)),
            }),
        }
    }
}

fn open(root: &OwnedFd, path: &[u8], links: Links) -> io::Result<OwnedFd> {
    let how = OpenHow::beneath(links.symlinks, Walk::MayBlock);
    match file::open_beneath(root.as_fd(), &CString::new(path)?, &how) {
        Err(error) if links.by_owner && error.raw_os_error() == Some(errno::ELOOP) => {
            file::open_owned(root.as_fd(), path)
        }
        opened => opened,
    }
}

fn text(path: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(path).map_err(|_| failed(errno::ENOENT))
}

fn failed(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
