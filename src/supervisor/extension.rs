//! Where the native extension is that app hosts load.

use crate::installation::Installation;
use crate::python::Python;
use config::{Config, Mistake};
use std::path::{Path, PathBuf};

const NAME: &str = "lib_ringgate.so";

/// One for each of the interpreters. One file fits all that have a GIL (abi3); a free-threaded one has its own, and that in its own package.
pub fn find(config: &Config, bin: &Path, pythons: &[Python]) -> Result<Vec<PathBuf>, Mistake> {
    let known = pythons
        .iter()
        .filter(|python| !python.free_threaded)
        .find_map(|python| python.extension.as_deref());
    pythons
        .iter()
        .map(|python| match &python.extension {
            _ if config.extension.is_some() || !python.free_threaded => one(config, bin, known),
            Some(path) => Ok(path.clone()),
            None => Err(Mistake(format!(
                "{} is a free-threaded build of Python and has no ringgate of its own, which it needs; \
                 install it there (from the source: pip install . with that Python), or name the extension with --extension",
                python.program.display()
            ))),
        })
        .collect()
}

/// `--extension`, else beside the executable in `bin` (a build directory), else in the package that `pip` installed with it, else in
/// `../lib/ringgate` (a distribution's package), else in the package that the interpreter knows.
fn one(config: &Config, bin: &Path, known: Option<&Path>) -> Result<PathBuf, Mistake> {
    if let Some(path) = &config.extension {
        return match path.is_file() {
            true => Ok(path.clone()),
            false => Err(Mistake(format!("--extension: no file {}", path.display()))),
        };
    }
    let beside = bin.join(NAME);
    if beside.is_file() {
        return Ok(beside);
    }
    if let Some(installation) = Installation::around(bin) {
        return Ok(installation.extension);
    }
    let packaged = bin.join("../lib/ringgate").join(NAME);
    if packaged.is_file() {
        return Ok(packaged);
    }
    known.map(Path::to_owned).ok_or_else(|| {
        Mistake(format!(
            "the Python extension that belongs to {} is missing; install ringgate again (pip install ringgate), or name the extension with --extension",
            bin.join("ringgate").display()
        ))
    })
}
