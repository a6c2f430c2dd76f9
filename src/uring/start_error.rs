//! Why a ring could not be had, and what to do about it.
//!
//! Must not know how rings work beyond their refusals.

use std::fmt;
use std::io;

/// A refusal at start-up. Its text says what stands in the way and which knob moves it.
#[derive(Debug)]
pub enum StartError {
    /// `kernel.io_uring_disabled` forbids it to this user (1: needs a group, 2: nobody).
    Disabled {
        sysctl: u32,
    },
    /// EPERM with the sysctl at 0: a seccomp profile or another security module.
    Forbidden,
    /// ENOSYS: a kernel without io_uring, or a seccomp profile that says so.
    Missing {
        kernel: String,
    },
    /// The kernel does not know flags we need.
    TooOld {
        kernel: String,
    },
    /// RLIMIT_NOFILE or the system's file table.
    NoDescriptors,
    /// ENOMEM: no memory, or (before 5.12) RLIMIT_MEMLOCK.
    NoMemory,
    Other(io::Error),
}

/// The first kernel with everything the ring thread needs (`IORING_SETUP_DEFER_TASKRUN`).
pub const KERNEL_MIN: &str = "6.1";

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Disabled { sysctl } => write!(
                f,
                "io_uring is switched off here (sysctl kernel.io_uring_disabled = {sysctl}); allow it with \
                 `sysctl -w kernel.io_uring_disabled=0`{}",
                if *sysctl == 1 {
                    ", or put this user into the group of sysctl kernel.io_uring_group"
                } else {
                    ""
                }
            ),
            StartError::Forbidden => write!(
                f,
                "io_uring is refused (EPERM) although sysctl kernel.io_uring_disabled allows it: a seccomp profile \
                 stands in the way, as container engines install by default; run the container with a profile that \
                 allows io_uring_setup, io_uring_enter and io_uring_register (docker: --security-opt seccomp=FILE, or \
                 seccomp=unconfined)"
            ),
            StartError::Missing { kernel } => write!(
                f,
                "this kernel ({kernel}) offers no io_uring (ENOSYS): Linux {KERNEL_MIN} or newer is needed; on a newer \
                 kernel a seccomp profile (container engine, gVisor) hides it, and must allow io_uring_setup, \
                 io_uring_enter and io_uring_register"
            ),
            StartError::TooOld { kernel } => {
                write!(
                    f,
                    "this kernel ({kernel}) is too old: Linux {KERNEL_MIN} or newer is needed (io_uring with DEFER_TASKRUN)"
                )
            }
            StartError::NoDescriptors => {
                write!(
                    f,
                    "no file descriptor left for a ring: raise RLIMIT_NOFILE (`ulimit -n`, systemd: LimitNOFILE=)"
                )
            }
            StartError::NoMemory => write!(
                f,
                "no memory for a ring: free some, or raise RLIMIT_MEMLOCK (`ulimit -l`, systemd: LimitMEMLOCK=)"
            ),
            StartError::Other(error) => write!(f, "cannot set up io_uring: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Other(error) => Some(error),
            _ => None,
        }
    }
}

impl StartError {
    /// Grades the errno of io_uring_setup or io_uring_register.
    pub(crate) fn from_errno(error: io::Error) -> StartError {
        use sys::errno::{EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM};
        let sysctl = read_sysctl();
        match error.raw_os_error() {
            Some(EPERM) => grade_eperm(sysctl),
            Some(ENOSYS) => StartError::Missing { kernel: kernel() },
            // A setup flag the kernel does not know.
            Some(EINVAL) => StartError::TooOld { kernel: kernel() },
            Some(EMFILE | ENFILE) => StartError::NoDescriptors,
            Some(ENOMEM) => StartError::NoMemory,
            _ => StartError::Other(error),
        }
    }
}

fn grade_eperm(sysctl: Option<u32>) -> StartError {
    match sysctl {
        Some(sysctl) if sysctl > 0 => StartError::Disabled { sysctl },
        _ => StartError::Forbidden,
    }
}

/// `kernel.io_uring_disabled` (6.6); absent before.
fn read_sysctl() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}

/// The running kernel's release.
pub(crate) fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: i32) -> String {
        StartError::from_errno(io::Error::from_raw_os_error(number)).to_string()
    }

    #[test]
    fn every_refusal_names_its_remedy() {
        assert!(
            grade_eperm(Some(2))
                .to_string()
                .contains("kernel.io_uring_disabled = 2")
        );
        assert!(grade_eperm(Some(1)).to_string().contains("io_uring_group"));
        assert!(grade_eperm(Some(0)).to_string().contains("seccomp"));
        assert!(grade_eperm(None).to_string().contains("seccomp"));
        assert!(message(sys::errno::ENOSYS).contains("seccomp"));
        assert!(message(sys::errno::EINVAL).contains(KERNEL_MIN));
        assert!(message(sys::errno::EMFILE).contains("RLIMIT_NOFILE"));
        assert!(message(sys::errno::ENOMEM).contains("RLIMIT_MEMLOCK"));
    }
}
