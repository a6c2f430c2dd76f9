//! Our Python code (`prelude.py`) in one interpreter: run once, its functions called by name. Cold paths only.

use crate::ffi::{Dict, Object, Python, Result};
use std::ffi::{CStr, CString};

const SOURCE: &str = include_str!("prelude.py");

/// The namespace of `prelude.py` in one interpreter.
pub struct Prelude {
    names: Dict,
}

impl Prelude {
    pub fn new(py: Python<'_>) -> Result<Prelude> {
        let names = Dict::new(py)?;
        names.set_named(c"__name__", &py.text("ringgate.prelude")?)?;
        names.set_named(c"__file__", &py.text("<ringgate>")?)?;
        let source = CString::new(SOURCE).expect("our own source holds no NUL");
        py.run(&source, c"<ringgate>", &names)?;
        Ok(Prelude { names })
    }

    pub fn names(&self) -> &Dict {
        &self.names
    }

    /// More of our own code in the same namespace, unless `known`, one of its names, is there already: a worker has what was loaded before the fork.
    pub fn extend(&self, py: Python<'_>, source: &str, known: &CStr) -> Result<()> {
        if self.names.get_named(py, known)?.is_some() {
            return Ok(());
        }
        let source = CString::new(source).expect("our own source holds no NUL");
        py.run(&source, c"<ringgate>", &self.names)
    }

    pub fn get(&self, py: Python<'_>, name: &CStr) -> Result<Object> {
        self.names
            .get_named(py, name)
            .map(|found| found.expect("prelude.py defines what we ask for"))
    }

    pub fn call(&self, py: Python<'_>, name: &CStr, arguments: &[&Object]) -> Result<Object> {
        self.get(py, name)?.call_with(arguments)
    }
}
