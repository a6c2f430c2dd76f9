//! What a response head may hold: status line, names, values. Pure; PEP 3333 "The start_response() Callable" and RFC 9110 section 5.

/// `999 Text` as its number and its text. Final statuses only: 1xx is not an application's to send.
pub fn status(line: &[u8]) -> Result<(u16, &[u8]), &'static str> {
    let [
        a @ b'0'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        b' ',
        text @ ..,
    ] = line
    else {
        return Err("the status must look like '200 OK': three digits, a space, a text");
    };
    let number = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    if number < 200 {
        return Err("the status must be 200 or above: 1xx is not a final response");
    }
    if text.iter().any(|byte| is_control(*byte)) {
        return Err("the status holds a control character");
    }
    Ok((number, text))
}

/// A token (RFC 9110 section 5.6.2).
pub fn name(name: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("a header name is empty");
    }
    if !name.iter().all(|byte| TOKEN[usize::from(*byte)]) {
        return Err("a header name holds a character that is not allowed there");
    }
    Ok(())
}

/// No control characters but a tab.
pub fn value(value: &[u8]) -> Result<(), &'static str> {
    if value.iter().any(|byte| is_control(*byte) && *byte != b'\t') {
        return Err("a header value holds a control character");
    }
    Ok(())
}

/// Headers that only speak of one connection: the server's alone (PEP 3333 "Other HTTP Features").
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 9] = [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    ];
    // Most names differ in their first letter or length already.
    matches!(
        name.first(),
        Some(b'c' | b'C' | b'k' | b'K' | b'p' | b'P' | b't' | b'T' | b'u' | b'U')
    ) && NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// A Content-Length: digits only, nothing around them.
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        value
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
    )
}

/// Whether a response to this method with this status has no body (RFC 9110 sections 6.4.1, 9.3.2, 15.3.5, 15.4.5).
pub fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7F
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = matches!(b, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};
