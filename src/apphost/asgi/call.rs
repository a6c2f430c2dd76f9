//! `receive` and `send` of one request, and what is called when its task is done.

use super::desk;
use super::receiving::Receive;
use super::request::{Progress, Request};
use super::sending::Sending;
use crate::ffi::{
    Arguments, Class, Kind, Method, MethodEntry, Object, Python, Raised, Result, methods,
};
use std::ffi::CStr;
use std::rc::Rc;

/// What the callables are bound to.
pub struct Call(pub Rc<Request>);

impl Class for Call {
    const NAME: &'static CStr = c"_ringgate.Call";
    const DOC: &'static CStr = c"The server's side of one request.";
    const METHODS: &'static [MethodEntry] = &[
        methods::entry::<ReceiveMethod>(),
        methods::entry::<SendMethod>(),
        methods::entry::<OpenedMethod>(),
        methods::entry::<Done>(),
        methods::END,
    ];
}

pub struct ReceiveMethod;
impl Method for ReceiveMethod {
    type Class = Call;
    const NAME: &'static CStr = c"receive";
    const DOC: &'static CStr = c"receive(): await it for the next event.";

    #[inline]
    fn call(py: Python<'_>, this: &Call, arguments: Arguments<'_>) -> Result<Object> {
        arguments.between(py, "receive", 0, 0)?;
        let request = &this.0;
        Ok(request
            .desk
            .receives
            .instance(Receive::new(request))?
            .into_object())
    }
}

pub struct SendMethod;
impl Method for SendMethod {
    type Class = Call;
    const NAME: &'static CStr = c"send";
    const DOC: &'static CStr = c"send(message): await it; the message is on its way then.";

    #[inline]
    fn call(py: Python<'_>, this: &Call, arguments: Arguments<'_>) -> Result<Object> {
        let [message] = arguments.between(py, "send", 1, 1)? else {
            return Ok(py.none());
        };
        let desk = &this.0.desk;
        let progress = desk.inside(py, || this.0.send(py, message))?;
        awaitable(py, this, progress)
    }
}

/// What `send` returns.
#[inline]
fn awaitable(py: Python<'_>, this: &Call, progress: Progress) -> Result<Object> {
    let request = &this.0;
    let desk = &request.desk;
    match progress {
        Progress::Through => Ok(desk.through.clone()),
        Progress::Waits => Ok(desk.sendings.instance(Sending::new(request))?.into_object()),
        Progress::Opens(path) => {
            let again = desk.calls.instance(Call(Rc::clone(request)))?;
            desk.script(py, c"open_aside", &[&path, &again.bind::<OpenedMethod>()?])
        }
    }
}

/// Called when a file has been opened aside.
pub struct OpenedMethod;
impl Method for OpenedMethod {
    type Class = Call;
    const NAME: &'static CStr = c"opened";
    const DOC: &'static CStr =
        c"opened(descriptor, size): await it; the file is on its way then. opened(): there is none.";

    fn call(py: Python<'_>, this: &Call, arguments: Arguments<'_>) -> Result<Object> {
        let file = match arguments.between(py, "opened", 0, 2)? {
            [number, size] => {
                let copy = sys::socket::duplicate_number(number.to_isize()? as i32)
                    .map_err(|error| Raised::new(py, Kind::OSError, &error.to_string()))?;
                Some((copy, size.to_isize()? as u64))
            }
            _ => None,
        };
        let desk = &this.0.desk;
        let progress = desk.inside(py, || this.0.opened(py, file))?;
        awaitable(py, this, progress)
    }
}

/// The task's done callback.
pub struct Done;
impl Method for Done {
    type Class = Call;
    const NAME: &'static CStr = c"done";
    const DOC: &'static CStr = c"done(task): the application is through.";

    fn call(py: Python<'_>, this: &Call, arguments: Arguments<'_>) -> Result<Object> {
        if let [task] = arguments.between(py, "done", 1, 1)? {
            desk::task_done(py, &this.0, task);
        }
        Ok(py.none())
    }
}
