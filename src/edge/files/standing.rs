//! An answer that stands: what a request has led to and leads to again, for as long as its file is known to be as it is.
//!
//! Must not know how a request is read. Invariant: it is given out again only while a look-up would find the same entry, fresh.

use super::cache::Ticket;
use super::prepared::Prepared;
use super::send::{Body, OpenFile};
use super::{Answer, Files, Request};
use crate::respond::Manner;
use proto::selection::{self, Selection};
use std::rc::{Rc, Weak};

pub struct Standing {
    status: u16,
    prepared: Rc<Prepared>,
    /// What follows the head, with its length, where that is not in memory. Open as long as the entry is known, not longer.
    file: Option<(Weak<OpenFile>, u64)>,
    /// The entry all this is of.
    ticket: Ticket,
}

impl Files {
    /// What a GET or HEAD that has just been answered with 200 or 304 is answered with from now on. `None`: that depends on more than
    /// the entry, or on the time.
    pub fn standing(&self, request: &Request<'_>) -> Option<Standing> {
        if request.head.notes.range {
            return None;
        }
        let found = self.found.borrow();
        let (ticket, entry) = found.ticket(request.mount, request.rest(), uring::now())?;
        let chosen = entry.select(request.head);
        match selection::select(request.head, &chosen.validators(0), chosen.length()) {
            Selection::Full => Some(Standing {
                status: 200,
                prepared: Rc::clone(chosen.full()),
                file: chosen
                    .file()
                    .map(|file| (Rc::downgrade(file), chosen.length())),
                ticket,
            }),
            Selection::NotModified => Some(Standing {
                status: 304,
                prepared: Rc::clone(chosen.not_modified()),
                file: None,
                ticket,
            }),
            _ => None,
        }
    }

    /// As [`Files::answer`]; `None`: the file has to be looked for again.
    #[inline]
    pub fn answer_again(
        &self,
        standing: &Standing,
        date: &[u8; 29],
        manner: Manner,
        out: &mut Vec<u8>,
    ) -> Option<Answer> {
        if !self
            .found
            .borrow_mut()
            .is_fresh(standing.ticket, uring::now())
        {
            return None;
        }
        let file = match &standing.file {
            Some((file, length)) => {
                let file = file.upgrade().filter(|file| !file.is_cut())?;
                (!manner.head_only).then_some((file, *length))
            }
            None => None,
        };
        let body_bytes = standing.prepared.append(date, manner, out);
        let status = standing.status;
        Some(match file {
            Some((file, length)) => {
                let body = Body::whole(file, length);
                Answer::Body { status, body }
            }
            None => Answer::Whole { status, body_bytes },
        })
    }
}
