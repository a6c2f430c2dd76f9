//! The events that `receive` returns: copies of templates with what is new put in (A2, A9, A16, A18, A20).

use crate::ffi::{Dict, Object, Python, Result};

/// The events that `receive` returns: copies of templates.
pub struct Events {
    body: Dict,
    body_key: Object,
    more_key: Object,
    disconnect: Dict,
    connect: Dict,
    message: Dict,
    bytes_key: Object,
    text_key: Object,
    closed: Dict,
    code_key: Object,
    reason_key: Object,
    yes: Object,
    no: Object,
    empty: Object,
}

impl Events {
    pub fn new(py: Python<'_>) -> Result<Events> {
        let kind = py.interned(c"type")?;
        let of = |name: &std::ffi::CStr| -> Result<Dict> {
            let event = Dict::new(py)?;
            event.set(&kind, &py.interned(name)?)?;
            Ok(event)
        };
        let (body_key, more_key) = (py.interned(c"body")?, py.interned(c"more_body")?);
        let (bytes_key, text_key) = (py.interned(c"bytes")?, py.interned(c"text")?);
        let (yes, no, empty) = (py.boolean(true), py.boolean(false), py.bytes(b"")?);
        let body = of(c"http.request")?;
        body.set(&body_key, &empty)?;
        body.set(&more_key, &no)?;
        // Only the key that has a value: Sanic takes `text` as soon as it is there.
        let message = of(c"websocket.receive")?;
        Ok(Events {
            body,
            body_key,
            more_key,
            disconnect: of(c"http.disconnect")?,
            connect: of(c"websocket.connect")?,
            message,
            bytes_key,
            text_key,
            closed: of(c"websocket.disconnect")?,
            code_key: py.interned(c"code")?,
            reason_key: py.interned(c"reason")?,
            yes,
            no,
            empty,
        })
    }

    pub fn body(&self, py: Python<'_>, payload: &[u8], more: bool) -> Result<Object> {
        let event = self.body.copy()?;
        let payload = if payload.is_empty() {
            self.empty.clone()
        } else {
            py.bytes(payload)?
        };
        event.set(&self.body_key, &payload)?;
        event.set(&self.more_key, if more { &self.yes } else { &self.no })?;
        Ok(event.into_object())
    }

    pub fn disconnect(&self, _py: Python<'_>) -> Result<Object> {
        Ok(self.disconnect.copy()?.into_object())
    }

    pub fn connect(&self, _py: Python<'_>) -> Result<Object> {
        Ok(self.connect.copy()?.into_object())
    }

    pub fn text(&self, py: Python<'_>, payload: &[u8]) -> Result<Object> {
        let event = self.message.copy()?;
        event.set(&self.text_key, &py.utf8(payload)?)?;
        Ok(event.into_object())
    }

    pub fn binary(&self, py: Python<'_>, payload: &[u8]) -> Result<Object> {
        let event = self.message.copy()?;
        event.set(&self.bytes_key, &py.bytes(payload)?)?;
        Ok(event.into_object())
    }

    pub fn closed(&self, py: Python<'_>, code: u16, reason: &[u8]) -> Result<Object> {
        let event = self.closed.copy()?;
        event.set(&self.code_key, &py.integer(i64::from(code))?)?;
        event.set(&self.reason_key, &py.utf8(reason)?)?;
        Ok(event.into_object())
    }
}
