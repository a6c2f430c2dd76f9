//! A head that is made once and sent many times, with the body behind it where that is in memory.
//!
//! Owns the bytes. Invariant: `Date` and `Expires` stand at fixed places and are overwritten in every copy. Must not know files.

use crate::respond::{self, Common, Manner};
use proto::http1::response::Writer;
use proto::{Version, date};

/// A whole head, and perhaps a body behind it.
#[derive(Debug)]
pub struct Prepared {
    bytes: Box<[u8]>,
    /// `bytes[..head]` ends with the empty line.
    head: usize,
    /// Where the 29 bytes of `Date` stand.
    date: usize,
    /// Where those of `Expires` stand, and how far it lies ahead.
    expires: Option<(usize, u64)>,
}

impl Prepared {
    #[inline]
    pub fn append(&self, date: &[u8; 29], manner: Manner, out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        let end = if manner.head_only {
            self.head
        } else {
            self.bytes.len()
        };
        if manner.keep_alive && manner.version == Version::Http11 {
            out.extend_from_slice(&self.bytes[..end]);
        } else {
            let connection: &[u8] = if manner.keep_alive {
                b"Connection: keep-alive\r\n\r\n"
            } else {
                b"Connection: close\r\n\r\n"
            };
            out.extend_from_slice(&self.bytes[..self.head - 2]);
            out.extend_from_slice(connection);
            out.extend_from_slice(&self.bytes[self.head..end]);
        }
        out[start + self.date..][..date.len()].copy_from_slice(date);
        if let Some((at, ahead_s)) = self.expires {
            out[start + at..][..DATE.len()].copy_from_slice(&expires(ahead_s));
        }
        (end - self.head) as u64
    }
}

impl Prepared {
    pub fn new(
        status: u16,
        server: &str,
        body: &[u8],
        expires_s: Option<u64>,
        lines: impl FnOnce(&mut Writer<'_>),
    ) -> Prepared {
        let mut bytes = Vec::with_capacity(384 + body.len());
        let mut writer = respond::begin(
            &mut bytes,
            status,
            Common {
                date: DATE,
                server,
                retry_after_s: 1,
            },
        );
        lines(&mut writer);
        writer.finish();
        let head = bytes.len();
        let date = memchr::memmem::find(&bytes, DATE).expect("respond::begin writes the date");
        let expires = find_expires(&bytes).zip(expires_s);
        bytes.extend_from_slice(body);
        Prepared {
            bytes: bytes.into(),
            head,
            date,
            expires,
        }
    }
}

/// Where a date stands until the true one is known.
pub const DATE: &[u8; 29] = b"Thu, 01 Jan 1970 00:00:00 GMT";

/// Where the value of the `Expires` that stands for itself is. No configured header is called so.
pub fn find_expires(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\nExpires: Thu, 01 Jan 1970";
    memchr::memmem::find(head, NAME).map(|at| at + b"\r\nExpires: ".len())
}

pub fn expires(ahead_s: u64) -> [u8; 29] {
    /// The last second that four digits of a year can say.
    const LAST_S: u64 = 253_402_300_799;
    date::imf_fixdate(
        (uring::wall() / 1_000_000_000)
            .saturating_add(ahead_s)
            .min(LAST_S),
    )
}

impl Prepared {
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// What it costs to keep.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
    }
}
