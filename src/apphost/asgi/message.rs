//! Messages of the application, as `send` gets them: how their keys are read, by HTTP and WebSocket alike, and what a wrong one becomes (A3).
//!
//! One rule for every key: it is checked where it is read, and one that may be left out may also be None. Keys that nobody reads do not matter.

use super::wire::Fault;
use crate::ffi::{Dict, Kind, Object, Python, Raised, Result};
use std::ffi::CStr;

/// A key: its name, and the interpreter's own copy of that.
pub struct Key {
    name: &'static str,
    object: Object,
}

/// Every key that a message may have.
pub struct Keys {
    pub kind: Key,
    pub status: Key,
    pub headers: Key,
    pub trailers: Key,
    pub body: Key,
    pub more_body: Key,
    pub more_trailers: Key,
    pub links: Key,
    pub path: Key,
    pub file: Key,
    pub offset: Key,
    pub count: Key,
    pub subprotocol: Key,
    pub bytes: Key,
    pub text: Key,
    pub code: Key,
    pub reason: Key,
}

impl Keys {
    pub fn new(py: Python<'_>) -> Result<Keys> {
        let key = |name: &'static CStr| -> Result<Key> {
            Ok(Key {
                name: name.to_str().expect("ASCII"),
                object: py.interned(name)?,
            })
        };
        Ok(Keys {
            kind: key(c"type")?,
            status: key(c"status")?,
            headers: key(c"headers")?,
            trailers: key(c"trailers")?,
            body: key(c"body")?,
            more_body: key(c"more_body")?,
            more_trailers: key(c"more_trailers")?,
            links: key(c"links")?,
            path: key(c"path")?,
            file: key(c"file")?,
            offset: key(c"offset")?,
            count: key(c"count")?,
            subprotocol: key(c"subprotocol")?,
            bytes: key(c"bytes")?,
            text: key(c"text")?,
            code: key(c"code")?,
            reason: key(c"reason")?,
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

/// What was read, or why it cannot be.
pub type Read<T> = std::result::Result<T, Refusal>;

pub type Sent = Read<()>;

/// One message.
#[derive(Clone, Copy)]
pub struct Message<'m>(&'m Dict);

impl<'m> Message<'m> {
    #[inline]
    pub fn of(object: &'m Object) -> Read<Message<'m>> {
        match object.as_dict() {
            Some(dict) => Ok(Message(dict)),
            None => Err(wrong("a message", "a dict", object)),
        }
    }

    #[inline]
    pub fn required(self, key: &Key) -> Read<Object> {
        match self.0.get(&key.object)? {
            Some(value) => Ok(value),
            None => Err(missing(key)),
        }
    }

    /// `None`: absent, or None.
    #[inline]
    pub fn given(self, key: &Key) -> Result<Option<Object>> {
        Ok(self.0.get(&key.object)?.filter(|value| !value.is_none()))
    }

    /// Absent means false.
    #[inline]
    pub fn flag(self, key: &Key) -> Result<bool> {
        match self.0.get(&key.object)? {
            Some(value) => value.is_true(),
            None => Ok(false),
        }
    }

    #[inline]
    pub fn integer(self, key: &Key) -> Read<Option<isize>> {
        match self.given(key)? {
            Some(value) if value.is_integer() => Ok(Some(value.to_isize()?)),
            Some(value) => Err(wrong(key.name, "an int", &value)),
            None => Ok(None),
        }
    }

    pub fn required_integer(self, key: &Key) -> Read<isize> {
        let value = self.required(key)?;
        if !value.is_integer() {
            return Err(wrong(key.name, "an int", &value));
        }
        Ok(value.to_isize()?)
    }

    /// A `str`.
    pub fn text(self, key: &Key) -> Read<Option<Object>> {
        match self.given(key)? {
            Some(value) if !value.is_text() => Err(wrong(key.name, "a str", &value)),
            value => Ok(value),
        }
    }

    #[inline]
    pub fn required_text(self, key: &Key) -> Read<Object> {
        let value = self.required(key)?;
        if !value.is_text() {
            return Err(wrong(key.name, "a str", &value));
        }
        Ok(value)
    }

    /// `bytes`, or a copy of a bytearray or memoryview.
    #[inline]
    pub fn bytes(self, key: &Key) -> Read<Option<Object>> {
        match self.given(key)? {
            Some(value) if value.as_bytes().is_none() => copied(key, &value).map(Some),
            value => Ok(value),
        }
    }

    /// Calls `add` with every one of an iterable of pairs of bytes.
    #[inline]
    pub fn headers(
        self,
        key: &Key,
        mut add: impl FnMut(&[u8], &[u8]) -> std::result::Result<(), Fault>,
    ) -> Sent {
        let Some(headers) = self.given(key)? else {
            return Ok(());
        };
        each(&headers, |pair| {
            let pair = listed(pair)?;
            if pair.list_len().or(pair.tuple_len()) != Some(2) {
                return Err(wrong("a header", "a pair of bytes", &pair));
            }
            let (name, value) = (pair.item(0)?, pair.item(1)?);
            match (name.as_bytes(), value.as_bytes()) {
                (Some(name), Some(value)) => Ok(add(name, value)?),
                (None, _) => Err(wrong("a header's name", "bytes", &name)),
                (_, None) => Err(wrong("a header's value", "bytes", &value)),
            }
        })
    }

    /// Calls `add` with every one of an iterable of bytes. `what`: how one of them is called.
    pub fn each_bytes(
        self,
        key: &Key,
        what: &str,
        mut add: impl FnMut(&[u8]) -> std::result::Result<(), Fault>,
    ) -> Sent {
        each(&self.required(key)?, |value| match value.as_bytes() {
            Some(bytes) => Ok(add(bytes)?),
            None => Err(wrong(what, "bytes", value)),
        })
    }
}

#[inline]
fn each(iterable: &Object, mut visit: impl FnMut(&Object) -> Sent) -> Sent {
    let list = listed(iterable)?;
    for index in 0..list.list_len().or(list.tuple_len()).unwrap_or(0) {
        visit(&list.item(index)?)?;
    }
    Ok(())
}

/// A list or tuple as it is, any other iterable as a list.
#[inline]
fn listed(object: &Object) -> Result<Object> {
    if object.list_len().is_some() || object.tuple_len().is_some() {
        Ok(object.clone())
    } else {
        object.to_list()
    }
}

#[cold]
fn copied(key: &Key, value: &Object) -> Read<Object> {
    match value.type_name().as_str() {
        "bytearray" | "memoryview" => Ok(value.to_bytes()?),
        _ => Err(wrong(key.name, "bytes", value)),
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

#[cold]
fn missing(key: &Key) -> Refusal {
    Fault::Value(format!("the message has no '{}'", key.name)).into()
}

#[cold]
fn wrong(what: &str, wanted: &str, found: &Object) -> Refusal {
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
