//! Writes a response head into a buffer (RFC 9112 section 4).
//!
//! Invariant: appends only; the caller has judged names and values (see [`super::app_head`]), which debug builds check
//! again. The version is always HTTP/1.1 (RFC 9110 2.5: a server sends its own version, whatever the client's).

use super::framing::Framing;
use super::request::Version;
use crate::status;
use crate::text;

/// The interim response to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes one head: status line first, headers in call order, [`Writer::finish`] last.
#[must_use = "a head without its last line is no head"]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Starts with the status line, with the registered reason phrase.
    #[inline]
    pub fn start(out: &'a mut Vec<u8>, code: u16) -> Writer<'a> {
        match code {
            200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
            304 => out.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n"),
            _ => status_line(out, code, status::reason(code).as_bytes()),
        }
        Writer { out }
    }

    /// Starts with the application's own reason phrase; an empty one stays empty.
    pub fn start_with(out: &'a mut Vec<u8>, code: u16, reason: &[u8]) -> Writer<'a> {
        debug_assert!(text::is_field_value(reason));
        status_line(out, code, reason);
        Writer { out }
    }

    #[inline]
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        debug_assert!(text::is_token(name) && text::is_field_value(value));
        self.out.reserve(name.len() + value.len() + 4);
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// A header with a decimal value.
    pub fn number(&mut self, name: &[u8], value: u64) -> &mut Self {
        debug_assert!(text::is_token(name));
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        text::append_decimal(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// A header whose value `write` appends: for values made of parts (Content-Range, Content-Type with a charset).
    pub fn compose(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        write(self.out);
        debug_assert!(text::is_field_value(&self.out[start..]));
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Whole header lines, each with its CR LF, prepared before (a cached file's headers).
    pub fn lines(&mut self, lines: &[u8]) -> &mut Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        self.out.extend_from_slice(lines);
        self
    }

    /// `Date`, as [`crate::date::DateCache`] keeps it.
    #[inline]
    pub fn date(&mut self, date: &[u8; 29]) -> &mut Self {
        self.header(b"Date", date)
    }

    pub fn server(&mut self, name: &str) -> &mut Self {
        self.header(b"Server", name.as_bytes())
    }

    /// `Content-Length` or `Transfer-Encoding`, as the framing asks.
    #[inline]
    pub fn framing(&mut self, framing: Framing) -> &mut Self {
        match framing {
            Framing::NoBody {
                announced: Some(length),
            }
            | Framing::Length(length) => self.number(b"Content-Length", length),
            Framing::Chunked => self.header(b"Transfer-Encoding", b"chunked"),
            Framing::NoBody { announced: None } | Framing::Close => self,
        }
    }

    /// `Connection`, where the version's default does not say it already (RFC 9112 9.3).
    #[inline]
    pub fn connection(&mut self, version: Version, keep_alive: bool) -> &mut Self {
        match (version, keep_alive) {
            (Version::Http11, true) => self,
            (Version::Http10, true) => self.header(b"Connection", b"keep-alive"),
            (_, false) => self.header(b"Connection", b"close"),
        }
    }

    /// The empty line that ends the head.
    #[inline]
    pub fn finish(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// `code` outside 100..=999 is written as 500: a caller's fault, never the client's.
fn status_line(out: &mut Vec<u8>, code: u16, reason: &[u8]) {
    debug_assert!((100..=999).contains(&code));
    let code = if (100..=999).contains(&code) {
        code
    } else {
        500
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    text::append_decimal(out, u64::from(code));
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_in_call_order() {
        let mut out = Vec::new();
        Writer::start(&mut out, 200)
            .server("ringgate")
            .date(b"Sun, 06 Nov 1994 08:49:37 GMT")
            .framing(Framing::Length(0))
            .connection(Version::Http11, true)
            .finish();
        let expected = "HTTP/1.1 200 OK\r\nServer: ringgate\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn connection_and_framing_say_only_what_is_not_the_default() {
        for (version, keep_alive, framing, lines) in [
            (
                Version::Http11,
                false,
                Framing::Chunked,
                "Transfer-Encoding: chunked\r\nConnection: close\r\n",
            ),
            (
                Version::Http10,
                true,
                Framing::Length(7),
                "Content-Length: 7\r\nConnection: keep-alive\r\n",
            ),
            (
                Version::Http10,
                false,
                Framing::Close,
                "Connection: close\r\n",
            ),
            (
                Version::Http11,
                true,
                Framing::NoBody { announced: None },
                "",
            ),
            (
                Version::Http11,
                true,
                Framing::NoBody { announced: Some(3) },
                "Content-Length: 3\r\n",
            ),
        ] {
            let mut out = Vec::new();
            Writer::start_with(&mut out, 299, b"")
                .framing(framing)
                .connection(version, keep_alive)
                .finish();
            assert_eq!(
                String::from_utf8_lossy(&out),
                format!("HTTP/1.1 299 \r\n{lines}\r\n")
            );
        }
    }
}
