//! The response head frame: what a worker answers. Encoding (worker) and decoding (edge), nothing else.
//!
//! Little-endian: `u16 status, u16 header count, u16 reason length, u16 flags, reason`, then per header
//! `u16 name length, u16 zero, u32 value length, name, value`. The decoder proves the structure only; whether a name is a token and a value
//! free of CR, LF and NUL is asked of the protocol crate by the edge.

use crate::corrupt::Corrupt;

const FIXED_BYTES: usize = 8;

/// Trailers follow the body.
pub const HEAD_TRAILERS_FOLLOW: u16 = 1;
const HEADER_PREFIX_BYTES: usize = 8;

/// Appends an encoded head to `out`. `None`: a count or a length does not fit its field (then `out` may hold a part; throw it away).
pub fn encode<'h>(
    out: &mut Vec<u8>,
    status: u16,
    reason: &[u8],
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Option<()> {
    let mut encoder = Encoder::new(out, status, reason)?;
    for (name, value) in headers {
        encoder.header(name, value)?;
    }
    encoder.finish();
    Some(())
}

/// The same step by step, for callers whose headers come from foreign objects.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count: u16,
}

impl<'a> Encoder<'a> {
    pub fn new(out: &'a mut Vec<u8>, status: u16, reason: &[u8]) -> Option<Encoder<'a>> {
        let start = out.len();
        let reason_len = u16::try_from(reason.len()).ok()?;
        out.extend_from_slice(&status.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&reason_len.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(reason);
        Some(Encoder {
            out,
            start,
            count: 0,
        })
    }

    /// Takes up again a finished head that begins at `start` and ends `out`. `None` if there is none.
    pub fn resume(out: &'a mut Vec<u8>, start: usize) -> Option<Encoder<'a>> {
        let count = out.get(start + 2..start + 4)?;
        let count = u16::from_le_bytes([count[0], count[1]]);
        Some(Encoder { out, start, count })
    }

    /// Sets the head's `HEAD_*` flags.
    pub fn flags(&mut self, flags: u16) {
        self.out[self.start + 6..self.start + 8].copy_from_slice(&flags.to_le_bytes());
    }

    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let name_len = u16::try_from(name.len()).ok()?;
        let value_len = u32::try_from(value.len()).ok()?;
        self.count = self.count.checked_add(1)?;
        self.out.extend_from_slice(&name_len.to_le_bytes());
        self.out.extend_from_slice(&[0; 2]);
        self.out.extend_from_slice(&value_len.to_le_bytes());
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(value);
        Some(())
    }

    pub fn finish(self) {
        self.out[self.start + 2..self.start + 4].copy_from_slice(&self.count.to_le_bytes());
    }
}

/// A decoded head. `status` is any u16: the edge checks 100..=999.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub status: u16,
    /// `HEAD_*`; unknown bits mean nothing.
    pub flags: u16,
    pub reason: &'a [u8],
    pub headers: Headers<'a>,
}

/// Reads a head from a private copy of the frame.
pub fn decode(bytes: &[u8]) -> Result<Head<'_>, Corrupt> {
    let fixed = bytes
        .get(..FIXED_BYTES)
        .ok_or(Corrupt("response: shorter than its fixed part"))?;
    let status = u16::from_le_bytes([fixed[0], fixed[1]]);
    let count = u16::from_le_bytes([fixed[2], fixed[3]]);
    let reason_len = usize::from(u16::from_le_bytes([fixed[4], fixed[5]]));
    let headers_at = FIXED_BYTES + reason_len;
    let reason = bytes
        .get(FIXED_BYTES..headers_at)
        .ok_or(Corrupt("response: the reason leaves the frame"))?;
    let mut rest = &bytes[headers_at..];
    for _ in 0..count {
        (_, rest) = split_header(rest).ok_or(Corrupt("response: a header leaves the frame"))?;
    }
    if !rest.is_empty() {
        return Err(Corrupt("response: bytes after the last header"));
    }
    Ok(Head {
        status,
        flags: u16::from_le_bytes([fixed[6], fixed[7]]),
        reason,
        headers: Headers {
            bytes: &bytes[headers_at..],
            left: count,
        },
    })
}

type Header<'a> = (&'a [u8], &'a [u8]);

fn split_header(bytes: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let prefix = bytes.get(..HEADER_PREFIX_BYTES)?;
    let name_len = usize::from(u16::from_le_bytes([prefix[0], prefix[1]]));
    let value_len = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
    let value_at = HEADER_PREFIX_BYTES + name_len;
    let end = value_at.checked_add(value_len)?;
    let name = bytes.get(HEADER_PREFIX_BYTES..value_at)?;
    let value = bytes.get(value_at..end)?;
    Some(((name, value), &bytes[end..]))
}

/// The headers in order: (name, value).
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// Invariant: holds exactly `left` well-formed headers; checked by `decode`.
    bytes: &'a [u8],
    left: u16,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let (header, rest) = split_header(self.bytes)?;
        self.bytes = rest;
        self.left -= 1;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Fuzz entry: any bytes decode without a panic, and what decodes encodes to bytes that decode to the same.
pub fn fuzz_decode(bytes: &[u8]) {
    let Ok(head) = decode(bytes) else { return };
    let mut out = Vec::new();
    encode(&mut out, head.status, head.reason, head.headers)
        .expect("it came from fields of this size");
    let again = decode(&out).expect("own encoding");
    assert_eq!((again.status, again.reason), (head.status, head.reason));
    assert!(again.headers.eq(head.headers));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let headers: [(&[u8], &[u8]); 3] = [
            (b"Content-Type", b"text/plain"),
            (b"X", b""),
            (b"Set-Cookie", b"a=b"),
        ];
        encode(&mut out, 404, b"Not Found", headers).unwrap();
        out
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes = sample();
        let head = decode(&bytes).unwrap();
        assert_eq!((head.status, head.reason), (404, &b"Not Found"[..]));
        let names: Vec<_> = head.headers.map(|(name, _)| name).collect();
        assert_eq!(names, [&b"Content-Type"[..], b"X", b"Set-Cookie"]);
        assert_eq!(head.headers.len(), 3);
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_survived() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut copy = bytes.clone();
                copy[at] = value;
                fuzz_decode(&copy);
            }
        }
    }

    #[test]
    fn lengths_beyond_their_fields_are_refused() {
        let long = vec![b'x'; 70_000];
        assert_eq!(encode(&mut Vec::new(), 200, &long, []), None);
        assert_eq!(
            encode(&mut Vec::new(), 200, b"OK", [(&long[..], &b""[..])]),
            None
        );
        let many = std::iter::repeat_n((&b"x"[..], &b""[..]), 70_000);
        assert_eq!(encode(&mut Vec::new(), 200, b"OK", many), None);
    }
}
