//! Globs over paths: `*` within a segment, `**` across segments, `?` one character; everything else is itself.
//!
//! A pattern with a slash is compared with the whole path (a leading slash may be left out), one without with the last segment
//! alone: `*.css` is every style sheet, `/assets/**` everything below `assets`. `**/` also stands for no directory at all.
//! Pure; no pattern and no path panics, and no pattern costs more than the square of the path's length.

/// Whether `path`, which begins with a slash, fits.
pub fn fits(pattern: &str, path: &[u8]) -> bool {
    let pattern = pattern.as_bytes();
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if pattern.contains(&b'/') {
        run(pattern.strip_prefix(b"/").unwrap_or(pattern), path)
    } else {
        run(
            pattern,
            path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
        )
    }
}

/// Where to go on when the text after a star does not fit: the star takes more. `pattern` stands behind the star.
#[derive(Clone, Copy)]
struct Retry {
    pattern: usize,
    text: usize,
    /// Takes whole segments at a time: `**/`.
    segments: bool,
}

fn run(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // A later star makes earlier ones of its kind needless: what they took is fixed by what stands between.
    let (mut shallow, mut deep): (Option<Retry>, Option<Retry>) = (None, None);
    loop {
        if pattern[p..].starts_with(b"**") {
            let at_segment = p == 0 || pattern[p - 1] == b'/';
            let segments = at_segment && pattern.get(p + 2) == Some(&b'/');
            p += if segments { 3 } else { 2 };
            deep = Some(Retry {
                pattern: p,
                text: t,
                segments,
            });
            shallow = None;
            continue;
        }
        match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                p += 1;
                shallow = Some(Retry {
                    pattern: p,
                    text: t,
                    segments: false,
                });
                continue;
            }
            (Some(b'?'), Some(&byte)) if byte != b'/' => {
                p += 1;
                t += character(&text[t..]);
                continue;
            }
            (Some(wanted), Some(byte)) if wanted == byte && *wanted != b'?' => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        if let Some(retry) = &mut shallow
            && text.get(retry.text).is_some_and(|&byte| byte != b'/')
        {
            retry.text += 1;
            (p, t) = (retry.pattern, retry.text);
            continue;
        }
        shallow = None;
        let Some(retry) = &mut deep else { return false };
        let rest = text.get(retry.text..).unwrap_or(b"");
        let step = if retry.segments {
            memchr::memchr(b'/', rest).map(|at| at + 1)
        } else {
            (!rest.is_empty()).then_some(1)
        };
        let Some(step) = step else { return false };
        retry.text += step;
        (p, t) = (retry.pattern, retry.text);
    }
}

/// Bytes of the character at the start of `text`, which is not empty; 1 for what is not UTF-8.
fn character(text: &[u8]) -> usize {
    let length = match text[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match text.get(..length) {
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => length,
        _ => 1,
    }
}

/// Fuzz: pattern and path, a line each; no panic, and a path without wildcards fits itself.
pub fn fuzz_glob(data: &[u8]) {
    let mut lines = data.splitn(2, |&byte| byte == b'\n');
    let (pattern, path) = (lines.next().unwrap_or(b""), lines.next().unwrap_or(b""));
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return;
    };
    let path = &path[..path.len().min(200)];
    fits(pattern, path);
    if !pattern.contains('*') && pattern.starts_with('/') {
        assert!(fits(pattern, pattern.as_bytes()) || pattern.contains('?'));
    }
    assert!(fits("/**", path) && fits("**", path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, fit) in [
            ("*.css", "/a.css", true),
            ("*.css", "/deep/er/a.css", true),
            ("*.css", "/a.css/b", false),
            ("*.css", "/a.css.map", false),
            ("*", "/a/b", true),
            ("/*", "/a", true),
            ("/*", "/a/b", false),
            ("/**", "/a/b/c", true),
            ("/**", "/", true),
            ("/assets/**", "/assets/a/b.js", true),
            ("assets/**", "/assets/a/b.js", true),
            ("/assets/**", "/assets", false),
            ("/assets/**", "/other/assets/x", false),
            ("/**/x.js", "/x.js", true),
            ("/**/x.js", "/a/b/x.js", true),
            ("/**/x.js", "/a/bx.js", false),
            ("/a/**/b/*.js", "/a/b/c.js", true),
            ("/a/**/b/*.js", "/a/x/b/y/b/c.js", true),
            ("/a/**/b/*.js", "/a/x/b/y/c.js", false),
            ("/a**z", "/a/b/z", true),
            ("/a**z", "/az", true),
            ("/*a/*b", "/xaa/yb", true),
            ("/*a/*b", "/xa/y/b", false),
            ("a?c", "/abc", true),
            ("a?c", "/a\u{fc}c", true),
            ("a??c", "/a\u{fc}c", false),
            ("/a?c", "/a/c", false),
            ("a?", "/a", false),
            ("*.*.js", "/a.b.js", true),
            ("*.*.js", "/a.js", false),
            ("", "/", true),
            ("", "/a", false),
            ("***", "/a/b", true),
            ("index.html", "/docs/index.html", true),
            ("/index.html", "/docs/index.html", false),
        ] {
            assert_eq!(fits(pattern, path.as_bytes()), fit, "{pattern} {path}");
        }
        assert!(fits("a?c", b"/a\xffc"));
    }

    /// Against the obvious recursive definition, over everything short.
    #[test]
    fn the_loop_agrees_with_the_definition() {
        fn slow(pattern: &[u8], text: &[u8], at_segment: bool) -> bool {
            if pattern.starts_with(b"**/") && at_segment {
                let rest = &pattern[3..];
                let later = |at: usize| slow(rest, &text[at + 1..], true);
                return slow(rest, text, true)
                    || (0..text.len()).any(|at| text[at] == b'/' && later(at));
            }
            if pattern.starts_with(b"**") {
                return (0..=text.len()).any(|at| slow(&pattern[2..], &text[at..], false));
            }
            match (pattern.first(), text.first()) {
                (None, None) => true,
                (Some(b'*'), _) => {
                    let end = text
                        .iter()
                        .position(|&byte| byte == b'/')
                        .unwrap_or(text.len());
                    (0..=end).any(|at| slow(&pattern[1..], &text[at..], false))
                }
                (Some(b'?'), Some(byte)) => *byte != b'/' && slow(&pattern[1..], &text[1..], false),
                (Some(a), Some(b)) => a == b && slow(&pattern[1..], &text[1..], *a == b'/'),
                _ => false,
            }
        }
        let mut random = 7u64;
        let mut draw = |letters: &[u8], most: u64| -> Vec<u8> {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mut bits = random >> 20;
            (0..(random >> 13) % (most + 1))
                .map(|_| {
                    bits = bits.rotate_left(9).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ random;
                    letters[(bits >> 40) as usize % letters.len()]
                })
                .collect()
        };
        let mut fitting = 0;
        for _ in 0..60_000 {
            let (pattern, text) = (draw(b"ab/**?", 7), draw(b"aab/", 8));
            let expected = slow(&pattern, &text, true);
            assert_eq!(
                run(&pattern, &text),
                expected,
                "{} {}",
                pattern.escape_ascii(),
                text.escape_ascii()
            );
            fitting += usize::from(expected);
        }
        assert!(fitting > 1000, "{fitting}");
    }
}
