//! The two clocks we read: monotonic for durations and deadlines, real time for logs and dates.
//!
//! Both go through the vDSO (about 20-30 ns here), never a system call on x86-64 and aarch64.

/// Nanoseconds on `CLOCK_MONOTONIC`: one line for every process of the machine, so stamps may be compared across processes.
#[inline]
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch.
#[inline]
pub fn wall_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// The time from one tick of the kernel's clock to the next (1-10 ms): how exactly a timer is kept that costs nothing.
pub fn tick_ns() -> u64 {
    let mut tick = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `tick` is a valid timespec for the length of the call.
    let result = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut tick) };
    debug_assert_eq!(result, 0, "the clock exists since Linux 2.6.32");
    tick.tv_nsec as u64
}

/// Lets timers of the calling thread's sleeps (poll, futex; not io_uring's) ring so much later than asked for.
pub fn set_timer_slack(ns: u64) {
    // SAFETY: prctl with integer arguments. It cannot fail for the calling thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, ns as libc::c_ulong) };
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the length of the call.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    debug_assert_eq!(result, 0, "both clocks exist on every Linux");
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_move_forward() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first);
        assert!(wall_ns() > 1_600_000_000_000_000_000);
        assert!((1..=10_000_000).contains(&tick_ns()));
    }

    #[test]
    fn a_thread_has_the_slack_that_it_was_given() {
        let slack_ns = || {
            // SAFETY: prctl without pointers.
            unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }
        };
        set_timer_slack(4_000_001);
        assert_eq!(slack_ns(), 4_000_001);
        set_timer_slack(0);
        assert_ne!(slack_ns(), 4_000_001, "0 is the usual");
    }
}
