//! Requests that the caches do not answer: a walk inline, and where that would sleep, the same walk through the ring.
//!
//! Owns what a request must keep while it waits. Must not know how a path is walked or how answers are written.

use super::answer::Asked;
use super::cache::Found;
use super::entry::{Absent, Entry};
use super::listing::{Page, Task};
use super::refusal::status_of;
use super::request::{OwnedRequest, Request};
use super::walk::{Outcome, Walk, relative};
use super::{Answer, Files, errand};
use crate::respond::{Common, Manner};
use config::Autoindex;
use proto::accept;
use proto::listing::Order;
use std::io;
use std::rc::Rc;
use uring::beside::Links;
use uring::fs::Directory;

/// A request that has to wait, with all it needs of its connection.
pub struct Cold {
    /// As they were when it was asked for; a new configuration has no part in it.
    files: Rc<Files>,
    request: OwnedRequest,
    wants: Wants,
}

enum Wants {
    Path {
        stale: Option<Rc<Entry>>,
    },
    /// What the path has come to is known: a directory to be listed, or an error whose page is not at hand.
    More {
        outcome: Outcome,
        status: Option<u16>,
    },
}

/// A request whose wait is over.
pub struct Ready {
    files: Rc<Files>,
    request: OwnedRequest,
    outcome: Outcome,
    listing: Option<Page>,
}

impl Ready {
    /// The answer; never cold again.
    pub fn answer(self, common: Common<'_>, manner: Manner, out: &mut Vec<u8>) -> Answer {
        let Ready {
            files,
            request,
            outcome,
            listing,
        } = self;
        request.with(|request| {
            let asked = Asked {
                files: &files,
                request,
                common,
                manner,
                waited: true,
            };
            match listing {
                Some(page) => asked.show(page, out),
                None => asked.conclude(&outcome, out),
            }
        })
    }
}

impl Cold {
    /// Knows what the path has come to and needs what belongs to that.
    pub(super) fn for_more(
        files: &Rc<Files>,
        request: &Request<'_>,
        outcome: Outcome,
        status: Option<u16>,
    ) -> Box<Cold> {
        Box::new(Cold {
            files: Rc::clone(files),
            request: OwnedRequest::new(request),
            wants: Wants::More { outcome, status },
        })
    }

    /// Waits for the disk, on the kernel's workers or on a thread.
    pub async fn wait(self) -> Ready {
        let Cold {
            files,
            request,
            wants,
        } = self;
        let has_moved = files.follow(request.mount()).await;
        // If the location moves once more meanwhile, the outcome is not kept.
        let directory = files.locations[request.mount()].mount.directory();
        let walk = Walk {
            files: &files,
            mount: request.mount(),
            directory: &directory,
            waits: true,
        };
        let (mut outcome, mut status) = match wants {
            Wants::More { outcome, status } => (outcome, status),
            Wants::Path { stale } => {
                let stale = stale.filter(|_| !has_moved);
                let outcome = walk.resolve(request.rest(), stale.as_ref()).await;
                (
                    outcome.unwrap_or_else(|error| Err(Absent::Status(status_of(&error)))),
                    None,
                )
            }
        };
        let mut listing = None;
        if let Err(Absent::Listing) = outcome {
            match list(&files, &request, &directory).await {
                Ok(page) => listing = Some(page),
                Err(error) => outcome = Err(Absent::Status(status_of(&error))),
            }
        }
        if let Err(Absent::Status(refused)) = outcome {
            status = Some(refused);
        }
        // What the conditions of the request may yet lead to.
        let chosen: &[u16] = if outcome.is_ok() && request.is_choosy() {
            &[412, 416]
        } else {
            &[]
        };
        for status in status.iter().chain(chosen) {
            if let Some(page) = files.locations[request.mount()].page(*status) {
                // It is in the cache now, or there is none and the plain words must do: not a page of which nobody knows
                // whether it is still that.
                if walk.fixed(page).await.is_err() {
                    files.found.borrow_mut().remove(request.mount(), page.key());
                }
            }
        }
        files.mind_open();
        Ready {
            files,
            request,
            outcome,
            listing,
        }
    }
}

async fn list(files: &Files, request: &OwnedRequest, directory: &Directory) -> io::Result<Page> {
    let location = &files.locations[request.mount()];
    let path = match relative(request.rest()) {
        b"." => Vec::new(),
        path => path.to_vec(),
    };
    let root = directory.reader()?;
    let task = request.with(|request| {
        let weigh = |essence| accept::weight_of(request.head.header_all("accept"), essence);
        let prefers_json = || weigh("application/json") > weigh("text/html");
        Task {
            root,
            has_parent: !path.is_empty(),
            path,
            shown_path: request.path.bytes.to_vec(),
            order: Order::of_query(request.head.target.query),
            json: location.options.autoindex == Autoindex::Json || prefers_json(),
            show_hidden: location.options.dotfiles,
            links: Links {
                symlinks: location.symlinks(),
                by_owner: location.asks_owners(),
            },
        }
    });
    errand::run(move || task.run()).await
}

impl Files {
    /// One inline attempt; `Err` if something would sleep.
    pub(super) fn load(
        self: &Rc<Self>,
        request: &Request<'_>,
        stale: Option<Rc<Entry>>,
    ) -> Result<Outcome, Box<Cold>> {
        let attempt = || {
            let has_moved = self.try_follow(request.mount)?;
            let directory = self.locations[request.mount].mount.directory();
            let walk = Walk {
                files: self,
                mount: request.mount,
                directory: &directory,
                waits: false,
            };
            let stale = stale.as_ref().filter(|_| !has_moved);
            Walk::now(walk.resolve(request.rest(), stale))
        };
        let outcome = attempt();
        self.mind_open();
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Box::new(Cold {
                files: Rc::clone(self),
                request: OwnedRequest::new(request),
                wants: Wants::Path { stale },
            })),
            Err(error) => Ok(Err(Absent::Status(status_of(&error)))),
        }
    }

    /// Follows a location to another directory, if that can be told without waiting. True: it has moved, and nothing of the old one is
    /// known any more.
    pub(super) fn try_follow(&self, mount: usize) -> io::Result<bool> {
        let place = &self.locations[mount].mount;
        let has_moved = place.try_look(uring::now(), self.fresh_ns)?;
        Ok(self.forget_if(has_moved, mount))
    }

    async fn follow(&self, mount: usize) -> bool {
        let place = &self.locations[mount].mount;
        let has_moved = place.look(uring::now(), self.fresh_ns).await;
        self.forget_if(has_moved, mount)
    }

    fn forget_if(&self, has_moved: bool, mount: usize) -> bool {
        if has_moved {
            self.found.borrow_mut().clear(mount);
            self.absent.borrow_mut().clear(mount);
        }
        has_moved
    }

    /// Remembers what a key has come to, for as long as it is known that the location is where it was.
    pub(super) fn learn(&self, mount: usize, key: &[u8], outcome: &Outcome) {
        let looked_ns = self.locations[mount].mount.looked_ns();
        let fresh_until_ns = uring::now().min(looked_ns).saturating_add(self.fresh_ns);
        let mut found = self.found.borrow_mut();
        match outcome {
            Ok(entry) => {
                self.absent.borrow_mut().remove(mount, key);
                let is_known = match found.find(mount, key, 0) {
                    Found::Fresh(known) | Found::Stale(known) => Rc::ptr_eq(known, entry),
                    Found::Nothing => false,
                };
                if is_known {
                    found.confirm(mount, key, fresh_until_ns);
                } else {
                    found.insert(mount, key, Rc::clone(entry), fresh_until_ns);
                }
            }
            Err(absent) => {
                found.remove(mount, key);
                self.absent
                    .borrow_mut()
                    .insert(mount, key, *absent, fresh_until_ns);
            }
        }
    }
}
