//! futex(2) on words in memory that several processes map: how a worker sleeps without polling.
//!
//! Shared futexes only (no `FUTEX_PRIVATE_FLAG`): the kernel finds the waiters by the page of the memfd, not by the address.
//! A word may be written by a hostile process; waking then wakes nobody or somebody too early, so callers loop and bound their waits.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Why `wait` came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Woken, or woken for no reason (the kernel permits it).
    Woken,
    /// The word did not hold `expected` any more: nothing was waited for.
    Changed,
    TimedOut,
    /// A signal came in between.
    Interrupted,
}

/// Sleeps while `*word == expected`, at most `timeout` (on the monotonic clock; `None` waits without end).
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> io::Result<Wait> {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let limit = limit
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref::<libc::timespec>);
    // SAFETY: `word` is a live aligned u32; `limit` is null or points at a timespec that outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            limit,
        )
    };
    if result == 0 {
        return Ok(Wait::Woken);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(Wait::Changed),
        Some(libc::ETIMEDOUT) => Ok(Wait::TimedOut),
        Some(libc::EINTR) => Ok(Wait::Interrupted),
        // EFAULT: the page is gone; EINVAL: a bad timespec. Both are our own mistakes.
        _ => Err(error),
    }
}

/// Wakes at most `count` waiters of `word` and says how many there were.
pub fn wake(word: &AtomicU32, count: u32) -> io::Result<u32> {
    // SAFETY: FUTEX_WAKE only uses the address of the live word as a key.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE,
            count.min(i32::MAX as u32),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_changed_word_is_not_waited_for() {
        let word = AtomicU32::new(1);
        assert_eq!(wait(&word, 0, None).unwrap(), Wait::Changed);
        assert_eq!(
            wait(&word, 1, Some(Duration::from_micros(1))).unwrap(),
            Wait::TimedOut
        );
        assert_eq!(wake(&word, 1).unwrap(), 0);
    }

    #[test]
    fn wakes_a_sleeper() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::SeqCst) == 0 {
                    wait(&word, 0, None).unwrap();
                }
            });
            word.store(1, Ordering::SeqCst);
            wake(&word, 1).unwrap();
        });
    }
}
