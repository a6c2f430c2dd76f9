//! Resource limits of this process.

use std::io;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let limit = raise_open_files().expect("limit");
        assert_eq!(limit.soft, limit.hard);
    }
}
