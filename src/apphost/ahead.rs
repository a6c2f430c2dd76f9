//! What the application's framework loads at its first request, loaded with the application: URLs and views, templates, translations (`ahead.py`).
//!
//! So a worker that is ready has nothing left to load, forked workers share it, the probe meets every module that a view imports, and beside somebody
//! who serves, a generation whose URLs do not load fails. Otherwise a failure is the requests' to meet, as with any server, and a line in the log.

use crate::ffi::Python;
use crate::load::LoadError;
use crate::prelude::Prelude;
use control::message::{HostSpec, clip};

const SOURCE: &str = include_str!("ahead.py");

/// In whoever is going to serve.
pub fn load(py: Python<'_>, prelude: &Prelude, spec: &HostSpec) -> Result<(), LoadError> {
    for Failure { what, error } in failures(py, prelude)? {
        if spec.beside && what == "URLs" {
            return Err(error);
        }
        let message = &error.message;
        eprintln!("[{}] {message}; requests may fail likewise", spec.name);
    }
    Ok(())
}

/// What stands in the way of loading all of it, if anything does.
pub fn obstacle(py: Python<'_>, prelude: &Prelude) -> Result<Option<LoadError>, LoadError> {
    let first = failures(py, prelude)?.into_iter().next();
    Ok(first.map(|failure| failure.error))
}

struct Failure {
    what: String,
    error: LoadError,
}

fn failures(py: Python<'_>, prelude: &Prelude) -> Result<Vec<Failure>, LoadError> {
    prelude.extend(py, SOURCE, c"load_ahead")?;
    let list = prelude.call(py, c"load_ahead", &[])?;
    let mut failures = Vec::new();
    for at in 0..list.list_len().unwrap_or(0) {
        let failure = list.item(at)?;
        let text = |at| failure.item(at).and_then(|item| item.to_text());
        failures.push(Failure {
            what: text(0)?,
            error: LoadError {
                stage: "import".to_owned(),
                message: clip(&text(1)?),
                traceback: clip(&text(2)?),
            },
        });
    }
    Ok(failures)
}
