//! What `send` means for a WebSocket (A16-A22, A29).

use super::desk::Desk;
use super::http::{Sent, as_bytes, deny, each_header, order, unknown, wrong};
use super::wire::{Fault, Stage, Wire, empty_head, put_checked};
use crate::ffi::{Dict, Object, Python, Result};
use shm::Finish;

pub struct Keys {
    subprotocol: Object,
    headers: Object,
    bytes: Object,
    text: Object,
    code: Object,
    reason: Object,
}

impl Keys {
    pub fn new(py: Python<'_>) -> Result<Keys> {
        Ok(Keys {
            subprotocol: py.interned(c"subprotocol")?,
            headers: py.interned(c"headers")?,
            bytes: py.interned(c"bytes")?,
            text: py.interned(c"text")?,
            code: py.interned(c"code")?,
            reason: py.interned(c"reason")?,
        })
    }
}

pub fn send(desk: &Desk, wire: &mut Wire, kind: &[u8], message: &Dict) -> Sent {
    match kind {
        b"websocket.send" => data(desk, wire, message),
        b"websocket.accept" => accept(desk, wire, message),
        b"websocket.close" => close(desk, wire, message),
        b"websocket.http.response.start" => deny(desk, wire, true, message),
        b"websocket.http.response.body" => deny(desk, wire, false, message),
        _ => Err(unknown(kind)),
    }
}

fn accept(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    let keys = &desk.websocket_keys;
    let mut head = empty_head(101);
    if let Some(subprotocol) = message
        .get(&keys.subprotocol)?
        .filter(|found| !found.is_none())
    {
        if !subprotocol.is_text() {
            return Err(wrong("subprotocol", "a str", &subprotocol));
        }
        put_checked(
            &mut head,
            b"sec-websocket-protocol",
            subprotocol.latin1()?.bytes(),
        )?;
    }
    if let Some(headers) = message.get(&keys.headers)? {
        each_header(&headers, |name, value| {
            if name.eq_ignore_ascii_case(b"sec-websocket-protocol") {
                // A17.
                return Err(Fault::Value(
                    "the subprotocol is not a header here: name it as 'subprotocol'".to_owned(),
                ));
            }
            put_checked(&mut head, name, value)
        })?;
    }
    match wire.stage {
        Stage::Open => Ok(wire.push_accept(head, desk.socket())?),
        Stage::Over => Err(Fault::Gone.into()),
        _ => Err(order("the WebSocket was accepted or refused already")),
    }
}

fn data(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    let keys = &desk.websocket_keys;
    let given = |key: &Object| -> Result<Option<Object>> {
        Ok(message.get(key)?.filter(|found| !found.is_none()))
    };
    let payload = match (given(&keys.bytes)?, given(&keys.text)?) {
        (Some(bytes), None) => as_bytes(bytes, "bytes")?,
        (None, Some(text)) => {
            if !text.is_text() {
                return Err(wrong("text", "a str", &text));
            }
            if text.as_utf8().is_none() {
                return Err(Fault::Value("text holds lone surrogates".to_owned()).into());
            }
            text
        }
        // A19.
        _ => {
            return Err(Fault::Value(
                "a message has either 'bytes' or 'text', and not both".to_owned(),
            )
            .into());
        }
    };
    match wire.stage {
        Stage::Talking => Ok(wire.push_message(payload, desk.socket())?),
        Stage::Over => Err(Fault::Gone.into()),
        _ => Err(order("the WebSocket was not accepted")),
    }
}

fn close(desk: &Desk, wire: &mut Wire, message: &Dict) -> Sent {
    let keys = &desk.websocket_keys;
    let code = match message.get(&keys.code)?.filter(|found| !found.is_none()) {
        Some(code) if code.is_integer() => code.to_isize()?,
        Some(code) => return Err(wrong("code", "an int", &code)),
        None => 1000,
    };
    let reason = match message.get(&keys.reason)?.filter(|found| !found.is_none()) {
        Some(reason) => reason.to_text()?,
        None => String::new(),
    };
    match wire.stage {
        Stage::Talking => {
            // What a close frame may say (RFC 6455 section 7.4).
            let code = u16::try_from(code)
                .ok()
                .filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999))
                .ok_or_else(|| Fault::Value(format!("{code} is not a close code to send")))?;
            wire.close(code, &reason, desk.socket());
            Ok(())
        }
        // A16.
        Stage::Open => Ok(refuse(wire, 403, &desk.forbidden, desk)?),
        Stage::Over => Err(Fault::Gone.into()),
        _ => Err(order("the WebSocket is being refused already")),
    }
}

/// Answers the handshake with a plain response.
pub fn refuse(
    wire: &mut Wire,
    status: u16,
    body: &Object,
    desk: &Desk,
) -> std::result::Result<(), Fault> {
    wire.begin_head(status)?;
    wire.add_header(b"content-type", b"text/plain; charset=utf-8")?;
    wire.end_head();
    wire.push_body(body, false, desk.socket())
        .inspect_err(|_| wire.finish(Finish::Abort, desk.socket()))
}
