//! inotify(7): directories in which files are watched.
//!
//! Directories and not files, because editors put a new file in an old one's place. Local changes only: a network file system does
//! not report what others do.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Bytes read at once: many events with names.
const BUFFER_BYTES: usize = 16 * 1024;
const HEAD_BYTES: usize = size_of::<libc::inotify_event>();

/// Non-blocking, close-on-exec.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

/// Something happened in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As [`Inotify::watch_directory`] returned it; -1 after an overflow, which may have been about any.
    pub watch: i32,
    pub name: OsString,
    /// The name is a directory's.
    pub directory: bool,
}

impl Inotify {
    pub fn new() -> io::Result<Inotify> {
        // SAFETY: flags only.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened for us alone.
        Ok(Inotify(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// From now on files written, put there or taken away in this directory are reported. A second call gives the same number.
    /// ENOSPC: fs.inotify.max_user_watches is reached.
    pub fn watch_directory(&self, path: &Path) -> io::Result<i32> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mask = libc::IN_CLOSE_WRITE
            | libc::IN_MOVED_TO
            | libc::IN_MOVED_FROM
            | libc::IN_CREATE
            | libc::IN_DELETE
            | libc::IN_ONLYDIR;
        // SAFETY: `path` ends in a NUL and lives until the call returns.
        let watch = unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) };
        if watch < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(watch)
    }

    /// What has happened; empty when nothing has. A file that is only created is not reported before it is closed.
    pub fn changes(&self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        let mut buffer = [0u8; BUFFER_BYTES];
        // SAFETY: `buffer` is writable for its length.
        let count =
            unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), BUFFER_BYTES) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(changes),
                _ => Err(error),
            };
        };
        let mut rest = &buffer[..count];
        while rest.len() >= HEAD_BYTES {
            // SAFETY: at least that many bytes are there, and every pattern of bits is a valid event head; the name behind it is
            // not part of the type.
            let head: libc::inotify_event =
                unsafe { rest.as_ptr().cast::<libc::inotify_event>().read_unaligned() };
            let end = (HEAD_BYTES + head.len as usize).min(rest.len());
            let name = rest[HEAD_BYTES..end].split(|byte| *byte == 0).next();
            let directory = head.mask & libc::IN_ISDIR != 0;
            if head.mask & libc::IN_Q_OVERFLOW != 0 {
                changes.push(Change {
                    watch: -1,
                    name: OsString::new(),
                    directory: false,
                });
            } else if head.mask & libc::IN_CREATE == 0 || directory {
                changes.push(Change {
                    watch: head.wd,
                    name: OsString::from_vec(name.unwrap_or_default().to_vec()),
                    directory,
                });
            }
            rest = &rest[end..];
        }
        changes.retain(|change| change.watch < 0 || change.name != OsStr::new(""));
        Ok(changes)
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_written_moved_and_removed_are_reported() {
        let dir = std::env::temp_dir().join(format!("ringgate-inotify-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let inotify = Inotify::new().expect("inotify");
        let watch = inotify.watch_directory(&dir).expect("a watch");
        assert_eq!(inotify.watch_directory(&dir).expect("the same"), watch);
        assert_eq!(inotify.changes().expect("nothing"), []);
        let names = || -> Vec<(OsString, bool)> {
            let changes = inotify.changes().expect("changes").into_iter();
            changes
                .inspect(|change| assert_eq!(change.watch, watch))
                .map(|change| (change.name, change.directory))
                .collect()
        };
        std::fs::write(dir.join("a.py"), "x").expect("a file");
        assert_eq!(names(), [("a.py".into(), false)]);
        std::fs::rename(dir.join("a.py"), dir.join("b.py")).expect("renamed");
        assert_eq!(names(), [("a.py".into(), false), ("b.py".into(), false)]);
        std::fs::create_dir(dir.join("sub")).expect("a directory");
        assert_eq!(names(), [("sub".into(), true)]);
        std::fs::remove_dir_all(&dir).expect("removed");
        assert!(inotify.watch_directory(&dir).is_err());
    }
}
