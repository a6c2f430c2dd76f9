//! What `send` means for a WebSocket (A16-A22, A29).

use super::desk::Desk;
use super::http::deny;
use super::message::{Message, Sent, order, unknown};
use super::wire::{Fault, Stage, Wire, empty_head, put_checked};
use crate::ffi::Object;
use shm::Finish;

pub fn send(desk: &Desk, wire: &mut Wire, kind: &[u8], message: Message<'_>) -> Sent {
    match kind {
        b"websocket.send" => data(desk, wire, message),
        b"websocket.accept" => accept(desk, wire, message),
        b"websocket.close" => close(desk, wire, message),
        b"websocket.http.response.start" => deny(desk, wire, true, message),
        b"websocket.http.response.body" => deny(desk, wire, false, message),
        _ => Err(unknown(kind)),
    }
}

fn accept(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    let keys = &desk.keys;
    let mut head = empty_head(101);
    if let Some(chosen) = message.text(&keys.subprotocol)? {
        let chosen = chosen.latin1()?;
        check_offered(wire, chosen.bytes())?;
        put_checked(&mut head, b"sec-websocket-protocol", chosen.bytes())?;
    }
    message.headers(&keys.headers, |name, value| {
        if name.eq_ignore_ascii_case(b"sec-websocket-protocol") {
            // A17.
            return Err(Fault::Value(
                "the subprotocol is not a header here: name it as 'subprotocol'".to_owned(),
            ));
        }
        put_checked(&mut head, name, value)
    })?;
    match wire.stage {
        Stage::Open => Ok(wire.push_accept(head, desk.socket())?),
        Stage::Over => Err(Fault::Gone.into()),
        _ => Err(order("the WebSocket was accepted or refused already")),
    }
}

/// The server chooses among what the client offers (RFC 6455 section 4.2.2), whose client would fail the connection over anything else (section 4.1).
fn check_offered(wire: &Wire, chosen: &[u8]) -> std::result::Result<(), Fault> {
    let Some(offered) = wire.subprotocols() else {
        // The client is gone.
        return Ok(());
    };
    if offered.contains(&chosen) {
        return Ok(());
    }
    let offer = match offered.is_empty() {
        true => "none".to_owned(),
        false => offered.join(&b", "[..]).escape_ascii().to_string(),
    };
    Err(Fault::Value(format!(
        "the client did not offer the subprotocol '{}' (RFC 6455 section 4.2.2); it offers: {offer}",
        chosen.escape_ascii()
    )))
}

fn data(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    let keys = &desk.keys;
    let payload = match (message.bytes(&keys.bytes)?, message.text(&keys.text)?) {
        (Some(bytes), None) => bytes,
        (None, Some(text)) => {
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

fn close(desk: &Desk, wire: &mut Wire, message: Message<'_>) -> Sent {
    let keys = &desk.keys;
    let code = message.integer(&keys.code)?.unwrap_or(1000);
    let reason = message.text(&keys.reason)?;
    let reason = reason.map_or(Ok(String::new()), |reason| reason.to_text())?;
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
