//! `start_response` and the `write` it returns (W14-W19, W23).

use super::response::{Response, Stage};
use super::session::{Stop, Ticket};
use crate::ffi::{
    Arguments, Class, Exception, Kind, Method, MethodEntry, Object, Python, Raised, Result, methods,
};
use crate::header;

/// What both callables are bound to.
pub struct Responder(pub Ticket);

impl Class for Responder {
    const NAME: &'static std::ffi::CStr = c"_ringgate.Responder";
    const DOC: &'static std::ffi::CStr = c"The server's side of one response.";
    const METHODS: &'static [MethodEntry] = &[
        methods::entry::<StartResponse>(),
        methods::entry::<Write>(),
        methods::END,
    ];
}

pub struct StartResponse;
impl Method for StartResponse {
    type Class = Responder;
    const NAME: &'static std::ffi::CStr = c"start_response";
    const DOC: &'static std::ffi::CStr = c"start_response(status, headers, exc_info=None): begins the response; returns write(data).";

    fn call(py: Python<'_>, this: &Responder, arguments: Arguments<'_>) -> Result<Object> {
        let [status, headers, exc_info] =
            arguments.named(py, "start_response", ["status", "headers", "exc_info"], 2)?;
        let session = this.0.session(py)?;
        let (Some(status), Some(headers)) = (status, headers) else {
            return Err(Stop::Over.raise(py));
        };
        let exc_info = exc_info.filter(|exc_info| !exc_info.is_none());
        let mut response = session.response().map_err(|stop| stop.raise(py))?;
        match exc_info {
            Some(exc_info) if matches!(response.stage, Stage::Sent | Stage::Finished) => {
                drop(response);
                return Err(raise_again(py, exc_info));
            }
            Some(_) => {}
            None if response.called => {
                return Err(Raised::new(
                    py,
                    Kind::AssertionError,
                    "start_response() was called a second time without exc_info",
                ));
            }
            None => {}
        }
        response.called = true;
        fill(py, &mut response, status, headers)?;
        drop(response);
        match session.write.borrow().as_ref() {
            Some(write) => Ok(write.clone()),
            None => Err(Stop::Over.raise(py)),
        }
    }
}

/// Checks status and headers and encodes them.
fn fill(py: Python<'_>, response: &mut Response, status: &Object, headers: &Object) -> Result<()> {
    if !status.is_text() {
        return Err(wrong_type(py, "the status must be a str", status));
    }
    let line = status.latin1()?;
    let (number, text) =
        header::status(line.bytes()).map_err(|fault| wrong_value(py, fault, status))?;
    let Some(count) = headers.list_len() else {
        return Err(wrong_type(py, "the headers must be a list", headers));
    };
    response
        .begin_head(number, text)
        .map_err(|fault| wrong_value(py, fault, status))?;
    for index in 0..count {
        let pair = headers.item(index)?;
        if pair.tuple_len() != Some(2) {
            return Err(wrong_type(
                py,
                "each header must be a tuple (name, value)",
                &pair,
            ));
        }
        let (name, value) = (pair.item(0)?, pair.item(1)?);
        if !name.is_text() || !value.is_text() {
            return Err(wrong_type(py, "header names and values must be str", &pair));
        }
        response
            .add_header(name.latin1()?.bytes(), value.latin1()?.bytes())
            .map_err(|fault| wrong_value(py, fault, &pair))?;
    }
    response.end_head();
    Ok(())
}

#[cold]
#[inline(never)]
fn wrong_type(py: Python<'_>, rule: &str, found: &Object) -> Raised {
    Raised::new(
        py,
        Kind::TypeError,
        &format!(
            "start_response(): {rule}, not {}: {}",
            found.type_name(),
            shown(found)
        ),
    )
}

#[cold]
#[inline(never)]
fn wrong_value(py: Python<'_>, fault: &str, found: &Object) -> Raised {
    Raised::new(
        py,
        Kind::ValueError,
        &format!("start_response(): {fault}: {}", shown(found)),
    )
}

fn shown(found: &Object) -> String {
    /// Longest representation shown, in characters.
    const SHOWN_MAX: usize = 200;
    match found.repr() {
        Ok(text) => text.chars().take(SHOWN_MAX).collect(),
        Err(raised) => {
            drop(raised);
            "(no representation)".to_owned()
        }
    }
}

/// `raise exc_info[1].with_traceback(exc_info[2])`: the head has left and cannot be replaced. No reference is kept.
fn raise_again(py: Python<'_>, exc_info: &Object) -> Raised {
    let again = || -> Result<Raised> {
        let value = exc_info.item(1)?;
        let value = value.call_member(c"with_traceback", &[&exc_info.item(2)?])?;
        if !value.is_instance_of(&Kind::BaseException.object(py))? {
            return Ok(Raised::new(
                py,
                Kind::TypeError,
                "exc_info must hold an exception",
            ));
        }
        Ok(Exception::from_object(value).restore())
    };
    match again() {
        Ok(raised) | Err(raised) => raised,
    }
}

pub struct Write;
impl Method for Write {
    type Class = Responder;
    const NAME: &'static std::ffi::CStr = c"write";
    const DOC: &'static std::ffi::CStr =
        c"write(data): sends a block of the body; it is on its way when this returns.";

    fn call(py: Python<'_>, this: &Responder, arguments: Arguments<'_>) -> Result<Object> {
        let arguments = arguments.between(py, "write", 1, 1)?;
        let session = this.0.session(py)?;
        let Some(block) = arguments[0].as_bytes() else {
            return Err(Raised::new(
                py,
                Kind::TypeError,
                &format!("write() takes bytes, not {}", arguments[0].type_name()),
            ));
        };
        let pushed = session.inside(|| {
            session.push(py, block)?;
            session.flush();
            Ok(session.response().is_ok_and(|response| response.overrun))
        });
        match pushed {
            Ok(false) => Ok(py.none()),
            Ok(true) => Err(Raised::new(
                py,
                Kind::AssertionError,
                "write() went beyond Content-Length",
            )),
            Err(stop) => Err(stop.raise(py)),
        }
    }
}
