//! memfd_create(2): anonymous shared memory that travels as a descriptor, its size sealed so that nobody can shrink it under a
//! reader (which would be a SIGBUS in the edge).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

/// `MFD_NOEXEC_SEAL` (Linux 6.3): the file can never be executed. Older kernels say EINVAL and do without.
const MFD_NOEXEC_SEAL: libc::c_uint = 0x0008;

/// The seals every segment carries: no resize, no further seals.
const SIZE_SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// Creates a zeroed, close-on-exec memory file of exactly `len` bytes whose size can never change again.
pub fn create_sealed(name: &CStr, len: u64) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let fd = match memfd(name, flags | MFD_NOEXEC_SEAL) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => memfd(name, flags)?,
        other => other?,
    };
    let size = libc::off_t::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: plain integers on a descriptor that we own.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SIZE_SEALS) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

/// The length of a memory file whose size is sealed; an error of kind `InvalidData` if it is not sealed so.
pub fn sealed_len(fd: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: plain integers.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 {
        return Err(io::Error::last_os_error());
    }
    if seals & SIZE_SEALS != SIZE_SEALS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the memory file is not sealed",
        ));
    }
    let mut status = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `status` is writable memory of the right type.
    if unsafe { libc::fstat(fd.as_raw_fd(), status.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fstat succeeded and so filled it (and it was zeroed before).
    Ok(unsafe { status.assume_init() }.st_size as u64)
}

fn memfd(name: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A shared, readable and writable mapping of a whole file. Unmapped on drop.
#[derive(Debug)]
pub struct Mapping {
    /// Page-aligned start of `len` mapped bytes.
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is only an address range; what may be done with its bytes is the business of whoever dereferences `start`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from its beginning.
    pub fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Mapping> {
        // SAFETY: the kernel chooses a free range, so no existing mapping is replaced.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                fd.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start =
            NonNull::new(start.cast()).expect("mmap without MAP_FIXED never yields address 0");
        Ok(Mapping { start, len })
    }

    /// The first byte; page-aligned.
    #[inline]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that mmap gave us; borrowers of it hold a borrow of `self`.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of an own mapping cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn two_mappings_show_the_same_bytes() {
        let fd = create_sealed(c"test", 8192).unwrap();
        assert_eq!(sealed_len(fd.as_fd()).unwrap(), 8192);
        let one = Mapping::new(fd.as_fd(), 8192).unwrap();
        let two = Mapping::new(fd.as_fd(), 8192).unwrap();
        // SAFETY: both addresses are mapped, and no reference to them exists.
        unsafe {
            one.start().as_ptr().add(5000).write_volatile(7);
            assert_eq!(two.start().as_ptr().add(5000).read_volatile(), 7);
        }
    }

    #[test]
    fn the_size_is_sealed() {
        let fd = create_sealed(c"test", 4096).unwrap();
        // SAFETY: plain integers.
        assert_eq!(unsafe { libc::ftruncate(fd.as_raw_fd(), 0) }, -1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EPERM));
    }
}
