//! What the zygote does once for all its workers, before the first fork.

use super::warm;
use crate::ffi::{self, Object, Python};
use crate::immortal;
use crate::line::Line;
use crate::load::{self, LoadError, Speaks};
use crate::prelude::Prelude;
use crate::warmup;
use control::message::HostSpec;

/// Imports the application, and what its workers are going to need beside it.
pub(super) fn run(
    py: Python<'_>,
    prelude: &Prelude,
    line: &Line,
    spec: &HostSpec,
) -> Result<Object, LoadError> {
    // The exception is taken before anything else is called.
    let loaded = load::application(py, prelude, &spec.target).map_err(LoadError::from_raised);
    load::report_files(py, prelude, spec, &|message| line.send(&message));
    let application = loaded?;
    // What workers would load by themselves otherwise.
    drop(warmup::prepare(py, prelude, spec)?);
    py.import(c"faulthandler")?;
    if load::speaks(py, prelude, &application, spec.options.interface)? == Speaks::Wsgi {
        warm::up(py, prelude, spec, &application)?;
    } else {
        // What its workers' loops need.
        crate::asgi::preload(py, prelude, spec)?;
    }
    Ok(application)
}

/// The last thing before the forks. What their new objects are to lie in is decided here too: in pages of their own, behind everything that is shared.
pub(super) fn settle(py: Python<'_>, spec: &HostSpec) -> Result<(), LoadError> {
    if spec.options.immortal {
        immortal::keep(py)?;
    }
    // Empties the lists of spare objects, which lie anywhere; with the import frozen there is little to look at.
    py.import(c"gc")?.call_member(c"collect", &[])?;
    ffi::fill_pools(py);
    sys::heap::fill();
    Ok(())
}
