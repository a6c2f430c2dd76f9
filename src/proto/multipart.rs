//! multipart/byteranges (RFC 9110 section 14.6): the text between the parts, and the length of the whole.

use crate::range::ByteRange;
use crate::text;

/// The frame around the parts of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Multipart<'a> {
    /// 16 hex digits, from a seed the caller draws at random.
    boundary: [u8; 16],
    /// Content-Type of the representation, as it stands in each part.
    content_type: &'a [u8],
    /// Length of the whole representation.
    length: u64,
}

impl<'a> Multipart<'a> {
    pub fn new(seed: u64, content_type: &'a [u8], length: u64) -> Multipart<'a> {
        let mut boundary = [0; 16];
        for (place, digit) in boundary.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(seed >> (60 - 4 * place) & 15) as usize];
        }
        Multipart {
            boundary,
            content_type,
            length,
        }
    }

    /// Appends the Content-Type of the answer.
    pub fn append_content_type(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"multipart/byteranges; boundary=");
        out.extend_from_slice(&self.boundary);
    }

    /// Appends what stands before the bytes of `range`, the delimiter included.
    pub fn append_part_head(&self, range: &ByteRange, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n--");
        out.extend_from_slice(&self.boundary);
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(self.content_type);
        out.extend_from_slice(b"\r\nContent-Range: ");
        range.append_content_range(self.length, out);
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Appends what stands after the last part.
    pub fn append_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n--");
        out.extend_from_slice(&self.boundary);
        out.extend_from_slice(b"--\r\n");
    }

    /// The Content-Length of the whole answer.
    pub fn content_length(&self, ranges: &[ByteRange]) -> u64 {
        let mut frame = Vec::with_capacity(256 * (ranges.len() + 1));
        for range in ranges {
            self.append_part_head(range, &mut frame);
        }
        self.append_end(&mut frame);
        frame.len() as u64 + ranges.iter().map(ByteRange::len).sum::<u64>()
    }
}

/// Whether `value` can be sent as a part's Content-Type: for types that come from configuration.
pub fn is_content_type(value: &[u8]) -> bool {
    !value.is_empty() && text::is_field_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed_and_counted() {
        let multipart = Multipart::new(0x0123_4567_89ab_cdef, b"text/plain", 1000);
        let ranges = [
            ByteRange { first: 0, last: 1 },
            ByteRange {
                first: 500,
                last: 502,
            },
        ];
        let mut out = Vec::new();
        for range in &ranges {
            multipart.append_part_head(range, &mut out);
            out.extend((0..range.len()).map(|_| b'x'));
        }
        multipart.append_end(&mut out);
        let expected = "\r\n--0123456789abcdef\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/1000\r\n\r\nxx\
            \r\n--0123456789abcdef\r\nContent-Type: text/plain\r\nContent-Range: bytes 500-502/1000\r\n\r\nxxx\
            \r\n--0123456789abcdef--\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(multipart.content_length(&ranges), out.len() as u64);
        let mut content_type = Vec::new();
        multipart.append_content_type(&mut content_type);
        assert_eq!(
            content_type,
            b"multipart/byteranges; boundary=0123456789abcdef"
        );
    }
}
