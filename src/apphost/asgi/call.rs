//! `receive` and `send` of one request, and what is called when its task is done.

use super::desk;
use super::receiving::Receive;
use super::request::Request;
use super::sending::Sending;
use crate::ffi::{Arguments, Class, Method, MethodEntry, Object, Python, Result, methods};
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
        let request = &this.0;
        let desk = &request.desk;
        if desk.inside(py, || request.send(py, message))? {
            return Ok(desk.through.clone());
        }
        Ok(desk.sendings.instance(Sending::new(request))?.into_object())
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
