//! A worker's thread and the interpreter in it, from its creation to its end, and how it is interrupted from outside.

use crate::ahead;
use crate::ffi::{self, Python};
use crate::gate::Gate;
use crate::hooks::Hooks;
use crate::load::{self, LoadError};
use crate::prelude::Prelude;
use crate::private;
use crate::threads::{self, Common, Place, Report, Seen};
use crate::warmup;
use crate::worker::{End, Exchange};
use control::message::{HostSpec, WorkerSpec};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Python code expects the main thread's 8 MiB; a deep recursion needs it. Address space only.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// How long an interrupted request may take to give in.
pub const INTERRUPT_GRACE: Duration = Duration::from_secs(2);

/// What the host keeps of one seat.
pub struct Seat {
    pub spec: WorkerSpec,
    pub seen: Seen,
}

/// Starts a worker: the thread that makes its interpreter sits in the first of the places, and further threads in the others. What becomes of them
/// arrives through `report`.
pub fn start(
    spec: &Arc<HostSpec>,
    exchange: &Exchange,
    places: Vec<Place>,
    gate: &Arc<Gate>,
    report: &Arc<dyn Report>,
) -> std::io::Result<Vec<Seat>> {
    let seats: Vec<Seat> = places
        .iter()
        .map(|place| Seat {
            spec: place.seat,
            seen: place.seen.clone(),
        })
        .collect();
    let name = seats.first().map_or(0, |seat| seat.spec.index);
    let thread = Thread {
        spec: spec.clone(),
        exchange: exchange.clone(),
        gate: gate.clone(),
        report: report.clone(),
    };
    std::thread::Builder::new()
        .name(format!("worker-{name}"))
        .stack_size(STACK_BYTES)
        .spawn(move || thread.run(places))?;
    Ok(seats)
}

impl Seat {
    /// If C code has not let anybody into the interpreter since [`Seat::interrupt`]: has the worker's thread write its stack, which takes no GIL.
    pub fn show_stack_from_outside(&self) {
        let Some(handle) = self.seen.handle() else {
            return;
        };
        if self.seen.progress.interrupted.load(Ordering::Acquire) {
            return;
        }
        let index = self.spec.index;
        eprintln!(
            "ringgate: worker {index} is in C code that lets nobody into its interpreter; it was called from here:"
        );
        // A thread that has ended meanwhile has nothing to show.
        drop(sys::process::signal_thread(
            handle.kernel_thread,
            sys::process::stack_signal(),
        ));
    }

    /// Writes the stack of what this worker is doing to the log and raises RequestTimeout there. On a thread of its own, which is lost if
    /// C code in that interpreter never gives the GIL up.
    pub fn interrupt(&self, turn: u64) {
        let Some(handle) = self.seen.handle() else {
            return;
        };
        let progress = self.seen.progress.clone();
        let started = std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                handle.visit(|py| {
                    // The GIL is ours: the worker can neither end this request nor begin another until we are through.
                    if progress.mark() != turn {
                        return;
                    }
                    progress.interrupted.store(true, Ordering::Release);
                    let interrupted = py
                        .import(c"_ringgate")
                        .and_then(|module| module.member(c"stack"))
                        .and_then(|stack| threads::interrupt(py, &stack, handle));
                    if let Err(raised) = interrupted {
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

/// What a worker's thread starts with.
struct Thread {
    spec: Arc<HostSpec>,
    exchange: Exchange,
    gate: Arc<Gate>,
    report: Arc<dyn Report>,
}

impl Thread {
    fn run(self, places: Vec<Place>) {
        let Some(seat) = places.first().map(|place| place.seat) else {
            return;
        };
        let report = self.report.clone();
        // A panic would leave a seat with nobody in it.
        let ended = catch_unwind(AssertUnwindSafe(|| self.spend(places)));
        match ended.unwrap_or_else(|_| Err(LoadError::new("worker", "a worker thread panicked"))) {
            Ok(end) => report.ended(seat, end),
            Err(error) => report.failed(seat, error),
        }
    }

    /// Its life in an interpreter of its own.
    fn spend(self, places: Vec<Place>) -> Result<End, LoadError> {
        let ended = ffi::create_interpreter(|py| {
            let prelude = Rc::new(Prelude::new(py)?);
            let ended = self.live(py, &prelude, places);
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
        mut places: Vec<Place>,
    ) -> Result<End, LoadError> {
        let further = places.split_off(1);
        let place = places.pop().expect("split off behind the first");
        let errors = load::prepare(py, prelude, &self.spec, Some(place.seat.index))?;
        load::own_module(py, prelude)?;
        private::install(py)?;
        watch_imports(py, prelude, &self.report)?;
        place.seen.begin(py);
        let hooks = Hooks::load(py, &self.spec)?;
        hooks.begin(py, place.seat.index)?;
        // The exception is taken before anything else is called.
        let application =
            load::application(py, prelude, &self.spec.target).map_err(LoadError::from_raised);
        load::report_files(py, prelude, &self.spec, &|message| {
            self.report.files(message)
        });
        let application = application?;
        ahead::load(py, prelude, &self.spec)?;
        let application = hooks.application(py, application, |application| {
            load::speaks(py, prelude, application, self.spec.options.interface)
        })?;
        warmup::wsgi(py, prelude, &self.spec, &application)?;
        let seat = place.seat;
        let at_gate = |py: Python<'_>| {
            self.report.loaded(seat);
            py.detached(|| self.gate.pass());
            Ok(())
        };
        let common = Common {
            spec: self.spec.clone(),
            exchange: self.exchange.clone(),
            prelude: prelude.clone(),
            application,
            errors,
            report: self.report.clone(),
        };
        let end_and_hired = match further.is_empty() {
            true => (common.serve(py, place, &at_gate)?, None),
            false => {
                at_gate(py)?;
                let hired = common.hire(py, further)?;
                (common.serve(py, place, &|_| Ok(()))?, Some(hired))
            }
        };
        let (end, hired) = end_and_hired;
        if end == End::Drained {
            if let Some(hired) = hired {
                hired.join(py)?;
            }
            hooks.note(py, c"leaving");
        }
        Ok(end)
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
