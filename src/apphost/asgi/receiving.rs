//! What `receive()` returns: an awaitable that has its event at once when there is one, and waits on a future of the loop else.
//!
//! The future only says "look again". The event is taken when the task goes on, so that one that was cancelled meanwhile loses nothing.

use super::request::Request;
use crate::ffi::{
    Arguments, Class, Iterate, Method, MethodEntry, Object, Python, Raised, Result, Slot, methods,
};
use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

/// A future that is being awaited, stepped by hand.
pub struct Waiting {
    future: Object,
    iterator: Object,
}

impl Waiting {
    pub fn new(future: Object) -> Result<Waiting> {
        Ok(Waiting {
            iterator: future.iterator()?,
            future,
        })
    }

    /// It is not awaited any more.
    pub fn forget(&self, request: &Request) {
        request.forget_waiter(&self.future);
    }
}

/// Steps what is waited for, if anything is: what it yields goes to the loop.
pub fn step(
    py: Python<'_>,
    request: &Request,
    waiting: &RefCell<Option<Waiting>>,
) -> Result<Option<Object>> {
    let Some(current) = waiting.take() else {
        return Ok(None);
    };
    match current.iterator.next(py) {
        Ok(Some(yielded)) => {
            waiting.replace(Some(current));
            Ok(Some(yielded))
        }
        Ok(None) => Ok(None),
        Err(raised) => {
            current.forget(request);
            Err(raised)
        }
    }
}

/// `throw()`: into the future if one is awaited, else right back.
pub fn throw(
    request: &Request,
    waiting: &RefCell<Option<Waiting>>,
    arguments: &Arguments<'_>,
) -> Result<Object> {
    let mut arguments: Vec<&Object> = arguments.positional().iter().collect();
    arguments.truncate(3);
    match waiting.take() {
        Some(current) => {
            current.forget(request);
            current.iterator.call_member(c"throw", &arguments)
        }
        None => Err(raise(&arguments)),
    }
}

/// Raises what a `throw(type, value=None, traceback=None)` was given.
pub fn raise(arguments: &[&Object]) -> Raised {
    crate::ffi::Exception::raise_given(arguments)
}

pub struct Receive {
    request: Rc<Request>,
    waiting: RefCell<Option<Waiting>>,
}

impl Receive {
    pub fn new(request: &Rc<Request>) -> Receive {
        Receive {
            request: Rc::clone(request),
            waiting: RefCell::default(),
        }
    }
}

impl Class for Receive {
    const NAME: &'static CStr = c"_ringgate.Receive";
    const DOC: &'static CStr = c"The next event of a request: await it.";
    const METHODS: &'static [MethodEntry] = &[
        methods::entry::<Send>(),
        methods::entry::<Throw>(),
        methods::entry::<Close>(),
        methods::END,
    ];

    fn slots() -> Vec<Slot<Receive>> {
        Slot::awaitable().into()
    }
}

impl Iterate for Receive {
    fn next(py: Python<'_>, this: &Receive) -> Result<Option<Object>> {
        loop {
            if let Some(yielded) = step(py, &this.request, &this.waiting)? {
                return Ok(Some(yielded));
            }
            let event = this.request.desk.inside(py, || this.request.receive(py))?;
            if let Some(event) = event {
                return Err(Raised::stop(&event));
            }
            this.waiting
                .replace(Some(Waiting::new(this.request.receiver()?)?));
        }
    }
}

/// The coroutine protocol, so that a task may be made of it directly.
struct Send;
impl Method for Send {
    type Class = Receive;
    const NAME: &'static CStr = c"send";
    const DOC: &'static CStr = c"send(None): one step.";

    fn call(py: Python<'_>, this: &Receive, arguments: Arguments<'_>) -> Result<Object> {
        arguments.between(py, "send", 1, 1)?;
        finished(py, Receive::next(py, this)?)
    }
}

/// An iteration that ended without a value, as `send` says it.
pub fn finished(py: Python<'_>, yielded: Option<Object>) -> Result<Object> {
    yielded.ok_or_else(|| Raised::stop(&py.none()))
}

struct Throw;
impl Method for Throw {
    type Class = Receive;
    const NAME: &'static CStr = c"throw";
    const DOC: &'static CStr = c"throw(exception): raises it where this waits.";

    fn call(_py: Python<'_>, this: &Receive, arguments: Arguments<'_>) -> Result<Object> {
        throw(&this.request, &this.waiting, &arguments)
    }
}

struct Close;
impl Method for Close {
    type Class = Receive;
    const NAME: &'static CStr = c"close";
    const DOC: &'static CStr = c"close(): waits no more.";

    fn call(py: Python<'_>, this: &Receive, _arguments: Arguments<'_>) -> Result<Object> {
        if let Some(current) = this.waiting.take() {
            current.forget(&this.request);
        }
        Ok(py.none())
    }
}
