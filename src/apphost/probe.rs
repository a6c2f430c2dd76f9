//! The throw-away run that finds out whether an application can live in a sub-interpreter.
//!
//! Imports it in one, recording every extension module that refuses, also where the importer swallows the error. If the import fails, tries
//! again in the main interpreter, to tell an app that does not load here from one that does not load at all. A crash or a hang is the supervisor's to see.

use crate::ffi::{self, Python, Version};
use crate::load::{self, LoadError};
use crate::prelude::Prelude;
use control::message::{HostSpec, ProbeVerdict};

/// What the sub-interpreter found.
struct Finding {
    result: Result<(), LoadError>,
    /// Module and message of each refusal.
    refusals: Vec<(String, String)>,
}

/// Called in the main interpreter.
pub fn run(py: Python<'_>, spec: &HostSpec) -> ProbeVerdict {
    let version = ffi::running();
    if version < ffi::INTERPRETERS_SINCE {
        let Version(major, minor) = version;
        let message = format!(
            "Python {major}.{minor} cannot host applications in sub-interpreters; 3.13 and newer can"
        );
        return ProbeVerdict::Refused {
            module: "python".to_owned(),
            message,
        };
    }
    let finding = py.detached(|| {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(16 * 1024 * 1024)
                .spawn_scoped(scope, || ffi::create_interpreter(|py| look(py, spec)))
                .map_err(|error| error.to_string())?
                .join()
                .map_err(|_| "the probe panicked".to_owned())?
        })
    });
    let finding = finding.unwrap_or_else(|message| Finding {
        result: Err(LoadError::new("start", message)),
        refusals: Vec::new(),
    });
    judge(py, spec, finding)
}

fn judge(py: Python<'_>, spec: &HostSpec, finding: Finding) -> ProbeVerdict {
    let Finding {
        result,
        mut refusals,
    } = finding;
    match result {
        Ok(()) if refusals.is_empty() => ProbeVerdict::Interpreters,
        Ok(()) => ProbeVerdict::Degraded {
            modules: refusals.into_iter().map(|(module, _)| module).collect(),
        },
        Err(error) if error.is_asgi() => failed(error),
        Err(_) if !refusals.is_empty() => {
            let (module, message) = refusals.swap_remove(refusals.len() - 1);
            ProbeVerdict::Refused { module, message }
        }
        Err(error) => match load_here(py, spec) {
            Ok(()) => ProbeVerdict::Refused {
                module: named_in(&error.message).unwrap_or(&spec.target).to_owned(),
                message: error.message,
            },
            Err(error) => failed(error),
        },
    }
}

/// The module that CPython's own words name.
fn named_in(message: &str) -> Option<&str> {
    let (before, _) = message.split_once(" does not support loading in subinterpreters")?;
    Some(before.rsplit_once("module ")?.1)
}

fn failed(error: LoadError) -> ProbeVerdict {
    let asgi = error.is_asgi();
    ProbeVerdict::Failed {
        message: error.message,
        traceback: error.traceback,
        asgi,
    }
}

/// In the sub-interpreter.
fn look(py: Python<'_>, spec: &HostSpec) -> Finding {
    let mut refusals = Vec::new();
    let mut look = || -> Result<(), LoadError> {
        let prelude = Prelude::new(py)?;
        load::prepare(py, &prelude, spec, None)?;
        let ignore = py.run_expression(c"lambda name: None")?;
        prelude.call(py, c"watch_imports", &[&ignore])?;
        // Taken out at once: other calls follow.
        let loaded = load::application(py, &prelude, &spec.target).map_err(LoadError::from_raised);
        let list = prelude.get(py, c"refusals")?;
        for index in 0..list.list_len().unwrap_or(0) {
            let pair = list.item(index)?;
            refusals.push((pair.item(0)?.to_text()?, pair.item(1)?.to_text()?));
        }
        drop(prelude.call(py, c"finish", &[]));
        loaded.map(drop)
    };
    let result = look();
    Finding { result, refusals }
}

/// In the main interpreter, where nothing refuses.
fn load_here(py: Python<'_>, spec: &HostSpec) -> Result<(), LoadError> {
    let prelude = Prelude::new(py)?;
    load::prepare(py, &prelude, spec, None)?;
    load::application(py, &prelude, &spec.target)?;
    Ok(())
}
