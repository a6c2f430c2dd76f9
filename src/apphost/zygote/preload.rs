//! What the zygote does once for all its workers, before the first fork.

use super::warm;
use crate::ahead;
use crate::ffi::{self, Object, Python};
use crate::immortal;
use crate::line::Line;
use crate::load::{self, LoadError, Speaks};
use crate::prelude::Prelude;
use crate::warmup;
use control::message::HostSpec;

/// What is done before the fork, and is the workers' in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Nothing: each worker imports the application.
    Nothing,
    /// The import of the application.
    Import,
    /// And what its framework loads at its first request.
    Ahead,
}

/// What came of it.
pub(super) enum Shared {
    Application(Object),
    /// There are threads now, which no fork takes along: to be done again with less.
    Less(Share),
}

/// Imports the application, and what its workers are going to need beside it.
pub(super) fn run(
    py: Python<'_>,
    prelude: &Prelude,
    line: &Line,
    spec: &HostSpec,
    share: Share,
) -> Result<Shared, LoadError> {
    let report = || load::report_files(py, prelude, spec, &|message| line.send(&message));
    // The exception is taken before anything else is called.
    let loaded = load::application(py, prelude, &spec.target).map_err(LoadError::from_raised);
    report();
    let application = loaded?;
    if has_threads() {
        return Ok(Shared::Less(Share::Nothing));
    }
    if share == Share::Ahead {
        ahead::load(py, prelude, spec)?;
        prelude.call(py, c"close_connections", &[])?;
        report();
        if has_threads() {
            return Ok(Shared::Less(Share::Import));
        }
    }
    equip(py, prelude, spec, &application)?;
    if has_threads() {
        return Ok(Shared::Less(Share::Nothing));
    }
    settle(py, spec)?;
    Ok(Shared::Application(application))
}

fn has_threads() -> bool {
    sys::process::thread_count().unwrap_or(1) > 1
}

/// What workers need beside the application, and the warm-up if that is to be shared.
fn equip(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
    application: &Object,
) -> Result<(), LoadError> {
    drop(warmup::prepare(py, prelude, spec)?);
    py.import(c"faulthandler")?;
    if load::speaks(py, prelude, application, spec.options.interface)? == Speaks::Wsgi {
        warm::up(py, prelude, spec, application)
    } else {
        // What its workers' loops need.
        Ok(crate::asgi::preload(py, prelude, spec)?)
    }
}

/// The last thing before the forks. What their new objects are to lie in is decided here too: in pages of their own, behind everything that is shared.
fn settle(py: Python<'_>, spec: &HostSpec) -> Result<(), LoadError> {
    if spec.options.immortal {
        immortal::keep(py)?;
    }
    // Empties the lists of spare objects, which lie anywhere; with the import frozen there is little to look at.
    py.import(c"gc")?.call_member(c"collect", &[])?;
    ffi::fill_pools(py);
    sys::heap::fill();
    Ok(())
}
