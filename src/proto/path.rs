//! From a request target's path to the bytes that routing, applications and the file system see.
//!
//! Owns: percent-decoding, removal of dot segments (RFC 3986 section 5.2.4), the policy on spellings that different
//! systems read differently.
//! Invariants of a [`Path`]: begins with `/`, holds no NUL, no `.` or `..` segment however it was spelled (`%2e%2e`,
//! `..%2f`), and never left the root while it was resolved. Empty segments (`//`) are kept: they mean something to
//! applications.

use crate::reject::Reject;

/// A decoded, normalised path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    pub bytes: &'a [u8],
    /// A slash was written as `%2f`: the segments may not be what the sender sees.
    pub encoded_slash: bool,
    /// Holds a backslash, raw or encoded.
    pub backslash: bool,
    /// Some segment begins with a dot (`.git`, `.well-known`).
    pub hidden: bool,
}

/// Why a path is refused. All of them are 400; for static files some callers prefer 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `%` without two hex digits.
    Escape,
    /// `%00`.
    Nul,
    /// `..` beyond the root.
    AboveRoot,
    /// `%2f` in the name of a file.
    EncodedSlash,
    /// `\` in the name of a file.
    Backslash,
}

impl Fault {
    pub const fn reject(self) -> Reject {
        Reject::bad(match self {
            Fault::Escape => "malformed percent escape in the path",
            Fault::Nul => "NUL in the path",
            Fault::AboveRoot => "path leaves the root",
            Fault::EncodedSlash => "encoded slash in the path of a file",
            Fault::Backslash => "backslash in the path of a file",
        })
    }
}

impl Path<'_> {
    /// The stricter rules for paths that name files: no `%2f`, no backslash.
    pub const fn check_for_files(&self) -> Result<(), Fault> {
        if self.encoded_slash {
            return Err(Fault::EncodedSlash);
        }
        if self.backslash {
            return Err(Fault::Backslash);
        }
        Ok(())
    }
}

/// Decodes and normalises `raw`, the path of a [`crate::target::Target`]. Borrows from `raw` where nothing had to be
/// decoded, which is the common case; else from `scratch`, whose content is replaced. `*` stays `*`.
pub fn normalise<'a>(raw: &'a str, scratch: &'a mut Vec<u8>) -> Result<Path<'a>, Fault> {
    let raw = raw.as_bytes();
    let mut backslash = false;
    let mut previous = 0;
    for &byte in raw {
        if byte == b'%' || byte == b'.' && previous == b'/' {
            return normalise_slowly(raw, scratch);
        }
        backslash |= byte == b'\\';
        previous = byte;
    }
    Ok(Path {
        bytes: raw,
        encoded_slash: false,
        backslash,
        hidden: false,
    })
}

fn normalise_slowly<'a>(raw: &[u8], scratch: &'a mut Vec<u8>) -> Result<Path<'a>, Fault> {
    scratch.clear();
    let encoded_slash = decode(raw, scratch)?;
    if scratch.contains(&0) {
        return Err(Fault::Nul);
    }
    remove_dot_segments(scratch)?;
    let hidden = scratch.windows(2).any(|pair| pair == b"/.");
    Ok(Path {
        bytes: scratch,
        encoded_slash,
        backslash: scratch.contains(&b'\\'),
        hidden,
    })
}

/// Appends `raw` percent-decoded; tells whether a slash was among the decoded. `+` stays `+`.
pub fn decode(raw: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
    let mut encoded_slash = false;
    let mut rest = raw;
    out.reserve(raw.len());
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let [_, high, low, tail @ ..] = &rest[at..] else {
            return Err(Fault::Escape);
        };
        let byte = hex(*high).ok_or(Fault::Escape)? << 4 | hex(*low).ok_or(Fault::Escape)?;
        encoded_slash |= byte == b'/';
        out.push(byte);
        rest = tail;
    }
    out.extend_from_slice(rest);
    Ok(encoded_slash)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// In place. Invariant: `write <= read`, and `path[..write]` is empty or a sequence of `/segment`s without dots.
fn remove_dot_segments(path: &mut Vec<u8>) -> Result<(), Fault> {
    let (mut read, mut write) = (0, 0);
    while read < path.len() {
        let end = memchr::memchr(b'/', &path[read + 1..]).map_or(path.len(), |at| read + 1 + at);
        let is_last = end == path.len();
        match &path[read + 1..end] {
            b"." | b".." => {
                if end - read == 3 {
                    write = memchr::memrchr(b'/', &path[..write]).ok_or(Fault::AboveRoot)?;
                }
                if is_last {
                    path[write] = b'/';
                    write += 1;
                }
            }
            _ => {
                path.copy_within(read..end, write);
                write += end - read;
            }
        }
        read = end;
    }
    path.truncate(write);
    Ok(())
}

/// Appends `path` percent-encoded for use in a `Location` or a link: everything but unreserved characters, `/`, and the
/// sub-delims that are safe in HTML attributes.
pub fn encode(path: &[u8], out: &mut Vec<u8>) {
    for &byte in path {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b'!'
            | b'$'
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b':'
            | b'@' => out.push(byte),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(&[
                    b'%',
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]);
            }
        }
    }
}

/// Appends the `Location` that sends a client from `/directory` to `/directory/`, query kept. Leading slashes are made
/// one and backslashes encoded: a browser reads `//host` and `/\host` as another site.
pub fn directory_location(path: &[u8], query: &str, out: &mut Vec<u8>) {
    let first = path
        .iter()
        .position(|&byte| byte != b'/')
        .unwrap_or(path.len());
    out.push(b'/');
    encode(&path[first..], out);
    if out.last() != Some(&b'/') {
        out.push(b'/');
    }
    if !query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
}

/// Whether `path` lies under `prefix` at a segment boundary (`/static` holds `/static` and `/static/x`, not
/// `/statics`), and what remains: `""` or `/...`. A prefix of `""` holds everything.
pub fn strip_mount<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

/// Fuzz: no input panics; no spelling leaves a dot segment or a NUL.
pub fn fuzz_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let raw = format!("/{text}");
    let mut scratch = Vec::new();
    if let Ok(path) = normalise(&raw, &mut scratch) {
        assert_eq!(path.bytes.first(), Some(&b'/'));
        assert!(
            !path
                .bytes
                .split(|&byte| byte == b'/')
                .any(|segment| segment == b"." || segment == b"..")
        );
        assert!(path.bytes.len() <= raw.len());
        let mut encoded = Vec::new();
        encode(path.bytes, &mut encoded);
        let mut decoded = Vec::new();
        assert!(decode(&encoded, &mut decoded).is_ok() && decoded == path.bytes);
        let mut location = Vec::new();
        directory_location(path.bytes, "", &mut location);
        assert!(
            !location.starts_with(b"//") && !location.contains(&b'\\') && location.ends_with(b"/")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> Result<Vec<u8>, Fault> {
        normalise(raw, &mut Vec::new()).map(|path| path.bytes.to_vec())
    }

    #[test]
    fn paths_are_decoded_and_dot_segments_removed() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a/b.html", "/a/b.html"),
            ("/a%20b", "/a b"),
            ("/%C3%bc", "/ü"),
            ("/a+b", "/a+b"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/../../c", "/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%2f..%2fb", "/b"),
            ("/a//../b", "/a/b"),
            ("//a", "//a"),
            ("//..", "/"),
            ("/...", "/..."),
            ("/.a/..b", "/.a/..b"),
            ("/a..", "/a.."),
            ("/a/.%2e", "/"),
            ("*", "*"),
        ] {
            assert_eq!(
                path(raw).map(|path| String::from_utf8_lossy(&path).into_owned()),
                Ok(expected.into()),
                "{raw}"
            );
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for (raw, fault) in [
            ("/..", Fault::AboveRoot),
            ("/../etc/passwd", Fault::AboveRoot),
            ("/a/../../b", Fault::AboveRoot),
            ("/%2e%2e/", Fault::AboveRoot),
            ("/a/..%2f..%2fb", Fault::AboveRoot),
            ("/./..", Fault::AboveRoot),
            ("/%00", Fault::Nul),
            ("/a%00.html", Fault::Nul),
            ("/%", Fault::Escape),
            ("/%2", Fault::Escape),
            ("/%zz", Fault::Escape),
            ("/%2/x", Fault::Escape),
            ("/%+1", Fault::Escape),
        ] {
            assert_eq!(path(raw), Err(fault), "{raw}");
        }
    }

    #[test]
    fn spellings_that_matter_to_files_are_noted() {
        let mut scratch = Vec::new();
        assert_eq!(
            normalise("/a%2Fb", &mut scratch).map(|path| path.check_for_files()),
            Ok(Err(Fault::EncodedSlash))
        );
        assert_eq!(
            normalise("/a\\b", &mut scratch).map(|path| path.check_for_files()),
            Ok(Err(Fault::Backslash))
        );
        assert_eq!(
            normalise("/a%5cb", &mut scratch).map(|path| path.check_for_files()),
            Ok(Err(Fault::Backslash))
        );
        assert_eq!(
            normalise("/a b/c", &mut scratch).map(|path| path.check_for_files()),
            Ok(Ok(()))
        );
        for (raw, hidden) in [
            ("/.git/config", true),
            ("/a/%2ehtaccess", true),
            ("/a/../b", false),
            ("/a.b/c", false),
        ] {
            assert_eq!(
                normalise(raw, &mut scratch).map(|path| path.hidden),
                Ok(hidden),
                "{raw}"
            );
        }
    }

    #[test]
    fn locations_stay_on_this_site() {
        for (path, query, location) in [
            ("/a", "", "/a/"),
            ("/a b/ü", "x=1&y", "/a%20b/%C3%BC/?x=1&y"),
            ("//evil.example/a", "", "/evil.example/a/"),
            ("/\\evil.example", "", "/%5Cevil.example/"),
            ("/", "", "/"),
            ("/a?b#c", "", "/a%3Fb%23c/"),
            ("/a\r\nX: y", "", "/a%0D%0AX:%20y/"),
        ] {
            let mut out = Vec::new();
            directory_location(path.as_bytes(), query, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), location);
        }
    }

    #[test]
    fn mounts_end_at_a_segment() {
        assert_eq!(strip_mount(b"/static/a", b"/static"), Some(&b"/a"[..]));
        assert_eq!(strip_mount(b"/static", b"/static"), Some(&b""[..]));
        assert_eq!(strip_mount(b"/statics", b"/static"), None);
        assert_eq!(strip_mount(b"/a", b""), Some(&b"/a"[..]));
    }
}
