//! A worker's thread and the interpreter in it, from its creation to its end, and how it is interrupted from outside.

use crate::ffi::{self, Handle, Python};
use crate::gate::Gate;
use crate::line::SeatEnds;
use crate::load::{self, LoadError};
use crate::prelude::Prelude;
use crate::private;
use crate::warmup;
use crate::worker::{End, Exchange, Progress, Worker};
use control::message::{FromHost, HostSpec, WorkerSpec};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Python code expects the main thread's 8 MiB; a deep recursion needs it. Address space only.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// How long an interrupted request may take to give in.
pub const INTERRUPT_GRACE: Duration = Duration::from_secs(2);

/// How threads tell the main thread of workers.
pub trait Report: Send + Sync {
    /// It has imported the application, and waits at the gate.
    fn loaded(&self, seat: WorkerSpec);
    fn files(&self, message: FromHost);
    fn up(&self, seat: WorkerSpec);
    fn ended(&self, seat: WorkerSpec, end: End);
    fn failed(&self, seat: WorkerSpec, error: LoadError);
    fn refused(&self, module: &str);
}

/// What the host keeps of one worker.
pub struct Seat {
    pub spec: WorkerSpec,
    pub progress: Arc<Progress>,
    /// Known once its interpreter is up.
    handle: Arc<Mutex<Option<Handle>>>,
}

/// Starts a worker's thread. What becomes of it arrives through `report`.
pub fn start(
    spec: &Arc<HostSpec>,
    exchange: &Exchange,
    seat: WorkerSpec,
    ends: SeatEnds,
    gate: &Arc<Gate>,
    report: &Arc<dyn Report>,
) -> std::io::Result<Seat> {
    let progress = Arc::new(Progress::default());
    let handle = Arc::new(Mutex::new(None));
    let thread = Thread {
        spec: spec.clone(),
        exchange: exchange.clone(),
        seat,
        progress: progress.clone(),
        handle: handle.clone(),
        gate: gate.clone(),
        report: report.clone(),
    };
    std::thread::Builder::new()
        .name(format!("worker-{}", seat.index))
        .stack_size(STACK_BYTES)
        .spawn(move || thread.run(ends))?;
    Ok(Seat {
        spec: seat,
        progress,
        handle,
    })
}

impl Seat {
    /// Writes the stack of what this worker is doing to the log and raises RequestTimeout there. On a thread of its own, which is lost if
    /// C code in that interpreter never gives the GIL up.
    pub fn interrupt(&self, turn: u64) {
        let Some(handle) = *self.handle.lock().unwrap_or_else(PoisonError::into_inner) else {
            return;
        };
        let progress = self.progress.clone();
        let started = std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                handle.visit(|py| {
                    // The GIL is ours: the worker can neither end this request nor begin another until we are through.
                    if progress.turn() != Some(turn) {
                        return;
                    }
                    progress.interrupted.store(true, Ordering::Release);
                    if let Err(raised) = interrupt(py, handle) {
                        eprintln!(
                            "ringgate: cannot interrupt a request: {}",
                            raised.take().line()
                        );
                    }
                });
            });
        if let Err(error) = started {
            eprintln!("ringgate: cannot start a thread to interrupt a request: {error}");
        }
    }
}

fn interrupt(py: Python<'_>, handle: Handle) -> ffi::Result<()> {
    let module = py.import(c"_ringgate")?;
    let stack = module.call_member(c"stack", &[&py.integer(handle.thread as i64)?])?;
    let errors = py.import(c"sys")?.member(c"stderr")?;
    let text = format!(
        "a request ran over its time and is interrupted; it was here:\n{}",
        stack.to_text()?
    );
    errors.call_member(c"write", &[&py.text(&text)?])?;
    handle.raise_asynchronously(py, &module.member(c"RequestTimeout")?);
    Ok(())
}

/// What a worker's thread starts with.
struct Thread {
    spec: Arc<HostSpec>,
    exchange: Exchange,
    seat: WorkerSpec,
    progress: Arc<Progress>,
    handle: Arc<Mutex<Option<Handle>>>,
    gate: Arc<Gate>,
    report: Arc<dyn Report>,
}

impl Thread {
    fn run(self, ends: SeatEnds) {
        let (seat, report) = (self.seat, self.report.clone());
        // A panic would leave a seat with nobody in it.
        let ended = catch_unwind(AssertUnwindSafe(|| self.spend(ends)));
        match ended.unwrap_or_else(|_| Err(LoadError::new("worker", "a worker thread panicked"))) {
            Ok(end) => report.ended(seat, end),
            Err(error) => report.failed(seat, error),
        }
    }

    /// Its life in an interpreter of its own.
    fn spend(self, ends: SeatEnds) -> Result<End, LoadError> {
        let ended = ffi::create_interpreter(|py| {
            let prelude = Rc::new(Prelude::new(py)?);
            let ended = self.live(py, &prelude, ends);
            if let Ok(End::Drained) = ended {
                drop(prelude.call(py, c"finish", &[]));
            }
            // The interpreter outlives its thread state: nothing of it is torn down.
            std::mem::forget(prelude);
            ended
        });
        ended.unwrap_or_else(|message| Err(LoadError::new("start", message)))
    }

    fn live(
        &self,
        py: Python<'_>,
        prelude: &Rc<Prelude>,
        ends: SeatEnds,
    ) -> Result<End, LoadError> {
        let errors = load::prepare(py, prelude, &self.spec, Some(self.seat.index))?;
        load::own_module(py, prelude)?;
        private::install(py)?;
        watch_imports(py, prelude, &self.report)?;
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handle::current(py));
        let application = load::application(py, prelude, &self.spec.target);
        load::report_files(py, prelude, &self.spec, &|message| {
            self.report.files(message)
        });
        let application = application?;
        warmup::wsgi(py, prelude, &self.spec, &application)?;
        self.report.loaded(self.seat);
        py.detached(|| self.gate.pass());
        let progress = self.progress.clone();
        let worker = Worker::new(
            py,
            prelude,
            &self.spec,
            &self.exchange,
            self.seat,
            ends,
            application,
            errors,
            progress,
        )?;
        self.report.up(self.seat);
        Ok(worker.run(py))
    }
}

/// Arms the import watch: a refusal while serving is reported, so that the app can be moved to processes.
fn watch_imports(py: Python<'_>, prelude: &Prelude, report: &Arc<dyn Report>) -> ffi::Result<()> {
    let watcher = ffi::Type::new(py)?
        .instance(Watcher(report.clone()))?
        .bind::<Refused>()?;
    prelude.call(py, c"watch_imports", &[&watcher]).map(drop)
}

/// Tells the host of refusals.
struct Watcher(Arc<dyn Report>);

impl ffi::Class for Watcher {
    const NAME: &'static std::ffi::CStr = c"_ringgate.Watcher";
    const DOC: &'static std::ffi::CStr = c"Hears of extension modules that refuse to load.";
    const METHODS: &'static [ffi::MethodEntry] =
        &[ffi::methods::entry::<Refused>(), ffi::methods::END];
}

struct Refused;
impl ffi::Method for Refused {
    type Class = Watcher;
    const NAME: &'static std::ffi::CStr = c"refused";
    const DOC: &'static std::ffi::CStr = c"refused(module): this extension module refused to load.";

    fn call(
        py: Python<'_>,
        this: &Watcher,
        arguments: ffi::Arguments<'_>,
    ) -> ffi::Result<ffi::Object> {
        let arguments = arguments.between(py, "refused", 1, 1)?;
        this.0.refused(&arguments[0].text()?);
        Ok(py.none())
    }
}
