//! All requests of one worker: takes them up, starts their tasks, knows them by slot and by task.
//!
//! Owns the seat, the Python objects that requests share, and the worker's end of the descriptor socket. The lease is held whenever shared memory is
//! touched and let go around calls that run the application. Invariant: `slots` holds whoever may have news, `tasks` whoever's application runs.

mod accept;
mod leaving;

use super::call::Call;
use super::events::Events;
use super::message::Keys;
use super::receiving::Receive;
use super::request::Request;
use super::scope::Scopes;
use super::sending::Sending;
use crate::ffi::{Dict, Exception, Kind, Object, Python, Raised, Result, Type};
use crate::forked;
use crate::lease::{Denied, Lease};
use crate::prelude::Prelude;
use crate::worker::Progress;
use shm::WorkerSeat;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use sys::eventfd::EventFd;
use sys::file::PromptOpener;

pub use accept::task_done;

/// Pause before looking again whether another thread has left the exchange.
const LINGER: Duration = Duration::from_millis(1);
/// A scratch buffer that grew beyond this is not kept.
const SCRATCH_KEPT_BYTES: usize = 256 * 1024;

/// What the event loop offers, once there is one.
pub struct Loop {
    pub object: Object,
    create_future: Object,
    eager: Option<Eager>,
    create_task: Object,
    /// `call_soon`, for loops that do not sleep in our selector.
    pub call_soon: Option<Object>,
}

/// Tasks that begin at once: 3.12 and newer.
struct Eager {
    /// `asyncio.Task`, and its `done` and `exception`, which are called with a task: no bound method is made for it.
    task: Object,
    done: Object,
    exception: Object,
    /// The loop, and that it begins at once.
    named: Dict,
}

impl Eager {
    fn new(py: Python<'_>, object: &Object) -> Result<Eager> {
        let task = py.import(c"asyncio")?.member(c"Task")?;
        let named = Dict::new(py)?;
        named.set(&py.interned(c"loop")?, object)?;
        named.set(&py.interned(c"eager_start")?, &py.boolean(true))?;
        Ok(Eager {
            done: task.member(c"done")?,
            exception: task.member(c"exception")?,
            task,
            named,
        })
    }

    fn start(&self, py: Python<'_>, coroutine: &Object) -> Result<Object> {
        self.task.call_named(&py.tuple(&[coroutine])?, &self.named)
    }
}

pub struct Desk {
    application: Object,
    prelude: Rc<Prelude>,
    script: Dict,
    errors: Object,
    pub lease: Arc<Lease>,
    pub progress: Arc<Progress>,
    pub seat: RefCell<Option<WorkerSeat>>,
    socket: OwnedFd,
    pub wake: EventFd,
    runner: RefCell<Option<Rc<Loop>>>,
    scopes: RefCell<Scopes>,
    slots: RefCell<Vec<Option<Rc<Request>>>>,
    tasks: RefCell<HashMap<*const Request, Rc<Request>>>,
    /// Heads that were begun and have not left.
    heads: RefCell<Vec<Rc<Request>>>,
    pub flush: RefCell<Option<Object>>,
    flush_due: Cell<bool>,
    /// Slots whose descriptors could not be passed.
    retries: RefCell<Vec<u32>>,
    pub draining: Cell<bool>,
    pub revoked: Cell<bool>,
    pub when_quiet: RefCell<Option<Object>>,
    tokens: Cell<u64>,
    pub opener: RefCell<PromptOpener>,
    scratch: RefCell<Vec<u8>>,
    pub calls: Type<Call>,
    pub receives: Type<Receive>,
    pub sendings: Type<Sending>,
    /// A `send` that is through.
    pub through: Object,
    pub keys: Keys,
    pub events: Events,
    pub empty: Object,
    pub error_page: Object,
    pub forbidden: Object,
    coroutine: Object,
    names: Names,
}

/// Names of methods.
struct Names {
    done: Object,
    exception: Object,
    add_done_callback: Object,
    set_result: Object,
}

/// What a desk is made of.
pub struct Parts<'a> {
    pub application: Object,
    pub prelude: Rc<Prelude>,
    pub script: Dict,
    pub errors: Object,
    pub progress: Arc<Progress>,
    pub socket: OwnedFd,
    pub wake: EventFd,
    pub root_path: &'a str,
    /// The lifespan's `state`.
    pub state: &'a Object,
}

impl Desk {
    pub fn new(py: Python<'_>, parts: Parts<'_>) -> Result<Desk> {
        let sendings = Type::new(py)?;
        Ok(Desk {
            application: parts.application,
            prelude: parts.prelude,
            script: parts.script,
            errors: parts.errors,
            lease: parts.progress.lease.clone(),
            progress: parts.progress,
            seat: RefCell::default(),
            socket: parts.socket,
            wake: parts.wake,
            runner: RefCell::default(),
            scopes: RefCell::new(Scopes::new(py, parts.root_path, parts.state)?),
            slots: RefCell::default(),
            tasks: RefCell::default(),
            heads: RefCell::default(),
            flush: RefCell::default(),
            flush_due: Cell::new(false),
            retries: RefCell::default(),
            draining: Cell::new(false),
            revoked: Cell::new(false),
            when_quiet: RefCell::default(),
            tokens: Cell::new(0),
            opener: RefCell::default(),
            scratch: RefCell::default(),
            calls: Type::new(py)?,
            receives: Type::new(py)?,
            through: sendings.instance(Sending::through())?.into_object(),
            sendings,
            keys: Keys::new(py)?,
            events: Events::new(py)?,
            empty: py.bytes(b"")?,
            error_page: py.bytes(b"Internal Server Error\n")?,
            forbidden: py.bytes(b"Forbidden\n")?,
            coroutine: py.import(c"types")?.member(c"CoroutineType")?,
            names: Names {
                done: py.interned(c"done")?,
                exception: py.interned(c"exception")?,
                add_done_callback: py.interned(c"add_done_callback")?,
                set_result: py.interned(c"set_result")?,
            },
        })
    }

    /// The loop is there. `eager`: tasks can begin at once.
    pub fn bind(
        &self,
        py: Python<'_>,
        object: &Object,
        eager: bool,
        own_sleep: bool,
    ) -> Result<()> {
        let eager = if eager {
            Some(Eager::new(py, object)?)
        } else {
            None
        };
        *self.runner.borrow_mut() = Some(Rc::new(Loop {
            create_future: object.member(c"create_future")?,
            create_task: object.member(c"create_task")?,
            call_soon: if own_sleep {
                None
            } else {
                Some(object.member(c"call_soon")?)
            },
            object: object.clone(),
            eager,
        }));
        Ok(())
    }

    pub fn runner(&self) -> Option<Rc<Loop>> {
        self.runner.borrow().clone()
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// A number for a file that is handed over.
    pub fn token(&self) -> u64 {
        self.tokens.set(self.tokens.get() + 1);
        self.tokens.get()
    }

    pub fn take_scratch(&self) -> Vec<u8> {
        self.scratch.take()
    }

    pub fn give_scratch(&self, mut scratch: Vec<u8>) {
        if scratch.capacity() <= SCRATCH_KEPT_BYTES {
            scratch.clear();
            self.scratch.replace(scratch);
        }
    }

    /// A function of `asgi.py`.
    pub fn script(
        &self,
        py: Python<'_>,
        name: &std::ffi::CStr,
        arguments: &[&Object],
    ) -> Result<Object> {
        let function = self.script.get_named(py, name)?;
        function
            .expect("asgi.py defines what we ask for")
            .call_with(arguments)
    }

    pub fn future(&self) -> Result<Object> {
        let runner = self.runner().expect("there is a loop when tasks run");
        runner.create_future.call()
    }

    /// Resolves a future that somebody may have cancelled.
    pub fn resolve(&self, py: Python<'_>, future: &Object) {
        let resolve = || -> Result<()> {
            if !future.attribute(&self.names.done)?.call()?.is_true()? {
                future
                    .attribute(&self.names.set_result)?
                    .call_with(&[&py.none()])?;
            }
            Ok(())
        };
        if let Err(raised) = resolve() {
            self.report(py, "cannot wake a task", Some(raised.take()));
        }
    }

    /// Writes to the worker's log.
    pub fn report(&self, py: Python<'_>, headline: &str, exception: Option<Exception>) {
        let tell = || -> Result<()> {
            let none = py.none();
            let error = exception.as_ref().map_or(&none, Exception::object);
            self.prelude
                .call(py, c"tell", &[&self.errors, &py.text(headline)?, error])?;
            Ok(())
        };
        if tell().is_err() {
            eprintln!("ringgate: {headline}");
        }
    }

    /// Whether the exception is our own "the client is gone", or was raised because of it (A5).
    pub fn is_disconnect(&self, py: Python<'_>, exception: &Exception) -> bool {
        self.script(py, c"is_disconnect", &[exception.object()])
            .and_then(|answer| answer.is_true())
            .unwrap_or(false)
    }

    // The lease.

    /// For a call from Python that touches shared memory.
    #[inline]
    pub fn inside<R>(&self, py: Python<'_>, work: impl FnOnce() -> Result<R>) -> Result<R> {
        if let Err(denied) = self.lease.hold() {
            return Err(self.refuse(py, denied));
        }
        let result = work();
        self.release();
        result
    }

    /// Lets the lease go, if it was not taken away meanwhile.
    #[inline]
    pub fn release(&self) {
        if !self.revoked.get() {
            self.lease.release();
        }
    }

    #[cold]
    fn refuse(&self, py: Python<'_>, denied: Denied) -> Raised {
        let text = match denied {
            Denied::Revoked if forked::is_copy() => forked::REFUSAL,
            Denied::Busy => "another thread is using this worker's requests",
            Denied::Revoked => "this worker's loop was blocked for too long and replaced",
        };
        Raised::new(py, Kind::RuntimeError, text)
    }

    /// Runs Python code from within, the lease let go meanwhile. `None`: the seat was taken away; nothing may be touched again.
    #[inline]
    pub fn outside<T>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<Result<T>> {
        self.release();
        let result = work();
        if forked::is_copy() {
            forked::leave(py, result.err());
        }
        self.hold(py).then_some(result)
    }

    /// Takes the lease. False: the seat was taken away.
    pub fn hold(&self, py: Python<'_>) -> bool {
        loop {
            match self.lease.hold() {
                Ok(()) => return true,
                Err(Denied::Revoked) if forked::is_copy() => {
                    forked::leave(py, self.unheard());
                }
                Err(Denied::Revoked) => {
                    self.forfeit();
                    return false;
                }
                // Another thread of the application is in the middle of something; it needs the GIL to leave.
                Err(Denied::Busy) => py.detached(|| std::thread::sleep(LINGER)),
            }
        }
    }

    /// What a task raised whose end nobody has heard of yet.
    #[cold]
    fn unheard(&self) -> Option<Raised> {
        let done = |task: &Object| task.attribute(&self.names.done)?.call()?.is_true();
        let tasks = self.running().into_iter();
        tasks
            .filter_map(|request| request.task())
            .filter(|task| done(task).unwrap_or(false))
            .find_map(|task| task.call_member(c"result", &[]).err())
    }

    /// Everything is a successor's: nothing is touched again, not even to give it up.
    #[cold]
    fn forfeit(&self) {
        self.revoked.set(true);
        for request in self.slots.take().into_iter().flatten() {
            request.forfeit();
        }
        for request in self.tasks.borrow().values() {
            request.forfeit();
        }
        if let Some(seat) = self.seat.take() {
            std::mem::forget(seat);
        }
    }

    // Requests.

    fn enter(&self, request: &Rc<Request>) {
        let mut slots = self.slots.borrow_mut();
        let index = request.slot as usize;
        if slots.len() <= index {
            slots.resize_with(index + 1, || None);
        }
        slots[index] = Some(Rc::clone(request));
    }

    /// Whoever has this slot now.
    pub fn in_slot(&self, slot: u32) -> Option<Rc<Request>> {
        self.slots.borrow().get(slot as usize)?.clone()
    }

    /// Forgets a request whose slot is the edge's again.
    pub fn leave_slot(&self, request: &Request) {
        let mut slots = self.slots.borrow_mut();
        if let Some(place) = slots.get_mut(request.slot as usize)
            && place
                .as_ref()
                .is_some_and(|known| std::ptr::eq(Rc::as_ptr(known), request))
            && !request.is_live()
        {
            *place = None;
        }
    }

    /// Requests whose application runs or whose answer has not left.
    pub fn pending(&self) -> usize {
        let tasks = self.tasks.borrow();
        let leaving = self
            .slots
            .borrow()
            .iter()
            .flatten()
            .filter(|request| request.is_live() && !tasks.contains_key(&Rc::as_ptr(request)))
            .count();
        tasks.len() + leaving
    }

    /// All of those that run.
    pub fn running(&self) -> Vec<Rc<Request>> {
        self.tasks.borrow().values().cloned().collect()
    }

    /// While draining: tells whoever waits for it that nothing is left.
    pub fn look_quiet(&self, py: Python<'_>) {
        if !self.draining.get() || self.pending() > 0 {
            return;
        }
        let Some(tell) = self.when_quiet.borrow().clone() else {
            return;
        };
        if let Err(raised) = tell.call() {
            self.report(py, "cannot end the worker", Some(raised.take()));
        }
    }
}
