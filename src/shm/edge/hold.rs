//! Body bytes in flight: while the kernel may still read them, their slot is not used again.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::segment::Segment;

/// Per slot of a ring: how many `Held` exist, and whether the slot waits for the last of them to become free.
#[derive(Debug)]
pub(super) struct Holds {
    counts: Vec<Cell<u32>>,
    leaving: Vec<Cell<bool>>,
    /// Local numbers of slots whose last hold was dropped after their release.
    returned: RefCell<Vec<u32>>,
}

impl Holds {
    pub fn new(slots: usize) -> Rc<Holds> {
        Rc::new(Holds {
            counts: vec![Cell::new(0); slots],
            leaving: vec![Cell::new(false); slots],
            returned: RefCell::new(Vec::new()),
        })
    }

    /// The slot was released. True: nothing is held, it is free now; false: it will show up in `returned`.
    pub fn leave(&self, local: u32) -> bool {
        let free = self.counts[local as usize].get() == 0;
        self.leaving[local as usize].set(!free);
        free
    }

    pub fn returned(&self) -> Option<u32> {
        self.returned.borrow_mut().pop()
    }
}

/// Body bytes that stay where they are, in the segment, until this is dropped: for sends in flight. The slot is not used again before that.
/// Their address is stable. An app that breaks the rules may change the bytes meanwhile: never parse them, only copy or send them.
#[derive(Debug)]
pub struct Held {
    holds: Rc<Holds>,
    segment: Arc<Segment>,
    local: u32,
    slot: u32,
    offset: u32,
    len: u32,
}

impl Held {
    pub(super) fn new(
        holds: &Rc<Holds>,
        segment: &Arc<Segment>,
        local: u32,
        slot: u32,
        offset: u32,
        len: u32,
    ) -> Held {
        let count = &holds.counts[local as usize];
        count.set(count.get() + 1);
        Held {
            holds: Rc::clone(holds),
            segment: Arc::clone(segment),
            local,
            slot,
            offset,
            len,
        }
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.segment
            .response_area(self.slot)
            .bytes(self.offset, self.len)
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let count = &self.holds.counts[self.local as usize];
        count.set(count.get() - 1);
        if count.get() == 0 && self.holds.leaving[self.local as usize].replace(false) {
            self.holds.returned.borrow_mut().push(self.local);
        }
    }
}
