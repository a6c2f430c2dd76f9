//! The shape of an accepted request head.
//!
//! Owns: method, version, body framing, the header table and its lookups. Invariant: a [`Head`] exists only after every
//! check of [`super::request::parse`].

use crate::target::{Authority, Target};
use crate::text;

pub use httparse::Header;

/// A request head that passed every check. Borrows the read buffer (`'b`) and the header table (`'h`).
#[derive(Clone, Copy, Debug)]
pub struct Head<'h, 'b> {
    pub method: Method<'b>,
    pub target: Target<'b>,
    pub version: Version,
    /// In order, duplicates kept, names as sent, values trimmed. Includes hop-by-hop fields.
    pub headers: &'h [Header<'b>],
    /// The authority asked for: of the absolute-form target, else of `Host`. Always there on HTTP/1.1.
    pub host: Option<Authority<'b>>,
    pub body: Body,
    /// The client lets us keep the connection (version and `Connection`; RFC 9112 9.3).
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before its body (HTTP/1.1, with a body).
    pub expect_continue: bool,
    /// The value of `Upgrade`, when `Connection: upgrade` stands with it on HTTP/1.1.
    pub upgrade: Option<&'b [u8]>,
    pub notes: Notes,
}

/// Which optional fields are worth looking for, noted in passing so that a plain request costs no second search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Any of If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since.
    pub conditional: bool,
    pub range: bool,
    pub accept_encoding: bool,
    pub te: bool,
}

impl<'h, 'b> Head<'h, 'b> {
    /// The value of the first header called `name` (ASCII case ignored).
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.header_all(name).next()
    }

    /// The client takes trailers (RFC 9110 6.5.1). On HTTP/1.0 there is no chunked coding to carry them.
    pub fn takes_trailers(&self) -> bool {
        self.notes.te
            && self.version == Version::Http11
            && self
                .header_all("te")
                .flat_map(text::list)
                .any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
    }

    /// The values of every header called `name` (ASCII case ignored), in order.
    pub fn header_all<'a>(
        &self,
        name: &'a str,
    ) -> impl Iterator<Item = &'b [u8]> + use<'h, 'b, 'a> {
        values(self.headers, name)
    }
}

/// The values of every header called `name` (ASCII case ignored), in order.
pub fn values<'h, 'b, 'a>(
    headers: &'h [Header<'b>],
    name: &'a str,
) -> impl Iterator<Item = &'b [u8]> + use<'h, 'b, 'a> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }

    /// 0 or 1.
    pub const fn minor(self) -> u8 {
        self as u8
    }
}

/// A method (RFC 9110 section 9): the ones the edge itself treats apart, and any other upper-case token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'b> {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Other(&'b str),
}

impl<'b> Method<'b> {
    /// Sorts a token; case matters (RFC 9110 9.1).
    #[inline]
    pub fn of(name: &'b str) -> Method<'b> {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            _ => Method::Other(name),
        }
    }

    pub const fn as_str(&self) -> &'b str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }
}

/// How the body that follows the head is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// No body: the next request starts at once. `Content-Length: 0` says [`Body::Length`]`(0)`.
    None,
    Length(u64),
    /// See [`super::chunked::Decoder`].
    Chunked,
}

impl Body {
    /// Whether not a single body byte will come.
    pub const fn is_empty(self) -> bool {
        matches!(self, Body::None | Body::Length(0))
    }
}
