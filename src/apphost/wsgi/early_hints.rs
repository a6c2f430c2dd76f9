//! `wsgi.early_hints`, as gunicorn has it: the application calls it with headers, mostly Link, and a 103 goes ahead of its response.
//!
//! One callable per worker, in the environ's template, so that a request which has no use for it pays nothing: it speaks for the request in work,
//! and between requests for none.

use super::response::{HEAD_BYTES_MAX, Stage};
use super::session::{Stop, Ticket};
use crate::ffi::{
    Arguments, Class, Kind, Method, MethodEntry, Object, Python, Raised, Result, methods,
};
use crate::header;
use shm::response::Encoder;

pub struct Hints(pub Ticket);

impl Class for Hints {
    const NAME: &'static std::ffi::CStr = c"_ringgate.Hints";
    const DOC: &'static std::ffi::CStr = c"The server's side of what goes ahead of a response.";
    const METHODS: &'static [MethodEntry] = &[methods::entry::<EarlyHints>(), methods::END];
}

pub struct EarlyHints;
impl Method for EarlyHints {
    type Class = Hints;
    const NAME: &'static std::ffi::CStr = c"early_hints";
    const DOC: &'static std::ffi::CStr =
        c"early_hints(headers): sends 103 Early Hints with these headers, unless the response has begun to leave.";

    fn call(py: Python<'_>, this: &Hints, arguments: Arguments<'_>) -> Result<Object> {
        let arguments = arguments.between(py, "early_hints", 1, 1)?;
        let session = this.0.session(py)?;
        let head = encode(py, &arguments[0])?;
        let pushed = session.inside(|| {
            // Too late is no mistake: the application need not know what has left.
            if matches!(session.response()?.stage, Stage::Open | Stage::Ready) {
                session.push_informational(py, &head)?;
                session.flush();
            }
            Ok(())
        });
        match pushed {
            Ok(()) => Ok(py.none()),
            Err(stop) => Err(stop.raise(py)),
        }
    }
}

/// The head of a 103: pairs of str or bytes.
fn encode(py: Python<'_>, headers: &Object) -> Result<Vec<u8>> {
    let wrong = |kind: Kind, fault: &str| Raised::new(py, kind, &format!("early_hints(): {fault}"));
    let mut head = Vec::new();
    let Some(mut encoder) = Encoder::new(&mut head, 103, b"") else {
        return Err(Stop::TooLong.raise(py));
    };
    let pairs = headers.iterator()?;
    while let Some(pair) = pairs.next(py)? {
        if pair.tuple_len().or_else(|| pair.list_len()) != Some(2) {
            return Err(wrong(
                Kind::TypeError,
                "each header must be a pair (name, value)",
            ));
        }
        let (name, value) = (pair.item(0)?, pair.item(1)?);
        let (name, value) = (bytes_of(&name)?, bytes_of(&value)?);
        header::name(&name)
            .and_then(|()| header::value(&value))
            .map_err(|fault| wrong(Kind::ValueError, fault))?;
        if header::is_hop_by_hop(&name) || name.eq_ignore_ascii_case(b"content-length") {
            return Err(wrong(
                Kind::ValueError,
                "headers of the connection are the server's to send",
            ));
        }
        if encoder.header(&name, &value).is_none() {
            return Err(Stop::TooLong.raise(py));
        }
    }
    encoder.finish();
    if head.len() > HEAD_BYTES_MAX {
        return Err(Stop::TooLong.raise(py));
    }
    Ok(head)
}

fn bytes_of(text: &Object) -> Result<Vec<u8>> {
    match text.as_bytes() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Ok(text.latin1()?.bytes().to_vec()),
    }
}
