//! What `send()` returns: an awaitable that is through at once when the message is in the response ring, and waits for the edge to make room else (A13).

use super::receiving::{Waiting, finished, raise, step, throw};
use super::request::Request;
use crate::ffi::{
    Arguments, Class, Iterate, Method, MethodEntry, Object, Python, Result, Slot, methods,
};
use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

/// `None` for the one that is always through: it knows nothing, so all requests share it.
pub struct Sending {
    request: Option<Rc<Request>>,
    waiting: RefCell<Option<Waiting>>,
}

impl Sending {
    pub fn through() -> Sending {
        Sending {
            request: None,
            waiting: RefCell::default(),
        }
    }

    pub fn new(request: &Rc<Request>) -> Sending {
        Sending {
            request: Some(Rc::clone(request)),
            waiting: RefCell::default(),
        }
    }
}

impl Class for Sending {
    const NAME: &'static CStr = c"_ringgate.Sending";
    const DOC: &'static CStr = c"A message on its way: await it.";
    const METHODS: &'static [MethodEntry] = &[
        methods::entry::<Send>(),
        methods::entry::<Throw>(),
        methods::entry::<Close>(),
        methods::END,
    ];

    fn slots() -> Vec<Slot<Sending>> {
        Slot::awaitable().into()
    }
}

impl Iterate for Sending {
    #[inline]
    fn next(py: Python<'_>, this: &Sending) -> Result<Option<Object>> {
        let Some(request) = &this.request else {
            return Ok(None);
        };
        loop {
            if let Some(yielded) = step(py, request, &this.waiting)? {
                return Ok(Some(yielded));
            }
            if request.is_sent(py)? {
                return Ok(None);
            }
            this.waiting.replace(Some(Waiting::new(request.sender()?)?));
        }
    }
}

struct Send;
impl Method for Send {
    type Class = Sending;
    const NAME: &'static CStr = c"send";
    const DOC: &'static CStr = c"send(None): one step.";

    fn call(py: Python<'_>, this: &Sending, arguments: Arguments<'_>) -> Result<Object> {
        arguments.between(py, "send", 1, 1)?;
        finished(py, Sending::next(py, this)?)
    }
}

struct Throw;
impl Method for Throw {
    type Class = Sending;
    const NAME: &'static CStr = c"throw";
    const DOC: &'static CStr = c"throw(exception): raises it where this waits.";

    fn call(_py: Python<'_>, this: &Sending, arguments: Arguments<'_>) -> Result<Object> {
        match &this.request {
            Some(request) => throw(request, &this.waiting, &arguments),
            None => Err(raise(&arguments.positional().iter().collect::<Vec<_>>())),
        }
    }
}

struct Close;
impl Method for Close {
    type Class = Sending;
    const NAME: &'static CStr = c"close";
    const DOC: &'static CStr = c"close(): waits no more; the message leaves all the same.";

    fn call(py: Python<'_>, this: &Sending, _arguments: Arguments<'_>) -> Result<Object> {
        if let (Some(current), Some(request)) = (this.waiting.take(), &this.request) {
            current.forget(request);
        }
        Ok(py.none())
    }
}
