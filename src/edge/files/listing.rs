//! A directory's listing, made on a thread of its own.
//!
//! Invariants: nothing is shown that a request could not get (hidden names, what is no file or directory, links that the policy
//! refuses); at most `ITEMS_MAX` entries are read, so that a directory of millions costs no more than one of thousands.
//! Must not know requests.

use proto::listing::{Item, Listing, Order};
use std::ffi::CStr;
use std::io;
use uring::beside::{Entries, Links, Reader};
use uring::fs::{Kind, Stat};

/// Entries read of one directory; some 20 ms of the thread.
pub const ITEMS_MAX: usize = 10_000;

/// Entries looked at, some 60 us, before a ring thread that has woken on the same processor may go first: the kernel itself may let it
/// wait for the next tick (`kernel-notes/wakes-may-wait-for-a-tick.md`).
const ITEMS_AT_A_TIME: usize = 32;

/// What is to be listed and how.
pub struct Task {
    pub root: Reader,
    /// Below `root`, ends with a slash; "" for the root itself.
    pub path: Vec<u8>,
    /// As the client knows it.
    pub shown_path: Vec<u8>,
    pub has_parent: bool,
    pub order: Order,
    pub json: bool,
    pub show_hidden: bool,
    pub links: Links,
}

/// A listing that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Page {
    pub json: bool,
    pub truncated: bool,
    pub body: Vec<u8>,
}

impl Task {
    /// Reads and writes; may sleep.
    pub fn run(self) -> io::Result<Page> {
        let name: &[u8] = if self.path.is_empty() {
            b"."
        } else {
            &self.path
        };
        let mut entries = self.root.entries(name, self.links)?;
        let mut items = Vec::new();
        let mut truncated = false;
        while let Some(entry) = entries.next() {
            if items.len() >= ITEMS_MAX {
                truncated = true;
                break;
            }
            if items.len() % ITEMS_AT_A_TIME == ITEMS_AT_A_TIME - 1 {
                std::thread::yield_now();
            }
            let (name, kind) = entry?;
            items.extend(self.item(&entries, &name, kind));
        }
        self.order.sort(&mut items);
        let listing = Listing {
            path: &self.shown_path,
            has_parent: self.has_parent,
            items: &items,
            order: self.order,
            truncated,
        };
        let mut body = Vec::new();
        if self.json {
            listing.append_json(&mut body);
        } else {
            listing.append_html(&mut body);
        }
        Ok(Page {
            json: self.json,
            truncated,
            body,
        })
    }

    fn item(&self, entries: &Entries, name: &CStr, kind: Kind) -> Option<Item> {
        let bytes = name.to_bytes();
        let is_hidden = bytes.starts_with(b".") && !self.show_hidden;
        // A name with a backslash is refused when it is asked for.
        if is_hidden
            || bytes.contains(&b'\\')
            || matches!(kind, Kind::Fifo | Kind::Socket | Kind::Device)
        {
            return None;
        }
        let mut stat = entries.stat(name).ok()?;
        if stat.kind == Kind::Symlink {
            stat = self.look_through(bytes)?;
        }
        let is_directory = match stat.kind {
            Kind::Directory => true,
            Kind::Regular => false,
            _ => return None,
        };
        Some(Item {
            name: bytes.to_vec(),
            is_directory,
            size: if is_directory { 0 } else { stat.size },
            modified: u64::try_from(stat.modified_s).unwrap_or(0),
        })
    }

    /// What a link leads to, if a request may follow it.
    fn look_through(&self, name: &[u8]) -> Option<Stat> {
        let mut path = self.path.clone();
        path.extend_from_slice(name);
        self.root.stat(&path, self.links).ok()
    }
}
