//! Conditional requests (RFC 9110 section 13), for a representation that exists.
//!
//! Owns: the order of the preconditions (13.2.2) and their comparisons.
//! Invariant: pure; the clock's part ("is Last-Modified old enough to be strong") is a field of [`Validators`].

use crate::date;
use crate::etag::{self, Tag};
use crate::http1::request::{Header, Method, values};
use crate::text;

/// What the server knows about the selected representation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    pub etag: Option<Tag<'a>>,
    /// Last-Modified, in seconds since 1970.
    pub modified: Option<u64>,
    /// The representation cannot have changed twice in the second of `modified` (8.8.2.2): it is at least a second
    /// older than now. Then the date may stand in If-Range.
    pub modified_is_strong: bool,
}

impl Validators<'_> {
    /// To be compared with dates of any age.
    fn modified(&self) -> Option<i64> {
        self.modified
            .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// What the preconditions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Perform the method.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// Evaluates the preconditions in the order of RFC 9110 13.2.2. A field in more than one line counts as one list; a
/// malformed date or a doubled date field counts as absent.
pub fn evaluate(
    method: &Method<'_>,
    headers: &[Header<'_>],
    validators: &Validators<'_>,
) -> Verdict {
    let reads = matches!(method, Method::Get | Method::Head);
    // 1 and 2.
    if present(headers, "if-match") {
        if !if_match(headers, validators) {
            return Verdict::PreconditionFailed;
        }
    } else if let (Some(limit), Some(modified)) = (
        single_date(headers, "if-unmodified-since"),
        validators.modified(),
    ) && modified > limit
    {
        return Verdict::PreconditionFailed;
    }
    // 3 and 4.
    if present(headers, "if-none-match") {
        if !if_none_match(headers, validators) {
            return if reads {
                Verdict::NotModified
            } else {
                Verdict::PreconditionFailed
            };
        }
    } else if reads
        && let (Some(since), Some(modified)) = (
            single_date(headers, "if-modified-since"),
            validators.modified(),
        )
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// If-Range (13.1.5): whether a Range may be honoured. True without the field; false for anything but one strong tag
/// that matches, or the exact date.
pub fn range_holds(headers: &[Header<'_>], validators: &Validators<'_>) -> bool {
    let mut lines = values(headers, "if-range");
    let Some(value) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    if let Some(tag) = Tag::parse(value) {
        return validators
            .etag
            .is_some_and(|etag| etag.matches_strongly(&tag));
    }
    match date::parse(text::trim(value)) {
        Some(date) => validators.modified_is_strong && validators.modified() == Some(date),
        None => false,
    }
}

fn present(headers: &[Header<'_>], name: &str) -> bool {
    values(headers, name).next().is_some()
}

/// 13.1.1: strong comparison; `*` holds because the representation exists.
fn if_match(headers: &[Header<'_>], validators: &Validators<'_>) -> bool {
    values(headers, "if-match").any(|value| {
        text::trim(value) == b"*"
            || validators
                .etag
                .is_some_and(|etag| etag::tags(value).any(|tag| tag.matches_strongly(&etag)))
    })
}

/// 13.1.2: weak comparison; `*` fails because the representation exists.
fn if_none_match(headers: &[Header<'_>], validators: &Validators<'_>) -> bool {
    !values(headers, "if-none-match").any(|value| {
        text::trim(value) == b"*"
            || validators
                .etag
                .is_some_and(|etag| etag::tags(value).any(|tag| tag.matches_weakly(&etag)))
    })
}

fn single_date(headers: &[Header<'_>], name: &str) -> Option<i64> {
    let mut lines = values(headers, name);
    let date = date::parse(lines.next()?)?;
    lines.next().is_none().then_some(date)
}

/// Fuzz: lines of `name: value`; no panic, and a GET is never told 412 for a condition that only saves a transfer.
pub fn fuzz_conditional(data: &[u8]) {
    let headers: Vec<Header<'_>> = data
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some(Header {
                name,
                value: text::trim(&line[colon + 1..]),
            })
        })
        .collect();
    let etag = Tag {
        weak: false,
        opaque: b"x",
    };
    let validators = Validators {
        etag: Some(etag),
        modified: Some(784_111_777),
        modified_is_strong: true,
    };
    let guarded = present(&headers, "if-match") || present(&headers, "if-unmodified-since");
    let get = evaluate(&Method::Get, &headers, &validators);
    let put = evaluate(&Method::Put, &headers, &validators);
    assert!(guarded || get != Verdict::PreconditionFailed);
    assert!(put != Verdict::NotModified);
    assert!(present(&headers, "if-range") || range_holds(&headers, &validators));
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::*;

    const MODIFIED: u64 = 784_111_777;
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";
    /// The zero of some libraries.
    const ANCIENT: &str = "Mon, 01 Jan 0001 00:00:00 GMT";

    fn judge(method: Method<'_>, fields: &[(&str, &str)], weak: bool) -> Verdict {
        let headers: Vec<_> = fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let validators = Validators {
            etag: Some(Tag { weak, opaque: b"x" }),
            modified: Some(MODIFIED),
            modified_is_strong: true,
        };
        evaluate(&method, &headers, &validators)
    }

    #[test]
    fn preconditions_in_the_order_of_13_2_2() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Verdict, Verdict);
        let rows: &[Row<'_>] = &[
            // fields, verdict for GET, verdict for PUT
            (&[], Proceed, Proceed),
            (&[("If-Match", "\"x\"")], Proceed, Proceed),
            (&[("If-Match", "\"y\", \"x\"")], Proceed, Proceed),
            (
                &[("If-Match", "\"y\""), ("If-Match", "\"x\"")],
                Proceed,
                Proceed,
            ),
            (&[("If-Match", "*")], Proceed, Proceed),
            (
                &[("If-Match", "\"y\"")],
                PreconditionFailed,
                PreconditionFailed,
            ),
            (
                &[("If-Match", "W/\"x\"")],
                PreconditionFailed,
                PreconditionFailed,
            ),
            (
                &[("If-Match", "junk")],
                PreconditionFailed,
                PreconditionFailed,
            ),
            // If-Match silences If-Unmodified-Since.
            (
                &[("If-Match", "\"x\""), ("If-Unmodified-Since", EARLIER)],
                Proceed,
                Proceed,
            ),
            (
                &[("If-Unmodified-Since", EARLIER)],
                PreconditionFailed,
                PreconditionFailed,
            ),
            (
                &[("If-Unmodified-Since", ANCIENT)],
                PreconditionFailed,
                PreconditionFailed,
            ),
            (&[("If-Modified-Since", ANCIENT)], Proceed, Proceed),
            (&[("If-Unmodified-Since", SAME)], Proceed, Proceed),
            (&[("If-Unmodified-Since", "yesterday")], Proceed, Proceed),
            (
                &[("If-None-Match", "\"x\"")],
                NotModified,
                PreconditionFailed,
            ),
            (
                &[("If-None-Match", "W/\"x\"")],
                NotModified,
                PreconditionFailed,
            ),
            (&[("If-None-Match", "*")], NotModified, PreconditionFailed),
            (&[("If-None-Match", "\"y\"")], Proceed, Proceed),
            (
                &[("If-None-Match", "\"y\""), ("if-none-match", "\"x\"")],
                NotModified,
                PreconditionFailed,
            ),
            // If-None-Match silences If-Modified-Since, both ways.
            (
                &[("If-None-Match", "\"y\""), ("If-Modified-Since", SAME)],
                Proceed,
                Proceed,
            ),
            (
                &[("If-None-Match", "\"x\""), ("If-Modified-Since", EARLIER)],
                NotModified,
                PreconditionFailed,
            ),
            (&[("If-Modified-Since", SAME)], NotModified, Proceed),
            (&[("If-Modified-Since", LATER)], NotModified, Proceed),
            (&[("If-Modified-Since", EARLIER)], Proceed, Proceed),
            (&[("If-Modified-Since", "0")], Proceed, Proceed),
            (
                &[("If-Modified-Since", SAME), ("If-Modified-Since", SAME)],
                Proceed,
                Proceed,
            ),
            // The first pair is judged before the second.
            (
                &[("If-Match", "\"y\""), ("If-None-Match", "\"x\"")],
                PreconditionFailed,
                PreconditionFailed,
            ),
            (
                &[("If-Match", "\"x\""), ("If-None-Match", "\"x\"")],
                NotModified,
                PreconditionFailed,
            ),
            (
                &[
                    ("If-Unmodified-Since", EARLIER),
                    ("If-Modified-Since", SAME),
                ],
                PreconditionFailed,
                PreconditionFailed,
            ),
        ];
        for (fields, get, put) in rows {
            assert_eq!(judge(Method::Get, fields, false), *get, "GET {fields:?}");
            assert_eq!(judge(Method::Head, fields, false), *get, "HEAD {fields:?}");
            assert_eq!(judge(Method::Put, fields, false), *put, "PUT {fields:?}");
        }
        assert_eq!(
            judge(Method::Get, &[("If-Match", "\"x\"")], true),
            PreconditionFailed,
            "a weak tag is never strong"
        );
        assert_eq!(
            judge(Method::Get, &[("If-None-Match", "\"x\"")], true),
            NotModified
        );
    }

    #[test]
    fn if_range_wants_a_strong_validator() {
        let rows: &[(&[&str], bool)] = &[
            (&[], true),
            (&["\"x\""], true),
            (&["W/\"x\""], false),
            (&["\"y\""], false),
            (&[SAME], true),
            (&[EARLIER], false),
            (&[LATER], false),
            (&["junk"], false),
            (&["\"x\"", "\"x\""], false),
        ];
        let mut validators = Validators {
            etag: Some(Tag {
                weak: false,
                opaque: b"x",
            }),
            modified: Some(MODIFIED),
            modified_is_strong: true,
        };
        for (lines, holds) in rows {
            let headers: Vec<_> = lines
                .iter()
                .map(|line| Header {
                    name: "If-Range",
                    value: line.as_bytes(),
                })
                .collect();
            assert_eq!(range_holds(&headers, &validators), *holds, "{lines:?}");
        }
        validators.modified_is_strong = false;
        assert!(!range_holds(
            &[Header {
                name: "If-Range",
                value: SAME.as_bytes()
            }],
            &validators
        ));
        validators.etag = Some(Tag {
            weak: true,
            opaque: b"x",
        });
        assert!(!range_holds(
            &[Header {
                name: "If-Range",
                value: b"\"x\""
            }],
            &validators
        ));
    }
}
