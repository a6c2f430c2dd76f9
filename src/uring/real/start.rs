//! Setting up a ring: the flags we insist on, those we would like, and what to say when refused.

use io_uring::{IoUring, Submitter};
use std::io;

use super::Ring;
use crate::options::Options;
use crate::start_error::StartError;

/// The completion queue is this many times as long as the submission queue: multishot operations complete many times.
const COMPLETIONS_PER_SUBMISSION: u32 = 4;

impl Ring {
    /// A ring of the calling thread, which alone may use it.
    pub fn new(options: &Options) -> Result<Ring, StartError> {
        assert!(
            options.entries >= 2,
            "a cancellation and its close go in together"
        );
        let ring = build(options.entries).map_err(StartError::from_errno)?;
        if !ring.params().is_feature_nodrop() || !ring.params().is_feature_ext_arg() {
            return Err(StartError::TooOld {
                kernel: crate::start_error::kernel(),
            });
        }
        let ring = Box::new(ring);
        // SAFETY: only the lifetime changes; the submitter refers to the boxed ring, which does not move and is dropped
        // after it, with `Ring`; a submitter has no drop of its own.
        let mut submitter =
            unsafe { std::mem::transmute::<Submitter<'_>, Submitter<'static>>(ring.submitter()) };
        // Since 5.18; saves a descriptor look-up per call, and nothing breaks without.
        if let Err(error) = submitter.register_ring_fd()
            && error.raw_os_error() != Some(sys::errno::EINVAL)
        {
            return Err(StartError::from_errno(error));
        }
        limit_workers(&submitter).map_err(StartError::from_errno)?;
        Ok(Ring {
            submitter,
            ring,
            backlog: Vec::new(),
        })
    }
}

/// DEFER_TASKRUN (6.1) needs SINGLE_ISSUER (6.0). SUBMIT_ALL: one bad entry does not hold up the rest. TASKRUN_FLAG: a
/// turn that need not sleep sees without a system call whether there is task work. NO_SQARRAY (6.6) is probed.
fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(entries * COMPLETIONS_PER_SUBMISSION)
        .dontfork();
    let plain = builder.clone();
    match builder.setup_no_sqarray().build(entries) {
        Err(error) if error.raw_os_error() == Some(sys::errno::EINVAL) => plain.build(entries),
        result => result,
    }
}

/// Kernel workers of one ring at most, for regular files (opens and reads that the kernel cannot do at once) and for everything else, whose
/// bound would be RLIMIT_NPROC.
const WORKERS_MAX: u32 = 32;

fn limit_workers(submitter: &Submitter<'_>) -> io::Result<()> {
    submitter.register_iowq_max_workers(&mut [WORKERS_MAX, WORKERS_MAX])
}
