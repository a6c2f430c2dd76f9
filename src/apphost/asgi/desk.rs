//! All requests of one worker: takes them up, starts their tasks, knows them by slot and by task.
//!
//! Owns the seat, the Python objects that requests share, and the worker's end of the descriptor socket. The lease is held whenever shared memory is
//! touched and let go around calls that run the application. Invariant: `slots` holds whoever may have news, `tasks` whoever's application runs.

use super::call::{Call, Done, ReceiveMethod, SendMethod};
use super::http;
use super::receiving::Receive;
use super::request::{Ended, Events, Request};
use super::scope::Scopes;
use super::sending::Sending;
use super::websocket;
use super::wire::{Intake, Wire};
use crate::ffi::{Dict, Exception, Kind, Object, Python, Raised, Result, Type};
use crate::lease::{Denied, Lease};
use crate::prelude::Prelude;
use crate::worker::Progress;
use shm::handover::{LABEL_BYTES, Label};
use shm::request::{Body, FLAG_EXPECT_CONTINUE, FLAG_TE_TRAILERS, FLAG_WEBSOCKET, decode};
use shm::{Claim, Finish, WorkerSeat};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use sys::eventfd::EventFd;

/// Pause before looking again whether another thread has left the exchange.
const LINGER: Duration = Duration::from_millis(1);
/// Packets taken from the socket in one go.
const PACKETS_MAX: usize = 64;
/// A scratch buffer that grew beyond this is not kept.
const SCRATCH_KEPT_BYTES: usize = 256 * 1024;

/// What the event loop offers, once there is one.
pub struct Loop {
    pub object: Object,
    create_future: Object,
    /// `asyncio.Task` where tasks can begin at once (3.12 and newer), and the names of its keywords.
    eager: Option<(Object, Object)>,
    create_task: Object,
    /// `call_soon`, for loops that do not sleep in our selector.
    pub call_soon: Option<Object>,
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
    scratch: RefCell<Vec<u8>>,
    calls: Type<Call>,
    pub receives: Type<Receive>,
    pub sendings: Type<Sending>,
    /// A `send` that is through.
    pub through: Object,
    pub keys: http::Keys,
    pub websocket_keys: websocket::Keys,
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
            scratch: RefCell::default(),
            calls: Type::new(py)?,
            receives: Type::new(py)?,
            through: sendings.instance(Sending::through())?.into_object(),
            sendings,
            keys: http::Keys::new(py)?,
            websocket_keys: websocket::Keys::new(py)?,
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
            let names = py.tuple(&[&py.interned(c"loop")?, &py.interned(c"eager_start")?])?;
            Some((py.import(c"asyncio")?.member(c"Task")?, names))
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
            Denied::Busy => "another thread is using this worker's requests",
            Denied::Revoked => "this worker's loop was blocked for too long and replaced",
        };
        Raised::new(py, Kind::RuntimeError, text)
    }

    /// Runs Python code from within, the lease let go meanwhile. `None`: the seat was taken away; nothing may be touched again.
    #[inline]
    pub fn outside<R>(&self, py: Python<'_>, work: impl FnOnce() -> R) -> Option<R> {
        self.release();
        let result = work();
        self.hold(py).then_some(result)
    }

    /// Takes the lease. False: the seat was taken away.
    pub fn hold(&self, py: Python<'_>) -> bool {
        loop {
            match self.lease.hold() {
                Ok(()) => return true,
                Err(Denied::Revoked) => {
                    self.forfeit();
                    return false;
                }
                // Another thread of the application is in the middle of something; it needs the GIL to leave.
                Err(Denied::Busy) => py.detached(|| std::thread::sleep(LINGER)),
            }
        }
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

    /// Takes up a request: calls the application and runs its first step.
    pub fn accept(self: &Rc<Desk>, py: Python<'_>, claim: Claim) {
        let queued_ns = claim.queued_ns();
        let slot = claim.slot();
        let decoded = match decode(claim.request()) {
            Ok(decoded) => decoded,
            Err(_) => {
                self.report(py, "the edge sent a request that cannot be read", None);
                claim.finish(Finish::Abort);
                return;
            }
        };
        let flags = decoded.request.flags;
        let websocket = flags & FLAG_WEBSOCKET != 0;
        let head_only = decoded.request.method == b"HEAD";
        let line = [decoded.request.method, b" ", decoded.request.target].concat();
        let intake = match decoded.body {
            Body::Inline { offset, len } => Intake::Inline { offset, len },
            Body::File { len } => Intake::File {
                len,
                position: 0,
                file: None,
                asked: false,
            },
            Body::Stream => Intake::Stream {
                ask: flags & FLAG_EXPECT_CONTINUE != 0,
            },
        };
        let scope = self.scopes.borrow_mut().build(py, &decoded, queued_ns);
        let mut wire = Wire::new(claim, intake);
        wire.head_only = head_only;
        wire.takes_trailers = flags & FLAG_TE_TRAILERS != 0;
        let request = Rc::new(Request::new(self, slot, websocket, line, wire));
        let started = scope.and_then(|scope| self.start(py, &request, scope));
        match started {
            Ok(()) => {}
            Err(raised) => {
                let exception = raised.take();
                if !self.revoked.get() {
                    request.conclude(py, Ended::Raised(exception));
                }
            }
        }
        if self.revoked.get() {
            request.forfeit();
            return;
        }
        if request.is_live() {
            self.enter(&request);
            if request.is_begun()
                && let Err(raised) = self.note_head(py, &request)
            {
                self.report(py, "cannot plan a flush", Some(raised.take()));
            }
        }
    }

    fn start(self: &Rc<Desk>, py: Python<'_>, request: &Rc<Request>, scope: Object) -> Result<()> {
        let call = self.calls.instance(Call(Rc::clone(request)))?;
        let (receive, send) = (call.bind::<ReceiveMethod>()?, call.bind::<SendMethod>()?);
        let runner = self.runner().expect("there is a loop when requests come");
        let task = self.outside(py, || -> Result<Object> {
            let mut coroutine = self.application.call_with(&[&scope, &receive, &send])?;
            drop(scope);
            if !coroutine.is_exactly(&self.coroutine) {
                coroutine = self.script(py, c"as_coroutine", &[&coroutine])?;
            }
            match &runner.eager {
                Some((task, names)) => {
                    task.call_named(&[&coroutine, &runner.object, &py.boolean(true)], names)
                }
                None => runner.create_task.call_with(&[&coroutine]),
            }
        });
        let Some(task) = task else {
            return Ok(());
        };
        let task = task?;
        if runner.eager.is_some() && task.attribute(&self.names.done)?.call()?.is_true()? {
            self.conclude(py, request, &task);
            return Ok(());
        }
        request.set_task(task.clone());
        self.tasks
            .borrow_mut()
            .insert(Rc::as_ptr(request), Rc::clone(request));
        task.attribute(&self.names.add_done_callback)?
            .call_with(&[&call.bind::<Done>()?])?;
        Ok(())
    }

    fn conclude(&self, py: Python<'_>, request: &Request, task: &Object) {
        let ended = match task
            .attribute(&self.names.exception)
            .and_then(|exception| exception.call())
        {
            Ok(exception) if exception.is_none() => Ended::Returned,
            Ok(exception) => Ended::Raised(Exception::from_object(exception)),
            // CancelledError.
            Err(raised) => {
                drop(raised);
                Ended::Cancelled
            }
        };
        request.conclude(py, ended);
    }

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

    // Heads that wait for their bodies.

    pub fn note_head(&self, py: Python<'_>, request: &Request) -> Result<()> {
        let Some(request) = self
            .tasks
            .borrow()
            .get(&std::ptr::from_ref(request))
            .cloned()
        else {
            // In its first step: `accept` looks afterwards.
            return Ok(());
        };
        self.heads.borrow_mut().push(request);
        self.flush_soon(py)
    }

    fn flush_soon(&self, _py: Python<'_>) -> Result<()> {
        let runner = self.runner();
        if let Some(call_soon) = runner.as_ref().and_then(|runner| runner.call_soon.as_ref())
            && let Some(flush) = &*self.flush.borrow()
            && !self.flush_due.replace(true)
        {
            call_soon.call_with(&[flush])?;
        }
        Ok(())
    }

    /// Before the loop sleeps: what the application has begun to say leaves.
    pub fn flush_heads(&self) {
        self.flush_due.set(false);
        if self.heads.borrow().is_empty() {
            return;
        }
        for request in self.heads.take() {
            request.flush_head();
        }
    }

    // Descriptors.

    pub fn retry_soon(&self, slot: u32) {
        self.retries.borrow_mut().push(slot);
    }

    pub fn has_retries(&self) -> bool {
        !self.retries.borrow().is_empty()
    }

    pub fn take_retries(&self) -> Vec<u32> {
        self.retries.take()
    }

    /// Takes in the spooled bodies that have come.
    pub fn take_files(&self, py: Python<'_>) {
        for _ in 0..PACKETS_MAX {
            let mut watch = [sys::socket::Watch::read(self.socket())];
            if sys::socket::poll(&mut watch, Some(0)).is_err() || !watch[0].readable {
                return;
            }
            let mut packet = [0; LABEL_BYTES + 1];
            let mut files = Vec::new();
            let Ok(count @ 1..) =
                sys::socket::recv_with_fds(self.socket(), &mut packet, &mut files)
            else {
                return;
            };
            // One for a request that has ended meanwhile is closed here.
            if let (Some(label), Some(file)) = (Label::decode(&packet[..count]), files.pop())
                && let Some(request) = self.in_slot(label.slot)
            {
                request.take_spool(py, file, label.ticket);
            }
        }
    }
}

/// The task of a request is done; called by the loop.
pub fn task_done(py: Python<'_>, request: &Rc<Request>, task: &Object) {
    let desk = &request.desk;
    desk.tasks.borrow_mut().remove(&Rc::as_ptr(request));
    if !desk.hold(py) {
        return;
    }
    desk.conclude(py, request, task);
    desk.leave_slot(request);
    desk.look_quiet(py);
    desk.release();
}
