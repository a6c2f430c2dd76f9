//! How a response's body is delimited (RFC 9112 section 6.3), decided from the request, the status and what the
//! application said: pure logic, one table of tests.

use super::request::{Method, Version};
use crate::status;

/// The framing of one response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The head is the whole message. `announced` is the Content-Length to show all the same: what a GET would have had
    /// (HEAD, 304).
    NoBody { announced: Option<u64> },
    /// Exactly this many bytes follow.
    Length(u64),
    /// HTTP/1.1 without a known length.
    Chunked,
    /// HTTP/1.0 without a known length: the end of the connection is the end of the body.
    Close,
}

impl Framing {
    /// Decides. `content_length` is the application's, already strictly parsed; a chunked coding of its own is dropped
    /// before this (PEP 3333: hop-by-hop is the server's affair).
    ///
    /// A body that the application yields all the same under `NoBody`, or beyond `Length`, is the caller's to drop.
    pub const fn decide(
        method: &Method<'_>,
        version: Version,
        status: u16,
        content_length: Option<u64>,
    ) -> Framing {
        // RFC 9110 15.3.6: 205 has no content, and says so, to HEAD too.
        let content_length = if status == 205 {
            Some(0)
        } else {
            content_length
        };
        // RFC 9110 8.6: no Content-Length in 1xx and 204.
        if status < 200 || status == 204 {
            return Framing::NoBody { announced: None };
        }
        if status::has_no_content(status) || matches!(method, Method::Head) {
            return Framing::NoBody {
                announced: content_length,
            };
        }
        match (content_length, version) {
            (Some(length), _) => Framing::Length(length),
            (None, Version::Http11) => Framing::Chunked,
            (None, Version::Http10) => Framing::Close,
        }
    }

    /// Whether the connection can carry another request after this response.
    pub const fn can_persist(self) -> bool {
        !matches!(self, Framing::Close)
    }

    /// Whether body bytes go out at all.
    pub const fn has_body(self) -> bool {
        !matches!(self, Framing::NoBody { .. } | Framing::Length(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_follows_rfc_9112_6_3() {
        use Framing::*;
        use Version::*;
        let none = NoBody { announced: None };
        let empty = NoBody { announced: Some(0) };
        for (method, version, status, length, framing) in [
            (Method::Get, Http11, 200, Some(5), Length(5)),
            (Method::Get, Http11, 200, Some(0), Length(0)),
            (Method::Get, Http11, 200, None, Chunked),
            (Method::Get, Http10, 200, None, Close),
            (Method::Get, Http10, 200, Some(5), Length(5)),
            (
                Method::Head,
                Http11,
                200,
                Some(5),
                NoBody { announced: Some(5) },
            ),
            (Method::Head, Http11, 200, None, none),
            (Method::Head, Http10, 200, None, none),
            (Method::Get, Http11, 204, Some(5), none),
            (
                Method::Get,
                Http11,
                304,
                Some(5),
                NoBody { announced: Some(5) },
            ),
            (Method::Get, Http11, 304, None, none),
            (Method::Get, Http11, 100, None, none),
            (Method::Get, Http11, 103, Some(5), none),
            (Method::Post, Http11, 205, Some(5), Length(0)),
            (Method::Post, Http11, 205, None, Length(0)),
            (Method::Head, Http11, 205, None, empty),
            (Method::Head, Http11, 205, Some(5), empty),
            (Method::Options, Http11, 200, None, Chunked),
            (Method::Other("PURGE"), Http11, 999, None, Chunked),
        ] {
            assert_eq!(
                Framing::decide(&method, version, status, length),
                framing,
                "{method:?} {version:?} {status}"
            );
        }
        assert!(!Close.can_persist() && Chunked.can_persist() && none.can_persist());
        assert!(
            !none.has_body() && !Length(0).has_body() && Length(1).has_body() && Close.has_body()
        );
    }
}
