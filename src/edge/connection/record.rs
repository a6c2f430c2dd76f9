//! What the access log wants to know of a request, kept while the answer is under way.
//!
//! Owns copies, because the receive buffer is given back long before the answer ends. Gathered only when there is an access
//! log.

use super::peer::AddressText;
use crate::access_log::{AccessLog, Entry, Extras};
use crate::forwarded::Client;
use proto::Head;

/// A longer request line is cut in the log, like the log's own bound on fields.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Request line, host, referer, user agent, the client's address and further headers, back to back in one buffer.
#[derive(Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    /// Where each of the first five ends.
    ends: [u32; 5],
    /// Further headers, counted from the fifth end.
    extra_ends: Vec<u32>,
    port: u16,
    https: bool,
    /// Headers of the answer.
    answer: Vec<u8>,
    answer_ends: Vec<u32>,
    /// The access log that wanted those.
    log: u32,
}

impl Record {
    /// Replaces what was there, with the further headers that `access` wants.
    pub fn fill(&mut self, line: &[u8], head: &Head<'_, '_>, client: Client, access: &AccessLog) {
        self.clear();
        self.log = access.number();
        let address = AddressText::of(client.address);
        let remote = address.as_bytes();
        (self.port, self.https) = (client.port, client.https);
        let (referer, user_agent) = from_whom(head);
        let host = head.host.map_or(&b""[..], |host| host.raw.as_bytes());
        for (index, field) in [line, host, referer, user_agent, remote].iter().enumerate() {
            self.bytes.extend_from_slice(cut(field));
            self.ends[index] = self.bytes.len() as u32;
        }
        for name in &access.wanted().request {
            let mut headers = head.headers.iter();
            let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
            let value = header.map_or(&b""[..], |header| header.value);
            self.bytes.extend_from_slice(cut(value));
            self.extra_ends.push(self.bytes.len() as u32 - self.ends[4]);
        }
    }

    /// The line alone, to name the request in messages.
    pub fn fill_line(&mut self, line: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(cut(line));
        self.ends = [self.bytes.len() as u32; 5];
    }

    /// The same request of another client.
    pub fn copy(&mut self, other: &Record, client: Client) {
        self.clear();
        self.log = other.log;
        (self.port, self.https) = (client.port, client.https);
        self.ends = other.ends;
        self.bytes
            .extend_from_slice(&other.bytes[..other.ends[3] as usize]);
        let address = AddressText::of(client.address);
        self.bytes.extend_from_slice(address.as_bytes());
        self.ends[4] = self.bytes.len() as u32;
        self.bytes
            .extend_from_slice(&other.bytes[other.ends[4] as usize..]);
        self.extra_ends.extend_from_slice(&other.extra_ends);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.extra_ends.clear();
        self.answer.clear();
        self.answer_ends.clear();
    }

    /// Takes in the head of an answer, as it stands before the body; in the place of one that came before.
    pub fn note_answer(&mut self, head: &[u8], access: &AccessLog) {
        self.answer.clear();
        self.answer_ends.clear();
        if self.log != access.number() {
            return;
        }
        for name in &access.wanted().response {
            self.answer.extend_from_slice(cut(field(head, name)));
            self.answer_ends.push(self.answer.len() as u32);
        }
    }

    /// What is known before the answer. If the log has changed meanwhile, the further headers are those that another wanted, and left out.
    pub fn entry(&self, access: &AccessLog) -> Entry<'_> {
        let (extras, response) = match self.log == access.number() {
            true => (
                Extras {
                    bytes: &self.bytes[self.ends[4] as usize..],
                    ends: &self.extra_ends,
                },
                Extras {
                    bytes: &self.answer,
                    ends: &self.answer_ends,
                },
            ),
            false => Default::default(),
        };
        Entry {
            line: self.line(),
            host: self.field(1),
            referer: self.field(2),
            user_agent: self.field(3),
            remote: std::str::from_utf8(self.field(4)).unwrap_or_default(),
            extras,
            port: self.port,
            https: self.https,
            response,
            ..Entry::default()
        }
    }

    fn field(&self, index: usize) -> &[u8] {
        &self.bytes[self.ends[index - 1] as usize..self.ends[index] as usize]
    }

    pub fn line(&self) -> &[u8] {
        &self.bytes[..self.ends[0] as usize]
    }
}

/// The value of a field of a head as we write them: `Name: value`, one a line.
fn field<'h>(head: &'h [u8], name: &str) -> &'h [u8] {
    let end = memchr::memmem::find(head, b"\r\n\r\n").unwrap_or(head.len());
    let mut lines = head[..end].split(|byte| *byte == b'\n').skip(1);
    let value = lines.find_map(|line| {
        let (given, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        given.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    });
    value.unwrap_or_default().trim_ascii()
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
        let bytes =
            b"GET /a HTTP/1.1\r\nHost: x\r\nuser-agent: ua\r\nReferer: r\r\nX-Two: x\r\nX-Id: 7\r\n\r\n";
        let mut storage = HeaderStorage::new();
        let proto::Parse::Complete { head, .. } =
            proto::http1::request::parse(bytes, &mut storage, &proto::Limits::default())
        else {
            panic!("a good head")
        };
        let client = Client {
            address: Some([1, 2, 3, 4].into()),
            port: 5,
            https: true,
        };
        let mut record = Record::default();
        let format = || {
            let wanted = ["x-id", "none", "x-two"];
            let pieces = wanted.map(|name| {
                let name = name.to_owned();
                let response = config::Piece::ResponseHeader(name.clone());
                [config::Piece::RequestHeader(name), response]
            });
            Some(config::LogFormat::Atoms(pieces.concat()))
        };
        let mut access = AccessLog::new(format(), crate::mailbox::outbox().0);
        for _ in 0..2 {
            record.fill(first_line(bytes), &head, client, &access);
            let entry = record.entry(&access);
            assert_eq!(entry.line, b"GET /a HTTP/1.1");
            assert_eq!(
                (entry.host, entry.referer, entry.user_agent),
                (&b"x"[..], &b"r"[..], &b"ua"[..])
            );
            assert_eq!(entry.remote, "1.2.3.4");
            assert_eq!(
                (entry.extras.bytes, entry.extras.ends),
                (&b"7x"[..], &[1, 1, 2][..])
            );
            assert!(entry.port == 5 && entry.https && entry.response.bytes.is_empty());
            let head = b"HTTP/1.1 200 OK\r\nX-Id: 8\r\nX-Two:9 \r\n\r\nNone: body";
            record.note_answer(b"HTTP/1.1 404 Not Found\r\nX-Id: 7\r\n\r\n", &access);
            record.note_answer(head, &access);
            let answer = record.entry(&access).response;
            assert_eq!((answer.bytes, answer.ends), (&b"89"[..], &[1, 1, 2][..]));
        }
        access.turn_to(format(), 1);
        let entry = record.entry(&access);
        assert!(entry.extras.ends.is_empty() && entry.response.ends.is_empty());
        assert_eq!(record.entry(&access).host, b"x");
    }
}
