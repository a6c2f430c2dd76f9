//! File names that carry a hash of their content: such a file never changes under its name.
//!
//! Recognised are what Django's ManifestStaticFilesStorage writes (`app.3f9c2a7b1d0e.css`), webpack and Parcel
//! (`main.8f2e1a3b.chunk.js`), Vite and Rollup (`index-BX3q9f_a.js`), esbuild (`app-3F2C2A7B.js`), Next.js
//! (`23-1a2b3c4d5e6f7a8b.js`), and a name that is a long hash alone. A guess that is wrong makes a browser keep an old file
//! for a year, one that is missed costs a question: so a date, a version or a word is never taken for a hash, and a hash
//! that looks like one of them is missed.

/// Shortest hash.
const DIGITS_MIN: usize = 8;
/// From here on a name may be its hash alone.
const ALONE_MIN: usize = 16;

/// Whether the last segment of `path` carries a hash.
pub fn is_hashed(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    // A leading dot makes a hidden name; what stands behind the last dot is the extension.
    let Some(dot) = name
        .iter()
        .rposition(|&byte| byte == b'.')
        .filter(|&dot| dot > 0)
    else {
        return false;
    };
    name[..dot]
        .split(|&byte| byte == b'.')
        .enumerate()
        .any(|(index, part)| {
            let alone = is_hex_hash(part) && (index > 0 || part.len() >= ALONE_MIN);
            alone || has_hash_at_end(part)
        })
}

/// `name-hash`.
fn has_hash_at_end(part: &[u8]) -> bool {
    let Some(dash) = part.iter().rposition(|&byte| byte == b'-') else {
        return false;
    };
    if dash > 0 && is_hex_hash(&part[dash + 1..]) {
        return true;
    }
    // Base64 hashes hold dashes themselves: eight characters behind one.
    let Some(start) = part
        .len()
        .checked_sub(DIGITS_MIN)
        .filter(|&start| start > 1)
    else {
        return false;
    };
    part[start - 1] == b'-' && is_mixed_hash(&part[start..])
}

/// Lower-case hex with both digits and letters: digits alone may be a date, letters alone a word.
fn is_hex_hash(part: &[u8]) -> bool {
    part.len() >= DIGITS_MIN
        && part
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && part.iter().any(u8::is_ascii_digit)
        && part.iter().any(u8::is_ascii_alphabetic)
}

/// Base32 or base64 that is no word, no word with a number behind it and no version.
fn is_mixed_hash(part: &[u8]) -> bool {
    let sound = part
        .iter()
        .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let upper = part.iter().any(u8::is_ascii_uppercase);
    let letters = part
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let is_numbered_word = part[letters..].iter().all(u8::is_ascii_digit);
    sound && upper && part.iter().any(u8::is_ascii_digit) && !is_numbered_word
}

/// Fuzz: no panic; a name without a digit or without an extension is never taken.
pub fn fuzz_hashed(data: &[u8]) {
    let hashed = is_hashed(data);
    let name = data.rsplit(|&byte| byte == b'/').next().unwrap_or(data);
    assert!(!hashed || name.iter().any(u8::is_ascii_digit) && name.contains(&b'.'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tools_write() {
        for name in [
            "/css/app.3f9c2a7b1d0e.css",
            "/admin/js/jquery.min.0208b96062ba.js",
            "/main.8f2e1a3b.chunk.js",
            "/main.8f2e1a3b.js.map",
            "/index-BX3q9f_a.js",
            "/index-B-x3q9Fa.js",
            "/app-3F2C2A7B.js",
            "/23-1a2b3c4d5e6f7a8b.js",
            "/app-3f9c2a7b.js",
            "/3f9c2a7b1d0e4f5a6b7c.js",
        ] {
            assert!(is_hashed(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_people_write() {
        for name in [
            "/app.css",
            "/app.min.css",
            "/report.20240131.pdf",
            "/backup-20240131.tar",
            "/backup.202401311200.tar.gz",
            "/jquery-3.7.1.min.js",
            "/my-document.js",
            "/my-Overview.js",
            "/my-release1.js",
            "/my-Version2.js",
            "/my-VERSION2.js",
            "/a-deadbeef.js",
            "/decade12.js",
            "/.3f9c2a7b1d0e",
            "/3f9c2a7b1d0e",
            "/app.3f9c2a7b1d0e",
            "/3f9c2a7b.js",
            "/app.3f9c2a7.css",
            "/app.3F9C2A7B1D0E.css",
            "/3f9c2a7b1d0e4f5a/app.css",
            "/-3f9c2a7b.js",
            "",
        ] {
            assert!(!is_hashed(name.as_bytes()), "{name}");
        }
    }
}
