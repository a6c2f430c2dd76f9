//! What the access log wants to know of a request, kept while the answer is under way.
//!
//! Owns copies, because the receive buffer is given back long before the answer ends. Gathered only when there is an access
//! log.

use proto::Head;

/// A longer request line is cut in the log, like the log's own bound on fields.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Request line, host, referer and user agent, back to back in one buffer.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where line, host and referer end; the user agent ends with the buffer.
    ends: [u32; 3],
}

impl Record {
    /// Replaces what was there.
    pub fn fill(&mut self, line: &[u8], head: &Head<'_, '_>) {
        self.bytes.clear();
        let (referer, user_agent) = from_whom(head);
        self.bytes.extend_from_slice(cut(line));
        self.ends[0] = self.bytes.len() as u32;
        self.bytes
            .extend_from_slice(head.host.map_or(b"", |host| host.raw.as_bytes()));
        self.ends[1] = self.bytes.len() as u32;
        self.bytes.extend_from_slice(cut(referer));
        self.ends[2] = self.bytes.len() as u32;
        self.bytes.extend_from_slice(cut(user_agent));
    }

    /// The line alone, to name the request in messages.
    pub fn fill_line(&mut self, line: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(cut(line));
        self.ends = [self.bytes.len() as u32; 3];
    }

    pub fn line(&self) -> &[u8] {
        &self.bytes[..self.ends[0] as usize]
    }

    pub fn host(&self) -> &[u8] {
        &self.bytes[self.ends[0] as usize..self.ends[1] as usize]
    }

    pub fn referer(&self) -> &[u8] {
        &self.bytes[self.ends[1] as usize..self.ends[2] as usize]
    }

    pub fn user_agent(&self) -> &[u8] {
        &self.bytes[self.ends[2] as usize..]
    }
}

fn cut(field: &[u8]) -> &[u8] {
    &field[..field.len().min(FIELD_BYTES_MAX)]
}

/// Referer and User-Agent in one pass.
pub fn from_whom<'b>(head: &Head<'_, 'b>) -> (&'b [u8], &'b [u8]) {
    let (mut referer, mut user_agent): (&[u8], &[u8]) = (b"", b"");
    for header in head.headers {
        match header.name.len() {
            7 if header.name.eq_ignore_ascii_case("referer") => referer = header.value,
            10 if header.name.eq_ignore_ascii_case("user-agent") => user_agent = header.value,
            _ => {}
        }
    }
    (referer, user_agent)
}

/// The first line of what was received, without its end: for requests that could not be parsed.
pub fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
    cut(&bytes[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::HeaderStorage;

    #[test]
    fn a_record_keeps_what_the_log_shows() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: x\r\nuser-agent: ua\r\nReferer: r\r\n\r\n";
        let mut storage = HeaderStorage::new();
        let proto::Parse::Complete { head, .. } =
            proto::http1::request::parse(bytes, &mut storage, &proto::Limits::default())
        else {
            panic!("a good head")
        };
        let mut record = Record::default();
        for _ in 0..2 {
            record.fill(first_line(bytes), &head);
            assert_eq!(record.line(), b"GET /a HTTP/1.1");
            assert_eq!(
                (record.host(), record.referer(), record.user_agent()),
                (&b"x"[..], &b"r"[..], &b"ua"[..])
            );
        }
    }
}
