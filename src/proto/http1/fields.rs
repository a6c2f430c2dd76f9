//! What the request's fields mean for the connection: framing, keep-alive, Host, Expect, Upgrade.
//!
//! One pass over the headers, told apart by length first. Every shape that two readers could frame differently is
//! refused (RFC 9112 section 6.3, section 11.2): any second Content-Length even if equal, any Transfer-Encoding beside
//! a Content-Length or on HTTP/1.0, any coding but one final `chunked`.

use super::request::{Body, Header, Notes, Version};
use crate::reject::Reject;
use crate::target::{Authority, Target};
use crate::text;

/// The fields that steer the connection, after one pass.
#[derive(Default)]
pub(super) struct Fields<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    persist: bool,
    pub connection_upgrade: bool,
    pub expect_continue: bool,
    pub upgrade: Option<&'b [u8]>,
    pub notes: Notes,
}

/// Reads the fields; refuses what is malformed or doubled.
#[inline]
pub(super) fn read<'b>(headers: &[Header<'b>], version: Version) -> Result<Fields<'b>, Reject> {
    let mut fields = Fields::default();
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            2 if is("te") => fields.notes.te = true,
            4 if is("host") => fields.take_host(header.value)?,
            5 if is("range") => fields.notes.range = true,
            6 if is("expect") => fields.take_expect(header.value)?,
            7 if is("upgrade") => fields.upgrade = Some(header.value),
            8 if is("if-match") => fields.notes.conditional = true,
            10 if is("connection") => fields.take_connection(header.value),
            13 if is("if-none-match") => fields.notes.conditional = true,
            14 if is("content-length") => fields.take_length(header.value)?,
            15 if is("accept-encoding") => fields.notes.accept_encoding = true,
            17 if is("transfer-encoding") => fields.take_coding(header.value, version)?,
            17 if is("if-modified-since") => fields.notes.conditional = true,
            19 if is("if-unmodified-since") => fields.notes.conditional = true,
            _ => {}
        }
    }
    Ok(fields)
}

impl<'b> Fields<'b> {
    fn take_host(&mut self, value: &'b [u8]) -> Result<(), Reject> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(Reject::bad("more than one Host")),
        }
    }

    /// RFC 9110 10.1.1: a list, perhaps empty; a server may answer an expectation it does not know with 417.
    fn take_expect(&mut self, value: &[u8]) -> Result<(), Reject> {
        for expectation in text::list(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(Reject::new(417, "unknown expectation"));
            }
            self.expect_continue = true;
        }
        Ok(())
    }

    fn take_connection(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.persist = true;
            return;
        }
        for option in text::list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.persist |= option.eq_ignore_ascii_case(b"keep-alive");
            self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// RFC 9112 6.3 rule 5, RFC 9110 8.6. A list of equal values could be taken as one; we do not.
    fn take_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        let length = text::decimal(value).ok_or(Reject::bad("malformed Content-Length"))?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Reject::bad("more than one Content-Length")),
        }
    }

    /// RFC 9112 6.1: codings we do not know get 501; where `chunked` is not final, or not once, the end of the body is
    /// anyone's guess: 400.
    fn take_coding(&mut self, value: &[u8], version: Version) -> Result<(), Reject> {
        if version == Version::Http10 {
            return Err(Reject::bad("Transfer-Encoding on HTTP/1.0"));
        }
        if self.chunked {
            return Err(Reject::bad("more than one Transfer-Encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let mut codings = value.split(|&byte| byte == b',').map(text::trim).rev();
        let last_is_chunked = codings
            .next()
            .is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        let others_are_codings = codings
            .all(|coding| text::is_token(coding) && !coding.eq_ignore_ascii_case(b"chunked"));
        if last_is_chunked && others_are_codings {
            return Err(Reject::new(501, "transfer coding other than chunked"));
        }
        Err(Reject::bad("malformed Transfer-Encoding"))
    }

    #[inline]
    pub fn body(&self) -> Result<Body, Reject> {
        match (self.chunked, self.length) {
            (false, None) => Ok(Body::None),
            (false, Some(length)) => Ok(Body::Length(length)),
            (true, None) => Ok(Body::Chunked),
            (true, Some(_)) => Err(Reject::bad("both Content-Length and Transfer-Encoding")),
        }
    }

    /// RFC 9112 9.3: `close` wins; else 1.1 persists, and 1.0 if asked to.
    #[inline]
    pub fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.persist)
    }
}

/// RFC 9112 3.2: exactly one valid Host on HTTP/1.1. An absolute-form target must name the same place: the RFC lets it
/// win, we refuse the request, because the application would see the one and a cache the other.
#[inline]
pub(super) fn host<'b>(
    fields: &Fields<'b>,
    target: &Target<'b>,
    version: Version,
) -> Result<Option<Authority<'b>>, Reject> {
    let from_target = target.origin;
    let Some(value) = fields.host else {
        return match version {
            Version::Http11 => Err(Reject::bad("no Host")),
            Version::Http10 => Ok(from_target.map(|(_, authority)| authority)),
        };
    };
    let host = std::str::from_utf8(value)
        .ok()
        .and_then(Authority::parse)
        .ok_or(Reject::bad("malformed Host"))?;
    match from_target {
        None => Ok(Some(host)),
        Some((scheme, authority)) if authority.same_as(&host, scheme) => Ok(Some(authority)),
        Some(_) => Err(Reject::bad("target and Host differ")),
    }
}
