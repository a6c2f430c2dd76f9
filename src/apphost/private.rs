//! `extensions = "private"`: sub-interpreters load copies of extension modules that would refuse to be loaded twice. Experimental.
//!
//! Which modules, and how, is in `private.py`. Owns this process's directory for the copies: made before the first sub-interpreter,
//! removed at the process's end, or swept by the next start where that end was a crash.

use crate::ffi::{Dict, Python, Result};
use config::Extensions;
use control::message::HostSpec;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::OnceLock;

const SOURCE: &str = include_str!("private.py");

/// Of this process; no interpreter's.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

fn names(py: Python<'_>) -> Result<Dict> {
    let names = Dict::new(py)?;
    names.set_named(c"__name__", &py.text("ringgate.private")?)?;
    let source = CString::new(SOURCE).expect("our own source holds no NUL");
    py.run(&source, c"<ringgate>", &names)?;
    Ok(names)
}

/// In the main interpreter of a process that is going to make others.
pub fn prepare(py: Python<'_>, spec: &HostSpec) -> Result<()> {
    if spec.options.extensions != Extensions::Private || DIRECTORY.get().is_some() {
        return Ok(());
    }
    let prepare = names(py)?.get_named(py, c"prepare")?;
    let directory = prepare
        .expect("private.py defines it")
        .call_with(&[])?
        .to_text()?;
    // Set once: looked at above, by the only thread there is.
    DIRECTORY.get_or_init(|| directory.into());
    Ok(())
}

/// In a sub-interpreter, before anything of the application is imported. Nothing without `prepare`.
pub fn install(py: Python<'_>) -> Result<()> {
    let Some(directory) = DIRECTORY.get() else {
        return Ok(());
    };
    use std::os::unix::ffi::OsStrExt;
    let install = names(py)?.get_named(py, c"install")?;
    let directory = py.path(directory.as_os_str().as_bytes())?;
    install
        .expect("private.py defines it")
        .call_with(&[&directory])?;
    Ok(())
}

/// At this process's orderly end. The copies themselves went as soon as they were mapped; left are empty directories.
pub fn clean() {
    if let Some(Err(error)) = DIRECTORY.get().map(std::fs::remove_dir_all) {
        eprintln!("ringgate: the directory for private copies of extensions stays: {error}");
    }
}
