//! Entity tags (RFC 9110 section 8.8.3): written for files, read from conditions, compared both ways.

use crate::text;

/// A formatted entity tag, quotes included, on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag {
    bytes: [u8; ETag::BYTES_MAX],
    len: u8,
}

impl ETag {
    const BYTES_MAX: usize = 64;

    /// The tag of a file: modification time in nanoseconds and size, in hex, and the inode where files are replaced by
    /// others of the same time and size (then tags differ between machines that hold the same file).
    ///
    /// Strong as far as the file system's clock is: a file written twice within one tick at equal size keeps its tag.
    /// Callers that serve files as young as that call [`ETag::weakened`].
    pub fn of_file(mtime_ns: u64, size: u64, inode: Option<u64>) -> ETag {
        let mut tag = ETag {
            bytes: [0; Self::BYTES_MAX],
            len: 0,
        };
        tag.push(b'"');
        tag.push_hex(mtime_ns);
        tag.push(b'-');
        tag.push_hex(size);
        if let Some(inode) = inode {
            tag.push(b'-');
            tag.push_hex(inode);
        }
        tag.push(b'"');
        tag
    }

    /// The same tag marked weak (`W/`): equal for caches, not for ranges.
    pub fn weakened(self) -> ETag {
        if self.as_tag().weak {
            return self;
        }
        let mut tag = ETag {
            bytes: [0; Self::BYTES_MAX],
            len: 0,
        };
        for &byte in b"W/".iter().chain(self.as_bytes()) {
            tag.push(byte);
        }
        tag
    }

    /// The tag of the same file in another coding (`.gz`, `.br`): representations must not share a tag (8.8.3.3).
    /// `suffix` is a short token; what does not fit is cut.
    pub fn with_suffix(mut self, suffix: &str) -> ETag {
        // Room for the dash, the closing quote, and the `W/` that may come later.
        let room = Self::BYTES_MAX.saturating_sub(usize::from(self.len) + 3);
        if room == 0 {
            return self;
        }
        self.len -= 1;
        self.push(b'-');
        for &byte in suffix.as_bytes().iter().take(room) {
            self.push(byte);
        }
        self.push(b'"');
        self
    }

    /// As it stands in the header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// For comparison.
    pub fn as_tag(&self) -> Tag<'_> {
        let bytes = self.as_bytes();
        match bytes.strip_prefix(b"W/") {
            Some(quoted) => Tag {
                weak: true,
                opaque: &quoted[1..quoted.len() - 1],
            },
            None => Tag {
                weak: false,
                opaque: &bytes[1..bytes.len() - 1],
            },
        }
    }

    /// Longest content: `W/"` + three times 16 digits + 2 dashes + `"` = 54 bytes; suffixes are cut to fit.
    fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.len)] = byte;
        self.len += 1;
    }

    fn push_hex(&mut self, number: u64) {
        let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
        for place in (0..digits).rev() {
            self.push(b"0123456789abcdef"[(number >> (4 * place) & 15) as usize]);
        }
    }
}

/// An entity tag as read: borrowed, without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    pub weak: bool,
    pub opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Reads exactly one tag.
    pub fn parse(value: &'a [u8]) -> Option<Tag<'a>> {
        match Tag::take(text::trim(value))? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// RFC 9110 8.8.3.2: equal and neither weak (If-Match, If-Range).
    pub fn matches_strongly(&self, other: &Tag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Equal, weak or not (If-None-Match).
    pub fn matches_weakly(&self, other: &Tag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// A tag from the front of `value`, and the rest.
    fn take(value: &'a [u8]) -> Option<(Tag<'a>, &'a [u8])> {
        let (weak, rest) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', rest)?;
        let opaque = &rest[..end];
        // etagc = %x21 / %x23-7E / obs-text; spaces are let through, as deployed tags have them.
        let sound = opaque.iter().all(|&byte| text::is_value_byte(byte));
        sound.then_some((Tag { weak, opaque }, &rest[end + 1..]))
    }
}

/// The tags of an If-Match or If-None-Match list. Ends early at the first thing that is no tag.
pub fn tags(value: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let (tag, tail) = Tag::take(rest)?;
        // A tag ends at a comma or the end, else `"a"b` would pass for `"a"`.
        let tail = text::trim(tail);
        rest = if tail.is_empty() || tail[0] == b',' {
            tail
        } else {
            &[]
        };
        Some(tag)
    })
}

/// Fuzz: no panic, progress.
pub fn fuzz_etag(data: &[u8]) {
    let count = tags(data)
        .inspect(|tag| assert!(!tag.opaque.contains(&b'"')))
        .count();
    assert!(count * 2 <= data.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_files() {
        let tag = ETag::of_file(0x1234, 0xff, None);
        assert_eq!(tag.as_bytes(), b"\"1234-ff\"");
        assert_eq!(tag.weakened().as_bytes(), b"W/\"1234-ff\"");
        assert_eq!(tag.weakened().weakened(), tag.weakened());
        assert_eq!(tag.with_suffix("gzip").as_bytes(), b"\"1234-ff-gzip\"");
        assert!(tag.weakened().as_tag().weak && tag.as_tag().opaque == b"1234-ff");
        let longest = ETag::of_file(u64::MAX, u64::MAX, Some(u64::MAX))
            .with_suffix("a-long-suffix-that-is-cut")
            .weakened();
        assert!(longest.as_bytes().ends_with(b"\"") && longest.as_bytes().len() <= ETag::BYTES_MAX);
        assert_eq!(longest.with_suffix("gzip").with_suffix("gzip"), longest);
        assert_eq!(ETag::of_file(0, 0, None).as_bytes(), b"\"0-0\"");
    }

    #[test]
    fn lists_are_read() {
        let read: Vec<_> = tags(b"\"a\", W/\"b\" ,\"\",\"c,d\"")
            .map(|tag| (tag.weak, tag.opaque))
            .collect();
        assert_eq!(
            read,
            [
                (false, &b"a"[..]),
                (true, b"b"),
                (false, b""),
                (false, b"c,d")
            ]
        );
        assert_eq!(
            tags(b"a").count()
                + tags(b"\"a").count()
                + tags(b"w/\"a\"").count()
                + tags(b"*").count(),
            0
        );
        assert_eq!(tags(b"\"a\"b, \"c\"").count(), 1);
        assert_eq!(Tag::parse(b"\"a\", \"b\""), None);
    }

    #[test]
    fn comparison_follows_the_table_of_8_8_3_2() {
        let tag = |text: &'static [u8]| Tag::parse(text).expect("a tag");
        for (a, b, strong, weak) in [
            (&b"W/\"1\""[..], &b"W/\"1\""[..], false, true),
            (b"W/\"1\"", b"W/\"2\"", false, false),
            (b"W/\"1\"", b"\"1\"", false, true),
            (b"\"1\"", b"\"1\"", true, true),
        ] {
            assert_eq!(
                (
                    tag(a).matches_strongly(&tag(b)),
                    tag(a).matches_weakly(&tag(b))
                ),
                (strong, weak)
            );
        }
    }
}
