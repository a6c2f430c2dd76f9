//! Accept (RFC 9110 section 12.5.1), as far as it decides between two media types that we can write.

use crate::accept_encoding::weight;
use crate::text;

/// The client's weight for `essence` (`text/html`), in thousandths: that of the most specific range which covers it. No field
/// at all accepts everything; parameters other than `q` make a range too narrow to count.
pub fn weight_of<'a>(lines: impl Iterator<Item = &'a [u8]>, essence: &str) -> u16 {
    let kind = essence.split('/').next().unwrap_or("");
    let mut best: Option<(u8, u16)> = None;
    let mut any = false;
    for member in lines.flat_map(text::list) {
        any = true;
        let (range, weight) = match member.iter().position(|&byte| byte == b';') {
            Some(at) => (text::trim(&member[..at]), weight(&member[at + 1..])),
            None => (member, Some(1000)),
        };
        let precision = if range.eq_ignore_ascii_case(essence.as_bytes()) {
            3
        } else if range == b"*/*" {
            1
        } else if range
            .strip_suffix(b"/*")
            .is_some_and(|each| each.eq_ignore_ascii_case(kind.as_bytes()))
        {
            2
        } else {
            continue;
        };
        let Some(weight) = weight else { continue };
        if best.is_none_or(|(known, _)| known < precision) {
            best = Some((precision, weight));
        }
    }
    match best {
        Some((_, weight)) => weight,
        None if any => 0,
        None => 1000,
    }
}

/// Fuzz: no panic, and never beyond the scale.
pub fn fuzz_accept(data: &[u8]) {
    assert!(weight_of(data.split(|&byte| byte == b'\n'), "text/html") <= 1000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_counts() {
        for (line, html, json) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                1000,
                800,
            ),
            ("application/json", 0, 1000),
            ("application/json, text/html;q=0.5", 500, 1000),
            ("*/*", 1000, 1000),
            ("text/*;q=0.3, */*;q=0.1", 300, 100),
            ("*/*;q=0.1, text/html;q=0", 0, 100),
            ("TEXT/HTML", 1000, 0),
            ("text/html;level=1", 0, 0),
            ("rubbish", 0, 0),
            ("", 1000, 1000),
        ] {
            let weigh = |essence| weight_of(std::iter::once(line.as_bytes()), essence);
            assert_eq!(
                (weigh("text/html"), weigh("application/json")),
                (html, json),
                "{line}"
            );
        }
        assert_eq!(weight_of(std::iter::empty(), "text/html"), 1000);
    }
}
