//! From a request and the validators of an existing file to what is sent: preconditions first, then If-Range and Range,
//! in the order of RFC 9110 section 13.2.2.

use crate::conditional::{self, Validators, Verdict};
use crate::http1::request::{Head, Method};
use crate::range::{self, ByteRange, Resolved};

/// What to send of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// 200, all of it.
    Full,
    /// 304, with ETag, Last-Modified, Cache-Control, Vary, and no body.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 206, one range.
    Part(ByteRange),
    /// 206, multipart/byteranges.
    Parts(Vec<ByteRange>),
    /// 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// Decides for a GET or HEAD of a representation of `length` bytes. A plain request costs two tests.
#[inline]
pub fn select(head: &Head<'_, '_>, validators: &Validators<'_>, length: u64) -> Selection {
    if !head.notes.conditional && !head.notes.range {
        return Selection::Full;
    }
    select_slowly(head, validators, length)
}

fn select_slowly(head: &Head<'_, '_>, validators: &Validators<'_>, length: u64) -> Selection {
    if head.notes.conditional {
        match conditional::evaluate(&head.method, head.headers, validators) {
            Verdict::Proceed => {}
            Verdict::NotModified => return Selection::NotModified,
            Verdict::PreconditionFailed => return Selection::PreconditionFailed,
        }
    }
    // RFC 9110 14.2: Range is defined for GET alone; a doubled field is malformed, hence ignored.
    if !head.notes.range || head.method != Method::Get || head.header_all("range").count() != 1 {
        return Selection::Full;
    }
    if !conditional::range_holds(head.headers, validators) {
        return Selection::Full;
    }
    match head
        .header("range")
        .map_or(Resolved::Whole, |value| range::resolve(value, length))
    {
        Resolved::Whole => Selection::Full,
        Resolved::Part(range) => Selection::Part(range),
        Resolved::Parts(ranges) => Selection::Parts(ranges),
        Resolved::Unsatisfiable => Selection::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etag::Tag;
    use crate::http1::request::{HeaderStorage, Limits, Parse, parse};

    fn selection(request: &str) -> Selection {
        let text = format!("{request}\r\nHost: a\r\n\r\n");
        let validators = Validators {
            etag: Some(Tag {
                weak: false,
                opaque: b"x",
            }),
            modified: Some(784_111_777),
            modified_is_strong: true,
        };
        match parse(
            text.as_bytes(),
            &mut HeaderStorage::new(),
            &Limits::default(),
        ) {
            Parse::Complete { head, .. } => select(&head, &validators, 1000),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn preconditions_come_before_ranges() {
        let part = || Selection::Part(ByteRange { first: 0, last: 4 });
        for (request, expected) in [
            ("GET / HTTP/1.1", Selection::Full),
            ("GET / HTTP/1.1\r\nRange: bytes=0-4", part()),
            ("HEAD / HTTP/1.1\r\nRange: bytes=0-4", Selection::Full),
            (
                "GET / HTTP/1.1\r\nRange: bytes=0-4\r\nRange: bytes=0-4",
                Selection::Full,
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=0-4\r\nIf-Range: \"x\"",
                part(),
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=0-4\r\nIf-Range: \"y\"",
                Selection::Full,
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=5000-\r\nIf-Range: \"y\"",
                Selection::Full,
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=5000-",
                Selection::Unsatisfiable,
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=0-4\r\nIf-None-Match: \"x\"",
                Selection::NotModified,
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=5000-\r\nIf-Match: \"y\"",
                Selection::PreconditionFailed,
            ),
            (
                "GET / HTTP/1.1\r\nRange: bytes=0-4\r\nIf-Match: \"x\"",
                part(),
            ),
        ] {
            assert_eq!(selection(request), expected, "{request}");
        }
        assert!(
            matches!(selection("GET / HTTP/1.1\r\nRange: bytes=0-4,-5"), Selection::Parts(parts) if parts.len() == 2)
        );
    }
}
