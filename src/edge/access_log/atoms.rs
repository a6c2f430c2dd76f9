//! A line of the access log as gunicorn's atoms make it.

use super::{Entry, quoted, quoted_or_dash, seconds, split_line};
use crate::timestamp::Timestamp;
use config::{LogFormat, Piece};
use proto::text::append_decimal;

/// Request headers that are part of every entry.
const USUAL: &[&str] = &["host", "referer", "user-agent"];

/// The other request headers that the format shows, each once.
pub fn wanted(format: &LogFormat) -> Vec<String> {
    let LogFormat::Atoms(pieces) = format else {
        return Vec::new();
    };
    let mut wanted: Vec<String> = Vec::new();
    for piece in pieces {
        if let Piece::RequestHeader(name) = piece
            && !USUAL.contains(&name.as_str())
            && !wanted.contains(name)
        {
            wanted.push(name.clone());
        }
    }
    wanted
}

/// Appends the line and its end. What comes from outside is escaped as in the combined format.
pub fn line(
    pieces: &[Piece],
    wanted: &[String],
    entry: &Entry<'_>,
    (wall_ns, stamp): (u64, &mut Timestamp),
    out: &mut Vec<u8>,
) {
    let (method, target, protocol) = split_line(entry.line);
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &b""[..]),
    };
    for piece in pieces {
        match piece {
            // The user's own words; a line end in them is theirs too.
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Address => quoted_or_dash(entry.remote.as_bytes(), out),
            Piece::Time => {
                out.push(b'[');
                stamp.combined(wall_ns, out);
                out.push(b']');
            }
            Piece::RequestLine => quoted_or_dash(entry.line, out),
            Piece::Method => quoted_or_dash(method, out),
            Piece::Path => quoted_or_dash(path, out),
            Piece::Query => quoted(query, out),
            Piece::Protocol => quoted_or_dash(protocol, out),
            Piece::Status => append_decimal(out, u64::from(entry.status)),
            Piece::Bytes { dash: true } if entry.body_bytes == 0 => out.push(b'-'),
            Piece::Bytes { .. } => append_decimal(out, entry.body_bytes),
            Piece::Whole { per_second } => {
                let one_ns = 1_000_000_000 / u64::from((*per_second).max(1));
                append_decimal(out, entry.total_ns / one_ns);
            }
            Piece::Seconds => seconds(entry.total_ns, out),
            Piece::Worker => worker(entry, out),
            Piece::RequestHeader(name) => {
                quoted_or_dash(request_header(name, wanted, entry), out);
            }
            Piece::ResponseHeader(_) | Piece::Dash => out.push(b'-'),
        }
    }
    out.push(b'\n');
}

/// `<shop/3>`, where gunicorn has a process id.
fn worker(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let Some(app) = &entry.app else {
        out.push(b'-');
        return;
    };
    out.push(b'<');
    out.extend_from_slice(app.name.as_bytes());
    if let Some(worker) = app.worker {
        out.push(b'/');
        append_decimal(out, u64::from(worker));
    }
    out.push(b'>');
}

fn request_header<'a>(name: &str, wanted: &[String], entry: &Entry<'a>) -> &'a [u8] {
    match name {
        "host" => entry.host,
        "referer" => entry.referer,
        "user-agent" => entry.user_agent,
        _ => wanted
            .iter()
            .position(|each| each == name)
            .map_or(b"", |index| entry.extras.get(index)),
    }
}
