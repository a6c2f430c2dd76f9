//! The response head as an application handed it over: judged byte by byte, because nothing from outside is trusted.
//!
//! Owns: which of the application's headers go out, which the edge writes itself, which break the rules.
//! Invariant: what passes here cannot split a response (no CR, LF, NUL or other control character anywhere) and cannot
//! contradict the framing (Content-Length, Transfer-Encoding and Connection never go out as given).

use crate::status;
use crate::text;

/// Why an application's response head cannot be sent. The edge answers 502 and logs this against the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a final status of three digits, 200 to 999.
    Status,
    /// A control character in the reason phrase.
    Reason,
    /// A header name that is no token.
    Name,
    /// CR, LF, NUL or another control character in a header value.
    Value,
    /// A Content-Length that is not a plain decimal number.
    ContentLength,
    /// A second Content-Length, equal or not.
    DoubleContentLength,
}

impl Fault {
    pub const fn as_str(self) -> &'static str {
        match self {
            Fault::Status => "the status is not between 200 and 999",
            Fault::Reason => "the reason phrase holds a control character",
            Fault::Name => "a header name is not a token",
            Fault::Value => "a header value holds a control character",
            Fault::ContentLength => "Content-Length is not a number",
            Fault::DoubleContentLength => "more than one Content-Length",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Fault {}

/// What to do with one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Send,
    /// The edge writes its own, or the field belongs to a connection and not to the message.
    Drop,
}

/// What the headers seen so far say about the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppHead {
    pub content_length: Option<u64>,
    pub has_date: bool,
    pub has_server: bool,
    pub has_content_type: bool,
    /// The application asked for `Connection: close`.
    pub close: bool,
}

impl AppHead {
    pub const fn new() -> AppHead {
        AppHead {
            content_length: None,
            has_date: false,
            has_server: false,
            has_content_type: false,
            close: false,
        }
    }

    /// Judges one header, in order of appearance.
    pub fn admit(&mut self, name: &[u8], value: &[u8]) -> Result<Disposition, Fault> {
        if !text::is_token(name) {
            return Err(Fault::Name);
        }
        if !text::is_field_value(value) {
            return Err(Fault::Value);
        }
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"date") => self.has_date = true,
            6 if is(b"server") => self.has_server = true,
            12 if is(b"content-type") => self.has_content_type = true,
            14 if is(b"content-length") => {
                let length = text::decimal(text::trim(value)).ok_or(Fault::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(Fault::DoubleContentLength);
                }
                return Ok(Disposition::Drop);
            }
            10 if is(b"connection") => {
                self.close |= text::list(value).any(|option| option.eq_ignore_ascii_case(b"close"));
                return Ok(Disposition::Drop);
            }
            _ if is_hop_by_hop(name) => return Ok(Disposition::Drop),
            _ => {}
        }
        Ok(Disposition::Send)
    }
}

/// Judges status and reason phrase (empty: the standard one is meant).
pub fn check_status(code: u16, reason: &[u8]) -> Result<(), Fault> {
    if !status::is_final(code) {
        return Err(Fault::Status);
    }
    if !text::is_field_value(reason) {
        return Err(Fault::Reason);
    }
    Ok(())
}

/// Fields that belong to one connection (RFC 9110 7.6.1), beside those that `Connection` names.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 => is(b"te"),
        7 => is(b"trailer") || is(b"upgrade"),
        8 => is(b"trailers"),
        10 => is(b"connection") || is(b"keep-alive"),
        16 => is(b"proxy-connection"),
        17 => is(b"transfer-encoding"),
        _ => false,
    }
}

/// Fields that must stand in the head, or nowhere (RFC 9110 6.5.1): framing, routing, what changes how the content is read, who
/// may have it, and for how long.
pub fn is_barred_from_trailers(name: &[u8]) -> bool {
    const BARRED: [&str; 24] = [
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "expect",
        "expires",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];
    is_hop_by_hop(name)
        || BARRED
            .iter()
            .any(|barred| name.eq_ignore_ascii_case(barred.as_bytes()))
}

/// Whether a request header cannot be told from another once it is a CGI variable (`X_Real` and `X-Real` are both
/// HTTP_X_REAL), or would set one the platform trusts (`Proxy`, "httpoxy"): such headers do not reach an application.
pub fn is_ambiguous_for_cgi(name: &[u8]) -> bool {
    name.contains(&b'_') || name.eq_ignore_ascii_case(b"proxy")
}

/// Fuzz: what is admitted cannot break out of its line.
pub fn fuzz_app_head(data: &[u8]) {
    let mut head = AppHead::new();
    for line in data.split(|&byte| byte == 0xff) {
        let (name, value) = line.split_at(
            line.iter()
                .position(|&byte| byte == 0xfe)
                .unwrap_or(line.len()),
        );
        let value = value.strip_prefix(b"\xfe").unwrap_or(value);
        if head.admit(name, value).is_ok() {
            assert!(
                !name.is_empty()
                    && name
                        .iter()
                        .all(|byte| byte.is_ascii_graphic() && *byte != b':')
            );
            assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_sorted() {
        let mut head = AppHead::new();
        assert_eq!(
            head.admit(b"Content-Type", b"text/html"),
            Ok(Disposition::Send)
        );
        assert_eq!(head.admit(b"content-LENGTH", b"12"), Ok(Disposition::Drop));
        assert_eq!(head.admit(b"Date", b"x"), Ok(Disposition::Send));
        assert_eq!(
            head.admit(b"Connection", b"x, Close"),
            Ok(Disposition::Drop)
        );
        for name in [
            &b"Transfer-Encoding"[..],
            b"Upgrade",
            b"TE",
            b"Trailer",
            b"Keep-Alive",
            b"Proxy-Connection",
        ] {
            assert_eq!(head.admit(name, b"x"), Ok(Disposition::Drop));
        }
        assert_eq!(
            head,
            AppHead {
                content_length: Some(12),
                has_date: true,
                has_server: false,
                has_content_type: true,
                close: true
            }
        );
    }

    #[test]
    fn broken_headers_are_faults() {
        for (name, value, fault) in [
            (&b"X\r\nY"[..], &b"1"[..], Fault::Name),
            (b"", b"1", Fault::Name),
            (b"X:", b"1", Fault::Name),
            (b"X Y", b"1", Fault::Name),
            (b"X\x80", b"1", Fault::Name),
            (b"X", b"a\r\nSet-Cookie: b", Fault::Value),
            (b"X", b"a\nb", Fault::Value),
            (b"X", b"a\rb", Fault::Value),
            (b"X", b"a\0b", Fault::Value),
            (b"X", b"\x7f", Fault::Value),
            (b"Content-Length", b"-1", Fault::ContentLength),
            (b"Content-Length", b"", Fault::ContentLength),
            (b"Content-Length", b"1, 1", Fault::ContentLength),
            (b"Content-Length", b"1e3", Fault::ContentLength),
            (
                b"Content-Length",
                b"99999999999999999999",
                Fault::ContentLength,
            ),
        ] {
            assert_eq!(
                AppHead::new().admit(name, value),
                Err(fault),
                "{name:?}: {value:?}"
            );
        }
        let mut head = AppHead::new();
        assert!(head.admit(b"Content-Length", b"1").is_ok());
        assert_eq!(
            head.admit(b"Content-Length", b"1"),
            Err(Fault::DoubleContentLength)
        );
    }

    #[test]
    fn statuses() {
        assert!(check_status(200, b"OK").is_ok() && check_status(999, b"").is_ok());
        assert!(check_status(404, b"Nicht gefunden \xfc").is_ok());
        for code in [0, 99, 100, 101, 199, 1000, 2000, 9999, u16::MAX] {
            assert_eq!(check_status(code, b"X"), Err(Fault::Status));
        }
        assert_eq!(check_status(200, b"OK\r\nX: y"), Err(Fault::Reason));
    }
}
