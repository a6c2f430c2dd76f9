//! Directories read entry by entry. Every call may sleep on the disk: for threads of their own, never for a ring's.
//!
//! Owns the stream and its descriptor. Must not know what the entries are for.

use super::{Kind, Stat, check};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::ptr::NonNull;

/// The entries of a directory, in the order of the file system, without `.` and `..`.
#[derive(Debug)]
pub struct Entries(NonNull<libc::DIR>);

impl Entries {
    /// Of a directory that was opened for reading.
    pub fn of(directory: OwnedFd) -> io::Result<Entries> {
        // SAFETY: the descriptor is ours; on success it belongs to the stream.
        let stream = unsafe { libc::fdopendir(directory.as_raw_fd()) };
        match NonNull::new(stream) {
            Some(stream) => {
                // The stream closes it.
                let _owned_by_stream = directory.into_raw_fd();
                Ok(Entries(stream))
            }
            None => Err(io::Error::last_os_error()),
        }
    }

    /// Looks at an entry; a link is looked at itself.
    pub fn stat(&self, name: &CStr) -> io::Result<Stat> {
        // SAFETY: the stream is open; all-zero bytes are a valid `struct stat`.
        let (directory, mut raw) = unsafe {
            (
                libc::dirfd(self.0.as_ptr()),
                std::mem::zeroed::<libc::stat>(),
            )
        };
        // SAFETY: `name` is NUL-terminated and `raw` writable, both outlive the call.
        check(unsafe {
            libc::fstatat(
                directory,
                name.as_ptr(),
                &mut raw,
                libc::AT_SYMLINK_NOFOLLOW,
            )
        })?;
        Ok(Stat::from_raw(&raw))
    }
}

impl Iterator for Entries {
    /// The name, and the kind where the file system tells it for free (`Unknown` else).
    type Item = io::Result<(CString, Kind)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // SAFETY: errno belongs to this thread; readdir tells an error from the end by it alone.
            unsafe { *libc::__errno_location() = 0 };
            // SAFETY: the stream is open, and `&mut self` keeps other readers away.
            let Some(entry) = NonNull::new(unsafe { libc::readdir64(self.0.as_ptr()) }) else {
                let error = io::Error::last_os_error();
                return (error.raw_os_error() != Some(0)).then_some(Err(error));
            };
            // SAFETY: the entry stays valid until the next call on the stream; its name is NUL-terminated.
            let (name, kind) = unsafe {
                let entry = entry.as_ptr();
                (
                    CStr::from_ptr((&raw const (*entry).d_name).cast()),
                    (*entry).d_type,
                )
            };
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match kind {
                libc::DT_REG => Kind::Regular,
                libc::DT_DIR => Kind::Directory,
                libc::DT_LNK => Kind::Symlink,
                libc::DT_FIFO => Kind::Fifo,
                libc::DT_SOCK => Kind::Socket,
                libc::DT_CHR | libc::DT_BLK => Kind::Device,
                _ => Kind::Unknown,
            };
            return Some(Ok((name.to_owned(), kind)));
        }
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: the stream is ours and is not used again.
        unsafe { libc::closedir(self.0.as_ptr()) };
    }
}
