//! The edge's end of the exchange: one per app and ring thread. Owns the slots of its ring and a private table about them.
//!
//! Invariants: the private table decides what a slot is used for; shared memory only reports what workers did, and every report is checked.
//! A slot is free again only when no worker that keeps the rules can write to it any more and no send of its bytes is in flight.
//! Must not know: HTTP, sockets, rings.

mod enqueue;
mod frame;
mod hold;
mod inbound;
mod park;
mod reading;
mod recovery;

use std::rc::Rc;
use std::sync::Arc;

use crate::corrupt::Corrupt;
use crate::handover::Label;
use crate::segment::{Segment, SlotBlock};
use crate::state::{self, State, WorkerId};
use crate::stream::{NO_TICKET, Reader, Writer};
use crate::sync::Ordering;

pub use frame::{Cancel, Chunk, Frame, Full, Mark, SlotId, SlotState, Times};
pub use hold::Held;
use hold::Holds;
pub use park::Park;
use park::Sleeper;
use recovery::{Live, Orphan};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Free,
    Reserved,
    Submitted,
    /// Cancelled while running (or turned to garbage): free when no worker can write to it any more.
    Orphan,
    /// Released, but bytes are still held.
    Leaving,
}

/// What a slot is taken for: each has a bound of its own, so that neither starves the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Request,
    /// A WebSocket, for as long as it is open.
    Socket,
}

/// What we know of a slot without asking shared memory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    phase: Phase,
    /// `None` while it is free, and for what an earlier edge left.
    purpose: Option<Purpose>,
    /// Its worker died (or it was lost with one): what was published may be read, then comes `Abort`.
    dead: bool,
    /// The worker was seen to be through.
    done: bool,
    /// Words of the slot's block were written that must be zero at the next use.
    touched: bool,
    /// It was put into the urgent queue.
    urgent: bool,
    /// When it was queued (which the block's time may precede).
    queued_ns: u64,
    reader: Reader,
    /// Of the inbound ring.
    writer: Writer,
}

/// One ring thread's end of one app's exchange. Stays in its thread.
#[derive(Debug)]
pub struct EdgeRing {
    segment: Arc<Segment>,
    ring: u32,
    /// First slot of this ring.
    base: u32,
    entries: Vec<Entry>,
    /// Local numbers of free slots, last in first out: hot slots are used again, cold ones never touched.
    free: Vec<u32>,
    /// Slots that are not free, by [`Purpose`].
    taken: [usize; 2],
    holds: Rc<Holds>,
    orphans: Vec<Orphan>,
    live: Live,
    sleeper: Sleeper,
    /// Slots in phase `Submitted`.
    submitted: usize,
    /// Look at every slot, whatever the bitmap says (after a worker's death).
    look_at_all: bool,
    swept_ns: u64,
    scratch: Vec<u8>,
}

impl EdgeRing {
    /// Takes over ring `ring` of the segment (cleaning up what an earlier edge left, see `recover`). Panics if the layout has no such ring.
    pub fn new(segment: Arc<Segment>, ring: usize) -> EdgeRing {
        let layout = *segment.layout();
        assert!(
            ring < layout.rings as usize,
            "the segment was made for {} rings",
            layout.rings
        );
        let slots = layout.slots_per_ring();
        let entry = Entry {
            phase: Phase::Free,
            purpose: None,
            dead: false,
            done: false,
            touched: true,
            urgent: false,
            queued_ns: 0,
            reader: Reader::default(),
            writer: Writer::new(NO_TICKET),
        };
        let mut this = EdgeRing {
            ring: ring as u32,
            base: ring as u32 * slots,
            entries: vec![entry; slots as usize],
            free: Vec::with_capacity(slots as usize),
            taken: [0; 2],
            holds: Holds::new(slots as usize),
            orphans: Vec::new(),
            live: Live::default(),
            sleeper: Sleeper::new(),
            submitted: 0,
            look_at_all: false,
            swept_ns: 0,
            scratch: Vec::new(),
            segment,
        };
        this.recover();
        this
    }

    /// How many slots this ring has; `local` numbers are smaller.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// `slot`'s place among this ring's slots, for dense tables.
    pub fn local(&self, slot: SlotId) -> usize {
        let local = slot.0.wrapping_sub(self.base) as usize;
        assert!(
            local < self.entries.len(),
            "the slot belongs to another ring"
        );
        local
    }

    fn entry(&mut self, slot: SlotId) -> &mut Entry {
        let local = self.local(slot);
        &mut self.entries[local]
    }

    fn block(&self, slot: SlotId) -> &SlotBlock {
        self.segment.slot(slot.0)
    }

    /// A free slot; `None` when all are in use: answer 503.
    pub fn reserve(&mut self) -> Option<SlotId> {
        self.reserve_within(Purpose::Request, usize::MAX)
    }

    /// A free slot, if fewer than `bound` are taken for this purpose.
    pub fn reserve_within(&mut self, purpose: Purpose, bound: usize) -> Option<SlotId> {
        self.take_returned();
        if self.taken(purpose) >= bound {
            return None;
        }
        let local = self.free.pop()?;
        self.taken[purpose as usize] += 1;
        let entry = &mut self.entries[local as usize];
        entry.phase = Phase::Reserved;
        entry.purpose = Some(purpose);
        entry.writer = Writer::new(NO_TICKET);
        if entry.touched {
            entry.touched = false;
            let block = self.segment.slot(self.base + local);
            block.consumed.store(0, Ordering::Relaxed);
            block.cancelled.store(0, Ordering::Relaxed);
            block.in_produced.store(0, Ordering::Relaxed);
            block.in_consumed.store(0, Ordering::Relaxed);
            block.in_waiting.store(0, Ordering::Relaxed);
        }
        Some(SlotId(self.base + local))
    }

    /// Where to `request::encode`. Only between `reserve` and `submit`; panics otherwise, for then a worker reads there.
    pub fn request_area(&mut self, slot: SlotId) -> &mut [u8] {
        assert_eq!(
            self.entry(slot).phase,
            Phase::Reserved,
            "the request area is the edge's only while reserved"
        );
        self.segment.request_area(slot.0).bytes_mut()
    }

    /// A copy of a submitted request, while the slot is this side's. The worker can have changed it: judge it like anything from outside.
    pub fn request_copy(&self, slot: SlotId) -> Vec<u8> {
        let len = self.block(slot).request_len.load(Ordering::Relaxed);
        self.segment.request_area(slot.0).bytes(0, len).to_vec()
    }

    /// A cancelled request whose worker has not let go of it yet.
    pub fn is_running_on(&self, slot: SlotId) -> bool {
        self.entries[self.local(slot)].phase == Phase::Orphan
    }

    /// Gives back a slot that was reserved and not submitted.
    pub fn abandon(&mut self, slot: SlotId) {
        debug_assert_eq!(self.entry(slot).phase, Phase::Reserved);
        self.set_free(self.local(slot));
    }

    /// The client is gone, or the deadline passed, or the slot was `Corrupt`. Either way the slot is not the caller's any more.
    pub fn cancel(&mut self, slot: SlotId) -> Cancel {
        let local = self.local(slot);
        match self.entries[local].phase {
            Phase::Reserved => {
                self.set_free(local);
                return Cancel::Freed;
            }
            Phase::Submitted => {}
            Phase::Free | Phase::Orphan | Phase::Leaving => {
                debug_assert!(false, "cancelled twice");
                return Cancel::Freed;
            }
        }
        let block = self.segment.slot(slot.0);
        let worker = match state::cancel(&block.state) {
            Err(Some(State::Done { .. })) => {
                self.sleeper.answered(
                    self.entries[local].queued_ns,
                    block.claimed_ns.load(Ordering::Relaxed),
                    block.last_ns.load(Ordering::Relaxed),
                );
                None
            }
            Ok(()) => None,
            Err(Some(State::Claimed { worker, .. })) => Some(Some(worker)),
            Err(_) => Some(None),
        };
        match worker {
            Some(worker) if !self.entries[local].dead => {
                self.submitted -= 1;
                self.set_orphan(local, worker);
                Cancel::Running
            }
            _ => {
                self.submitted -= 1;
                self.set_free(local);
                Cancel::Freed
            }
        }
    }

    /// Calls `changed` for every submitted slot of this ring about which a worker has published something since the last call. May call it for a slot
    /// where nothing is new. Slots that were cancelled are dealt with here and not reported.
    pub fn dirty(&mut self, mut changed: impl FnMut(SlotId)) {
        // What the last look found has been read since.
        self.sleeper.looked();
        self.take_returned();
        let look_at_all = std::mem::take(&mut self.look_at_all);
        for index in 0..self.segment.layout().dirty_words() {
            let mut bits = self.segment.outbox(self.ring).take(index);
            while bits != 0 {
                if !look_at_all {
                    self.look(
                        index as usize * 64 + bits.trailing_zeros() as usize,
                        &mut changed,
                    );
                }
                bits &= bits - 1;
            }
        }
        if look_at_all {
            for local in 0..self.entries.len() {
                self.look(local, &mut changed);
            }
        }
    }

    fn look(&mut self, local: usize, changed: &mut impl FnMut(SlotId)) {
        let slot = SlotId(self.base + local as u32);
        match self.entries.get(local).map(|entry| entry.phase) {
            Some(Phase::Submitted) => {
                self.sleeper.stir();
                changed(slot);
            }
            Some(Phase::Orphan) => {
                if let Some(State::Done { .. }) = state::load(&self.block(slot).state) {
                    self.bury(local);
                }
            }
            // An old bit, or garbage.
            Some(Phase::Free | Phase::Reserved | Phase::Leaving) | None => {}
        }
    }

    /// After `End`, `Abort` or `worker_gone`: the slot is free again (once nothing is `Held` of it).
    pub fn release(&mut self, slot: SlotId) {
        // A slot that is neither done nor dead is a cancelled one, whatever the caller thinks.
        self.cancel(slot);
    }

    /// For a slot between `submit` and `release` or `cancel`.
    pub fn state(&self, slot: SlotId) -> Result<SlotState, Corrupt> {
        match state::load(&self.block(slot).state) {
            Some(State::Queued { .. }) => Ok(SlotState::Queued),
            Some(State::Claimed { worker, .. }) => Ok(SlotState::Claimed(worker)),
            Some(State::Done { worker, .. }) => Ok(SlotState::Done(worker)),
            Some(State::Free) | None => Err(Corrupt("slot: no such state")),
        }
    }

    pub fn times(&self, slot: SlotId, now_ns: u64) -> Times {
        let block = self.block(slot);
        let claimed = self.worker_of(slot).is_some();
        let mut floor = block.queued_ns.load(Ordering::Relaxed).min(now_ns);
        let queued_ns = floor;
        let mut next = |stamp: &crate::sync::AtomicU64| match stamp.load(Ordering::Relaxed) {
            stamp if stamp == 0 || !claimed => 0,
            stamp => {
                floor = stamp.clamp(floor, now_ns.max(floor));
                floor
            }
        };
        Times {
            queued_ns,
            claimed_ns: next(&block.claimed_ns),
            first_ns: next(&block.first_ns),
            last_ns: next(&block.last_ns),
        }
    }

    /// The number of this use of the slot, as the worker that claimed it sees it (`Claim::ticket`): goes with descriptors on the worker's socket.
    pub fn ticket(&self, slot: SlotId) -> u32 {
        (self.block(slot).state.load(Ordering::Acquire) >> 32) as u32
    }

    /// Whether the use of a slot, of any ring's, that the label names is not over: while it is not, somebody may ask for its descriptor.
    pub fn is_current(&self, label: Label) -> bool {
        let layout = self.segment.layout();
        if label.slot >= layout.slots {
            return false;
        }
        match state::load(&self.segment.slot(label.slot).state) {
            Some(State::Claimed { ticket, .. } | State::Done { ticket, .. }) => {
                ticket == label.ticket
            }
            _ => false,
        }
    }

    /// Who runs or ran it. `None` while it is queued, and for a seat that does not exist.
    pub fn worker_of(&self, slot: SlotId) -> Option<WorkerId> {
        match state::load(&self.block(slot).state) {
            Some(State::Claimed { worker, .. } | State::Done { worker, .. }) => {
                (u32::from(worker.index) < self.segment.layout().workers).then_some(worker)
            }
            _ => None,
        }
    }

    /// Entries in the app's queue, all rings together.
    pub fn queue_len(&self) -> usize {
        self.segment.queue_len()
    }

    pub fn idle_workers(&self) -> usize {
        self.segment.idle_workers()
    }

    /// Slots of this ring not free: reserved, queued, running, done, or kept aside.
    pub fn in_use(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// How many of them are taken for this purpose.
    pub fn taken(&self, purpose: Purpose) -> usize {
        self.taken[purpose as usize]
    }

    fn take_returned(&mut self) {
        while let Some(local) = self.holds.returned() {
            self.put_back(local);
        }
    }

    fn put_back(&mut self, local: u32) {
        let entry = &mut self.entries[local as usize];
        entry.phase = Phase::Free;
        if let Some(purpose) = entry.purpose.take() {
            self.taken[purpose as usize] -= 1;
        }
        self.free.push(local);
    }

    /// The slot is nobody's any more; free at once or when the last hold is dropped.
    fn set_free(&mut self, local: usize) {
        state::free(&self.segment.slot(self.base + local as u32).state);
        if self.holds.leave(local as u32) {
            self.put_back(local as u32);
        } else {
            self.entries[local].phase = Phase::Leaving;
        }
    }
}
