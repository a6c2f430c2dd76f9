//! A file as the cache knows it: identity, validators, prepared heads, and for a small file its bytes.
//!
//! Owns the memory or the open file. Invariants: a prepared head says exactly `stat.size` bytes, and in memory exactly that many
//! follow. Must not know how files are opened.

use super::Answer;
use super::cache::{Cost, Weigh};
use super::location::{Location, append_line};
use super::prepared::{DATE, Prepared, expires, find_expires};
use super::send::{Body, OpenFile, Piece};
use super::tag::{etag_of, is_settled};
use crate::respond::{self, Common, Manner};
use config::EntityTag;
use proto::Head;
use proto::accept_encoding::{Coding, Preferences};
use proto::conditional::Validators;
use proto::date;
use proto::etag::ETag;
use proto::multipart::Multipart;
use proto::range::ByteRange;
use std::cell::Cell;
use std::rc::Rc;
use uring::fs::{File, Stat};

/// Files up to this size are kept in memory and leave in one send with their head. Beyond, the copy into the answer costs more
/// than sendfile's second call: at 16 KiB, 64 connections, 6.4 us against 5.5 (nginx: 6.4; loopback, Linux 6.18).
pub const MEMORY_FILE_BYTES_MAX: u64 = 8 * 1024;

/// Why there is no file of its own to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// A directory asked for without its slash.
    Directory,
    /// A directory without an index, to be shown.
    Listing,
    /// The fixed path of this step of the location answers instead.
    Instead(usize),
    /// A method that files do not know.
    Method,
    /// 403, 404, 500 or 503, or what `try_files` says.
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

/// A regular file: one representation of a resource, and its precompressed siblings.
#[derive(Debug)]
pub struct Entry {
    stat: Stat,
    /// The path it was found at.
    path: Box<[u8]>,
    coding: Coding,
    etag: Option<ETag>,
    /// The tag is as strong as it will be; else it is made anew at the first look after the file has become old enough.
    is_settled: bool,
    /// Last-Modified as it was sent, seconds.
    modified: Option<u64>,
    content_type: Box<[u8]>,
    /// The lines that describe the file, but for Content-Type: ETag, Last-Modified, the location's own.
    lines: Box<[u8]>,
    /// `Expires` lies so many seconds ahead.
    expires_s: Option<u64>,
    full: Rc<Prepared>,
    not_modified: Rc<Prepared>,
    /// `None`: the bytes stand in `full`.
    file: Option<Rc<OpenFile>>,
    /// In the server's order of preference.
    siblings: Box<[Entry]>,
    /// The directory when siblings were last looked for: while it is the same, those that were not there are not there.
    neighbourhood: Cell<Option<Stat>>,
}

impl Weigh for Rc<Entry> {
    fn cost(&self) -> Cost {
        let mut cost = self.own_cost();
        for sibling in &self.siblings {
            let more = sibling.own_cost();
            cost.bytes += more.bytes;
            cost.descriptors += more.descriptors;
        }
        cost
    }
}

/// Where an entry's bytes are.
pub enum Content {
    /// All of them, as many as `stat.size` says.
    Memory(Vec<u8>),
    File(File),
}

/// What an entry is made of.
pub struct Source<'a> {
    pub location: &'a Location,
    /// The resource's path: it gives type and rules, also to a sibling.
    pub path: &'a [u8],
    pub stat: Stat,
    pub content: Content,
    pub coding: Coding,
    /// Whether answers depend on `Accept-Encoding`.
    pub varies: bool,
    pub server: &'a str,
    /// Now: a file from the future is said to be modified now (RFC 9110 8.8.2.1).
    pub wall_ns: u64,
}

impl Entry {
    pub fn new(source: Source<'_>, siblings: Vec<Entry>) -> Entry {
        let Source {
            location,
            path,
            stat,
            server,
            coding,
            ..
        } = source;
        let modified = u64::try_from(stat.modified_s)
            .ok()
            .map(|modified| modified.min(source.wall_ns / 1_000_000_000));
        let is_settled = is_settled(&stat, source.wall_ns);
        let etag = match location.options.etag {
            EntityTag::Off => None,
            EntityTag::Strong if is_settled => Some(etag_of(&stat, coding)),
            EntityTag::Strong | EntityTag::Weak => Some(etag_of(&stat, coding).weakened()),
        };
        // What a 304 repeats (RFC 9110 15.4.5).
        let mut lines = Vec::with_capacity(192);
        if let Some(etag) = &etag {
            append_line(&mut lines, b"ETag", etag.as_bytes());
        }
        if let Some(modified) = modified {
            append_line(&mut lines, b"Last-Modified", &date::imf_fixdate(modified));
        }
        if source.varies {
            append_line(&mut lines, b"Vary", b"Accept-Encoding");
        }
        let expires_s = location.append_lines(path, &mut lines);
        if expires_s.is_some() {
            append_line(&mut lines, b"Expires", DATE);
        }
        let content_type = location.content_type(path);
        let (memory, file) = match source.content {
            Content::Memory(bytes) => (bytes, None),
            Content::File(file) => (Vec::new(), Some(Rc::new(OpenFile::new(file)))),
        };
        let full = Prepared::new(200, server, &memory, expires_s, |writer| {
            writer.header(b"Content-Type", &content_type).lines(&lines);
            // Ranges are taken from the plain file alone.
            match coding {
                Coding::Identity => writer.header(b"Accept-Ranges", b"bytes"),
                _ => writer.header(b"Content-Encoding", coding.as_str().as_bytes()),
            };
            writer.number(b"Content-Length", stat.size);
        });
        let not_modified = Prepared::new(304, server, b"", expires_s, |writer| {
            writer.lines(&lines);
        });
        Entry {
            stat,
            path: path.into(),
            coding,
            etag,
            is_settled,
            modified,
            content_type: content_type.into(),
            lines: lines.into(),
            expires_s,
            full: Rc::new(full),
            not_modified: Rc::new(not_modified),
            file,
            siblings: siblings.into(),
            neighbourhood: Cell::new(None),
        }
    }

    /// Whether a look for the sibling of this coding can be spared: it was not there, and the directory is as it was. (A link whose
    /// target comes to be elsewhere is seen when anything in the directory changes.)
    pub fn lacks(&self, coding: Coding, path: &[u8], neighbourhood: &Stat) -> bool {
        *self.path == *path
            && self.neighbourhood.get() == Some(*neighbourhood)
            && !self.siblings.iter().any(|known| known.coding == coding)
    }

    /// Siblings have been looked for in a directory that looked like this before; `None`: it may be changing.
    pub fn know_neighbourhood(&self, neighbourhood: Option<Stat>) {
        self.neighbourhood.set(neighbourhood);
    }

    /// Whether a fresh look has found the same file, unchanged, with the same siblings.
    pub fn stands<'a>(
        &self,
        path: &[u8],
        stat: &Stat,
        siblings: impl ExactSizeIterator<Item = (Coding, &'a Stat)>,
        wall_ns: u64,
    ) -> bool {
        self.is_still(stat, wall_ns)
            && *self.path == *path
            && self.siblings.len() == siblings.len()
            && self
                .siblings
                .iter()
                .zip(siblings)
                .all(|(known, (coding, stat))| {
                    known.coding == coding && known.is_still(stat, wall_ns)
                })
    }

    fn is_still(&self, stat: &Stat, wall_ns: u64) -> bool {
        self.stat == *stat && (self.is_settled || !is_settled(stat, wall_ns))
    }

    /// Whether one of its files was found shorter than this entry says: then it is as good as stale.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_cut())
            || self.siblings.iter().any(Entry::is_cut)
    }

    /// Whether all of this entry is the answer, without a look at conditions, ranges or codings.
    #[inline]
    pub fn is_simple_for(&self, head: &Head<'_, '_>) -> bool {
        let notes = &head.notes;
        !notes.conditional && !notes.range && (self.siblings.is_empty() || !notes.accept_encoding)
    }

    /// The representation that suits the request best. Ranges are of the plain file: a client that resumes has the bytes it knows.
    #[inline]
    pub fn select(&self, head: &Head<'_, '_>) -> &Entry {
        if self.siblings.is_empty() || !head.notes.accept_encoding || head.notes.range {
            return self;
        }
        self.select_coded(head)
    }

    fn select_coded(&self, head: &Head<'_, '_>) -> &Entry {
        let preferences = Preferences::read(head.header_all("accept-encoding"));
        let coded = self.siblings.iter().map(|sibling| sibling.coding);
        let best = preferences.best(coded.chain([Coding::Identity]));
        // A client that refuses everything gets the plain file (RFC 9110 12.5.3 leaves that to us).
        let chosen = self
            .siblings
            .iter()
            .find(|sibling| Some(sibling.coding) == best);
        chosen.unwrap_or(self)
    }

    fn own_cost(&self) -> Cost {
        let bytes = size_of::<Entry>()
            + self.path.len()
            + self.content_type.len()
            + self.lines.len()
            + self.full.memory_bytes()
            + self.not_modified.memory_bytes();
        Cost {
            bytes,
            descriptors: usize::from(self.file.is_some()),
        }
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
            etag: self.etag.as_ref().map(ETag::as_tag),
            modified: self.modified,
            modified_is_strong: self.modified.is_some_and(|modified| modified + 1 < wall_s),
        }
    }

    /// The heads that are sent as they are: of a 200 (and the body, if it is in memory) and of a 304.
    pub fn full(&self) -> &Rc<Prepared> {
        &self.full
    }

    pub fn not_modified(&self) -> &Rc<Prepared> {
        &self.not_modified
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
        let start = out.len();
        respond::begin(out, 206, common)
            .header(b"Content-Type", &self.content_type)
            .lines(&self.lines)
            .compose(b"Content-Range", |out| {
                range.append_content_range(self.length(), out)
            })
            .number(b"Content-Length", range.len())
            .connection(manner.version, manner.keep_alive)
            .finish();
        self.set_expires(&mut out[start..]);
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
        let multipart = Multipart::new(seed, &self.content_type, self.length());
        let length = multipart.content_length(ranges);
        let start = out.len();
        respond::begin(out, 206, common)
            .compose(b"Content-Type", |out| multipart.append_content_type(out))
            .lines(&self.lines)
            .number(b"Content-Length", length)
            .connection(manner.version, manner.keep_alive)
            .finish();
        self.set_expires(&mut out[start..]);
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

    /// As the page of an error: the bytes are the file's, the head is the error's. `lines` are those that the status asks for.
    pub fn answer_error(
        &self,
        status: u16,
        lines: &[u8],
        common: Common<'_>,
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Answer {
        respond::begin(out, status, common)
            .header(b"Content-Type", &self.content_type)
            .lines(lines)
            .number(b"Content-Length", self.length())
            .connection(manner.version, manner.keep_alive)
            .finish();
        match &self.file {
            _ if manner.head_only => Answer::Whole {
                status,
                body_bytes: 0,
            },
            None => {
                out.extend_from_slice(self.full.body());
                Answer::Whole {
                    status,
                    body_bytes: self.length(),
                }
            }
            Some(file) => Answer::Body {
                status,
                body: Body::whole(Rc::clone(file), self.length()),
            },
        }
    }

    /// Writes `Expires` into a head that was made of `lines`.
    fn set_expires(&self, head: &mut [u8]) {
        let Some(ahead_s) = self.expires_s else {
            return;
        };
        if let Some(at) = find_expires(head) {
            head[at..at + DATE.len()].copy_from_slice(&expires(ahead_s));
        }
    }

    /// A range lies within the file, and a file in memory is there whole.
    fn memory(&self, range: ByteRange) -> &[u8] {
        let body = self.full.body();
        &body[range.first as usize..=range.last as usize]
    }
}
