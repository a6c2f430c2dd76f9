//! One request answered: from what its path has come to, its conditions and its ranges to the bytes of a head and perhaps a body.
//!
//! Nothing here waits; what has to be waited for becomes [`Answer::Cold`], once. Must not know how a path is walked.

use super::cache::Found;
use super::entry::{Absent, Entry};
use super::load::Cold;
use super::location::{Fixed, Location, Step};
use super::walk::{Outcome, Walk};
use super::{Answer, Body, Files, Known, Request, listing};
use crate::respond::{self, Common, Manner};
use config::Autoindex;
use proto::path;
use proto::selection::{self, Selection};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::Rc;

/// What a file accepts.
const METHODS: &[u8] = b"GET, HEAD, OPTIONS";
/// A listing needs nothing but its own style; should a name ever get out of its place, it could do nothing.
const LISTING_POLICY: &[u8] =
    b"script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'";
/// A longer listing is not copied into the answer, and leaves in pieces.
const LISTING_COPIED_BYTES_MAX: usize = 16 * 1024;
/// The one hidden name that is public by its purpose (RFC 8615), at the root of the site.
const WELL_KNOWN: &[u8] = b"/.well-known";

/// A request and all that its answer depends on.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub files: &'a Rc<Files>,
    pub request: &'a Request<'a>,
    pub common: Common<'a>,
    pub manner: Manner,
    /// The wait is over: what is not at hand now is done without.
    pub waited: bool,
}

impl Asked<'_> {
    pub fn location(&self) -> &Location {
        &self.files.locations[self.request.mount]
    }

    /// A plain request for a file that is known costs one look-up and one append; everything else is further on.
    #[inline(always)]
    pub fn look_up(&self, out: &mut Vec<u8>) -> Answer {
        let Asked { files, request, .. } = *self;
        if is_refused(request, self.location().options.dotfiles) {
            return self.conclude(&Err(Absent::Status(404)), out);
        }
        let now_ns = uring::now();
        let mut found = files.found.borrow_mut();
        let known = match found.find(request.mount, request.rest(), now_ns) {
            Found::Fresh(entry) if !entry.is_cut() => {
                if entry.is_simple_for(request.head) {
                    return self.send(entry, out);
                }
                Known::Entry(Rc::clone(entry))
            }
            Found::Fresh(entry) | Found::Stale(entry) => Known::Stale(Rc::clone(entry)),
            Found::Nothing => Known::Nothing,
        };
        drop(found);
        self.look_further(known, now_ns, out)
    }

    #[inline(never)]
    fn look_further(&self, known: Known, now_ns: u64, out: &mut Vec<u8>) -> Answer {
        let Asked { files, request, .. } = *self;
        let stale = match known {
            Known::Entry(entry) => return self.respond(&entry, out),
            Known::Stale(entry) => Some(entry),
            Known::Nothing => None,
        };
        if stale.is_none()
            && let Some(outcome) = self.known_absent(now_ns)
        {
            return self.conclude(&outcome, out);
        }
        match files.load(request, stale) {
            Ok(outcome) => self.conclude(&outcome, out),
            Err(cold) => Answer::Cold(cold),
        }
    }

    /// 200 with all of a representation.
    #[inline(always)]
    fn send(&self, entry: &Entry, out: &mut Vec<u8>) -> Answer {
        let Asked { common, manner, .. } = *self;
        let body_bytes = entry.append_full(common.date, manner, out);
        match entry.file() {
            Some(file) if !manner.head_only => {
                let body = Body::whole(Rc::clone(file), entry.length());
                Answer::Body { status: 200, body }
            }
            _ => Answer::Whole {
                status: 200,
                body_bytes,
            },
        }
    }

    /// What a path without a file of its own is known to come to.
    fn known_absent(&self, now_ns: u64) -> Option<Outcome> {
        let Asked { files, request, .. } = *self;
        let absent = match files
            .absent
            .borrow_mut()
            .find(request.mount, request.rest(), now_ns)
        {
            Found::Fresh(absent) => *absent,
            Found::Stale(_) | Found::Nothing => return None,
        };
        let Absent::Instead(step) = absent else {
            return Some(Err(absent));
        };
        let Some(Step::Fixed(fixed)) = self.location().steps.get(step) else {
            return None;
        };
        match files.known(request.mount, fixed.key(), now_ns) {
            Known::Entry(entry) => Some(Ok(entry)),
            Known::Stale(_) | Known::Nothing => None,
        }
    }

    /// Answers with what a path has come to.
    pub fn conclude(&self, outcome: &Outcome, out: &mut Vec<u8>) -> Answer {
        match outcome {
            Ok(entry) => self.respond(entry, out),
            Err(Absent::Directory) => self.redirect(out),
            Err(Absent::Listing) if !self.waited => Answer::Cold(Cold::for_more(
                self.files,
                self.request,
                Err(Absent::Listing),
                None,
            )),
            Err(Absent::Method) => {
                let lines = [b"Allow: ", METHODS, b"\r\n"].concat();
                self.refuse(405, &lines, outcome, out)
            }
            Err(Absent::Status(status)) => self.refuse(*status, b"", outcome, out),
            // A listing that was waited for is shown, and a fixed path has become its entry.
            Err(Absent::Listing | Absent::Instead(_)) => self.refuse(500, b"", outcome, out),
        }
    }

    /// Answers a GET or HEAD of a file that is there.
    #[inline]
    fn respond(&self, entry: &Rc<Entry>, out: &mut Vec<u8>) -> Answer {
        let Asked {
            files,
            request,
            common,
            manner,
            ..
        } = *self;
        let chosen = entry.select(request.head);
        let wall_s = if request.head.notes.range {
            uring::wall() / 1_000_000_000
        } else {
            0
        };
        let selection =
            selection::select(request.head, &chosen.validators(wall_s), chosen.length());
        match selection {
            Selection::Full => self.send(chosen, out),
            Selection::NotModified => {
                chosen.append_not_modified(common.date, manner, out);
                Answer::Whole {
                    status: 304,
                    body_bytes: 0,
                }
            }
            Selection::PreconditionFailed => self.refuse(412, b"", &Ok(Rc::clone(entry)), out),
            Selection::Part(range) => chosen.answer_part(range, common, manner, out),
            Selection::Parts(ranges) => {
                let seed = files.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
                files.seed.set(seed);
                let seed = RandomState::new().hash_one(seed);
                chosen.answer_parts(&ranges, seed, common, manner, out)
            }
            Selection::Unsatisfiable => {
                let mut lines = b"Content-Range: ".to_vec();
                proto::range::append_unsatisfied(chosen.length(), &mut lines);
                lines.extend_from_slice(b"\r\n");
                self.refuse(416, &lines, &Ok(Rc::clone(entry)), out)
            }
        }
    }

    /// An error, with the location's page for it if there is one. `lines` are those that the status asks for; `outcome` is kept
    /// while the page is waited for.
    #[cold]
    fn refuse(&self, status: u16, lines: &[u8], outcome: &Outcome, out: &mut Vec<u8>) -> Answer {
        let Asked {
            request,
            common,
            manner,
            ..
        } = *self;
        let location = self.location();
        let lines = &[lines, &location.error_lines].concat();
        if let Some(page) = location.page(status) {
            match self.page(page) {
                Ok(Some(entry)) if status == 503 => {
                    let lines = &[b"Retry-After: 1\r\n", &lines[..]].concat();
                    return entry.answer_error(status, lines, common, manner, out);
                }
                Ok(Some(entry)) => return entry.answer_error(status, lines, common, manner, out),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.waited => {
                    return Answer::Cold(Cold::for_more(
                        self.files,
                        request,
                        outcome.clone(),
                        Some(status),
                    ));
                }
                Ok(None) | Err(_) => {}
            }
        }
        let body_bytes = respond::page_with(out, status, "", lines, manner, common);
        Answer::Whole { status, body_bytes }
    }

    /// The page of an error, as far as it can be had without waiting.
    fn page(&self, page: &Fixed) -> io::Result<Option<Rc<Entry>>> {
        let Asked { files, request, .. } = *self;
        if self.waited
            && let Known::Entry(entry) | Known::Stale(entry) =
                files.known(request.mount, page.key(), uring::now())
        {
            return Ok(Some(entry));
        }
        files.try_follow(request.mount)?;
        let directory = self.location().mount.directory();
        let walk = Walk {
            files,
            mount: request.mount,
            directory: &directory,
            waits: false,
        };
        let page = Walk::now(walk.fixed(page));
        files.mind_open();
        page
    }

    fn redirect(&self, out: &mut Vec<u8>) -> Answer {
        let Asked {
            request,
            common,
            manner,
            ..
        } = *self;
        respond::begin(out, 301, common)
            .compose(b"Location", |out| {
                path::directory_location(request.path.bytes, request.head.target.query, out);
            })
            .lines(&self.location().lines)
            .number(b"Content-Length", 0)
            .connection(manner.version, manner.keep_alive)
            .finish();
        Answer::Whole {
            status: 301,
            body_bytes: 0,
        }
    }

    pub fn options(&self, out: &mut Vec<u8>) -> Answer {
        respond::begin(out, 204, self.common)
            .header(b"Allow", METHODS)
            .lines(&self.location().lines)
            .connection(self.manner.version, self.manner.keep_alive)
            .finish();
        Answer::Whole {
            status: 204,
            body_bytes: 0,
        }
    }

    /// A directory's listing.
    pub fn show(&self, page: listing::Page, out: &mut Vec<u8>) -> Answer {
        let Asked { common, manner, .. } = *self;
        let location = self.location();
        let content_type: &[u8] = if page.json {
            b"application/json"
        } else {
            b"text/html; charset=utf-8"
        };
        let mut writer = respond::begin(out, 200, common);
        writer
            .header(b"Content-Type", content_type)
            .lines(&location.lines);
        if location.options.autoindex == Autoindex::Html {
            writer.header(b"Vary", b"Accept");
        }
        if page.truncated {
            writer.number(b"X-Listing-Truncated", listing::ITEMS_MAX as u64);
        }
        writer
            .header(b"Cache-Control", b"no-cache")
            .header(b"Content-Security-Policy", LISTING_POLICY)
            .number(b"Content-Length", page.body.len() as u64)
            .connection(manner.version, manner.keep_alive)
            .finish();
        let status = 200;
        if manner.head_only {
            let body_bytes = 0;
            return Answer::Whole { status, body_bytes };
        }
        if page.body.len() > LISTING_COPIED_BYTES_MAX {
            let body = Body::made(page.body);
            return Answer::Body { status, body };
        }
        out.extend_from_slice(&page.body);
        Answer::Whole {
            status,
            body_bytes: page.body.len() as u64,
        }
    }
}

/// Names that are never looked up: spellings that two systems may read differently, and hidden files.
#[inline]
fn is_refused(request: &Request<'_>, dotfiles: bool) -> bool {
    let path = &request.path;
    if path.encoded_slash || path.backslash {
        return true;
    }
    path.hidden && !dotfiles && is_hidden(path.bytes, request.prefix)
}

#[cold]
pub fn is_hidden(path: &[u8], prefix: usize) -> bool {
    let rest = match proto::path::strip_mount(path, WELL_KNOWN) {
        Some(rest) if prefix <= WELL_KNOWN.len() => rest,
        _ => &path[prefix..],
    };
    rest.windows(2).any(|pair| pair == b"/.")
}
