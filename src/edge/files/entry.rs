//! A file as the cache knows it: identity, validators, prepared heads, and for a small file its bytes.
//!
//! Owns the memory or the open file. Invariants: a prepared head says exactly `stat.size` bytes, and in memory exactly that many
//! follow; `Date` stands at a fixed place and is overwritten per answer. Must not know paths or how files are opened.

use super::Answer;
use super::cache::{Cost, Weigh};
use super::send::{Body, OpenFile, Piece};
use crate::respond::{self, Common, Manner};
use proto::Version;
use proto::conditional::Validators;
use proto::date;
use proto::etag::ETag;
use proto::http1::response::Writer;
use proto::mime::{self, Mime};
use proto::multipart::Multipart;
use proto::range::ByteRange;
use std::rc::Rc;
use uring::fs::{File, Stat};

/// Files up to this size are kept in memory and leave in one send with their head. Beyond, the copy into the answer costs more
/// than sendfile's second call: at 16 KiB, 64 connections, 6.4 us against 5.5 (nginx: 6.4; loopback, Linux 6.18).
pub const MEMORY_FILE_BYTES_MAX: u64 = 8 * 1024;

/// Why there is no file to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// A directory asked for without its slash.
    Directory,
    /// 403, 404, 500 or 503.
    Status(u16),
}

impl Weigh for Absent {
    fn cost(&self) -> Cost {
        Cost {
            bytes: size_of::<Absent>(),
            descriptors: 0,
        }
    }
}

/// A regular file.
#[derive(Debug)]
pub struct Entry {
    stat: Stat,
    etag: ETag,
    /// Last-Modified as it was sent, seconds.
    modified: Option<u64>,
    mime: Mime,
    /// The lines that describe the file: Content-Type, ETag, Last-Modified, Accept-Ranges.
    lines: Box<[u8]>,
    full: Prepared,
    not_modified: Prepared,
    /// `None`: the bytes stand in `full`.
    file: Option<Rc<OpenFile>>,
}

/// A whole head, and perhaps a body behind it.
#[derive(Debug)]
struct Prepared {
    bytes: Box<[u8]>,
    /// `bytes[..head]` ends with the empty line.
    head: usize,
    /// Where the 29 bytes of `Date` stand.
    date: usize,
}

impl Weigh for Rc<Entry> {
    fn cost(&self) -> Cost {
        let bytes = size_of::<Entry>()
            + self.lines.len()
            + self.full.bytes.len()
            + self.not_modified.bytes.len();
        Cost {
            bytes,
            descriptors: usize::from(self.file.is_some()),
        }
    }
}

/// Where an entry's bytes are.
pub enum Content {
    /// All of them, as many as `stat.size` says.
    Memory(Vec<u8>),
    File(File),
}

impl Entry {
    /// `name` gives the media type. `wall_s` is now: a file from the future is said to be modified now (RFC 9110 8.8.2.1).
    pub fn new(name: &[u8], stat: Stat, content: Content, server: &str, wall_s: u64) -> Entry {
        let modified = u64::try_from(stat.modified_s)
            .ok()
            .map(|modified| modified.min(wall_s));
        // Time in nanoseconds and size, no inode: machines that hold copies of one file agree on its tag. A tag is as strong as
        // the file system's clock: since Linux 6.13 a change after a look always gets a new time, before it two changes
        // within a tick (1 to 10 ms) at equal size share one.
        let modified_ns = (stat.modified_s as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(u64::from(stat.modified_ns));
        let etag = ETag::of_file(modified_ns, stat.size, None);
        let mime = mime::of_path(name);
        let mut validators = Vec::with_capacity(96);
        line(&mut validators, b"ETag", |out| {
            out.extend_from_slice(etag.as_bytes())
        });
        if let Some(modified) = modified {
            line(&mut validators, b"Last-Modified", |out| {
                out.extend_from_slice(&date::imf_fixdate(modified))
            });
        }
        let mut lines = Vec::with_capacity(192);
        line(&mut lines, b"Content-Type", |out| mime.append(out));
        lines.extend_from_slice(&validators);
        lines.extend_from_slice(b"Accept-Ranges: bytes\r\n");
        let (memory, file) = match content {
            Content::Memory(bytes) => (bytes, None),
            Content::File(file) => (Vec::new(), Some(Rc::new(OpenFile::new(file)))),
        };
        let full = prepare(200, server, &memory, |writer| {
            writer.lines(&lines).number(b"Content-Length", stat.size);
        });
        let not_modified = prepare(304, server, b"", |writer| {
            writer.lines(&validators);
        });
        Entry {
            stat,
            etag,
            modified,
            mime,
            lines: lines.into(),
            full,
            not_modified,
            file,
        }
    }

    /// Whether a fresh look at the path has found the same file, unchanged.
    pub fn is(&self, stat: &Stat) -> bool {
        self.stat == *stat
    }

    pub fn length(&self) -> u64 {
        self.stat.size
    }

    /// The open file, unless the bytes are in memory.
    pub fn file(&self) -> Option<&Rc<OpenFile>> {
        self.file.as_ref()
    }

    pub fn validators(&self, wall_s: u64) -> Validators<'_> {
        Validators {
            etag: Some(self.etag.as_tag()),
            modified: self.modified,
            modified_is_strong: self.modified.is_some_and(|modified| modified + 1 < wall_s),
        }
    }

    /// Appends the head of a 200, and the body if it is in memory and asked for. Returns the bytes of body appended.
    #[inline]
    pub fn append_full(&self, date: &[u8; 29], manner: Manner, out: &mut Vec<u8>) -> u64 {
        self.full.append(date, manner, out)
    }

    pub fn append_not_modified(&self, date: &[u8; 29], manner: Manner, out: &mut Vec<u8>) {
        self.not_modified.append(date, manner, out);
    }

    /// 206 with one range.
    pub fn answer_part(
        &self,
        range: ByteRange,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        respond::begin(out, 206, common)
            .lines(&self.lines)
            .compose(b"Content-Range", |out| {
                range.append_content_range(self.length(), out)
            })
            .number(b"Content-Length", range.len())
            .connection(manner.version, manner.keep_alive)
            .finish();
        match &self.file {
            None => {
                out.extend_from_slice(self.memory(range));
                Answer::Whole {
                    status: 206,
                    body_bytes: range.len(),
                }
            }
            Some(file) => Answer::Body {
                status: 206,
                body: Body::part(Rc::clone(file), range.first, range.len()),
            },
        }
    }

    /// 206 with several.
    pub fn answer_parts(
        &self,
        ranges: &[ByteRange],
        seed: u64,
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        let mut content_type = Vec::with_capacity(64);
        self.mime.append(&mut content_type);
        let multipart = Multipart::new(seed, &content_type, self.length());
        let length = multipart.content_length(ranges);
        // `lines` says the file's own type; here the answer's type is another.
        respond::begin(out, 206, common)
            .compose(b"Content-Type", |out| multipart.append_content_type(out))
            .lines(
                self.lines
                    .get(content_type.len() + b"Content-Type: \r\n".len()..)
                    .unwrap_or(b""),
            )
            .number(b"Content-Length", length)
            .connection(manner.version, manner.keep_alive)
            .finish();
        match &self.file {
            None => {
                for range in ranges {
                    multipart.append_part_head(range, out);
                    out.extend_from_slice(self.memory(*range));
                }
                multipart.append_end(out);
                Answer::Whole {
                    status: 206,
                    body_bytes: length,
                }
            }
            Some(file) => {
                let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
                for range in ranges {
                    let mut head = Vec::with_capacity(160);
                    multipart.append_part_head(range, &mut head);
                    pieces.push(Piece::Bytes(head));
                    pieces.push(Piece::File {
                        offset: range.first,
                        length: range.len(),
                    });
                }
                let mut end = Vec::with_capacity(32);
                multipart.append_end(&mut end);
                pieces.push(Piece::Bytes(end));
                Answer::Body {
                    status: 206,
                    body: Body::pieces(Rc::clone(file), pieces),
                }
            }
        }
    }

    /// A range lies within the file, and a file in memory is there whole.
    fn memory(&self, range: ByteRange) -> &[u8] {
        let body = &self.full.bytes[self.full.head..];
        &body[range.first as usize..=range.last as usize]
    }
}

impl Prepared {
    #[inline]
    fn append(&self, date: &[u8; 29], manner: Manner, out: &mut Vec<u8>) -> u64 {
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
        (end - self.head) as u64
    }
}

fn prepare(
    status: u16,
    server: &str,
    body: &[u8],
    lines: impl FnOnce(&mut Writer<'_>),
) -> Prepared {
    const DATE: &[u8; 29] = b"Thu, 01 Jan 1970 00:00:00 GMT";
    let mut bytes = Vec::with_capacity(384 + body.len());
    let mut writer = respond::begin(&mut bytes, status, Common { date: DATE, server });
    lines(&mut writer);
    writer.finish();
    let head = bytes.len();
    let date = memchr::memmem::find(&bytes, DATE).expect("respond::begin writes the date");
    bytes.extend_from_slice(body);
    Prepared {
        bytes: bytes.into(),
        head,
        date,
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(b"\r\n");
}
