//! With `warmup_before_fork`: the warm-up requests in the zygote, so that what they load, and the bytecode they specialize, is the workers' in common.
//!
//! What must not be shared (a connection, a thread) would be found only afterwards, so a throw-away fork tries it first. If that one is left with
//! anything it did not have before, the zygote does not do it, and each worker warms up by itself, as it does in any case.

use crate::ffi::{Object, Python, Result};
use crate::load::LoadError;
use crate::prelude::Prelude;
use crate::warmup;
use control::message::HostSpec;
use std::os::fd::AsFd;
use sys::socket::Watch;

/// How long the trial may take.
const TRIAL_MS: u64 = 30_000;

/// For a WSGI application.
pub(super) fn up(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
    application: &Object,
) -> std::result::Result<(), LoadError> {
    if !spec.options.warmup_before_fork {
        return Ok(());
    }
    let Some(paths) = warmup::prepare(py, prelude, spec)? else {
        return Ok(());
    };
    let setting = warmup::setting(py, spec)?;
    let requests = || -> Result<Option<String>> {
        let left = prelude.call(py, c"warm_up_to_share", &[application, &paths, &setting])?;
        if left.is_none() {
            return Ok(None);
        }
        left.to_text().map(Some)
    };
    let pid = py.import(c"os")?.call_member(c"fork", &[])?.to_isize()?;
    if pid == 0 {
        let clean = match requests() {
            Ok(None) => true,
            Ok(Some(reason)) => tell(spec, &reason),
            Err(raised) => tell(spec, &raised.take().line()),
        };
        sys::process::exit_now(i32::from(!clean));
    }
    let tried = py.detached(|| wait(pid as u32));
    if !tried.map_err(|error| LoadError::new("warmup", format!("cannot try it: {error}")))? {
        return Ok(());
    }
    match requests()? {
        None => Ok(()),
        Some(reason) => Err(LoadError::new(
            "warmup",
            format!(
                "the warm-up before the fork went well when it was tried, and then not: {reason}"
            ),
        )),
    }
}

fn tell(spec: &HostSpec, reason: &str) -> bool {
    eprintln!(
        "[{}] the warm-up requests are made in each worker only, not before the fork: {reason}",
        spec.name
    );
    false
}

/// Whether the trial went well.
fn wait(pid: u32) -> std::io::Result<bool> {
    let ended = sys::process::pidfd(pid)?;
    let mut watch = [Watch::read(ended.as_fd())];
    sys::socket::poll(&mut watch, Some(TRIAL_MS))?;
    if !watch[0].readable {
        eprintln!("ringgate: the warm-up before the fork takes too long and is given up");
        sys::process::kill(pid, sys::process::SIGKILL)?;
        sys::socket::poll(&mut watch, None)?;
    }
    let ended = sys::process::collect(pid)?;
    Ok(ended == Some(sys::process::Ended::Exit(0)))
}
