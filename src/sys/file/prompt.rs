//! Opening a file for reading where it cannot take long: for event loops, which hand the rest to somebody who may wait.
//!
//! Two things make an open wait: looking a path up, and the file system's own `open`, which asks a server (NFS) or another process (FUSE) even if it
//! knows the path. The first is ruled out by `RESOLVE_CACHED`, the second by the type of the mount.
//! Owns what it has learned of mounts. Must not know who waits.

use super::{OpenHow, Symlinks, Walk, open_beneath};
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// File systems whose `open` of a known path is a matter of memory.
const PROMPT_TYPES: [&str; 12] = [
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "squashfs",
    "tmpfs", "xfs",
];
/// Mounts remembered: more than programs serve files of. Beyond it all are forgotten.
const MOUNTS_MAX: usize = 64;

/// Opens files that need no wait.
#[derive(Default)]
pub struct PromptOpener {
    /// By mount id: whether its type is one of the above. An id that is given anew later costs a wait at most.
    mounts: HashMap<u64, bool>,
}

impl PromptOpener {
    /// Opens an absolute path for reading; `None`: it could take time, be it for a name or a lease somebody has to give back. 2 us more than `open(2)`.
    pub fn open(&mut self, path: &Path) -> io::Result<Option<File>> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let read = OpenHow::beneath(Symlinks::Anywhere, Walk::CachedOnly);
        let name = OpenHow {
            flags: (libc::O_PATH | libc::O_CLOEXEC) as u64,
            ..read
        };
        // SAFETY: a constant that every `*at` function takes for the current directory; nothing is done with it as a descriptor.
        let here = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
        let opened = open_beneath(here, &path, &name).and_then(|named| {
            Ok(match self.is_prompt(named.as_fd())? {
                true => Some(open_beneath(here, &path, &read)?.into()),
                false => None,
            })
        });
        match opened {
            // A name that is not in the cache; a lease (`fcntl(2)`, F_SETLEASE).
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
            // Kernels and sandboxes without openat2.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                Ok(None)
            }
            opened => opened,
        }
    }

    fn is_prompt(&mut self, file: BorrowedFd<'_>) -> io::Result<bool> {
        let id = mount_id(file)?;
        if let Some(&known) = self.mounts.get(&id) {
            return Ok(known);
        }
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let prompt = type_of(&table, id).is_some_and(|kind| PROMPT_TYPES.contains(&kind));
        if self.mounts.len() >= MOUNTS_MAX {
            self.mounts.clear();
        }
        self.mounts.insert(id, prompt);
        Ok(prompt)
    }
}

/// `statx(2)` as far as it needs no file system's answer.
fn mount_id(file: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: all-zero bytes are a valid `struct statx`.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a NUL-terminated empty string, `status` writable and of the right size.
    super::check(unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
            libc::STATX_MNT_ID,
            &mut status,
        )
    })?;
    Ok(status.stx_mnt_id)
}

/// The type in a mount's line of `/proc/self/mountinfo`: the first word after the dash (proc(5)).
fn type_of(table: &str, id: u64) -> Option<&str> {
    let line = table.lines().find(|line| {
        let first = line.split(' ').next();
        first.and_then(|number| number.parse().ok()) == Some(id)
    })?;
    line.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_in_memory_is_opened_and_a_foreign_file_system_is_left_to_others() {
        let mut opener = PromptOpener::default();
        let path = std::env::temp_dir().join(format!("ringgate-prompt-{}", std::process::id()));
        std::fs::write(&path, "here").expect("write");
        let mut text = String::new();
        let opened = opener.open(&path).expect("no error");
        // Unless the tests' directory lies on a file system that is not on the list.
        if let Some(mut file) = opened {
            file.read_to_string(&mut text).expect("read");
            assert_eq!(text, "here");
        }
        std::fs::remove_file(&path).expect("ours");
        let missing = opener.open(&path).map(|file| file.is_some());
        // In the cache as missing, or not in the cache.
        assert!(
            !missing.is_ok_and(|found| found),
            "a file that is not there"
        );
        assert!(
            opener
                .open(Path::new("/proc/self/stat"))
                .expect("no error")
                .is_none()
        );
    }

    #[test]
    fn the_type_of_a_mount_is_read() {
        let table = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n36 35 0:32 /a /mnt rw - nfs4 host:/a rw\n";
        assert_eq!(type_of(table, 22), Some("ext4"));
        assert_eq!(type_of(table, 36), Some("nfs4"));
        assert_eq!(type_of(table, 2), None);
    }
}
