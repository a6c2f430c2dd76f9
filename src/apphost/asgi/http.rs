//! What `send` means for an HTTP response, also for one that refuses a WebSocket (A3, A11-A15, A29-A33).

use super::desk::Desk;
use super::message::{Message, Refusal, Sent, order, unknown};
use super::wire::{Fault, Stage, Wire, empty_head, put_checked};
use crate::ffi::Python;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Handles one message.
#[inline]
pub fn send(
    py: Python<'_>,
    desk: &Desk,
    wire: &mut Wire,
    kind: &[u8],
    message: Message<'_>,
) -> Sent {
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
pub fn deny(desk: &Desk, wire: &mut Wire, start_it: bool, message: Message<'_>) -> Sent {
    if wire.stage == Stage::Talking {
        return Err(order("the WebSocket was accepted already"));
    }
    if start_it {
        start(desk, wire, message)
    } else {
        body(desk, wire, message)
    }
}

fn start(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    match wire.stage {
        Stage::Open => {}
        // A14: what comes after the end is ignored.
        Stage::Over => return Ok(()),
        _ => return Err(order("the response was started already")),
    }
    let keys = &desk.keys;
    let status = u16::try_from(message.required_integer(&keys.status)?)
        .map_err(|_| Fault::Value("the status is no status".to_owned()))?;
    if status < 200 {
        return Err(Fault::Value(format!("the status {status} is not final")).into());
    }
    wire.begin_head(status)?;
    message.headers(&keys.headers, |name, value| wire.add_header(name, value))?;
    wire.trailers = message.flag(&keys.trailers)?;
    wire.end_head();
    Ok(())
}

fn body(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    expect_body(wire)?;
    let keys = &desk.keys;
    let bytes = message.bytes(&keys.body)?;
    let bytes = bytes.unwrap_or_else(|| desk.empty.clone());
    let more = message.flag(&keys.more_body)?;
    if wire.stage == Stage::Over {
        return Ok(());
    }
    Ok(wire.push_body(&bytes, more, desk.socket())?)
}

/// Whether the order of messages allows for a body now.
fn expect_body(wire: &Wire) -> Sent {
    if wire.opening.is_some() {
        return Err(order("a file is being opened: send() was not awaited"));
    }
    match wire.stage {
        Stage::Begun | Stage::Streaming | Stage::Over => Ok(()),
        Stage::Trailers => Err(order("the body is complete; trailers are due")),
        Stage::Open | Stage::Talking => Err(order("the response was not started")),
    }
}

fn trailers(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    let keys = &desk.keys;
    let mut head = empty_head(0);
    message.headers(&keys.headers, |name, value| {
        put_checked(&mut head, name, value)
    })?;
    let more = message.flag(&keys.more_trailers)?;
    match wire.stage {
        Stage::Trailers => Ok(wire.push_trailers(head, more, desk.socket())?),
        // Also when the client takes none: the response has ended with its body.
        Stage::Over => Ok(()),
        _ => Err(order("trailers come after the body")),
    }
}

/// A30. A file whose opening may take time is opened aside, and comes back in `opened`.
fn path_send(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    expect_body(wire)?;
    let path = message.required_text(&desk.keys.path)?;
    if wire.stage == Stage::Streaming {
        return Err(order("pathsend is the whole body"));
    }
    if wire.stage == Stage::Over {
        return Ok(());
    }
    let name = path.to_file_name()?;
    let name = std::path::Path::new(std::ffi::OsStr::from_bytes(&name));
    if !name.is_absolute() {
        return Err(Fault::Value("'path' must be absolute".to_owned()).into());
    }
    let fault = |error: &dyn std::fmt::Display| {
        Refusal::from(Fault::Os(format!("{}: {error}", name.display())))
    };
    let opened = desk.opener.borrow_mut().open(name);
    let Some(file) = opened.map_err(|error| fault(&error))? else {
        wire.opening = Some(path);
        return Ok(());
    };
    let status = file.metadata().map_err(|error| fault(&error))?;
    if !status.is_file() {
        return Err(fault(&"not a regular file"));
    }
    push_whole(desk, wire, file.into(), status.len())
}

/// The file that was opened aside; `None`: it could not be.
pub fn opened(desk: &Desk, wire: &mut Wire, file: Option<(OwnedFd, u64)>) -> Sent {
    wire.opening = None;
    match file {
        Some((file, size)) if wire.stage != Stage::Over => push_whole(desk, wire, file, size),
        _ => Ok(()),
    }
}

fn push_whole(desk: &Desk, wire: &mut Wire, file: OwnedFd, size: u64) -> Sent {
    Ok(wire.push_file(file, desk.token(), 0, size, false, desk.socket())?)
}

/// A31.
fn zero_copy_send(py: Python<'_>, desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    expect_body(wire)?;
    let keys = &desk.keys;
    let file = message.required(&keys.file)?;
    let whole = |number: Option<isize>| match number {
        Some(..0) => Err(Fault::Value("'offset' and 'count' are never negative".to_owned()).into()),
        Some(number) => Ok(py.integer(number as i64)?),
        None => Ok::<_, Refusal>(py.none()),
    };
    let offset = whole(message.integer(&keys.offset)?)?;
    let count = whole(message.integer(&keys.count)?)?;
    let more = message.flag(&keys.more_body)?;
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
fn early_hint(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    let mut head = empty_head(103);
    message.each_bytes(&desk.keys.links, "a link", |link| {
        put_checked(&mut head, b"link", link)
    })?;
    if wire.is_unsaid() {
        wire.push_informational(head, desk.socket())?;
    }
    Ok(())
}
