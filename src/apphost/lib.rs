//! `_ringgate`: the extension that a Python interpreter of the user's own loads to run an application for the edge.
//!
//! Started as `PYTHON -c BOOTSTRAP EXTENSION`, it finds its orders on descriptor 3 and its requests in shared memory. It owns the
//! interpreters or worker processes of one generation of one app. It never sees a client's socket, and what it writes is not trusted.
//!
//! Floors, ground first: `ffi` (the C API), `prelude` (our Python code), `lease`, `forked`, `gate` and `backoff`, `private`, `load`, `ahead`, `immortal`, `warmup`, `hooks`, `header` and `names`, `wsgi`, `asgi`,
//! `worker`, `line`, `milestones`, `threads`, `afterwork`, then the kinds `interpreters`
//! and `zygote` and the `probe`, and `host` on top. Only `ffi` has unsafe code.
#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "the C API is called here and nowhere else")]
mod ffi;

mod afterwork;
mod ahead;
mod asgi;
mod backoff;
mod forked;
mod gate;
mod header;
mod hooks;
mod host;
mod immortal;
mod interpreters;
mod lease;
mod line;
mod load;
mod milestones;
mod names;
mod prelude;
mod private;
mod probe;
mod threads;
mod warmup;
mod worker;
mod wsgi;
mod zygote;

use ffi::{Arguments, Function, Object, Python, Result};
use std::ffi::CStr;

/// What the module offers to Python, in every interpreter that imports it.
fn fill_module(py: Python<'_>, module: &Object) -> Result<()> {
    ffi::function::<Main>(module)?;
    module.set_member(c"__version__", &py.text(env!("CARGO_PKG_VERSION"))?)?;
    ffi::base_exception(
        module,
        c"RequestTimeout",
        c"_ringgate.RequestTimeout",
        c"Raised in a request that ran over its time. Like KeyboardInterrupt it is no Exception, so that `except Exception` does not keep it.",
    )
}

/// What the bootstrap calls.
struct Main;

impl Function for Main {
    const NAME: &'static CStr = c"main";
    const DOC: &'static CStr =
        c"main(): serves as the parent process orders on descriptor 3. Never returns.";

    fn call(py: Python<'_>, arguments: Arguments<'_>) -> Result<Object> {
        arguments.between(py, "main", 0, 0)?;
        host::main(py)
    }
}
