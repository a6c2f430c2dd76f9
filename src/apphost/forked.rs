//! Processes that the application forks off its worker: `os.fork`, `multiprocessing`, an old daemonising recipe.
//!
//! Such a copy has all that the worker has, its claim and its seat in the exchange too. What it was forked for is the application's affair; but where its
//! code comes back to us, as that of a child does which returns instead of ending itself, it would answer its parent's request once more and then
//! serve as a second worker in the same seat, which nobody watches. Owns how a copy is known. Invariant: its leases are revoked before any other code
//! runs in it, so it touches nothing of the exchange; where it comes back, it ends.

use crate::ffi::{Kind, Python, Raised};
use crate::lease::Lease;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// This process's own, but in its copies.
static LEASES: OnceLock<Vec<Arc<Lease>>> = OnceLock::new();
static IS_COPY: AtomicBool = AtomicBool::new(false);

/// What a copy hears that wants to answer.
pub const REFUSAL: &str =
    "this process was forked by the application; only its parent can answer the request";

/// Of a worker that is a process, before it takes its seats: from here on its copies are known.
pub fn guard(leases: Vec<Arc<Lease>>) -> std::io::Result<()> {
    if LEASES.set(leases).is_ok() {
        sys::process::begin_forks_with(begin)?;
    }
    Ok(())
}

/// Runs first in a copy. Async-signal-safe, as it must be where there are threads: atomics only.
extern "C" fn begin() {
    IS_COPY.store(true, Ordering::Relaxed);
    for lease in LEASES.get().into_iter().flatten() {
        lease.seize();
    }
}

pub fn is_copy() -> bool {
    IS_COPY.load(Ordering::Relaxed)
}

/// The end of a copy that came back with this, as Python would have it: nothing of the parent's is flushed or torn down.
#[cold]
pub fn leave(py: Python<'_>, raised: Option<Raised>) -> ! {
    let code = match raised {
        None => 0,
        Some(raised) if raised.is(Kind::SystemExit) => {
            let code = raised.take().object().member(c"code");
            match code {
                Ok(code) if code.is_none() => 0,
                Ok(code) => code.to_isize().map_or(1, |code| code as i32),
                Err(_) => 1,
            }
        }
        Some(raised) => {
            tell(py, &raised.take().line());
            1
        }
    };
    sys::process::exit_now(code)
}

fn tell(py: Python<'_>, what: &str) {
    let pid = std::process::id();
    let line = format!("process {pid}, which the application forked, ended with {what}\n");
    let write = || {
        let errors = py.import(c"sys")?.member(c"stderr")?;
        errors.call_member(c"write", &[&py.text(&line)?])
    };
    // Who has broken its stderr is not told.
    drop(write());
}
