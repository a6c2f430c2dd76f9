//! Makes an interpreter ready for one application: our prelude, the search path, the import.
//!
//! The rules of `MODULE:CALLABLE` are in `prelude.py`; here they are asked.

use crate::ffi::{Object, Python, Raised, Result};
use crate::prelude::Prelude;
use config::InterfaceChoice;
use control::message::{FromHost, HostSpec, clip};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why an application cannot be served; fields as in `FromHost::Failed`.
#[derive(Debug, Clone)]
pub struct LoadError {
    pub stage: String,
    pub message: String,
    pub traceback: String,
}

impl LoadError {
    pub fn new(stage: &str, message: impl Into<String>) -> LoadError {
        LoadError {
            stage: stage.to_owned(),
            message: message.into(),
            traceback: String::new(),
        }
    }

    /// From an exception: a `LoadError` of the prelude with its fields, anything else as it is.
    pub fn from_raised(raised: Raised) -> LoadError {
        let exception = raised.take();
        let field = |name: &CStr| {
            exception
                .object()
                .member(name)
                .and_then(|value| value.to_text())
        };
        match (field(c"stage"), field(c"message"), field(c"trace")) {
            (Ok(stage), Ok(message), Ok(traceback)) => LoadError {
                stage,
                message: clip(&message),
                traceback: clip(&traceback),
            },
            _ => LoadError::new("start", exception.line()),
        }
    }

    /// The message, and under it what Python had to say.
    pub fn with_traceback(&self) -> String {
        clip(format!("{}\n{}", self.message, self.traceback).trim_end())
    }

    pub fn is_asgi(&self) -> bool {
        self.stage == "asgi"
    }
}

impl From<Raised> for LoadError {
    fn from(raised: Raised) -> LoadError {
        LoadError::from_raised(raised)
    }
}

/// The name in front of a worker's log lines; `None`: the host itself, before there are workers.
pub fn log_name(spec: &HostSpec, worker: Option<u16>) -> String {
    match worker {
        Some(index) => format!("[{} w{index}] ", spec.name),
        None => format!("[{}] ", spec.name),
    }
}

/// Streams, search path and threads of this interpreter. Returns the error stream.
pub fn prepare(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
    worker: Option<u16>,
) -> Result<Object> {
    let paths = py.list()?;
    let path = |path: &Path| py.path(path.as_os_str().as_bytes());
    paths.append(&path(&spec.chdir)?)?;
    for entry in &spec.pythonpath {
        paths.append(&path(entry)?)?;
    }
    prelude.call(py, c"start", &[&py.text(&log_name(spec, worker))?, &paths])
}

/// Our own extension module, in an interpreter that may not have it yet.
pub fn own_module(py: Python<'_>, prelude: &Prelude) -> std::result::Result<Object, LoadError> {
    let Some(file) = crate::ffi::extension_file() else {
        return Err(LoadError::new(
            "start",
            "cannot find the file that this extension was loaded from",
        ));
    };
    Ok(prelude.call(py, c"extension", &[&py.path(file.as_os_str().as_bytes())?])?)
}

/// What an application speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Wsgi,
    Asgi,
    /// ASGI 2: the scope in one call, the rest in a second.
    AsgiLegacy,
}

/// Finds out, unless it was said.
pub fn speaks(
    py: Python<'_>,
    prelude: &Prelude,
    application: &Object,
    choice: InterfaceChoice,
) -> Result<Speaks> {
    let found = prelude.call(py, c"speaks", &[application])?.to_text()?;
    Ok(match (choice, found.as_str()) {
        (InterfaceChoice::Wsgi, _) | (InterfaceChoice::Auto, "wsgi") => Speaks::Wsgi,
        (_, "asgi2") => Speaks::AsgiLegacy,
        (InterfaceChoice::Asgi | InterfaceChoice::Auto, _) => Speaks::Asgi,
    })
}

/// Longest list of files in one message, in bytes of paths.
const FILES_BYTES_MAX: usize = 32 * 1024;

/// With `reload`: tells which files were imported, also after an import that failed, for one of them is to be changed next.
pub fn report_files(py: Python<'_>, prelude: &Prelude, spec: &HostSpec, tell: &dyn Fn(FromHost)) {
    if !spec.options.reload {
        return;
    }
    // Nothing that would stand in the way of serving.
    let Ok(list) = prelude.call(py, c"watched_files", &[]) else {
        return;
    };
    let (mut paths, mut bytes) = (Vec::new(), 0);
    for at in 0..list.list_len().unwrap_or(0) {
        let Ok(path) = list.item(at).and_then(|item| item.to_text()) else {
            continue;
        };
        bytes += path.len() + 8;
        paths.push(PathBuf::from(path));
        if bytes > FILES_BYTES_MAX {
            tell(FromHost::Files {
                paths: std::mem::take(&mut paths),
            });
            bytes = 0;
        }
    }
    tell(FromHost::Files { paths });
}

/// Imports the application. Afterwards what was loaded is out of the garbage collector's sight.
pub fn application(py: Python<'_>, prelude: &Prelude, target: &str) -> Result<Object> {
    let application = prelude.call(py, c"load", &[&py.text(target)?])?;
    prelude.call(py, c"settle", &[])?;
    Ok(application)
}
