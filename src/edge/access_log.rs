//! The access log on the ring thread's side: lines formatted into a batch, without allocation, and handed to the control
//! thread by the batch.
//!
//! Owns one batch per ring thread. Invariants: a batch holds whole lines only; no byte that came from outside can end a
//! line, a quoted field or a JSON string; a line is handed over in time as long as the ring thread calls `flush_due` by `due_ns`, and
//! always by `flush`.
//! Must not know where the lines are written.

mod atoms;

use crate::batch::Batch;
use crate::mailbox::{FromRing, Outbox};
use crate::timestamp::Timestamp;
use config::LogFormat;
use proto::text::append_decimal;

/// A batch is handed over when it has grown this far.
const BATCH_BYTES: usize = 64 * 1024;
/// Room beyond `BATCH_BYTES` for the line that crosses the mark.
const LINE_BYTES_USUAL: usize = 4 * 1024;
/// What is shown of one field; the rest is `...`.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// One answered request, everything as it came; nothing needs to be clean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// The client's address as text, without a port; "" for unix sockets.
    pub remote: &'a str,
    /// The request line without its CRLF: `GET /x?y HTTP/1.1`.
    pub line: &'a [u8],
    pub host: &'a [u8],
    pub referer: &'a [u8],
    pub user_agent: &'a [u8],
    /// The client's port; 0 where nobody says.
    pub port: u16,
    pub https: bool,
    /// Where the client was accepted; "" for none.
    pub server: (&'a str, u16),
    /// Values of [`Wanted::request`], in that order.
    pub extras: Extras<'a>,
    /// Values of [`Wanted::response`], in that order.
    pub response: Extras<'a>,
    pub status: u16,
    /// Bytes of the body that were handed to the socket.
    pub body_bytes: u64,
    /// From the request's first byte to the last byte of the answer.
    pub total_ns: u64,
    /// What the exchange says, for requests that an app answered.
    pub app: Option<AppTimes<'a>>,
}

/// Headers that a format shows beyond those of every [`Entry`], by their lower-case names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub request: Vec<String>,
    pub response: Vec<String>,
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

/// Texts back to back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    pub bytes: &'a [u8],
    /// Where each ends.
    pub ends: &'a [u32],
}

impl<'a> Extras<'a> {
    /// The value of a header, of those in `names`.
    fn named(self, name: &str, names: &[String]) -> &'a [u8] {
        let index = names.iter().position(|each| each == name);
        index.map_or(b"", |index| self.get(index))
    }

    fn get(self, index: usize) -> &'a [u8] {
        let end = |index: usize| self.ends.get(index).map(|end| *end as usize);
        let start = index.checked_sub(1).and_then(end).unwrap_or_default();
        end(index)
            .and_then(|end| self.bytes.get(start..end))
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct AppTimes<'a> {
    pub name: &'a str,
    /// The worker that took it; `None` if none did.
    pub worker: Option<u16>,
    /// From the queue's entry to a worker's claim.
    pub queue_ns: u64,
    /// From the claim to the end of the app's answer.
    pub app_ns: u64,
}

/// The batch of one ring thread.
#[derive(Debug)]
pub struct AccessLog {
    /// `None`: nothing is logged.
    format: Option<LogFormat>,
    wanted: Wanted,
    /// Counts the logs of this edge's life: target and format may change while it serves.
    number: u32,
    outbox: Outbox,
    batch: Batch<u8>,
    stamp: Timestamp,
}

impl AccessLog {
    /// `format` is `None` if there is to be no access log.
    pub fn new(format: Option<LogFormat>, outbox: Outbox) -> AccessLog {
        AccessLog {
            wanted: format.as_ref().map_or(Wanted::default(), atoms::wanted),
            format,
            number: 0,
            outbox,
            batch: Batch::new(BATCH_BYTES),
            stamp: Timestamp::default(),
        }
    }

    /// Writes to another log from now on, the `number`th; what is gathered goes to the old one.
    pub fn turn_to(&mut self, format: Option<LogFormat>, number: u32) {
        self.flush();
        self.wanted = format.as_ref().map_or(Wanted::default(), atoms::wanted);
        self.format = format;
        self.number = number;
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether it is worth gathering an entry.
    pub fn is_on(&self) -> bool {
        self.format.is_some()
    }

    /// What the format shows beyond what is in every [`Entry`].
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Writes a line. `now_ns` is the ring's clock, `wall_ns` Unix time.
    pub fn log(&mut self, entry: &Entry<'_>, now_ns: u64, wall_ns: u64) {
        let Some(format) = &self.format else { return };
        let room = || Vec::with_capacity(BATCH_BYTES + LINE_BYTES_USUAL);
        let out = self
            .batch
            .open(now_ns, || self.outbox.buffer().unwrap_or_else(room));
        match format {
            LogFormat::Combined => combined(entry, wall_ns, &mut self.stamp, out),
            LogFormat::Json => json(entry, wall_ns, &mut self.stamp, out),
            LogFormat::Atoms(pieces) => {
                let stamp = (wall_ns, &mut self.stamp);
                atoms::line(pieces, &self.wanted, entry, stamp, out);
            }
        }
        let lines = self.batch.take_full();
        self.hand_over(lines);
    }

    /// When `flush_due` wants to be called; `None` while there is nothing to hand over.
    pub fn due_ns(&self) -> Option<u64> {
        self.batch.due_ns()
    }

    /// Hands the batch over if its time has come.
    pub fn flush_due(&mut self, now_ns: u64) {
        let lines = self.batch.take_due(now_ns);
        self.hand_over(lines);
    }

    /// Hands the batch over; before the thread ends.
    pub fn flush(&mut self) {
        let lines = self.batch.take();
        self.hand_over(lines);
    }

    fn hand_over(&self, lines: Option<Vec<u8>>) {
        if let Some(lines) = lines {
            let log = self.number;
            // What does not fit is counted by the outbox and reported by the control thread.
            self.outbox.send(FromRing::AccessLog { lines, log });
        }
    }
}

/// nginx's combined format, and behind it the whole time, and for an app's answers its name, queue and app time:
/// `1.2.3.4 - - [23/Nov/2026:01:02:03 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 0.000321 shop/3 queue=0.000012 app=0.000250`.
fn combined(entry: &Entry<'_>, wall_ns: u64, stamp: &mut Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(if entry.remote.is_empty() {
        b"-"
    } else {
        entry.remote.as_bytes()
    });
    out.extend_from_slice(b" - - [");
    stamp.combined(wall_ns, out);
    out.extend_from_slice(b"] \"");
    quoted_or_dash(entry.line, out);
    out.extend_from_slice(b"\" ");
    append_decimal(out, u64::from(entry.status));
    out.push(b' ');
    append_decimal(out, entry.body_bytes);
    out.extend_from_slice(b" \"");
    quoted_or_dash(entry.referer, out);
    out.extend_from_slice(b"\" \"");
    quoted_or_dash(entry.user_agent, out);
    out.extend_from_slice(b"\" ");
    seconds(entry.total_ns, out);
    if let Some(app) = &entry.app {
        out.push(b' ');
        quoted(app.name.as_bytes(), out);
        out.push(b'/');
        match app.worker {
            Some(worker) => append_decimal(out, u64::from(worker)),
            None => out.push(b'-'),
        }
        out.extend_from_slice(b" queue=");
        seconds(app.queue_ns, out);
        out.extend_from_slice(b" app=");
        seconds(app.app_ns, out);
    }
    out.push(b'\n');
}

/// One JSON object per line; times in seconds.
fn json(entry: &Entry<'_>, wall_ns: u64, stamp: &mut Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.iso(wall_ns, out);
    let (method, target, protocol) = split_line(entry.line);
    for (name, value) in [
        (&b"\",\"remote\":\""[..], entry.remote.as_bytes()),
        (b"\",\"method\":\"", method),
        (b"\",\"target\":\"", target),
        (b"\",\"protocol\":\"", protocol),
        (b"\",\"host\":\"", entry.host),
        (b"\",\"referer\":\"", entry.referer),
        (b"\",\"user_agent\":\"", entry.user_agent),
    ] {
        out.extend_from_slice(name);
        json_string(value, out);
    }
    out.extend_from_slice(b"\",\"status\":");
    append_decimal(out, u64::from(entry.status));
    out.extend_from_slice(b",\"body_bytes\":");
    append_decimal(out, entry.body_bytes);
    out.extend_from_slice(b",\"total_s\":");
    seconds(entry.total_ns, out);
    if let Some(app) = &entry.app {
        out.extend_from_slice(b",\"app\":\"");
        json_string(app.name.as_bytes(), out);
        if let Some(worker) = app.worker {
            out.extend_from_slice(b"\",\"worker\":");
            append_decimal(out, u64::from(worker));
        } else {
            out.push(b'"');
        }
        out.extend_from_slice(b",\"queue_s\":");
        seconds(app.queue_ns, out);
        out.extend_from_slice(b",\"app_s\":");
        seconds(app.app_ns, out);
    }
    out.extend_from_slice(b"}\n");
}

/// Method, target and protocol; a line that is not a request line is all target.
fn split_line(line: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let first = memchr::memchr(b' ', line);
    let last = memchr::memrchr(b' ', line);
    match (first, last) {
        (Some(first), Some(last)) if first < last => {
            (&line[..first], &line[first + 1..last], &line[last + 1..])
        }
        _ => (b"", line, b""),
    }
}

/// Bytes that stand in a line as they are in both formats: printable ASCII except `"` and `\`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

const HEX: &[u8; 16] = b"0123456789abcdef";

fn quoted_or_dash(field: &[u8], out: &mut Vec<u8>) {
    if field.is_empty() {
        out.push(b'-')
    } else {
        quoted(field, out)
    }
}

/// nginx's escaping: `"`, `\`, control bytes and everything beyond ASCII as `\xhh`.
fn quoted(field: &[u8], out: &mut Vec<u8>) {
    let (shown, cut) = clip(field);
    for run in runs(shown) {
        match run {
            Run::Plain(bytes) => out.extend_from_slice(bytes),
            Run::Special(bytes) => {
                for &byte in bytes {
                    out.extend_from_slice(&[
                        b'\\',
                        b'x',
                        HEX[usize::from(byte >> 4)],
                        HEX[usize::from(byte & 15)],
                    ]);
                }
            }
        }
    }
    if cut {
        out.extend_from_slice(b"...");
    }
}

/// The inside of a JSON string: valid UTF-8 stays, control characters are escaped, other bytes become U+FFFD.
fn json_string(field: &[u8], out: &mut Vec<u8>) {
    let (shown, cut) = clip(field);
    for run in runs(shown) {
        match run {
            Run::Plain(bytes) => out.extend_from_slice(bytes),
            Run::Special(bytes) => {
                for chunk in bytes.utf8_chunks() {
                    for character in chunk.valid().chars() {
                        json_character(character, out);
                    }
                    if !chunk.invalid().is_empty() {
                        out.extend_from_slice("\u{fffd}".as_bytes());
                    }
                }
            }
        }
    }
    if cut {
        out.extend_from_slice(b"...");
    }
}

fn json_character(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        // C0, DEL and C1 controls, and the two separators that end a line in JavaScript.
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let code = character as usize;
            out.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                out.push(HEX[code >> shift & 15]);
            }
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn clip(field: &[u8]) -> (&[u8], bool) {
    match field.get(..FIELD_BYTES_MAX) {
        Some(shown) if field.len() > FIELD_BYTES_MAX => (shown, true),
        _ => (field, false),
    }
}

enum Run<'a> {
    Plain(&'a [u8]),
    Special(&'a [u8]),
}

/// Cuts bytes into runs that may be copied and runs that may not.
fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Run<'_>> {
    std::iter::from_fn(move || {
        let plain = PLAIN[usize::from(*bytes.first()?)];
        let length = bytes
            .iter()
            .position(|&byte| PLAIN[usize::from(byte)] != plain)
            .unwrap_or(bytes.len());
        let (run, rest) = bytes.split_at(length);
        bytes = rest;
        Some(if plain {
            Run::Plain(run)
        } else {
            Run::Special(run)
        })
    })
}

/// Appends nanoseconds as seconds with six decimals.
fn seconds(ns: u64, out: &mut Vec<u8>) {
    let micros = ns / 1000;
    append_decimal(out, micros / 1_000_000);
    let mut fraction = *b".000000";
    let mut rest = micros % 1_000_000;
    for place in (1..7).rev() {
        fraction[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&fraction);
}

#[cfg(test)]
mod tests;
