//! An ASGI worker's life: loop, startup, seat, service, shutdown (A23-A27).

use super::desk::{Desk, Parts};
use super::selector::Selector;
use crate::ffi::{self, Dict, Object, Python, Type, Version};
use crate::line::SeatEnds;
use crate::load::LoadError;
use crate::prelude::Prelude;
use crate::warmup;
use crate::worker::{AtGate, End, Exchange, Progress};
use config::{EventLoop, Lifespan};
use control::message::{HostSpec, WorkerSpec};
use shm::WorkerSeat;
use std::ffi::CString;
use std::rc::Rc;
use std::sync::Arc;
use sys::eventfd::EventFd;

const SOURCE: &str = include_str!("../asgi.py");

/// Tasks can begin at once from here on.
const EAGER_SINCE: Version = Version(3, 12);

/// What a worker needs to know.
pub struct Setting<'a> {
    pub prelude: &'a Rc<Prelude>,
    pub spec: &'a HostSpec,
    pub exchange: &'a Exchange,
    pub seat: WorkerSpec,
    pub ends: SeatEnds,
    pub application: Object,
    /// It takes the scope first and the rest in a second call (ASGI 2).
    pub legacy: bool,
    pub errors: Object,
    pub progress: Arc<Progress>,
    pub at_gate: AtGate<'a>,
}

/// A worker whose application has started up.
pub struct AsgiWorker {
    desk: Rc<Desk>,
    worker: Object,
}

impl AsgiWorker {
    /// Makes the loop, lets the application start up, then takes the seat. From here on requests may be claimed.
    pub fn new(py: Python<'_>, setting: Setting<'_>) -> Result<AsgiWorker, LoadError> {
        let Setting { spec, prelude, .. } = setting;
        let system = |error: std::io::Error| {
            LoadError::new("worker", format!("cannot make a loop: {error}"))
        };
        let script = script(py, prelude)?;
        let state = Dict::new(py)?.into_object();
        let application = if setting.legacy {
            let single = script.get_named(py, c"single_callable")?;
            single
                .expect("asgi.py defines it")
                .call_with(&[&setting.application])?
        } else {
            setting.application
        };
        let wake = EventFd::from_fd(setting.ends.wake);
        let bell = wake.try_clone().map_err(system)?;
        let desk = Rc::new(Desk::new(
            py,
            Parts {
                application: application.clone(),
                prelude: prelude.clone(),
                script,
                errors: setting.errors.clone(),
                progress: setting.progress,
                socket: setting.ends.socket,
                wake,
                root_path: &spec.options.root_path,
                state: &state,
            },
        )?);
        let native = Type::<Selector>::new(py)?.instance(Selector::new(&desk).map_err(system)?)?;
        let lifespan = match spec.options.lifespan {
            Lifespan::Auto => "auto",
            Lifespan::On => "on",
            Lifespan::Off => "off",
        };
        let options = Dict::new(py)?;
        let graceful_s = spec.options.graceful_ms as f64 / 1000.0;
        for (key, value) in [
            (c"native", native.object()),
            (c"application", &application),
            (c"loop", &py.text(event_loop(spec))?),
            (c"lifespan", &py.text(lifespan)?),
            (c"state", &state),
            (c"graceful_s", &py.float(graceful_s)?),
            (c"errors", &setting.errors),
        ] {
            options.set_named(key, value)?;
        }
        let worker = desk.script(py, c"new_worker", &[options.object()])?;
        let object = worker.member(c"loop")?;
        let own_sleep = worker.member(c"own_sleep")?.is_true()?;
        let eager = ffi::running() >= EAGER_SINCE;
        desk.bind(py, &object, eager, own_sleep)?;
        worker.call_member(c"start", &[])?;
        if let Some(paths) = warmup::prepare(py, prelude, spec)? {
            let root_path = py.text(&spec.options.root_path)?;
            let coroutine = prelude.call(
                py,
                c"warm_up_asgi",
                &[&application, &paths, &root_path, &state],
            )?;
            let failures = object.call_member(c"run_until_complete", &[&coroutine])?;
            warmup::judge(spec, &failures)?;
        }
        (setting.at_gate)(py)?;
        let corrupt = |corrupt| {
            LoadError::new(
                "worker",
                format!("cannot take seat {}: {corrupt}", setting.seat.index),
            )
        };
        let segment = &setting.exchange.segment;
        segment.set_bell(setting.seat.index, bell);
        let mut seat = WorkerSeat::attach(
            segment.clone(),
            setting.seat.index,
            setting.seat.incarnation,
            spec.generation,
            setting.exchange.doorbells.clone(),
        )
        .map_err(corrupt)?;
        seat.make_looped().map_err(corrupt)?;
        desk.seat.replace(Some(seat));
        Ok(AsgiWorker { desk, worker })
    }

    /// Serves until drained or replaced.
    pub fn run(self, py: Python<'_>) -> End {
        let ran = self.worker.call_member(c"run", &[]);
        if let Err(raised) = ran
            && !self.desk.revoked.get()
        {
            self.desk
                .report(py, "the worker ended", Some(raised.take()));
        }
        if self.desk.revoked.get() {
            return End::Replaced;
        }
        // Stands up, if it has not yet.
        drop(self.desk.seat.take());
        End::Drained
    }
}

/// Which loop: uvloop refuses sub-interpreters, and trying would look like the application's own attempt.
fn event_loop(spec: &HostSpec) -> &'static str {
    match (spec.options.event_loop, spec.kind) {
        (EventLoop::Auto, config::Kind::Interpreters) | (EventLoop::Asyncio, _) => "asyncio",
        (EventLoop::Auto, config::Kind::Processes) => "auto",
        (EventLoop::Uvloop, _) => "uvloop",
    }
}

/// Before the first fork: loads what every worker's loop needs, so that they share it.
pub fn preload(py: Python<'_>, prelude: &Prelude, spec: &HostSpec) -> ffi::Result<()> {
    let script = script(py, prelude)?;
    let load = script.get_named(py, c"load_loop")?;
    load.expect("asgi.py defines it")
        .call_with(&[&py.text(event_loop(spec))?])?;
    prelude.call(py, c"settle", &[]).map(drop)
}

/// `asgi.py` in a namespace of its own that knows the prelude's.
fn script(py: Python<'_>, prelude: &Prelude) -> ffi::Result<Dict> {
    let names = prelude.names().copy()?;
    names.set_named(c"__name__", &py.text("ringgate.asgi")?)?;
    let source = CString::new(SOURCE).expect("our own source holds no NUL");
    py.run(&source, c"<ringgate>", &names)?;
    Ok(names)
}
