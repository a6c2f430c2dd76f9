//! The small alphabet of HTTP fields: tokens, field values, comma lists, decimal numbers (RFC 9110 section 5.6).
//!
//! Invariant: strict. Nothing here trims, repairs or guesses beyond the optional whitespace the grammar names.

/// RFC 9110 5.6.2: `tchar`.
static TOKEN: [bool; 256] = token_table();

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9'
            | b'A'..=b'Z' | b'^' | b'_' | b'`' | b'a'..=b'z' | b'|' | b'~');
        byte += 1;
    }
    table
}

/// Whether `byte` may stand in a token: method, field name, coding.
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether `bytes` is a token: not empty, token bytes only.
#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` may stand in a field value (RFC 9110 5.5): HTAB, SP, visible ASCII, obs-text; never CR, LF, NUL.
#[inline]
pub fn is_value_byte(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || byte == b'\t'
}

/// Whether all of `value` may stand in a field value.
#[inline]
pub fn is_field_value(value: &[u8]) -> bool {
    // Without a branch per byte, so that it vectorises.
    value.iter().fold(true, |good, &byte| {
        good & ((byte >= 0x20) & (byte != 0x7f) | (byte == b'\t'))
    })
}

/// Strips optional whitespace (SP, HTAB) from both ends.
#[inline]
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The members of a comma-separated list (RFC 9110 5.6.1), trimmed, empty ones skipped. Knows no quoted strings:
/// only for lists of tokens.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// `1*DIGIT` as a number. `None` for anything else: empty, sign, space, a value beyond `u64`.
#[inline]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// Appends `number` in decimal, without allocating beyond `out`.
pub fn append_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// The bytes behind base64 (RFC 4648 section 4), with or without its padding; `None` for what is none.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for &character in group {
            let value = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let whole = match group.len() {
            1 => return None,
            length => length - 1,
        };
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(is_token(b"X-a_b.c~!#$%&'*+^`|0"));
        for bad in [
            &b""[..],
            b"a b",
            b"a:",
            b"a\"",
            b"(",
            b"a/b",
            b"\x80",
            b"a\0",
            b"[",
            b"{",
            b"@",
            b",",
            b";",
            b"=",
            b"?",
            b"<",
        ] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn field_values() {
        assert!(is_field_value(b"a \t\x80\xff~"));
        for bad in [&b"\r"[..], b"\n", b"\0", b"a\x7f", b"\x1f", b"\x0b"] {
            assert!(!is_field_value(bad), "{bad:?}");
        }
        for byte in 0..=255u8 {
            assert_eq!(is_field_value(&[byte]), is_value_byte(byte));
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"18446744073709551616",
            b"+1",
            b"-1",
            b" 1",
            b"1 ",
            b"1,1",
            b"0x1",
            b"1.0",
            b"000000000000000000001",
        ] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [
            0,
            1,
            9,
            10,
            15,
            16,
            255,
            256,
            4096,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let mut out = Vec::new();
            append_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn lists() {
        assert_eq!(list(b" a, ,b\t,,c").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(list(b"").count(), 0);
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zg", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Ym9iOnNlY3JldA==", "bob:secret"),
        ] {
            let expected = Some(bytes.as_bytes().to_vec());
            assert_eq!(decode_base64(text.as_bytes()), expected, "{text}");
        }
        for wrong in ["Z", "Zm9v!", "Z===", "Zm 8="] {
            assert_eq!(decode_base64(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
