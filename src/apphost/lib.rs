//! `_ringgate`: the extension that a Python interpreter of the user's own loads to run an application for the edge.
//!
//! Started as `PYTHON -c BOOTSTRAP EXTENSION`, it finds its orders on descriptor 3 and its requests in shared memory. It owns the
//! interpreters or worker processes of one generation of one app. It never sees a client's socket, and what it writes is not trusted.
//!
//! Floors, ground first: `ffi` (the C API), `prelude` (our Python code), `load`, `wsgi`, `worker`, then `interpreters`, `zygote` and `probe`,
//! and `host` on top. Only `ffi` has unsafe code.
#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "the C API is called here and nowhere else")]
mod ffi;

use ffi::{Object, Python, Result};

/// What the module offers to Python, in every interpreter that imports it.
fn fill_module(py: Python<'_>, module: &Object) -> Result<()> {
    Ok(())
}
