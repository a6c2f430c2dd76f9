//! The request area: what the edge tells a worker about one request. Encoding and decoding, nothing else.
//!
//! Layout, little-endian, offsets from the start of the area: a fixed header of [`FIXED_BYTES`], then the strings back to back in the
//! order of the fields, then per header `u32 name length, u32 value length, name, value`, then (8-aligned) the inline body.
//! The decoder checks every length, so a broken area yields `Corrupt`, never a panic.

use crate::corrupt::Corrupt;

/// Bytes of the fixed part.
pub const FIXED_BYTES: usize = 80;
const MAGIC: u16 = 0x5247;
const HEADER_PREFIX_BYTES: usize = 8;

/// The body came chunked; `content_length` is what the edge counted.
pub const FLAG_CHUNKED: u16 = 2;
/// The connection is encrypted: scheme `https`.
pub const FLAG_HTTPS: u16 = 4;
/// A WebSocket handshake, checked by the edge (RFC 6455 section 4.2.1): answer with `Claim::write_accept`, or refuse with a plain response.
pub const FLAG_WEBSOCKET: u16 = 8;
/// The client accepts trailers (`TE: trailers`).
pub const FLAG_TE_TRAILERS: u16 = 16;
/// The client waits for `100 Continue`: the edge sends it at `Claim::want_body`.
pub const FLAG_EXPECT_CONTINUE: u16 = 32;

/// One request, as WSGI and ASGI want to know it. Every string is bytes; nothing is promised about their encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'a [u8],
    /// The target exactly as the client sent it.
    pub target: &'a [u8],
    /// Percent-decoded path, whole; its first `script_name_len` bytes are SCRIPT_NAME, the rest PATH_INFO.
    pub path: &'a [u8],
    pub script_name_len: usize,
    /// After the `?`, as sent, without it.
    pub query: &'a [u8],
    /// 0 or 1: the minor version of HTTP/1.
    pub minor_version: u8,
    /// `FLAG_*`.
    pub flags: u16,
    /// For WSGI the host that was asked for, for ASGI the address or path that listens.
    pub server_name: &'a [u8],
    /// 0 for a unix socket.
    pub server_port: u16,
    /// Empty for a unix socket.
    pub remote_addr: &'a [u8],
    pub remote_port: u16,
    /// Bytes of the body: what the edge has read whole, or for a stream what the client announced. `None`: no body was announced (or a
    /// chunked one streams).
    pub content_length: Option<u64>,
}

/// Where the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// In the area, at `offset`.
    Inline { offset: usize, len: usize },
    /// In a file that the edge hands over on request (`Claim::want_body`).
    File { len: u64 },
    /// It comes on the inbound ring.
    Stream,
}

impl Request<'_> {
    pub fn scheme(&self) -> &'static str {
        if self.flags & FLAG_HTTPS != 0 {
            "https"
        } else {
            "http"
        }
    }
}

/// Writes the head into `area` and returns where an inline body begins (8-aligned, possibly equal to `area.len()`).
/// `None` when it does not fit: answer 431 (or 414). The body is recorded as empty until [`set_body`].
pub fn encode<'h>(
    area: &mut [u8],
    request: &Request<'_>,
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Option<usize> {
    let mut writer = Writer {
        area,
        at: FIXED_BYTES,
    };
    let strings = [
        request.method,
        request.target,
        request.path,
        request.query,
        request.server_name,
        request.remote_addr,
    ];
    for string in strings {
        writer.put(string)?;
    }
    let mut header_count: u32 = 0;
    for (name, value) in headers {
        writer.put(&u32::try_from(name.len()).ok()?.to_le_bytes())?;
        writer.put(&u32::try_from(value.len()).ok()?.to_le_bytes())?;
        writer.put(name)?;
        writer.put(value)?;
        header_count = header_count.checked_add(1)?;
    }
    let head_len = writer.at;
    let body_at = head_len.next_multiple_of(8).min(area.len());
    let mut fixed = [0u8; FIXED_BYTES];
    fixed[0..2].copy_from_slice(&MAGIC.to_le_bytes());
    fixed[2] = request.minor_version;
    fixed[3] = u8::from(request.content_length.is_some());
    fixed[4..6].copy_from_slice(&request.flags.to_le_bytes());
    fixed[6..8].copy_from_slice(&request.server_port.to_le_bytes());
    fixed[8..10].copy_from_slice(&request.remote_port.to_le_bytes());
    for (string, at) in strings.iter().zip([12, 16, 20, 24, 28, 32]) {
        fixed[at..at + 4].copy_from_slice(&u32::try_from(string.len()).ok()?.to_le_bytes());
    }
    fixed[36..40].copy_from_slice(&u32::try_from(request.script_name_len).ok()?.to_le_bytes());
    fixed[40..44].copy_from_slice(&header_count.to_le_bytes());
    fixed[44..48].copy_from_slice(&u32::try_from(head_len).ok()?.to_le_bytes());
    fixed[48..56].copy_from_slice(&request.content_length.unwrap_or(0).to_le_bytes());
    fixed[56..60].copy_from_slice(&u32::try_from(body_at).ok()?.to_le_bytes());
    // 60: body kind (0 inline, 1 file, 2 stream), 64..72: body length.
    area.get_mut(..FIXED_BYTES)?.copy_from_slice(&fixed);
    Some(body_at)
}

/// Records the body in an encoded area and returns the length to submit. `body.offset` must be what [`encode`] returned.
/// Also corrects `content_length` for a body whose length was learned late (chunked).
pub fn set_body(area: &mut [u8], body: Body, content_length: Option<u64>) -> usize {
    let head_len = u32::from_le_bytes(area[44..48].try_into().expect("four bytes")) as usize;
    let (kind, offset, len, total) = match body {
        Body::Inline { offset, len } => (
            0u8,
            offset,
            len as u64,
            if len == 0 { head_len } else { offset + len },
        ),
        Body::File { len } => (1, head_len, len, head_len),
        Body::Stream => (2, head_len, 0, head_len),
    };
    area[3] = u8::from(content_length.is_some());
    area[48..56].copy_from_slice(&content_length.unwrap_or(0).to_le_bytes());
    area[56..60].copy_from_slice(&(offset as u32).to_le_bytes());
    area[60] = kind;
    area[64..72].copy_from_slice(&len.to_le_bytes());
    total
}

struct Writer<'a> {
    area: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        self.area.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }
}

/// A decoded request area.
#[derive(Debug, Clone, Copy)]
pub struct Decoded<'a> {
    pub request: Request<'a>,
    pub headers: Headers<'a>,
    pub body: Body,
    area: &'a [u8],
}

impl<'a> Decoded<'a> {
    /// The bytes of an inline body; empty for any other.
    pub fn inline_body(&self) -> &'a [u8] {
        match self.body {
            Body::Inline { offset, len } => &self.area[offset..offset + len],
            Body::File { .. } | Body::Stream => &[],
        }
    }
}

/// Method and target from the beginning of a request area, of which only a part may be at hand (then the target is cut). For
/// display: nothing else is checked. `None`: no request here.
pub fn peek(beginning: &[u8]) -> Option<(&[u8], &[u8])> {
    let fixed = beginning.get(..FIXED_BYTES)?;
    let u32_at = |at: usize| {
        u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]) as usize
    };
    if u16::from_le_bytes([fixed[0], fixed[1]]) != MAGIC {
        return None;
    }
    let (method, rest) = beginning[FIXED_BYTES..].split_at_checked(u32_at(12))?;
    Some((method, &rest[..rest.len().min(u32_at(16))]))
}

/// Reads what [`encode`] wrote. `area` is the submitted part of the request area.
pub fn decode(area: &[u8]) -> Result<Decoded<'_>, Corrupt> {
    let fixed = area
        .get(..FIXED_BYTES)
        .ok_or(Corrupt("request: shorter than its fixed part"))?;
    let u16_at = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
    let u32_at =
        |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if u16_at(0) != MAGIC {
        return Err(Corrupt("request: no request here"));
    }
    let mut reader = Reader {
        area,
        at: FIXED_BYTES,
    };
    let method = reader.take(u32_at(12))?;
    let target = reader.take(u32_at(16))?;
    let path = reader.take(u32_at(20))?;
    let query = reader.take(u32_at(24))?;
    let server_name = reader.take(u32_at(28))?;
    let remote_addr = reader.take(u32_at(32))?;
    let script_name_len = u32_at(36) as usize;
    if script_name_len > path.len() {
        return Err(Corrupt("request: the script name is longer than the path"));
    }
    let header_count = u32_at(40);
    let headers_at = reader.at;
    for _ in 0..header_count {
        reader.take_header()?;
    }
    let head_len = u32_at(44) as usize;
    if reader.at != head_len {
        return Err(Corrupt("request: the head does not end where it says"));
    }
    let body = match fixed[60] {
        0 => {
            let offset = u32_at(56) as usize;
            let len = usize::try_from(u64_at(64)).map_err(|_| Corrupt("request: body too long"))?;
            let end = offset
                .checked_add(len)
                .ok_or(Corrupt("request: body too long"))?;
            if len == 0 {
                Body::Inline {
                    offset: head_len,
                    len: 0,
                }
            } else if offset >= head_len && end <= area.len() {
                Body::Inline { offset, len }
            } else {
                return Err(Corrupt("request: the body lies outside the area"));
            }
        }
        1 => Body::File { len: u64_at(64) },
        2 => Body::Stream,
        _ => return Err(Corrupt("request: unknown kind of body")),
    };
    Ok(Decoded {
        request: Request {
            method,
            target,
            path,
            script_name_len,
            query,
            minor_version: fixed[2],
            flags: u16_at(4),
            server_name,
            server_port: u16_at(6),
            remote_addr,
            remote_port: u16_at(8),
            content_length: (fixed[3] != 0).then(|| u64_at(48)),
        },
        headers: Headers {
            bytes: &area[headers_at..head_len],
            left: header_count,
        },
        body,
        area,
    })
}

struct Reader<'a> {
    area: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: u32) -> Result<&'a [u8], Corrupt> {
        let end = self
            .at
            .checked_add(len as usize)
            .ok_or(Corrupt("request: length overflow"))?;
        let bytes = self
            .area
            .get(self.at..end)
            .ok_or(Corrupt("request: a string leaves the area"))?;
        self.at = end;
        Ok(bytes)
    }

    fn take_header(&mut self) -> Result<(&'a [u8], &'a [u8]), Corrupt> {
        let prefix = self.take(HEADER_PREFIX_BYTES as u32)?;
        let name_len = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
        let value_len = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
        Ok((self.take(name_len)?, self.take(value_len)?))
    }
}

/// The headers in order: (name, value).
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// Invariant: holds exactly `left` well-formed headers; checked by `decode`.
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut reader = Reader {
            area: self.bytes,
            at: 0,
        };
        let header = reader.take_header().ok()?;
        self.bytes = &self.bytes[reader.at..];
        self.left -= 1;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Fuzz entry: any bytes decode without a panic, and what decodes encodes to an area that decodes to the same.
pub fn fuzz_decode(bytes: &[u8]) {
    let Ok(decoded) = decode(bytes) else { return };
    let mut area = vec![0; bytes.len() + FIXED_BYTES + 8];
    let body_at = encode(&mut area, &decoded.request, decoded.headers)
        .expect("the copy is as long as the original");
    let body = match decoded.body {
        Body::Inline { len, .. } if body_at + len <= area.len() => {
            area[body_at..body_at + len].copy_from_slice(decoded.inline_body());
            Body::Inline {
                offset: body_at,
                len,
            }
        }
        Body::Inline { .. } => return,
        other @ (Body::File { .. } | Body::Stream) => other,
    };
    let total = set_body(&mut area, body, decoded.request.content_length);
    let again = decode(&area[..total]).expect("own encoding");
    assert_eq!(again.request, decoded.request);
    assert!(again.headers.eq(decoded.headers));
    assert_eq!(again.inline_body(), decoded.inline_body());
}

#[cfg(test)]
mod tests;
