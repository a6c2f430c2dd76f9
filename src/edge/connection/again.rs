//! A request that comes again byte for byte, for a file that is known to be as it was: answered without being read.
//!
//! Clients that keep their connection repeat themselves: what polls, what revalidates, what measures. Reading a head and finding its
//! file is half of what a small answer costs here (1,900 of 3,800 instructions). Invariant: the answer is what reading would have led to. What it
//! depends on stands in the bytes, or in the site, which owns this memory, or is asked anew: the connection's manners, the file, the client. What a log's own format
//! shows of heads and answers is not kept: with such a log every head is read.

use super::output::Output;
use super::peer::AddressText;
use super::record::{self, Record};
use super::request::{Asked, Verdict};
use super::{Connection, Open, Step};
use crate::access_log::Entry;
use crate::familiar::{Familiar, Mark};
use crate::files::{Answer, Request, Standing};
use crate::forwarded::{Client, Said};
use crate::respond::Manner;
use crate::ring::Site;
use proto::Body;
use std::cell::RefCell;

/// What is remembered of one head.
pub struct Known {
    standing: Standing,
    /// As the head asks for.
    manner: Manner,
    /// What the access log shows of it, but for the client.
    record: Record,
    said: Said,
}

/// The heads that one site has answered.
#[derive(Default)]
pub struct Memory(RefCell<Familiar<Known>>);

#[cfg(test)]
impl Memory {
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Only what asks for a file can be known.
#[inline]
pub(super) fn mark(bytes: &[u8]) -> Option<Mark> {
    match bytes.first() {
        Some(b'G' | b'H') => Mark::of(bytes),
        _ => None,
    }
}

impl Connection {
    /// Answers if `bytes` are, all of them, a head that is known, and its file is too.
    #[inline]
    pub(super) fn answer_again(
        &self,
        site: &Site,
        mark: Mark,
        bytes: &[u8],
        out: &mut Output,
    ) -> Option<Verdict> {
        let logs = {
            let access = self.ring.access.borrow();
            if !access.wanted().is_empty() {
                return None;
            }
            access.is_on()
        };
        let familiar = site.memory.0.borrow();
        let known = familiar.find(mark, bytes)?;
        let manner = Manner {
            keep_alive: known.manner.keep_alive && self.ring.keeps_alive(),
            ..known.manner
        };
        let date = self.ring.date();
        let standing = &known.standing;
        let answer = site
            .files
            .answer_again(standing, &date, manner, out.buffer())?;
        Some(match answer {
            Answer::Whole { status, body_bytes } => {
                self.count(status, body_bytes, self.started_ns);
                self.ring.stats.static_requests.add(1);
                if logs {
                    self.log_again(site, known, status, body_bytes);
                }
                if manner.keep_alive {
                    Verdict::Answered
                } else {
                    Verdict::Step(Step::Last { linger: false })
                }
            }
            Answer::Body { status, body } => {
                let mut record = self.ring.take_record();
                let client = if logs {
                    self.client_again(site, known)
                } else {
                    Client::NOBODY
                };
                record.copy(&known.record, client);
                let open = Open {
                    manner,
                    trailers: false,
                    started_ns: self.started_ns,
                    record,
                };
                Verdict::Step(Step::File { open, status, body })
            }
            Answer::Cold(_) => return None,
        })
    }

    fn log_again(&self, site: &Site, known: &Known, status: u16, body_bytes: u64) {
        let client = self.client_again(site, known);
        let remote = AddressText::of(client.address);
        let entry = Entry {
            remote: remote.as_str(),
            port: client.port,
            https: client.https,
            ..known.record.entry(&self.ring.access.borrow())
        };
        self.write_log(entry, self.started_ns, status, body_bytes, None);
    }

    fn client_again(&self, site: &Site, known: &Known) -> Client {
        known.said.client(self.peer(), &site.forwarded)
    }

    /// A file was sent, or was known to the client. Remembers that at the second time.
    #[inline]
    pub(super) fn remember_answer(
        &self,
        site: &Site,
        asked: &Asked<'_, '_, '_>,
        request: &Request<'_>,
        status: u16,
    ) {
        let Some(mark) = asked.mark else { return };
        if matches!(status, 200 | 304)
            && asked.head.body == Body::None
            && asked.bytes.len() == asked.len
            && site.memory.0.borrow_mut().comes_again(mark)
        {
            self.remember_now(site, mark, asked, request);
        }
    }

    #[cold]
    fn remember_now(
        &self,
        site: &Site,
        mark: Mark,
        asked: &Asked<'_, '_, '_>,
        request: &Request<'_>,
    ) {
        let Some(standing) = site.files.standing(request) else {
            return;
        };
        let said = Said::of(asked.head, &site.forwarded);
        let mut record = Record::default();
        record.fill(
            record::first_line(asked.bytes),
            asked.head,
            Client::NOBODY,
            &self.ring.access.borrow(),
        );
        let known = Known {
            standing,
            manner: Manner {
                keep_alive: asked.head.keep_alive,
                ..asked.manner
            },
            record,
            said,
        };
        site.memory
            .0
            .borrow_mut()
            .remember(mark, asked.bytes, known);
    }
}
