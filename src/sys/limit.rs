//! Resource limits of this process.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::eventfd::EventFd;

/// A soft and a hard limit; `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// Open descriptors (RLIMIT_NOFILE).
pub fn open_files() -> io::Result<Limit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Limit {
        soft: limit.rlim_cur,
        hard: limit.rlim_max,
    })
}

/// Raises the soft limit of open descriptors to the hard one; children inherit it. Returns what holds now.
pub fn raise_open_files() -> io::Result<Limit> {
    let before = open_files()?;
    if before.soft == before.hard {
        return Ok(before);
    }
    let wanted = libc::rlimit {
        rlim_cur: before.hard,
        rlim_max: before.hard,
    };
    // SAFETY: `wanted` is readable.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) } < 0 {
        return Err(io::Error::last_os_error());
    }
    open_files()
}

/// Sets the soft limit of open descriptors, at most to the hard one.
pub fn set_open_files(soft: u64) -> io::Result<()> {
    let wanted = libc::rlimit {
        rlim_cur: soft,
        rlim_max: open_files()?.hard,
    };
    // SAFETY: `wanted` is readable.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes room in this process's descriptor table for `count` descriptors, if the limit allows so many; 8 bytes of kernel memory each. A table that
/// grows later lets whoever needs the descriptor sleep for some 10 ms, if the process has threads.
pub fn widen_descriptor_table(count: u64) -> io::Result<()> {
    let highest = count.min(open_files()?.soft).saturating_sub(1);
    let any = EventFd::new()?.into_fd();
    let at = libc::c_int::try_from(highest).unwrap_or(libc::c_int::MAX);
    // SAFETY: no pointers are passed.
    let copy = unsafe { libc::fcntl(any.as_raw_fd(), libc::F_DUPFD_CLOEXEC, at) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(copy) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_table_is_as_wide_as_asked_and_nothing_stays_open() {
        widen_descriptor_table(600).expect("room");
        let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        let size: u64 = size.expect("FDSize").trim().parse().expect("a number");
        assert!(size >= 600, "{size}");
        assert!(!std::path::Path::new("/proc/self/fd/599").exists());
    }

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let limit = raise_open_files().expect("limit");
        assert_eq!(limit.soft, limit.hard);
    }
}
