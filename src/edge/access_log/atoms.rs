//! A line of the access log as gunicorn's atoms make it.

use super::{Entry, Wanted, quoted, quoted_or_dash, seconds, split_line};
use crate::timestamp::Timestamp;
use config::{LogFormat, Piece};
use proto::text::{append_decimal, decode_base64};

/// Request headers that are part of every entry.
const USUAL: &[&str] = &["host", "referer", "user-agent"];

/// Where `%(u)s` comes from.
const CREDENTIALS: &str = "authorization";

/// The other headers that the format shows, each once.
pub fn wanted(format: &LogFormat) -> Wanted {
    let mut wanted = Wanted::default();
    let LogFormat::Atoms(pieces) = format else {
        return wanted;
    };
    for piece in pieces {
        let (names, name) = match piece {
            Piece::RequestHeader(name) if USUAL.contains(&name.as_str()) => continue,
            Piece::RequestHeader(name) => (&mut wanted.request, name.as_str()),
            Piece::User => (&mut wanted.request, CREDENTIALS),
            Piece::ResponseHeader(name) => (&mut wanted.response, name.as_str()),
            _ => continue,
        };
        if !names.iter().any(|each| each == name) {
            names.push(name.to_owned());
        }
    }
    wanted
}

/// Appends the line and its end. What comes from outside is escaped as in the combined format.
pub fn line(
    pieces: &[Piece],
    wanted: &Wanted,
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
            Piece::Path => decoded(path, out),
            Piece::Target => quoted_or_dash(target, out),
            Piece::Query => quoted(query, out),
            Piece::Protocol => quoted_or_dash(protocol, out),
            Piece::Status => append_decimal(out, u64::from(entry.status)),
            Piece::Bytes => append_decimal(out, entry.body_bytes),
            Piece::Whole { per_second } => {
                let one_ns = 1_000_000_000 / u64::from((*per_second).max(1));
                append_decimal(out, entry.total_ns / one_ns);
            }
            Piece::Seconds => seconds(entry.total_ns, out),
            Piece::Worker => worker(entry, out),
            Piece::RequestHeader(name) => {
                quoted_or_dash(request_header(name, wanted, entry), out);
            }
            Piece::ResponseHeader(name) => {
                quoted_or_dash(entry.response.named(name, &wanted.response), out);
            }
            Piece::User => user(entry.extras.named(CREDENTIALS, &wanted.request), out),
            Piece::Port => append_decimal(out, u64::from(entry.port)),
            Piece::Scheme => {
                out.extend_from_slice(if entry.https { b"https" } else { b"http" });
            }
            Piece::ServerName => quoted_or_dash(entry.server.0.as_bytes(), out),
            Piece::ServerPort => append_decimal(out, u64::from(entry.server.1)),
            Piece::Dash => out.push(b'-'),
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

fn request_header<'a>(name: &str, wanted: &Wanted, entry: &Entry<'a>) -> &'a [u8] {
    match name {
        "host" => entry.host,
        "referer" => entry.referer,
        "user-agent" => entry.user_agent,
        _ => entry.extras.named(name, &wanted.request),
    }
}

/// A path as WSGI's PATH_INFO has it; what is malformed stays as it came.
fn decoded(path: &[u8], out: &mut Vec<u8>) {
    if !path.contains(&b'%') {
        return quoted_or_dash(path, out);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| (*byte as char).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    quoted(&bytes, out);
}

/// The name in `Basic NAME:PASSWORD`, which is in base64.
fn user(credentials: &[u8], out: &mut Vec<u8>) {
    const SCHEME: &[u8] = b"basic ";
    let known = credentials
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .and_then(|(_, token)| decode_base64(token.trim_ascii()));
    let pair = known.unwrap_or_default();
    let name = pair.split(|byte| *byte == b':').next().unwrap_or_default();
    quoted_or_dash(name, out);
}
