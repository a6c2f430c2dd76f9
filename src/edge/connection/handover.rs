//! `X-Accel-Redirect` and `X-Sendfile`: an app names a file, and the edge sends it in the app's stead.
//!
//! Owns what of the app's head is kept (nginx's list) and where a name may lead: static locations, `internal` ones included, and
//! the configured roots; never back to an app. Invariants: the app's body never goes out, nor do these two headers; what
//! the request asked for is read back from the exchange, where its worker could have changed it, so it is parsed like anything
//! from outside. Must not know how files are found.

use super::Connection;
use super::exchange::Ended;
use super::failure::Named;
use super::output::Output;
use super::reply::Reply;
use super::request::{Open, TAKEN_IN};
use crate::app::{Call, Served};
use crate::files::{self, Answer};
use crate::respond::{self, Manner};
use crate::route::Handler;
use config::LogLevel;
use proto::http1::request::{Parse, parse};
use proto::path::{self, Path};
use proto::{HeaderStorage, Version};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// Fields of the app's head that stand in for the file's own.
const KEPT: [&str; 6] = [
    "content-type",
    "content-disposition",
    "cache-control",
    "expires",
    "accept-ranges",
    "set-cookie",
];
/// Fields of the request that decide about a file's answer.
const ASKED: [&str; 7] = [
    "accept",
    "accept-encoding",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
];

/// An app's wish that something else be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Handover {
    to: Destination,
    /// The kept fields as lines.
    kept: Vec<u8>,
    /// The app said `Accept-Ranges: none`.
    whole_only: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// A path of a location, percent-encoded.
    Url(String),
    /// An absolute path of a file.
    File(Vec<u8>),
}

/// Whether a field of an app's head asks for a handover.
#[inline]
pub fn is_wish(name: &[u8]) -> bool {
    match name.len() {
        10 => name.eq_ignore_ascii_case(b"x-sendfile"),
        16 => name.eq_ignore_ascii_case(b"x-accel-redirect"),
        _ => false,
    }
}

impl Handover {
    /// From a head whose fields have been admitted; the first wish counts.
    pub fn new<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Handover> {
        let mut to = None;
        let (mut kept, mut whole_only) = (Vec::new(), false);
        for (name, value) in headers {
            if is_wish(name) {
                to.get_or_insert_with(|| Destination::new(name, value));
            } else if KEPT
                .iter()
                .any(|each| name.eq_ignore_ascii_case(each.as_bytes()))
            {
                whole_only |= name.eq_ignore_ascii_case(b"accept-ranges")
                    && value.eq_ignore_ascii_case(b"none");
                for part in [name, b": ", value, b"\r\n"] {
                    kept.extend_from_slice(part);
                }
            }
        }
        to.map(|to| Handover {
            to,
            kept,
            whole_only,
        })
    }
}

impl Destination {
    fn new(name: &[u8], value: &[u8]) -> Destination {
        if name.len() == b"x-sendfile".len() {
            return Destination::File(value.to_vec());
        }
        // What an app forgot to encode; a percent sign it meant.
        let mut url = String::with_capacity(value.len());
        for &byte in value {
            match byte {
                b'#' => url.push_str("%23"),
                _ if byte.is_ascii_graphic() => url.push(char::from(byte)),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        Destination::Url(url)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Url(url) => write!(f, "X-Accel-Redirect to {url}"),
            Destination::File(path) => write!(f, "X-Sendfile of {}", path.escape_ascii()),
        }
    }
}

/// Where a file is to be looked for.
struct Place<'a> {
    /// Index among the locations, the roots of X-Sendfile behind them.
    mount: usize,
    prefix: usize,
    path: Path<'a>,
}

impl Connection {
    /// Answers with what the app named. The app has ended.
    pub(super) async fn hand_over(
        &mut self,
        mut call: Call,
        mut open: Open,
        reply: &mut Reply,
        handover: Handover,
        out: &mut Output,
    ) -> Ended {
        let (asked, index) = (call.asked(), call.app().index);
        let served = call.settle(uring::now());
        let name = call.app().name.clone();
        drop(call);
        open.manner.keep_alive = !reply.close;
        let mut scratch = Vec::new();
        let place = match self.place(&handover.to, &mut scratch) {
            Ok(place) => place,
            Err(why) => {
                self.ring.stats.apps[index].broken.add(1);
                self.ring.log(
                    LogLevel::Error,
                    format_args!("app {name}: {} {why}, {}", handover.to, Named(&open)),
                );
                return self.answer_instead(
                    open,
                    reply,
                    502,
                    "the application gave no valid answer",
                    out,
                    (&name, served),
                );
            }
        };
        let wish = wish(&asked, &handover, open.manner);
        let (answer, bytes) = match self.look_up(&wish, place, open.manner, out).await {
            Ok(found) => found,
            Err(()) => {
                self.close_request(open, 499, 0, Some((&name, served)));
                return Ended::Cut;
            }
        };
        self.send_found(open, handover, (answer, bytes), out, (&name, served))
            .await
    }

    /// Where the name leads; `Err` with what is wrong about it, for the log.
    fn place<'a>(
        &self,
        to: &'a Destination,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Place<'a>, &'static str> {
        match to {
            Destination::Url(url) => {
                if !url.starts_with('/') {
                    return Err("names no path: it has to begin with '/'");
                }
                let raw = url.split('?').next().unwrap_or_default();
                let path = path::normalise(raw, scratch).map_err(|fault| fault.reject().reason)?;
                let route = self
                    .ring
                    .site()
                    .routes
                    .find(path.bytes)
                    .ok_or("leads to no location")?;
                match route.handler {
                    Handler::Static(mount) | Handler::Internal(mount) => Ok(Place {
                        mount,
                        prefix: route.prefix,
                        path,
                    }),
                    Handler::App(_) => {
                        Err("leads to an application; only locations of files are followed")
                    }
                }
            }
            Destination::File(name) => {
                let site = self.ring.site();
                let roots = &site.sendfile_roots;
                if roots.is_empty() {
                    return Err("is refused: no sendfile_roots are configured");
                }
                if !name.starts_with(b"/")
                    || name
                        .split(|&byte| byte == b'/')
                        .any(|segment| segment == b"..")
                {
                    return Err("is refused: an absolute path without '..' is meant");
                }
                let below = roots.iter().enumerate().filter_map(|(index, root)| {
                    let dir = root.dir.as_os_str().as_bytes();
                    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
                    name.strip_prefix(dir)?
                        .starts_with(b"/")
                        .then_some((index, dir.len()))
                });
                let (index, prefix) = below
                    .max_by_key(|(_, prefix)| *prefix)
                    .ok_or("is refused: it is below no sendfile_roots")?;
                let rest = &name[prefix..];
                let path = Path {
                    bytes: name,
                    encoded_slash: false,
                    backslash: rest.contains(&b'\\'),
                    hidden: rest.windows(2).any(|pair| pair == b"/."),
                };
                Ok(Place {
                    mount: site.statics + index,
                    prefix,
                    path,
                })
            }
        }
    }

    /// Asks the file handler; the answer's bytes apart from what else waits in `out`. `Err`: the client has left.
    async fn look_up(
        &mut self,
        wish: &[u8],
        place: Place<'_>,
        manner: Manner,
        out: &mut Output,
    ) -> Result<(Answer, Vec<u8>), ()> {
        let mut bytes = Vec::new();
        let cold = {
            let mut storage = HeaderStorage::new();
            let (site, date) = (self.ring.site(), self.ring.date());
            let common = site.common(&date);
            let Parse::Complete { head, .. } = parse(wish, &mut storage, &TAKEN_IN) else {
                // A worker has tampered with it.
                let body_bytes = respond::page(&mut bytes, 502, "", manner, common);
                return Ok((
                    Answer::Whole {
                        status: 502,
                        body_bytes,
                    },
                    bytes,
                ));
            };
            let Place {
                mount,
                prefix,
                path,
            } = place;
            let request = files::Request {
                mount,
                path,
                prefix,
                head: &head,
            };
            match site
                .files
                .answer_internal(&request, common, manner, &mut bytes)
            {
                Answer::Cold(cold) => cold,
                answer => return Ok((answer, bytes)),
            }
        };
        self.flush(out).await.map_err(|_| ())?;
        let ready = cold.wait().await;
        bytes.clear();
        let (site, date) = (self.ring.site(), self.ring.date());
        let answer = ready.answer(site.common(&date), manner, &mut bytes);
        Ok((answer, bytes))
    }

    /// Puts the app's fields into the file's head, and sends both.
    async fn send_found(
        &mut self,
        mut open: Open,
        handover: Handover,
        (answer, mut bytes): (Answer, Vec<u8>),
        out: &mut Output,
        app: (&str, Served),
    ) -> Ended {
        let (mut status, mut whole_bytes, body) = match answer {
            Answer::Whole { status, body_bytes } => (status, body_bytes, None),
            Answer::Body { status, body } => (status, 0, Some(body)),
            Answer::Cold(_) => return Ended::Cut,
        };
        if (300..304).contains(&status) {
            // To the name with a slash behind it: the client could not follow, and need not know the name.
            bytes.clear();
            let (site, date) = (self.ring.site(), self.ring.date());
            status = 404;
            whole_bytes = respond::page(&mut bytes, status, "", open.manner, site.common(&date));
        }
        if matches!(status, 403 | 404 | 500..) {
            self.ring.log(
                LogLevel::Warning,
                format_args!(
                    "app {}: {} came to {status}, {}",
                    app.0,
                    handover.to,
                    Named(&open)
                ),
            );
        }
        let at = out.position();
        append_with(&bytes, status, &handover.kept, out.buffer());
        self.note_answer(&mut open, out.since(at));
        match body {
            Some(body) => self.send_body(open, status, body, out, Some(app)).await,
            None => {
                let keep_alive = open.manner.keep_alive;
                self.ring.stats.static_requests.add(1);
                self.close_request(open, status, whole_bytes, Some(app));
                if keep_alive {
                    Ended::Stay
                } else {
                    Ended::Close
                }
            }
        }
    }
}

/// The client's request as one for a file: GET or HEAD, with the fields that matter.
fn wish(asked: &[u8], handover: &Handover, manner: Manner) -> Vec<u8> {
    let mut wish = Vec::with_capacity(256);
    wish.extend_from_slice(if manner.head_only { b"HEAD " } else { b"GET " });
    wish.extend_from_slice(match &handover.to {
        Destination::Url(url) => url.as_bytes(),
        Destination::File(_) => b"/",
    });
    wish.extend_from_slice(match manner.version {
        Version::Http10 => b" HTTP/1.0\r\nHost: localhost\r\n",
        Version::Http11 => b" HTTP/1.1\r\nHost: localhost\r\n",
    });
    // A request that cannot be read any more had no wishes.
    if let Ok(decoded) = shm::request::decode(asked) {
        let is = |name: &[u8], known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        for (name, value) in decoded.headers {
            let matters = ASKED.iter().any(|known| is(name, known))
                || (is(name, "range") && !handover.whole_only);
            if matters {
                for part in [name, b": ", value, b"\r\n"] {
                    wish.extend_from_slice(part);
                }
            }
        }
    }
    wish.extend_from_slice(b"\r\n");
    wish
}

/// Appends an answer of the file handler with the app's fields in the place of its own. An answer without the file keeps
/// cookies alone, and one without a body says nothing about one.
fn append_with(answer: &[u8], status: u16, kept: &[u8], out: &mut Vec<u8>) {
    let end = memchr::memmem::find(answer, b"\r\n\r\n").map_or(answer.len(), |at| at + 2);
    let (head, rest) = answer.split_at(end);
    let is_parts = status == 206
        && lines(head).any(|line| {
            is_field(line, "content-type") && memchr::memmem::find(line, b"multipart/").is_some()
        });
    let stays = |line: &[u8]| match status {
        200 => true,
        206 => !(is_parts && is_field(line, "content-type")),
        304 => !is_field(line, "content-type") && !is_field(line, "content-disposition"),
        _ => is_field(line, "set-cookie"),
    };
    let kept: Vec<&[u8]> = lines(kept).filter(|line| stays(line)).collect();
    for line in lines(head) {
        let replaced = kept
            .iter()
            .any(|other| name_of(other).eq_ignore_ascii_case(name_of(line)));
        if !replaced || is_field(line, "set-cookie") {
            out.extend_from_slice(line);
        }
    }
    for line in kept {
        out.extend_from_slice(line);
    }
    out.extend_from_slice(rest);
}

/// With their ends.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|&byte| byte == b'\n')
}

fn name_of(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == b':').next().unwrap_or_default()
}

fn is_field(line: &[u8], name: &str) -> bool {
    name_of(line).eq_ignore_ascii_case(name.as_bytes())
}

#[cfg(test)]
mod tests;
