//! gunicorn's hooks (`hooks.py`) in one interpreter. Without a file of hooks everything here does nothing.

use crate::ffi::{Dict, Handle, Object, Python, Result};
use crate::load::{LoadError, Speaks};
use config::doors::gunicorn;
use control::message::HostSpec;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SOURCE: &str = include_str!("hooks.py");

/// The namespace of `hooks.py`; `None`: nothing is hooked.
pub struct Hooks {
    names: Option<Dict>,
}

impl Hooks {
    /// Executes the configuration file in this interpreter and sets logging up as it says, before the application is imported.
    pub fn load(py: Python<'_>, spec: &HostSpec) -> std::result::Result<Hooks, LoadError> {
        let options = &spec.options;
        if options.hooks.is_none() && options.log_config.is_none() {
            return Ok(Hooks { names: None });
        }
        let hooks = Hooks {
            names: Some(source(py)?),
        };
        let path = |path: &Option<PathBuf>| match path {
            Some(path) => py.path(path.as_os_str().as_bytes()),
            None => Ok(py.none()),
        };
        let running = py.text(&gunicorn::running(options))?;
        let name = py.text(&spec.name)?;
        let first = py.boolean(spec.first);
        let arguments = [
            &path(&options.hooks)?,
            &path(&options.log_config)?,
            &running,
            &name,
            &first,
        ];
        hooks.call(py, c"load", &arguments)?;
        Ok(hooks)
    }

    /// As `load`, in the process that has the workers.
    pub fn start(py: Python<'_>, spec: &HostSpec) -> std::result::Result<Hooks, LoadError> {
        let hooks = Hooks::load(py, spec)?;
        hooks.call(py, c"starting", &[])?;
        Ok(hooks)
    }

    /// A worker begins, before it has the application.
    pub fn begin(&self, py: Python<'_>, index: u16) -> Result<()> {
        let index = py.integer(i64::from(index))?;
        self.call(py, c"forked", &[&index]).map(drop)
    }

    /// Calls a function of `hooks.py`; `None` if nothing is hooked.
    pub fn call(
        &self,
        py: Python<'_>,
        name: &CStr,
        arguments: &[&Object],
    ) -> Result<Option<Object>> {
        let Some(names) = &self.names else {
            return Ok(None);
        };
        let function = names
            .get_named(py, name)?
            .expect("hooks.py defines what we ask for");
        function.call_with(arguments).map(Some)
    }

    /// As `call`, with a number; what goes wrong is told and does not matter.
    pub fn tell(&self, py: Python<'_>, name: &CStr, number: u32) {
        let called = py
            .integer(i64::from(number))
            .and_then(|number| self.call(py, name, &[&number]));
        report(name, called.map(drop));
    }

    /// As `tell`, without a number.
    pub fn note(&self, py: Python<'_>, name: &CStr) {
        report(name, self.call(py, name, &[]).map(drop));
    }

    /// The application as hooks want it to be served. `speaks` tells what it speaks.
    pub fn application(
        &self,
        py: Python<'_>,
        application: Object,
        speaks: impl FnOnce(&Object) -> Result<Speaks>,
    ) -> Result<Object> {
        let Some(application) = self.call(py, c"initialised", &[&application])? else {
            return Ok(application);
        };
        let watches = self.call(py, c"watches", &[])?;
        if !watches.map_or(Ok(false), |watches| watches.is_true())? {
            return Ok(application);
        }
        let interface = py.text(match speaks(&application)? {
            Speaks::Wsgi => "wsgi",
            Speaks::Asgi => "asgi",
            Speaks::AsgiLegacy => "asgi2",
        })?;
        let watched = self.call(py, c"watched", &[&application, &interface])?;
        Ok(watched.unwrap_or(application))
    }

    /// Whether a worker that is ended because of its request has something to say before.
    pub fn minds_abort(&self, py: Python<'_>) -> bool {
        self.has(py, "worker_abort") || self.has(py, "worker_exit")
    }

    /// Whether a quick stop has something to wait for.
    pub fn minds_quit(&self, py: Python<'_>) -> bool {
        let hooks = ["worker_int", "worker_exit", "child_exit"];
        hooks.iter().any(|hook| self.has(py, hook))
    }

    /// Whether the file has a function of that name.
    pub fn has(&self, py: Python<'_>, name: &str) -> bool {
        let answer = py
            .text(name)
            .and_then(|name| self.call(py, c"has", &[&name]))
            .and_then(|answer| answer.map_or(Ok(false), |answer| answer.is_true()));
        answer.unwrap_or(false)
    }
}

/// Calls a function of `hooks.py` in an interpreter to which the calling thread is not attached. Waits for its GIL, as [`Handle::visit`] says.
pub fn visit(interpreter: Handle, name: &'static CStr, number: Option<u16>) {
    interpreter.visit(|py| {
        let called = || -> Result<()> {
            let hooks = py.import(c"_ringgate")?.member(c"hooks")?;
            match number {
                Some(number) => hooks.call_member(name, &[&py.integer(i64::from(number))?])?,
                None => hooks.call_member(name, &[])?,
            };
            Ok(())
        };
        report(name, called());
    });
}

/// As `visit` without a number, of several interpreters at once, and on threads of their own: after `patience` nobody waits for those any more that do
/// not give their GIL up.
pub fn visit_all(interpreters: Vec<Handle>, name: &'static CStr, patience: Duration) {
    let (done, finished) = mpsc::channel();
    let mut begun = 0;
    for interpreter in interpreters {
        let done = done.clone();
        let started = std::thread::Builder::new()
            .name("hook".to_owned())
            .spawn(move || {
                visit(interpreter, name, None);
                // Nobody waits any more.
                done.send(()).unwrap_or_default();
            });
        match started {
            Ok(_) => begun += 1,
            Err(error) => eprintln!("ringgate: cannot start a thread for a hook: {error}"),
        }
    }
    let until = Instant::now() + patience;
    for _ in 0..begun {
        let left = until.saturating_duration_since(Instant::now());
        if finished.recv_timeout(left).is_err() {
            return;
        }
    }
}

fn source(py: Python<'_>) -> Result<Dict> {
    let names = Dict::new(py)?;
    names.set_named(c"__name__", &py.text("ringgate.hooks")?)?;
    names.set_named(c"__file__", &py.text("<ringgate hooks>")?)?;
    let source = CString::new(SOURCE).expect("our own source holds no NUL");
    py.run(&source, c"<ringgate hooks>", &names)?;
    Ok(names)
}

fn report(name: &CStr, called: Result<()>) {
    if let Err(raised) = called {
        let line = raised.take().line();
        eprintln!("ringgate: hooks: {}: {line}", name.to_string_lossy());
    }
}
