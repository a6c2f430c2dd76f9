//! Opening a path whose links belong to the owners of what they lead to: nginx's `disable_symlinks if_not_owner`, without its
//! race.
//!
//! The walk is ours, a component at a time: a link is opened itself (`O_PATH | O_NOFOLLOW`), its owner and its text are read from
//! that descriptor, and what the text leads to is opened the same way; nothing is looked up twice, so nobody can put another
//! link in between. Every call may sleep on the disk. Must not know what is opened or why.

use super::{Kind, owned, stat};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;
const NAME: libc::c_int = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
const READ: libc::c_int =
    libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Opens `path`, relative to `root`, for reading. `ELOOP`: a link on the way belongs to somebody else than what it leads to,
/// or there are too many.
pub fn open_owned(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    walk(root.try_clone_to_owned()?, path, true, &mut 0)
}

/// `read`: the end of the path is opened for reading, else only named.
fn walk(start: OwnedFd, path: &[u8], read: bool, links: &mut usize) -> io::Result<OwnedFd> {
    let mut at = start;
    let mut is_open = false;
    let mut parts = path.split(|&byte| byte == b'/').peekable();
    while let Some(part) = parts.next() {
        match part {
            b"" | b"." => continue,
            b".." => {
                at = open_at(
                    at.as_fd(),
                    b"..",
                    libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
                )?;
                continue;
            }
            _ => {}
        }
        let is_last = read && parts.peek().is_none();
        if is_last {
            match open_at(at.as_fd(), part, READ) {
                Ok(file) => {
                    at = file;
                    is_open = true;
                    break;
                }
                Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {}
                Err(error) => return Err(error),
            }
        }
        let next = open_at(at.as_fd(), part, NAME)?;
        let found = stat(next.as_fd())?;
        if found.kind != Kind::Symlink {
            if is_last {
                // It was a link a moment ago.
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
            at = next;
            continue;
        }
        *links += 1;
        if *links > LINKS_MAX {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = read_link(next.as_fd())?;
        let base = match target.first() {
            Some(b'/') => open_at(
                at.as_fd(),
                b"/",
                libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
            )?,
            _ => at,
        };
        at = walk(base, &target, is_last, links)?;
        if stat(at.as_fd())?.owner != found.owner {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        is_open = is_last;
    }
    if path.ends_with(b"/") || (read && !is_open) {
        let how = if read { libc::O_RDONLY } else { libc::O_PATH };
        at = open_at(at.as_fd(), b".", how | libc::O_DIRECTORY | libc::O_CLOEXEC)?;
    }
    Ok(at)
}

fn open_at(directory: BorrowedFd<'_>, name: &[u8], flags: libc::c_int) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    owned(unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags) })
}

/// The text of a link that was opened itself.
fn read_link(link: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the empty name means `link` itself; the buffer is writable for its length.
    let count = super::count(unsafe {
        libc::readlinkat(
            link.as_raw_fd(),
            c"".as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        )
    })?;
    text.truncate(count);
    Ok(text)
}
