//! What `send` means for an HTTP response, also for one that refuses a WebSocket (A3, A11-A15, A29-A33).

use super::desk::Desk;
use super::wire::{Fault, Stage, Wire, empty_head, put_checked};
use crate::ffi::{Dict, Kind, Object, Python, Raised, Result};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Keys of messages, the interpreter's own copies.
pub struct Keys {
    pub kind: Object,
    status: Object,
    headers: Object,
    trailers: Object,
    body: Object,
    more_body: Object,
    more_trailers: Object,
    links: Object,
    path: Object,
    file: Object,
    offset: Object,
    count: Object,
}

impl Keys {
    pub fn new(py: Python<'_>) -> Result<Keys> {
        Ok(Keys {
            kind: py.interned(c"type")?,
            status: py.interned(c"status")?,
            headers: py.interned(c"headers")?,
            trailers: py.interned(c"trailers")?,
            body: py.interned(c"body")?,
            more_body: py.interned(c"more_body")?,
            more_trailers: py.interned(c"more_trailers")?,
            links: py.interned(c"links")?,
            path: py.interned(c"path")?,
            file: py.interned(c"file")?,
            offset: py.interned(c"offset")?,
            count: py.interned(c"count")?,
        })
    }
}

/// An exception of Python's, or a fault of ours that becomes one.
pub enum Refusal {
    Raised(Raised),
    Fault(Fault),
}

impl From<Raised> for Refusal {
    fn from(raised: Raised) -> Refusal {
        Refusal::Raised(raised)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Fault(fault)
    }
}

impl Refusal {
    #[cold]
    pub fn raise(self, py: Python<'_>) -> Raised {
        match self {
            Refusal::Raised(raised) => raised,
            Refusal::Fault(fault) => match fault {
                Fault::Gone => Raised::new(py, Kind::ConnectionAborted, "the client is gone"),
                Fault::Type(text) => Raised::new(py, Kind::TypeError, &text),
                Fault::Value(text) => Raised::new(py, Kind::ValueError, &text),
                Fault::Order(text) => Raised::new(py, Kind::RuntimeError, &text),
                Fault::Os(text) => Raised::new(py, Kind::OSError, &text),
            },
        }
    }
}

pub type Sent = std::result::Result<(), Refusal>;

/// Handles one message.
#[inline]
pub fn send(py: Python<'_>, desk: &Desk, wire: &mut Wire, kind: &[u8], message: &Dict) -> Sent {
    match kind {
        b"http.response.start" => start(desk, wire, message),
        b"http.response.body" => body(desk, wire, message),
        b"http.response.trailers" => trailers(desk, wire, message),
        b"http.response.pathsend" => path_send(desk, wire, message),
        b"http.response.zerocopysend" => zero_copy_send(py, desk, wire, message),
        b"http.response.early_hint" => early_hint(desk, wire, message),
        _ => Err(unknown(kind)),
    }
}

/// A response that refuses a WebSocket (A29).
pub fn deny(desk: &Desk, wire: &mut Wire, start_it: bool, message: &Dict) -> Sent {
    if wire.stage == Stage::Talking {
        return Err(order("the WebSocket was accepted already"));
    }
    if start_it {
        start(desk, wire, message)
    } else {
        body(desk, wire, message)
    }
}

#[cold]
pub fn unknown(kind: &[u8]) -> Refusal {
    Fault::Value(format!(
        "this scope knows no message of type '{}'",
        kind.escape_ascii()
    ))
    .into()
}

fn start(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    match wire.stage {
        Stage::Open => {}
        // A14: what comes after the end is ignored.
        Stage::Over => return Ok(()),
        _ => return Err(order("the response was started already")),
    }
    let keys = &desk.keys;
    let status = required(message, &keys.status, "status")?;
    if !status.is_integer() {
        return Err(wrong("status", "an int", &status));
    }
    let status = u16::try_from(status.to_isize()?)
        .map_err(|_| Fault::Value("the status is no status".to_owned()))?;
    if status < 200 {
        return Err(Fault::Value(format!("the status {status} is not final")).into());
    }
    wire.begin_head(status)?;
    if let Some(headers) = message.get(&keys.headers)? {
        each_header(&headers, |name, value| wire.add_header(name, value))?;
    }
    wire.trailers = truth(message, &keys.trailers)?;
    wire.end_head();
    Ok(())
}

fn body(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    expect_body(wire)?;
    let keys = &desk.keys;
    let bytes = match message.get(&keys.body)? {
        Some(bytes) => as_bytes(bytes, "body")?,
        None => desk.empty.clone(),
    };
    let more = truth(message, &keys.more_body)?;
    if wire.stage == Stage::Over {
        return Ok(());
    }
    Ok(wire.push_body(&bytes, more, desk.socket())?)
}

/// Whether the order of messages allows for a body now.
fn expect_body(wire: &Wire) -> Sent {
    match wire.stage {
        Stage::Begun | Stage::Streaming | Stage::Over => Ok(()),
        Stage::Trailers => Err(order("the body is complete; trailers are due")),
        Stage::Open | Stage::Talking => Err(order("the response was not started")),
    }
}

fn trailers(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    let keys = &desk.keys;
    let mut head = empty_head(0);
    if let Some(headers) = message.get(&keys.headers)? {
        each_header(&headers, |name, value| put_checked(&mut head, name, value))?;
    }
    let more = truth(message, &keys.more_trailers)?;
    match wire.stage {
        Stage::Trailers => Ok(wire.push_trailers(head, more, desk.socket())?),
        // Also when the client takes none: the response has ended with its body.
        Stage::Over => Ok(()),
        _ => Err(order("trailers come after the body")),
    }
}

/// A30.
fn path_send(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    expect_body(wire)?;
    let path = required(message, &desk.keys.path, "path")?;
    if !path.is_text() {
        return Err(wrong("path", "a str", &path));
    }
    if wire.stage == Stage::Streaming {
        return Err(order("pathsend is the whole body"));
    }
    if wire.stage == Stage::Over {
        return Ok(());
    }
    let (file, size) = open(&path.to_file_name()?)?;
    Ok(wire.push_file(file, desk.token(), 0, size, false, desk.socket())?)
}

fn open(path: &[u8]) -> std::result::Result<(OwnedFd, u64), Fault> {
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let fault = |error: &dyn std::fmt::Display| Fault::Os(format!("{}: {error}", path.display()));
    if !path.is_absolute() {
        return Err(Fault::Value("'path' must be absolute".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|error| fault(&error))?;
    let status = file.metadata().map_err(|error| fault(&error))?;
    if !status.is_file() {
        return Err(fault(&"not a regular file"));
    }
    Ok((file.into(), status.len()))
}

/// A31.
fn zero_copy_send(py: Python<'_>, desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    expect_body(wire)?;
    let keys = &desk.keys;
    let file = required(message, &keys.file, "file")?;
    let none = || py.none();
    let offset = message.get(&keys.offset)?.unwrap_or_else(none);
    let count = message.get(&keys.count)?.unwrap_or_else(none);
    let more = truth(message, &keys.more_body)?;
    if wire.stage == Stage::Over {
        return Ok(());
    }
    let part = desk.script(py, c"file_part", &[&file, &offset, &count])?;
    let number = part.item(0)?.to_isize()?;
    let (offset, count) = (part.item(1)?.to_isize()?, part.item(2)?.to_isize()?);
    let copy: OwnedFd = sys::socket::duplicate_number(number as i32)
        .map_err(|error| Fault::Os(error.to_string()))?;
    let token = desk.token();
    Ok(wire.push_file(
        copy,
        token,
        offset as u64,
        count as u64,
        more,
        desk.socket(),
    )?)
}

/// A32: before the head left, or never.
fn early_hint(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    let links = required(message, &desk.keys.links, "links")?;
    let mut head = empty_head(103);
    let list = listed(&links)?;
    for index in 0..list.list_len().or(list.tuple_len()).unwrap_or(0) {
        let link = list.item(index)?;
        let Some(bytes) = link.as_bytes() else {
            return Err(wrong("a link", "bytes", &link));
        };
        put_checked(&mut head, b"link", bytes)?;
    }
    if wire.is_unsaid() {
        wire.push_informational(head, desk.socket())?;
    }
    Ok(())
}

/// Calls `add` with every header of an iterable of pairs of bytes.
pub fn each_header(
    headers: &Object,
    mut add: impl FnMut(&[u8], &[u8]) -> std::result::Result<(), Fault>,
) -> Sent {
    let list = listed(headers)?;
    for index in 0..list.list_len().or(list.tuple_len()).unwrap_or(0) {
        let pair = listed(&list.item(index)?)?;
        if pair.list_len().or(pair.tuple_len()) != Some(2) {
            return Err(wrong("a header", "a pair of bytes", &pair));
        }
        let (name, value) = (pair.item(0)?, pair.item(1)?);
        match (name.as_bytes(), value.as_bytes()) {
            (Some(name), Some(value)) => add(name, value)?,
            (None, _) => return Err(wrong("a header's name", "bytes", &name)),
            (_, None) => return Err(wrong("a header's value", "bytes", &value)),
        }
    }
    Ok(())
}

/// A list or tuple as it is, any other iterable as a list.
fn listed(object: &Object) -> Result<Object> {
    if object.list_len().is_some() || object.tuple_len().is_some() {
        Ok(object.clone())
    } else {
        object.to_list()
    }
}

/// `bytes`, or a copy of a bytearray or memoryview.
pub fn as_bytes(object: Object, what: &str) -> std::result::Result<Object, Refusal> {
    if object.as_bytes().is_some() {
        return Ok(object);
    }
    match object.type_name().as_str() {
        "bytearray" | "memoryview" => Ok(object.to_bytes()?),
        _ => Err(wrong(what, "bytes", &object)),
    }
}

/// A flag: absent means false.
#[inline]
pub fn truth(message: &Dict, key: &Object) -> Result<bool> {
    match message.get(key)? {
        Some(value) => value.is_true(),
        None => Ok(false),
    }
}

#[inline]
pub fn required(message: &Dict, key: &Object, name: &str) -> std::result::Result<Object, Refusal> {
    match message.get(key)? {
        Some(value) => Ok(value),
        None => Err(missing(name)),
    }
}

#[cold]
pub fn missing(name: &str) -> Refusal {
    Fault::Value(format!("the message has no '{name}'")).into()
}

#[cold]
pub fn wrong(what: &str, wanted: &str, found: &Object) -> Refusal {
    Fault::Type(format!(
        "{what} must be {wanted}, not {}",
        found.type_name()
    ))
    .into()
}

#[cold]
pub fn order(text: &str) -> Refusal {
    Fault::Order(text.to_owned()).into()
}
