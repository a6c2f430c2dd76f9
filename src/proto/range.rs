//! Byte ranges (RFC 9110 section 14): a Range field resolved against the length of a representation.
//!
//! Invariants: every resolved range lies within the representation; ranges that overlap, touch or are closer than the
//! head of a part are made one; no more than [`PARTS_MAX`] parts leave, or the field is ignored (14.2 allows that
//! against abuse), so a request can never cost more bytes than the file plus a bounded number of part heads.

use crate::text;

/// The most parts in one answer.
pub const PARTS_MAX: usize = 16;
/// The most members of one Range field; with more the field is ignored.
const SPECS_MAX: usize = 64;
/// Ranges with a gap below this are sent as one: a part head costs about as much.
const GAP_BYTES: u64 = 80;

/// A range within a representation: `first <= last < length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: u64,
}

impl ByteRange {
    /// Never 0.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Appends the value of `Content-Range`: `bytes 0-4/10`.
    pub fn append_content_range(&self, length: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"bytes ");
        text::append_decimal(out, self.first);
        out.push(b'-');
        text::append_decimal(out, self.last);
        out.push(b'/');
        text::append_decimal(out, length);
    }
}

/// Appends the value of `Content-Range` for a 416: `bytes */10`.
pub fn append_unsatisfied(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"bytes */");
    text::append_decimal(out, length);
}

/// Ranges in the order in which the client first named them, far enough apart to be worth parts.
struct Ranges {
    list: [ByteRange; PARTS_MAX],
    /// `list[..count]` is in use.
    count: usize,
}

impl Ranges {
    fn as_slice(&self) -> &[ByteRange] {
        &self.list[..self.count]
    }

    /// Adds a range, merging it with those near it. False when there is no room.
    fn add(&mut self, mut range: ByteRange) -> bool {
        let mut place = self.count;
        let mut index = 0;
        while index < self.count {
            let other = self.list[index];
            let near = range.first <= other.last.saturating_add(1 + GAP_BYTES)
                && other.first <= range.last.saturating_add(1 + GAP_BYTES);
            if !near {
                index += 1;
                continue;
            }
            range = ByteRange {
                first: range.first.min(other.first),
                last: range.last.max(other.last),
            };
            place = place.min(index);
            // Those passed by are still far: they are far from both, and no gap that is filled has room for one.
            self.list.copy_within(index + 1..self.count, index);
            self.count -= 1;
        }
        if self.count == PARTS_MAX {
            return false;
        }
        let place = place.min(self.count);
        self.list.copy_within(place..self.count, place + 1);
        self.list[place] = range;
        self.count += 1;
        true
    }
}

/// What a Range field comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Ignore the field: another unit, malformed, abuse, or nothing to take a part of. Answer 200.
    Whole,
    /// 206 with this part.
    Part(ByteRange),
    /// 206 with multipart/byteranges (see [`crate::multipart`]): two or more parts, in the order in which the client
    /// first named them.
    Parts(Vec<ByteRange>),
    /// 416: well formed, and nothing of it lies within the representation.
    Unsatisfiable,
}

/// Resolves the value of a Range field. Only for GET (14.2), after the preconditions, and if
/// [`crate::conditional::range_holds`]. Of an empty file no part can be named (`bytes 0-0/0` would be a lie): who bounds every
/// download by a range is told that it is empty, as by nginx, not that it went wrong.
pub fn resolve(value: &[u8], length: u64) -> Resolved {
    let Some(set) = value
        .get(..6)
        .filter(|unit| unit.eq_ignore_ascii_case(b"bytes="))
        .map(|_| &value[6..])
    else {
        return Resolved::Whole;
    };
    if length == 0 {
        return Resolved::Whole;
    }
    let mut ranges = Ranges {
        list: [ByteRange::default(); PARTS_MAX],
        count: 0,
    };
    let mut specs = 0;
    for spec in text::list(set) {
        specs += 1;
        let Some(spec) = Spec::parse(spec).filter(|_| specs <= SPECS_MAX) else {
            return Resolved::Whole;
        };
        if let Some(range) = spec.within(length)
            && !ranges.add(range)
        {
            return Resolved::Whole;
        }
    }
    match (specs, ranges.as_slice()) {
        (0, _) => Resolved::Whole,
        (_, []) => Resolved::Unsatisfiable,
        (_, [range]) => Resolved::Part(*range),
        (_, parts) => Resolved::Parts(parts.to_vec()),
    }
}

/// One member of a Range field.
enum Spec {
    /// `5-` or `5-9`
    From(u64, Option<u64>),
    /// `-5`
    Suffix(u64),
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Spec> {
        let dash = spec.iter().position(|&byte| byte == b'-')?;
        match (&spec[..dash], &spec[dash + 1..]) {
            (b"", suffix) => Some(Spec::Suffix(position(suffix)?)),
            (first, b"") => Some(Spec::From(position(first)?, None)),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Spec::From(first, Some(last)))
            }
        }
    }

    fn within(self, length: u64) -> Option<ByteRange> {
        let end = length.checked_sub(1)?;
        match self {
            Spec::From(first, last) => (first <= end).then(|| ByteRange {
                first,
                last: last.map_or(end, |last| last.min(end)),
            }),
            Spec::Suffix(0) => None,
            Spec::Suffix(count) => Some(ByteRange {
                first: length.saturating_sub(count),
                last: end,
            }),
        }
    }
}

/// Digits as a position; beyond `u64` is simply very far.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// Fuzz: whatever the field, the parts lie within the file, apart from each other, and cover what was asked for.
pub fn fuzz_range(data: &[u8]) {
    let Some((length, value)) = data.split_first_chunk::<2>() else {
        return;
    };
    let length = u64::from(u16::from_le_bytes(*length));
    check_resolved(value, length);
    let mut field = b"bytes=".to_vec();
    field.extend_from_slice(value);
    check_resolved(&field, length);
}

fn check_resolved(value: &[u8], length: u64) {
    let ranges = match resolve(value, length) {
        Resolved::Whole | Resolved::Unsatisfiable => return,
        Resolved::Part(range) => vec![range],
        Resolved::Parts(ranges) => {
            assert!(ranges.len() >= 2 && ranges.len() <= PARTS_MAX);
            ranges
        }
    };
    for (index, range) in ranges.iter().enumerate() {
        assert!(range.first <= range.last && range.last < length);
        for other in &ranges[..index] {
            assert!(
                other.last + 1 + GAP_BYTES < range.first
                    || range.last + 1 + GAP_BYTES < other.first
            );
        }
    }
    for spec in text::list(&value[6..]) {
        if let Some(range) = Spec::parse(spec).and_then(|spec| spec.within(length)) {
            assert!(
                ranges
                    .iter()
                    .any(|sent| sent.first <= range.first && range.last <= sent.last)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str, length: u64) -> Result<Vec<(u64, u64)>, Resolved> {
        match resolve(value.as_bytes(), length) {
            Resolved::Part(range) => Ok(vec![(range.first, range.last)]),
            Resolved::Parts(ranges) => Ok(ranges
                .iter()
                .map(|range| (range.first, range.last))
                .collect()),
            other => Err(other),
        }
    }

    #[test]
    fn ranges_are_resolved_against_the_length() {
        for (value, length, expected) in [
            ("bytes=0-0", 10, vec![(0, 0)]),
            ("bytes=0-4", 10, vec![(0, 4)]),
            ("Bytes=5-", 10, vec![(5, 9)]),
            ("bytes=-3", 10, vec![(7, 9)]),
            ("bytes=-30", 10, vec![(0, 9)]),
            ("bytes=0-99", 10, vec![(0, 9)]),
            ("bytes=9-99999999999999999999999", 10, vec![(9, 9)]),
            ("bytes= 0-1 , ,2-3", 10, vec![(0, 3)]),
            ("bytes=0-1,500-501", 1000, vec![(0, 1), (500, 501)]),
            ("bytes=500-501,0-1", 1000, vec![(500, 501), (0, 1)]),
            ("bytes=0-1,50-51", 1000, vec![(0, 51)]),
            ("bytes=0-1,500-501,1-499", 1000, vec![(0, 501)]),
            ("bytes=0-1,2000-", 1000, vec![(0, 1)]),
            ("bytes=0-,0-,0-,0-", 1000, vec![(0, 999)]),
            ("bytes=900-,0-0,-200", 1000, vec![(800, 999), (0, 0)]),
        ] {
            assert_eq!(parts(value, length), Ok(expected), "{value}");
        }
    }

    #[test]
    fn malformed_fields_are_ignored_and_unsatisfiable_ones_told_apart() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=a-b",
            "bytes=1",
            "bytes=-",
            "bytes=5-4",
            "bytes=1-2-3",
            "items=0-1",
            "bytes=0-1;",
            "bytes=+1-2",
            "bytes=0 - 1",
            "bytes=0-1,x",
            "bytes:0-1",
        ] {
            assert_eq!(parts(value, 10), Err(Resolved::Whole), "{value}");
        }
        for value in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999999-",
            "bytes=10-,20-",
        ] {
            assert_eq!(parts(value, 10), Err(Resolved::Unsatisfiable), "{value}");
        }
        for value in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=5-", "bytes=-0"] {
            assert_eq!(
                parts(value, 0),
                Err(Resolved::Whole),
                "{value} of an empty file"
            );
        }
    }

    #[test]
    fn many_ranges_are_abuse() {
        let spread = |count: u64| {
            (0..count)
                .map(|i| format!("{}-{}", i * 200, i * 200))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(
            parts(&format!("bytes={}", spread(16)), 100_000).map(|parts| parts.len()),
            Ok(16)
        );
        assert_eq!(
            parts(&format!("bytes={}", spread(17)), 100_000),
            Err(Resolved::Whole)
        );
        let same = vec!["0-"; 65].join(",");
        assert_eq!(parts(&format!("bytes={same}"), 10), Err(Resolved::Whole));
    }

    #[test]
    fn content_ranges() {
        let mut out = Vec::new();
        ByteRange { first: 0, last: 4 }.append_content_range(10, &mut out);
        out.push(b' ');
        append_unsatisfied(10, &mut out);
        assert_eq!(out, b"bytes 0-4/10 bytes */10");
    }
}
