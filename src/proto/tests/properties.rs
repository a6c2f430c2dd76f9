//! Ranges and conditions against second, plainer readings of RFC 9110, over every small case or very many.

use proto::conditional::{Validators, Verdict, evaluate, range_holds};
use proto::etag::Tag;
use proto::range::{PARTS_MAX, Resolved, resolve};
use proto::{Header, Method};

const MODIFIED: u64 = 784_111_777;
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// Section 13.2.2, step by step as it is written.
fn by_the_book(
    method: &Method<'_>,
    field: impl Fn(&str) -> Option<&'static str>,
    etag: Option<(bool, &str)>,
    modified: Option<u64>,
) -> Verdict {
    let date = |value: &str| match value {
        SAME => Some(MODIFIED),
        EARLIER => Some(MODIFIED - 1),
        LATER => Some(MODIFIED + 1),
        _ => None,
    };
    let members = |list: &'static str| {
        list.split(", ").filter_map(|member| {
            let weak = member.starts_with("W/");
            let opaque = member.trim_start_matches("W/");
            let opaque = opaque.strip_prefix('"')?.strip_suffix('"')?;
            Some((weak, opaque))
        })
    };
    // 1: If-Match is present: true, go on; false, 412.
    if let Some(list) = field("if-match") {
        let holds = list == "*"
            || members(list).any(|(weak, opaque)| !weak && etag == Some((false, opaque)));
        if !holds {
            return Verdict::PreconditionFailed;
        }
    // 2: it is not, and If-Unmodified-Since is, with a valid date, of something that has one.
    } else if let Some(limit) = field("if-unmodified-since").and_then(date)
        && let Some(modified) = modified
        && modified > limit
    {
        return Verdict::PreconditionFailed;
    }
    let reads = matches!(method, Method::Get | Method::Head);
    // 3: If-None-Match: true, go on; false, 304 for GET and HEAD, else 412.
    if let Some(list) = field("if-none-match") {
        let matches = list == "*"
            || members(list).any(|(_, opaque)| etag.is_some_and(|(_, ours)| ours == opaque));
        if matches {
            return if reads {
                Verdict::NotModified
            } else {
                Verdict::PreconditionFailed
            };
        }
    // 4: no If-None-Match, GET or HEAD, If-Modified-Since.
    } else if reads
        && let Some(since) = field("if-modified-since").and_then(date)
        && let Some(modified) = modified
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

#[test]
fn every_combination_of_conditions_is_judged_by_the_book() {
    const TAGS: [Option<&str>; 7] = [
        None,
        Some("*"),
        Some("\"x\""),
        Some("W/\"x\""),
        Some("\"y\""),
        Some("\"y\", W/\"x\""),
        Some("junk"),
    ];
    const DATES: [Option<&str>; 5] = [None, Some(SAME), Some(EARLIER), Some(LATER), Some("junk")];
    let mut judged = 0;
    for if_match in TAGS {
        for if_none_match in TAGS {
            for unmodified in DATES {
                for since in DATES {
                    let fields = [
                        ("if-match", if_match),
                        ("if-none-match", if_none_match),
                        ("if-unmodified-since", unmodified),
                        ("if-modified-since", since),
                    ];
                    let headers: Vec<_> = fields
                        .iter()
                        .filter_map(|(name, value)| {
                            let value = (*value)?.as_bytes();
                            Some(Header { name, value })
                        })
                        .collect();
                    let field = |name: &str| {
                        let found = fields.iter().find(|(each, _)| *each == name);
                        found.and_then(|(_, value)| *value)
                    };
                    for etag in [None, Some((false, "x")), Some((true, "x"))] {
                        for modified in [None, Some(MODIFIED)] {
                            let validators = Validators {
                                etag: etag.map(|(weak, opaque)| Tag {
                                    weak,
                                    opaque: opaque.as_bytes(),
                                }),
                                modified,
                                modified_is_strong: true,
                            };
                            for method in [Method::Get, Method::Head, Method::Put] {
                                assert_eq!(
                                    evaluate(&method, &headers, &validators),
                                    by_the_book(&method, field, etag, modified),
                                    "{method:?} {fields:?} of {etag:?} {modified:?}"
                                );
                                judged += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(judged, 7 * 7 * 5 * 5 * 3 * 2 * 3);
}

/// Section 13.1.5: a range is honoured for a strong tag that is ours, for our date if it is strong, or without the field.
#[test]
fn every_if_range_is_judged_by_the_book() {
    for etag in [None, Some((false, "x")), Some((true, "x"))] {
        for modified in [None, Some(MODIFIED)] {
            for strong in [false, true] {
                for (value, expected) in [
                    (None, true),
                    (Some("\"x\""), etag == Some((false, "x"))),
                    (Some("W/\"x\""), false),
                    (Some("\"y\""), false),
                    (Some("\"y\", \"x\""), false),
                    (Some("*"), false),
                    (Some(SAME), strong && modified.is_some()),
                    (Some(EARLIER), false),
                    (Some(LATER), false),
                    (Some("junk"), false),
                    (Some(""), false),
                ] {
                    let validators = Validators {
                        etag: etag.map(|(weak, opaque)| Tag {
                            weak,
                            opaque: opaque.as_bytes(),
                        }),
                        modified,
                        modified_is_strong: strong,
                    };
                    let headers = value.map(|value| Header {
                        name: "if-range",
                        value: value.as_bytes(),
                    });
                    let headers: Vec<_> = headers.into_iter().collect();
                    assert_eq!(
                        range_holds(&headers, &validators),
                        expected,
                        "{value:?} {etag:?} {modified:?} {strong}"
                    );
                }
            }
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Well-formed fields, compared byte by byte with what they ask for: everything asked for is sent, once; what is sent beside it
/// lies between asked bytes that are near; 416 only if nothing of it is there; ignored only if it is too much, or of an empty file.
#[test]
fn ranges_send_what_was_asked_for() {
    /// Gaps below this may be filled.
    const GAP: usize = 80;
    let mut random = Random(9110);
    let mut kinds = [0; 4];
    for _ in 0..20_000 {
        let length = match random.below(4) {
            0 => random.below(4),
            1 => random.below(100),
            _ => random.below(6000),
        } as usize;
        let count = match random.below(8) {
            0 => 1 + random.below(80),
            _ => 1 + random.below(5),
        };
        let mut asked = vec![false; length];
        let mut specs = Vec::new();
        for _ in 0..count {
            let bound = 2 * length as u64 + 2;
            let (first, more) = (random.below(bound), random.below(30));
            let (text, span) = match random.below(4) {
                0 => (format!("{first}-"), first as usize..length),
                1 => (
                    format!("-{first}"),
                    length.saturating_sub(first as usize)..length,
                ),
                _ => (
                    format!("{first}-{}", first + more),
                    first as usize..(first + more + 1) as usize,
                ),
            };
            specs.push(text);
            for index in span.filter(|index| *index < length) {
                asked[index] = true;
            }
        }
        let field = format!("bytes={}", specs.join(","));
        let sent = match resolve(field.as_bytes(), length as u64) {
            Resolved::Unsatisfiable => {
                assert!(length > 0 && !asked.contains(&true), "{field} of {length}");
                kinds[0] += 1;
                continue;
            }
            Resolved::Whole => {
                // Nothing to take a part of, more members than are read, or so many islands that there may be more than 16 while they
                // are put together.
                assert!(
                    length == 0 || count > PARTS_MAX as u64,
                    "{field} of {length}"
                );
                kinds[1] += 1;
                continue;
            }
            Resolved::Part(range) => {
                kinds[2] += 1;
                vec![range]
            }
            Resolved::Parts(ranges) => {
                kinds[3] += 1;
                ranges
            }
        };
        let mut covered = vec![0; length];
        for range in &sent {
            let (first, last) = (range.first as usize, range.last as usize);
            assert!(
                asked[first] && asked[last],
                "{field} of {length}: an end nobody asked for"
            );
            covered[first..=last]
                .iter_mut()
                .for_each(|count| *count += 1);
            let mut gap = 0;
            for asked in &asked[first..=last] {
                gap = if *asked { 0 } else { gap + 1 };
                assert!(gap <= GAP, "{field} of {length}: more than asked for");
            }
        }
        for (index, asked) in asked.iter().enumerate() {
            assert!(
                covered[index] <= 1,
                "{field} of {length}: byte {index} twice"
            );
            assert!(
                !asked || covered[index] == 1,
                "{field} of {length}: byte {index} is missing"
            );
        }
    }
    assert!(kinds.iter().all(|&count| count > 100), "{kinds:?}");
}
