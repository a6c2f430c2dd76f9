//! Logs: where they go, and what a line of the access log looks like.

use super::{Surroundings, wrong};
use crate::model::{LogFormat, LogTarget, Piece};
use crate::options::option;
use crate::raw::Raw;
use crate::{Mistake, value};

/// `-`: the given stream; `off`, `none` and nothing: no log.
pub fn target(
    raw: &Raw,
    name: &str,
    stream: LogTarget,
    around: &Surroundings,
) -> Option<LogTarget> {
    match raw.one(name).or(option(name).default) {
        None | Some("" | "off" | "none" | "None") => None,
        Some("-") => Some(stream),
        Some(path) => Some(LogTarget::File(value::absolute(
            path,
            raw.base(name, &around.cwd),
        ))),
    }
}

pub fn format(raw: &Raw) -> Result<LogFormat, Mistake> {
    let name = "access-log-format";
    match raw.one(name).unwrap_or("combined") {
        "combined" => Ok(LogFormat::Combined),
        "json" => Ok(LogFormat::Json),
        text if text.contains('%') => pieces(text)
            .map(LogFormat::Atoms)
            .map_err(|why| wrong(raw, name, &why)),
        text => {
            let why = format!(
                "expected combined, json, or a text with atoms such as %(h)s, not '{text}'"
            );
            Err(wrong(raw, name, &why))
        }
    }
}

/// Python's `%` with a mapping, as far as a log line needs it.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        words.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if let Some(after) = behind.strip_prefix('%') {
            words.push('%');
            rest = after;
            continue;
        }
        let inside = behind
            .strip_prefix('(')
            .and_then(|atom| atom.split_once(')'));
        let Some((name, after)) = inside else {
            let start: String = rest[at..].chars().take(8).collect();
            return Err(format!(
                "'{start}' is no atom; they look like %(h)s, and a percent sign is %%"
            ));
        };
        // `%(s)s`, `%(D)d`: how it is shown follows from what it is.
        let Some(after) = after.strip_prefix(['s', 'd', 'r', 'i']) else {
            return Err(format!("%({name}) has no 's' behind it"));
        };
        if !words.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut words)));
        }
        pieces.push(atom(name));
        rest = after;
    }
    words.push_str(rest);
    if !words.is_empty() {
        pieces.push(Piece::Text(words));
    }
    Ok(pieces)
}

fn atom(name: &str) -> Piece {
    match name {
        "h" => Piece::Address,
        "t" => Piece::Time,
        "r" => Piece::RequestLine,
        "m" => Piece::Method,
        "U" => Piece::Path,
        "q" => Piece::Query,
        "H" => Piece::Protocol,
        "s" => Piece::Status,
        "B" | "b" => Piece::Bytes,
        "u" => Piece::User,
        "f" => Piece::RequestHeader("referer".into()),
        "a" => Piece::RequestHeader("user-agent".into()),
        "T" => Piece::Whole { per_second: 1 },
        "M" => Piece::Whole { per_second: 1_000 },
        "D" => Piece::Whole {
            per_second: 1_000_000,
        },
        "L" => Piece::Seconds,
        "p" => Piece::Worker,
        _ => header_atom(name).unwrap_or(Piece::Dash),
    }
}

/// `{name}i`, `{name}o`, and of the environ's `{name}e` what the edge knows.
fn header_atom(name: &str) -> Option<Piece> {
    let (header, kind) = name.strip_prefix('{')?.split_once('}')?;
    let header = header.to_ascii_lowercase();
    match kind {
        "i" => Some(Piece::RequestHeader(header)),
        "o" => Some(Piece::ResponseHeader(header)),
        "e" => Some(match header.as_str() {
            "remote_addr" => Piece::Address,
            "request_method" => Piece::Method,
            "remote_port" => Piece::Port,
            "path_info" => Piece::Path,
            "raw_uri" => Piece::Target,
            "wsgi.url_scheme" => Piece::Scheme,
            "server_name" => Piece::ServerName,
            "server_port" => Piece::ServerPort,
            "server_software" => {
                Piece::Text(concat!("ringgate/", env!("CARGO_PKG_VERSION")).into())
            }
            "content_type" | "content_length" => Piece::RequestHeader(header.replace('_', "-")),
            "query_string" => Piece::Query,
            "server_protocol" => Piece::Protocol,
            _ => Piece::RequestHeader(header.strip_prefix("http_")?.replace('_', "-")),
        }),
        _ => None,
    }
}
