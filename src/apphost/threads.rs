//! Several request threads in one worker (`--threads`): one interpreter, one import, and a seat in the exchange for each thread.
//!
//! Each thread claims, is measured, interrupted and given up by itself, as a worker with one thread is. Owns the further threads; the first is whoever
//! made the interpreter. They are threads of Python's own making, so that `threading` knows them.

use crate::ffi::{self, Handle, Object, Python};
use crate::line::SeatEnds;
use crate::load::{self, LoadError, Speaks};
use crate::prelude::Prelude;
use crate::worker::{AtGate, End, Exchange, Progress, Worker};
use config::Interface;
use control::message::{FromHost, HostSpec, WorkerSpec};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// Between two looks at threads that are still at work while the worker ends.
const JOIN_S: i64 = 1;

/// How threads tell of themselves.
pub trait Report: Send + Sync {
    /// The application is imported and warm; it waits at the gate.
    fn loaded(&self, seat: WorkerSpec);
    fn files(&self, message: FromHost);
    fn up(&self, seat: WorkerSpec, interface: Interface);
    /// Nobody is going to sit there: an ASGI worker has one event loop, not threads.
    fn spare(&self, seat: WorkerSpec);
    fn ended(&self, seat: WorkerSpec, end: End);
    fn failed(&self, seat: WorkerSpec, error: LoadError);
    /// An extension module refused to load.
    fn refused(&self, module: &str);
}

/// A seat with what it takes to sit in it.
pub struct Place {
    pub seat: WorkerSpec,
    pub ends: SeatEnds,
    pub seen: Seen,
}

/// What is seen of a thread from outside.
#[derive(Clone, Default)]
pub struct Seen {
    pub progress: Arc<Progress>,
    /// Known once it has an interpreter.
    pub handle: Arc<Mutex<Option<Handle>>>,
}

impl Seen {
    pub fn handle(&self) -> Option<Handle> {
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the calling thread.
    pub fn begin(&self, py: Python<'_>) {
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handle::current(py));
    }
}

/// What all threads of a worker share.
#[derive(Clone)]
pub struct Common {
    pub spec: Arc<HostSpec>,
    pub exchange: Exchange,
    pub prelude: Rc<Prelude>,
    pub application: Object,
    pub errors: Object,
    pub report: Arc<dyn Report>,
}

impl Common {
    /// Takes the seat and serves, in the calling thread.
    pub fn serve(
        &self,
        py: Python<'_>,
        place: Place,
        at_gate: AtGate<'_>,
    ) -> Result<End, LoadError> {
        place.seen.begin(py);
        let worker = Worker::new(
            py,
            &self.prelude,
            &self.spec,
            &self.exchange,
            place.seat,
            place.ends,
            self.application.clone(),
            self.errors.clone(),
            place.seen.progress.clone(),
            at_gate,
        )?;
        self.report.up(place.seat, place.seen.progress.interface());
        Ok(worker.run(py))
    }

    /// A further thread for each of the places, if the application can use them.
    pub fn hire(&self, py: Python<'_>, places: Vec<Place>) -> Result<Hired, LoadError> {
        let mut threads = Vec::with_capacity(places.len());
        let interface = self.spec.options.interface;
        if load::speaks(py, &self.prelude, &self.application, interface)? != Speaks::Wsgi {
            for place in &places {
                self.report.spare(place.seat);
            }
            return Ok(Hired { threads });
        }
        for place in places {
            let name = format!("worker-{}", place.seat.index);
            let progress = place.seen.progress.clone();
            let hand =
                ffi::Type::new(py)?.instance(Hand(RefCell::new(Some((self.clone(), place)))))?;
            let thread =
                self.prelude
                    .call(py, c"hire", &[&hand.bind::<Serve>()?, &py.text(&name)?])?;
            threads.push((thread, progress));
        }
        Ok(Hired { threads })
    }

    fn work(&self, py: Python<'_>, place: Place) {
        let seat = place.seat;
        // A panic would leave a seat with nobody in it.
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve(py, place, &|_| Ok(()))));
        match ended.unwrap_or_else(|_| Err(LoadError::new("worker", "a request thread panicked"))) {
            Ok(end) => self.report.ended(seat, end),
            Err(error) => self.report.failed(seat, error),
        }
    }
}

/// The further threads of a worker.
pub struct Hired {
    threads: Vec<(Object, Arc<Progress>)>,
}

impl Hired {
    /// Waits for those that have not been given up.
    pub fn join(&self, py: Python<'_>) -> ffi::Result<()> {
        let pause = py.integer(JOIN_S)?;
        for (thread, progress) in &self.threads {
            while !progress.lease.is_revoked() && thread.call_member(c"is_alive", &[])?.is_true()? {
                thread.call_member(c"join", &[&pause])?;
            }
        }
        Ok(())
    }
}

/// What a further thread begins with, taken when it does.
struct Hand(RefCell<Option<(Common, Place)>>);

impl ffi::Class for Hand {
    const NAME: &'static std::ffi::CStr = c"_ringgate.Hand";
    const DOC: &'static std::ffi::CStr = c"A request thread's work.";
    const METHODS: &'static [ffi::MethodEntry] =
        &[ffi::methods::entry::<Serve>(), ffi::methods::END];
}

struct Serve;
impl ffi::Method for Serve {
    type Class = Hand;
    const NAME: &'static std::ffi::CStr = c"serve";
    const DOC: &'static std::ffi::CStr = c"serve(): takes requests until the worker ends.";

    fn call(py: Python<'_>, this: &Hand, _: ffi::Arguments<'_>) -> ffi::Result<Object> {
        let work = this.0.borrow_mut().take();
        if let Some((common, place)) = work {
            common.work(py, place);
        }
        Ok(py.none())
    }
}

/// Writes where a thread stands to the log and raises RequestTimeout in it. In the thread's own interpreter, while it is at a request.
pub fn interrupt(py: Python<'_>, prelude_stack: &Object, handle: Handle) -> ffi::Result<()> {
    let frame = handle.frame(py).unwrap_or_else(|| py.none());
    let errors = py.import(c"sys")?.member(c"stderr")?;
    errors.call_member(c"write", &[&prelude_stack.call_with(&[&frame])?])?;
    handle.raise_asynchronously(py, &py.import(c"_ringgate")?.member(c"RequestTimeout")?);
    Ok(())
}
