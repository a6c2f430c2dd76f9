//! Files: opening below a directory that nothing can escape, reading without sleeping, and moving pages to sockets.
//!
//! Owns no state. Everything takes borrowed descriptors and returns owned ones, close-on-exec.
//! Invariant: `open_beneath` never returns a file outside its directory, whatever the path spells and whoever renames meanwhile.
//! Must not know: rings, HTTP, policy beyond the symlink rule.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

mod directory;
mod owner;
mod prompt;

pub use directory::Entries;
pub use owner::open_owned;
pub use prompt::PromptOpener;

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    Device,
    Unknown,
}

/// The part of `struct stat` that identifies a file and its version. Two equal values mean: same file, unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Modification time, seconds since the epoch (may be before it).
    pub modified_s: i64,
    pub modified_ns: u32,
    /// Inode change time: moves even when a tool sets the modification time back.
    pub changed_s: i64,
    pub changed_ns: u32,
    /// User id of the owner.
    pub owner: u32,
}

impl Stat {
    fn from_raw(raw: &libc::stat) -> Stat {
        let kind = match raw.st_mode & libc::S_IFMT {
            libc::S_IFREG => Kind::Regular,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR | libc::S_IFBLK => Kind::Device,
            _ => Kind::Unknown,
        };
        Stat {
            device: raw.st_dev,
            inode: raw.st_ino,
            kind,
            size: u64::try_from(raw.st_size).unwrap_or(0),
            modified_s: raw.st_mtime,
            modified_ns: raw.st_mtime_nsec as u32,
            changed_s: raw.st_ctime,
            changed_ns: raw.st_ctime_nsec as u32,
            owner: raw.st_uid,
        }
    }
}

/// What happens to symbolic links on the way to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// Followed as long as they stay below the directory.
    #[default]
    WithinRoot,
    /// Any link on the path is `ELOOP`.
    Refuse,
    /// Followed wherever they lead; only the path itself must not (the caller sees to `..`).
    Anywhere,
}

/// May the walk touch the disk?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Only what the kernel's name cache holds (`RESOLVE_CACHED`, 5.12); else `EAGAIN`, and the caller uses the ring.
    CachedOnly,
    MayBlock,
}

/// The arguments of `openat2(2)` for a file that is to be served: read-only, never blocking on a FIFO, never a controlling
/// terminal. In the kernel's layout (`struct open_how`), so that a ring operation can point at it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHow {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

impl OpenHow {
    /// Open for reading below a directory.
    pub fn beneath(symlinks: Symlinks, walk: Walk) -> OpenHow {
        let mut resolve = libc::RESOLVE_NO_MAGICLINKS;
        resolve |= match symlinks {
            Symlinks::WithinRoot => libc::RESOLVE_BENEATH,
            Symlinks::Refuse => libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS,
            Symlinks::Anywhere => 0,
        };
        if walk == Walk::CachedOnly {
            resolve |= RESOLVE_CACHED;
        }
        OpenHow {
            flags: (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY) as u64,
            mode: 0,
            resolve,
        }
    }

    /// Name a directory, by any path, without opening it for reading (`O_PATH`): what `open_root` does, as an operation.
    pub fn root(walk: Walk) -> OpenHow {
        OpenHow {
            flags: (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64,
            mode: 0,
            resolve: if walk == Walk::CachedOnly {
                RESOLVE_CACHED
            } else {
                0
            },
        }
    }

    /// The same walk, allowed to touch the disk.
    pub fn may_block(mut self) -> OpenHow {
        self.resolve &= !RESOLVE_CACHED;
        self
    }
}

/// `linux/openat2.h`, since 5.12; not in the libc crate for every target.
const RESOLVE_CACHED: u64 = 0x20;

/// Locks the file for this opening of it, until that is closed everywhere; false: another opening has it locked.
pub fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: an open descriptor and flags.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        error => Err(error),
    }
}

/// Opens the directory that everything below is resolved from. The descriptor only names the directory (`O_PATH`). One that may not be
/// entered is `EACCES`, for nothing below it could be had.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    // Naming alone asks for no permission of the directory itself; its own `.` does.
    let path = std::ffi::CString::new(path.join(".").into_os_string().into_encoded_bytes())?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags) };
    owned(fd)
}

/// Opens `path` below `dir`; the errors that matter: `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `EXDEV` (it would leave
/// `dir`), `ENXIO` (a socket), `EAGAIN` (not in the name cache, with `Walk::CachedOnly`, or a rename raced the walk).
pub fn open_beneath(dir: BorrowedFd<'_>, path: &CStr, how: &OpenHow) -> io::Result<OwnedFd> {
    // SAFETY: `path` is NUL-terminated, `how` has the layout and size passed, both outlive the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir.as_raw_fd(),
            path.as_ptr(),
            std::ptr::from_ref(how),
            size_of::<OpenHow>(),
        )
    };
    owned(fd as libc::c_int)
}

/// `fstat(2)`: 0.18 us, never blocks on a local file system.
pub fn stat(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    // SAFETY: all-zero bytes are a valid `struct stat`.
    let mut raw: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `raw` is writable and of the right size.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &mut raw) })?;
    Ok(Stat::from_raw(&raw))
}

/// `pread(2)`: may sleep on a disk. 0 is the end of the file.
pub fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    // SAFETY: the pointer and length describe a live, writable slice.
    let n = unsafe {
        libc::pread(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            offset as libc::off_t,
        )
    };
    count(n)
}

/// `preadv2(RWF_NOWAIT)`: what the page cache holds; `EAGAIN` where the disk would have to be asked. A short count may
/// mean that only the beginning is cached.
pub fn read_at_nowait(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let iovec = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: `iovec` describes one live, writable slice.
    let n = unsafe {
        libc::preadv2(
            fd.as_raw_fd(),
            &iovec,
            1,
            offset as libc::off_t,
            libc::RWF_NOWAIT,
        )
    };
    count(n)
}

/// `cachestat(2)` (6.5): pages of the page cache in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStat {
    /// Pages present.
    pub cached_pages: u64,
    pub dirty_pages: u64,
    pub writeback_pages: u64,
    pub evicted_pages: u64,
    pub recently_evicted_pages: u64,
}

/// Asks how much of a range is in the page cache: 1.3 us for 256 KiB. `ENOSYS`/`EPERM` where the kernel or a seccomp
/// profile does not offer it.
pub fn cachestat(fd: BorrowedFd<'_>, offset: u64, length_bytes: u64) -> io::Result<CacheStat> {
    const SYS_CACHESTAT: libc::c_long = 451; // the same number on every architecture
    #[repr(C)]
    struct Range {
        offset: u64,
        length: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Counts {
        cache: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let range = Range {
        offset,
        length: length_bytes,
    };
    let mut counts = Counts::default();
    // SAFETY: both structs have the kernel's layout and outlive the call; flags must be 0.
    let status = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            fd.as_raw_fd(),
            std::ptr::from_ref(&range),
            std::ptr::from_mut(&mut counts),
            0u32,
        )
    };
    check(status as libc::c_int)?;
    Ok(CacheStat {
        cached_pages: counts.cache,
        dirty_pages: counts.dirty,
        writeback_pages: counts.writeback,
        evicted_pages: counts.evicted,
        recently_evicted_pages: counts.recently_evicted,
    })
}

/// Is every page of `offset..offset+length_bytes` in the page cache? Asks `cachestat`, and the last byte with `RWF_NOWAIT`;
/// where `cachestat` is refused, the first and the last byte.
pub fn is_cached(fd: BorrowedFd<'_>, offset: u64, length_bytes: u64) -> bool {
    if length_bytes == 0 {
        return true;
    }
    let page_bytes = page_bytes();
    let pages = (offset + length_bytes - 1) / page_bytes - offset / page_bytes + 1;
    match cachestat(fd, offset, length_bytes) {
        Ok(counts) if counts.cached_pages < pages => return false,
        // Pages that are being read ahead count as present; the last of them is the last to be filled.
        Ok(_) => {}
        Err(_) => {
            if read_at_nowait(fd, &mut [0], offset).is_err() {
                return false;
            }
        }
    }
    read_at_nowait(fd, &mut [0], offset + length_bytes - 1).is_ok()
}

/// Bytes of a page of memory.
fn page_bytes() -> u64 {
    // SAFETY: sysconf touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// `posix_fadvise(2)`: what is wanted soon; its reading begins, and ends without the caller.
pub const WILL_NEED: i32 = libc::POSIX_FADV_WILLNEED;

/// `sendfile(2)`: pages of a regular file to a socket. Non-blocking on the socket's side if the socket is; on the file's
/// side it sleeps for pages that are not cached: ask `is_cached` first. 0 is the end of the file.
pub fn sendfile(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    length_bytes: usize,
) -> io::Result<usize> {
    let mut at = offset as libc::off_t;
    // SAFETY: `at` is writable and outlives the call.
    let n = unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &mut at, length_bytes) };
    count(n)
}

/// An unnamed, unlinked file in `directory` for spooling (`O_TMPFILE`), read-write, mode 0600; file systems without it get
/// an unlinked memfd instead.
pub fn temporary(directory: &Path) -> io::Result<File> {
    let path = std::ffi::CString::new(directory.as_os_str().as_bytes())?;
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC | libc::O_EXCL;
    // SAFETY: `path` is NUL-terminated and outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o600 as libc::c_uint) };
    if fd >= 0 {
        return Ok(owned(fd)?.into());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // overlayfs before 6.3, NFS and some FUSE file systems have no O_TMPFILE.
        Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL) => {
            // SAFETY: the name is a NUL-terminated literal.
            let fd = unsafe { libc::memfd_create(c"ringgate-spool".as_ptr(), libc::MFD_CLOEXEC) };
            Ok(owned(fd)?.into())
        }
        _ => Err(error),
    }
}

/// Opens a log for appending, creating it with mode 0640.
pub fn open_log(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

/// Reads what is there from a pipe or socket: 0 is the end, `WouldBlock` nothing yet.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length describe a live, writable slice.
    count(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// Writes what goes in at once.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length describe a live slice.
    count(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn count(n: isize) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests;
