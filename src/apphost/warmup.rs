//! Warm-up: the paths of `warmup` go through the application in each new worker, before it takes its first real request.
//!
//! Beside somebody who serves, a failure fails the new generation; at a start it is a warning in the log. What a request looks like
//! is in `warmup.py`.

use crate::ffi::{Object, Python, Result as Called};
use crate::load::{self, LoadError, Speaks};
use crate::prelude::Prelude;
use config::Kind;
use control::message::{HostSpec, clip};

const SOURCE: &str = include_str!("warmup.py");

/// For a WSGI application.
pub fn wsgi(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
    application: &Object,
) -> Result<(), LoadError> {
    let Some(paths) = prepare(py, prelude, spec)? else {
        return Ok(());
    };
    if load::speaks(py, prelude, application, spec.options.interface)? != Speaks::Wsgi {
        // On its own loop, later.
        return Ok(());
    }
    let setting = setting(py, spec)?;
    let failures = prelude.call(py, c"warm_up", &[application, &paths, &setting])?;
    judge(spec, &failures)
}

/// What the requests say of the server.
pub fn setting(py: Python<'_>, spec: &HostSpec) -> Called<Object> {
    py.tuple(&[
        &py.text(&script_name(spec))?,
        &py.text(&spec.server_software)?,
        &py.boolean(spec.multithread),
        &py.boolean(spec.kind == Kind::Processes),
    ])
}

/// The list of paths, with our Python code in place; `None` if there is nothing to do.
pub fn prepare(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
) -> Result<Option<Object>, LoadError> {
    if spec.options.warmup.is_empty() {
        return Ok(None);
    }
    prelude.extend(py, SOURCE, c"warm_up")?;
    let paths = py.list()?;
    for path in &spec.options.warmup {
        paths.append(&py.text(path)?)?;
    }
    Ok(Some(paths))
}

/// What follows from the failures that `warm_up` or `warm_up_asgi` returned.
pub fn judge(spec: &HostSpec, failures: &Object) -> Result<(), LoadError> {
    for at in 0..failures.list_len().unwrap_or(0) {
        let pair = failures.item(at)?;
        let (message, traceback) = (pair.item(0)?.to_text()?, pair.item(1)?.to_text()?);
        if spec.beside {
            return Err(LoadError {
                stage: "warmup".to_owned(),
                message: clip(&message),
                traceback: clip(&traceback),
            });
        }
        eprintln!("[{}] {message}\n{}", spec.name, traceback.trim_end());
    }
    Ok(())
}

fn script_name(spec: &HostSpec) -> String {
    format!(
        "{}{}",
        spec.options.root_path.trim_end_matches('/'),
        spec.mount
    )
}
