//! The throw-away run that finds out whether an application can live in a sub-interpreter.
//!
//! Imports it in one, with what its framework loads at its first request, recording every extension module that refuses, also where the importer swallows the error. If the import fails, tries
//! again in the main interpreter, to tell an app that does not load here from one that does not load at all. A crash or a hang is the supervisor's to see.

use crate::ahead;
use crate::ffi::{self, Object, Python, Version};
use crate::load::{self, LoadError, Speaks};
use crate::prelude::Prelude;
use crate::private;
use config::{EventLoop, Extensions};
use control::message::{HostSpec, ProbeVerdict};

/// What the sub-interpreter found.
struct Finding {
    result: Result<(), LoadError>,
    /// The application is there, and what its framework loads at its first request is not.
    obstacle: Option<LoadError>,
    /// Module and message of each refusal.
    refusals: Vec<(String, String)>,
}

impl Finding {
    /// It could not even look.
    fn of_ours(message: String) -> Finding {
        Finding {
            result: Err(LoadError::new("start", message)),
            obstacle: None,
            refusals: Vec::new(),
        }
    }

    /// The worse of two findings counts.
    fn badness(&self) -> (bool, bool, usize) {
        let failed = self.result.is_err();
        (failed, self.obstacle.is_some(), self.refusals.len())
    }
}

/// Called in the main interpreter.
pub fn run(py: Python<'_>, spec: &HostSpec) -> ProbeVerdict {
    let version = ffi::running();
    if version < ffi::INTERPRETERS_SINCE || ffi::is_free_threaded() {
        let Version(major, minor) = version;
        let message = match ffi::is_free_threaded() {
            true => "a free-threaded Python does not host applications in sub-interpreters; one with a GIL does".to_owned(),
            false => format!(
                "Python {major}.{minor} cannot host applications in sub-interpreters; 3.13 and newer can"
            ),
        };
        return ProbeVerdict::Refused {
            module: "python".to_owned(),
            message,
        };
    }
    // What copies of extensions do to each other shows only with two of them, side by side.
    let looks = match spec.options.extensions {
        Extensions::Private => 2,
        Extensions::Shared => 1,
    };
    let findings = py.detached(|| {
        std::thread::scope(|scope| {
            let started: Vec<_> = (0..looks).map(|_| start(scope, spec)).collect();
            let ended = started.into_iter().map(|thread| {
                thread?
                    .join()
                    .map_err(|_| "the probe panicked".to_owned())?
            });
            ended.collect::<Vec<Result<Finding, String>>>()
        })
    });
    let finding = findings
        .into_iter()
        .map(|finding| finding.unwrap_or_else(Finding::of_ours))
        .max_by_key(Finding::badness)
        .expect("there was at least one look");
    judge(py, spec, finding)
}

type Look<'scope> = std::thread::ScopedJoinHandle<'scope, Result<Finding, String>>;

/// A look from a sub-interpreter on a thread of its own.
fn start<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    spec: &'scope HostSpec,
) -> Result<Look<'scope>, String> {
    std::thread::Builder::new()
        .stack_size(16 * 1024 * 1024)
        .spawn_scoped(scope, || ffi::create_interpreter(|py| look(py, spec)))
        .map_err(|error| error.to_string())
}

fn judge(py: Python<'_>, spec: &HostSpec, finding: Finding) -> ProbeVerdict {
    let Finding {
        result,
        obstacle,
        mut refusals,
    } = finding;
    // One that is there in any interpreter says nothing of this kind.
    let obstacle =
        obstacle.filter(|_| !refusals.is_empty() || matches!(load_here(py, spec), Ok(None)));
    let result = result.and(obstacle.map_or(Ok(()), Err));
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
            Ok(_) => ProbeVerdict::Refused {
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
    let mut obstacle = None;
    let mut look = || -> Result<(), LoadError> {
        let prelude = Prelude::new(py)?;
        load::prepare(py, &prelude, spec, None)?;
        private::install(py)?;
        let ignore = py.run_expression(c"lambda name: None")?;
        prelude.call(py, c"watch_imports", &[&ignore])?;
        // Taken out at once: other calls follow.
        let loaded = load::application(py, &prelude, &spec.target).map_err(LoadError::from_raised);
        let loop_loaded = match &loaded {
            Ok(application) => load_loop(py, &prelude, spec, application),
            Err(_) => Ok(()),
        };
        if loaded.is_ok() {
            obstacle = ahead::obstacle(py, &prelude)?;
        }
        let list = prelude.get(py, c"refusals")?;
        for index in 0..list.list_len().unwrap_or(0) {
            let pair = list.item(index)?;
            refusals.push((pair.item(0)?.to_text()?, pair.item(1)?.to_text()?));
        }
        drop(prelude.call(py, c"finish", &[]));
        loaded?;
        // One that is not installed is the worker's to tell: it would be missing in processes too.
        loop_loaded.or_else(|error| {
            if refusals.is_empty() {
                Ok(())
            } else {
                Err(error)
            }
        })
    };
    let result = look();
    Finding {
        result,
        obstacle,
        refusals,
    }
}

/// `--loop uvloop`: what an application's loop needs counts as what it imports.
fn load_loop(
    py: Python<'_>,
    prelude: &Prelude,
    spec: &HostSpec,
    application: &Object,
) -> Result<(), LoadError> {
    if spec.options.event_loop == EventLoop::Uvloop
        && load::speaks(py, prelude, application, spec.options.interface)? != Speaks::Wsgi
    {
        py.import(c"uvloop")?;
    }
    Ok(())
}

/// In the main interpreter, where nothing refuses. Returns what even there could not be loaded ahead.
fn load_here(py: Python<'_>, spec: &HostSpec) -> Result<Option<LoadError>, LoadError> {
    let prelude = Prelude::new(py)?;
    load::prepare(py, &prelude, spec, None)?;
    load::application(py, &prelude, &spec.target)?;
    ahead::obstacle(py, &prelude)
}
