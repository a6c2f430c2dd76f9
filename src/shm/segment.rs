//! The segment: the memory file, its mapping, and typed views of its regions. Everything in it is an atomic or a byte area behind [`Area`].
//!
//! The layout is read from the shared header once, at `attach`, checked, and kept in private memory; offsets are computed from that copy only,
//! so whatever is scribbled into the header later changes nothing. Must not know who is edge and who is worker.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use sys::eventfd::EventFd;
use sys::memfd::{self, Mapping};

use crate::area::Area;
use crate::corrupt::Corrupt;
use crate::inbox::Inbox;
use crate::layout::{self, Layout, Offsets};
use crate::line::Line;
use crate::outbox::Outbox;
use crate::parking::{self, Mask};
use crate::queue::Queue;
use crate::state::{self, State};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const MAGIC: u64 = u64::from_le_bytes(*b"ringgate");

#[repr(C)]
struct HeaderBlock {
    magic: AtomicU64,
    version: AtomicU32,
    slots: AtomicU32,
    rings: AtomicU32,
    workers: AtomicU32,
    request_bytes: AtomicU32,
    response_bytes: AtomicU32,
    inbound_bytes: AtomicU32,
}

/// A value with two cache lines to itself (x86 fetches lines in pairs).
#[repr(C, align(128))]
pub(crate) struct Apart<T>(pub T);

#[repr(C)]
struct BellBlock {
    bell: AtomicU32,
    due_ns: AtomicU64,
}

#[repr(C)]
pub(crate) struct ControlBlock {
    head: Apart<AtomicU64>,
    tail: Apart<AtomicU64>,
    /// Workers that are parked and may be picked.
    idle: Apart<[AtomicU64; 4]>,
    /// Workers that sit in their seats.
    live: Apart<[AtomicU64; 4]>,
    urgent_head: Apart<AtomicU64>,
    urgent_tail: Apart<AtomicU64>,
}

/// One worker seat. First line: what the worker says of itself. Second: where others talk to it.
#[repr(C, align(128))]
pub(crate) struct RecordBlock {
    pub occupied: AtomicU32,
    pub pid: AtomicU32,
    pub incarnation: AtomicU32,
    pub generation: AtomicU32,
    /// Slot number + 1; 0 between requests.
    pub slot: AtomicU32,
    pub since_ns: AtomicU64,
    pub served: AtomicU64,
    pub idle_since_ns: AtomicU64,
    /// An event loop's turns: odd while it is in one. 0 for a worker without a loop.
    pub turn: AtomicU64,
    /// Requests claimed and not ended.
    pub running: AtomicU32,
    /// It sleeps in its event loop: woken by its eventfd, not by its futex.
    pub looped: AtomicU32,
    pub wake: Apart<WakeBlock>,
}

#[repr(C)]
pub(crate) struct WakeBlock {
    pub word: AtomicU32,
    pub drain: AtomicU32,
    /// The summary of its inbox.
    pub news: AtomicU64,
}

/// One slot. First line: state, and what the edge writes before submitting. Second: what the worker writes. Third: what the edge writes meanwhile.
/// Positions come in pairs of writer's and reader's, one for each of the slot's two rings.
#[repr(C, align(256))]
pub(crate) struct SlotBlock {
    pub state: AtomicU64,
    pub queued_ns: AtomicU64,
    pub request_len: AtomicU32,
    _line1: [u32; 11],
    pub produced: AtomicU64,
    pub claimed_ns: AtomicU64,
    pub first_ns: AtomicU64,
    pub last_ns: AtomicU64,
    /// The worker sleeps until there is room.
    pub waiting: AtomicU32,
    pub in_consumed: AtomicU32,
    _line2: [u32; 6],
    pub consumed: AtomicU32,
    pub cancelled: AtomicU32,
    pub in_produced: AtomicU64,
    /// The edge has more to write than there was room for.
    pub in_waiting: AtomicU32,
}

const _: () = assert!(size_of::<HeaderBlock>() as u64 <= layout::HEADER_BYTES);
const _: () = assert!(size_of::<ControlBlock>() as u64 <= layout::CONTROL_BYTES);
const _: () = assert!(size_of::<RecordBlock>() as u64 == layout::RECORD_BYTES);
const _: () = assert!(size_of::<SlotBlock>() as u64 == layout::SLOT_BYTES);
const _: () = assert!(std::mem::offset_of!(SlotBlock, produced) == 64);
const _: () = assert!(std::mem::offset_of!(SlotBlock, consumed) == 128);

/// A mapped exchange. Share it by `Arc`.
#[derive(Debug)]
pub struct Segment {
    /// Invariant: exactly `offsets.total` bytes long, from a file of that sealed size.
    mapping: Mapping,
    /// Invariant: checked.
    layout: Layout,
    offsets: Offsets,
    /// This process's means to wake workers that sleep in an event loop, by seat.
    bells: Box<[OnceLock<EventFd>]>,
}

impl Segment {
    /// Creates and formats the sealed memory file and maps it. The supervisor calls it once per app and hands the descriptor to everybody.
    pub fn create(layout: &Layout) -> io::Result<(OwnedFd, Segment)> {
        let layout = layout
            .checked()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let offsets = layout.offsets();
        let fd = memfd::create_sealed(c"ringgate-exchange", offsets.total)?;
        let segment = Segment {
            mapping: Mapping::new(fd.as_fd(), offsets.total as usize)?,
            layout,
            offsets,
            bells: bells(&layout),
        };
        segment.line().format();
        let header: &HeaderBlock = segment.block(0, 0, 1);
        header.version.store(layout::VERSION, Ordering::Relaxed);
        header.slots.store(layout.slots, Ordering::Relaxed);
        header.rings.store(layout.rings, Ordering::Relaxed);
        header.workers.store(layout.workers, Ordering::Relaxed);
        header
            .request_bytes
            .store(layout.request_bytes, Ordering::Relaxed);
        header
            .response_bytes
            .store(layout.response_bytes, Ordering::Relaxed);
        header
            .inbound_bytes
            .store(layout.inbound_bytes, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok((fd, segment))
    }

    /// Maps a segment that somebody else created; checks seals, magic, version, bounds and size.
    pub fn attach(fd: OwnedFd) -> Result<Segment, Corrupt> {
        let len = memfd::sealed_len(fd.as_fd())
            .map_err(|_| Corrupt("segment: not a sealed memory file"))?;
        if len < layout::HEADER_BYTES {
            return Err(Corrupt("segment: shorter than its header"));
        }
        let layout = {
            let mapping = Mapping::new(fd.as_fd(), layout::HEADER_BYTES as usize)
                .map_err(|_| Corrupt("segment: cannot be mapped"))?;
            // SAFETY: the mapping is page-aligned and as long as a header block, which is made of atomics; it outlives the block expression.
            let header = unsafe { mapping.start().cast::<HeaderBlock>().as_ref() };
            if header.magic.load(Ordering::Acquire) != MAGIC {
                return Err(Corrupt("segment: no exchange in this file"));
            }
            if header.version.load(Ordering::Relaxed) != layout::VERSION {
                return Err(Corrupt("segment: made by another version of ringgate"));
            }
            let found = Layout {
                slots: header.slots.load(Ordering::Relaxed),
                rings: header.rings.load(Ordering::Relaxed),
                workers: header.workers.load(Ordering::Relaxed),
                request_bytes: header.request_bytes.load(Ordering::Relaxed),
                response_bytes: header.response_bytes.load(Ordering::Relaxed),
                inbound_bytes: header.inbound_bytes.load(Ordering::Relaxed),
            };
            if found.checked()? != found {
                return Err(Corrupt("layout: slots are not a multiple of rings"));
            }
            found
        };
        let offsets = layout.offsets();
        if offsets.total != len {
            return Err(Corrupt("segment: its size does not match its layout"));
        }
        let mapping = Mapping::new(fd.as_fd(), len as usize)
            .map_err(|_| Corrupt("segment: cannot be mapped"))?;
        Ok(Segment {
            mapping,
            layout,
            offsets,
            bells: bells(&layout),
        })
    }

    /// Gives this process the means to wake the worker in seat `index` while it sleeps in its event loop. The seat's eventfd stays the same for
    /// the life of the segment, so the first one counts.
    pub fn set_bell(&self, index: u16, bell: EventFd) {
        if let Some(place) = self.bells.get(usize::from(index)) {
            drop(place.set(bell));
        }
    }

    pub fn bell(&self, index: u16) -> Option<&EventFd> {
        self.bells.get(usize::from(index))?.get()
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Entries in the request queue (cancelled ones included until they are skipped).
    pub fn queue_len(&self) -> usize {
        self.line().len()
    }

    /// When the request was queued that waits longest for a worker (monotonic ns); `None`: none waits.
    pub fn oldest_queued_ns(&self) -> Option<u64> {
        // Entries of cancelled requests stand between.
        const LOOKED_AT_MAX: u64 = 256;
        let line = self.line();
        let mut entries = line.usual.peek(LOOKED_AT_MAX);
        entries.find_map(|(ticket, slot)| {
            let slot = (slot < self.layout.slots).then(|| self.slot(slot))?;
            let queued = state::load(&slot.state)? == State::Queued { ticket };
            queued.then(|| slot.queued_ns.load(Ordering::Relaxed))
        })
    }

    /// Workers parked right now.
    pub fn idle_workers(&self) -> usize {
        self.idle().count()
    }

    /// Asks the worker to claim no more and to end (`WorkerSeat::should_drain`), and wakes it.
    pub fn request_drain(&self, index: u16) {
        if let Some(record) = self.record(index) {
            record.wake.0.drain.store(1, Ordering::SeqCst);
            self.unpark(index);
        }
    }

    /// Wakes the worker if it is parked, whatever for.
    pub fn unpark(&self, index: u16) {
        let Some(record) = self.record(index) else {
            return;
        };
        let word = &record.wake.0.word;
        if !parking::notify(word) {
            return;
        }
        let woken = match (record.looped.load(Ordering::Relaxed), self.bell(index)) {
            (0, _) => sys::futex::wake(word, 1).map(drop),
            (_, Some(bell)) => bell.ring(),
            // Its token is in its word; it looks when its loop turns next.
            (_, None) => Ok(()),
        };
        debug_assert!(woken.is_ok(), "waking a live word or bell cannot fail");
    }

    /// Whether `unpark` from this process ends that worker's sleep.
    #[inline]
    pub(crate) fn can_wake(&self, index: u16) -> bool {
        self.bell(index).is_some()
            || self
                .record(index)
                .is_some_and(|record| record.looped.load(Ordering::Relaxed) == 0)
    }

    /// Tells a worker that there is news for it in `slot`.
    pub(crate) fn tell(&self, index: u16, slot: u32) {
        if let Some(inbox) = self.inbox(index) {
            inbox.mark(slot);
            self.unpark(index);
        }
    }

    #[inline]
    fn control(&self) -> &ControlBlock {
        self.block(self.offsets.control, 0, 1)
    }

    #[inline]
    pub(crate) fn line(&self) -> Line<'_> {
        let control = self.control();
        Line {
            urgent: Queue {
                head: &control.urgent_head.0,
                tail: &control.urgent_tail.0,
                cells: self.words(self.offsets.urgent, layout::URGENT_ENTRIES),
            },
            usual: Queue {
                head: &control.head.0,
                tail: &control.tail.0,
                cells: self.words(self.offsets.cells, self.layout.queue_entries()),
            },
        }
    }

    #[inline]
    pub(crate) fn idle(&self) -> Mask<'_> {
        Mask(&self.control().idle.0)
    }

    #[inline]
    pub(crate) fn live(&self) -> Mask<'_> {
        Mask(&self.control().live.0)
    }

    /// The outbox of a ring below `layout.rings`.
    #[inline]
    pub(crate) fn outbox(&self, ring: u32) -> Outbox<'_> {
        let ring = ring.min(self.layout.rings - 1);
        let words = self.layout.dirty_words();
        let bell: &Apart<BellBlock> = self.block(self.offsets.bells, ring, self.layout.rings);
        Outbox {
            bell: &bell.0.bell,
            due_ns: &bell.0.due_ns,
            words: self.words(
                self.offsets.dirty + u64::from(ring) * u64::from(words) * 8,
                words,
            ),
        }
    }

    /// The inbox of a seat; `None` beyond the layout.
    #[inline]
    pub(crate) fn inbox(&self, index: u16) -> Option<Inbox<'_>> {
        let record = self.record(index)?;
        let words = self.layout.inbox_words();
        Some(Inbox {
            summary: &record.wake.0.news,
            words: self.words(
                self.offsets.inboxes + u64::from(index) * u64::from(words) * 8,
                words,
            ),
        })
    }

    #[inline]
    pub(crate) fn record(&self, index: u16) -> Option<&RecordBlock> {
        let index = u32::from(index);
        (index < self.layout.workers)
            .then(|| self.block(self.offsets.records, index, self.layout.workers))
    }

    /// The block of a slot below `layout.slots`.
    #[inline]
    pub(crate) fn slot(&self, slot: u32) -> &SlotBlock {
        self.block(self.offsets.slots, slot, self.layout.slots)
    }

    #[inline]
    pub(crate) fn request_area(&self, slot: u32) -> Area<'_> {
        self.area(self.offsets.requests, slot, self.layout.request_bytes)
    }

    #[inline]
    pub(crate) fn response_area(&self, slot: u32) -> Area<'_> {
        self.area(self.offsets.responses, slot, self.layout.response_bytes)
    }

    #[inline]
    pub(crate) fn inbound_area(&self, slot: u32) -> Area<'_> {
        self.area(self.offsets.inbounds, slot, self.layout.inbound_bytes)
    }

    /// Number `index` of `count` blocks that begin at `offset`. An index out of range (a mistake of ours) is cut to the last block.
    #[inline]
    fn block<T>(&self, offset: u64, index: u32, count: u32) -> &T {
        debug_assert!(index < count);
        let at = offset as usize + index.min(count - 1) as usize * size_of::<T>();
        debug_assert!(at + size_of::<T>() <= self.mapping.len());
        // SAFETY: `offset` comes from the checked layout, whose regions hold `count` blocks of this size within the mapping (asserted above and by
        // the size assertions beside the types); regions are page-aligned, so blocks are aligned. `T` is made of atomics and padding that nobody reads, for
        // which any bytes are valid and which any process may change at any time. The mapping lives as long as `self`.
        unsafe { self.mapping.start().byte_add(at).cast::<T>().as_ref() }
    }

    #[inline]
    fn words(&self, offset: u64, count: u32) -> &[AtomicU64] {
        debug_assert!(offset + u64::from(count) * 8 <= self.offsets.total);
        // SAFETY: as in `block`: the region of the checked layout holds `count` aligned words.
        unsafe {
            let start = self
                .mapping
                .start()
                .byte_add(offset as usize)
                .cast::<AtomicU64>();
            std::slice::from_raw_parts(start.as_ptr(), count as usize)
        }
    }

    #[inline]
    fn area(&self, offset: u64, slot: u32, bytes: u32) -> Area<'_> {
        debug_assert!(slot < self.layout.slots);
        let slot = slot.min(self.layout.slots - 1);
        let at = offset as usize + slot as usize * bytes as usize;
        // SAFETY: `at + bytes` lies within the mapping, which lives as long as the segment: the region holds one area of this size for each slot.
        unsafe {
            let start = self.mapping.start().byte_add(at);
            Area::new(self, start, bytes)
        }
    }
}

fn bells(layout: &Layout) -> Box<[OnceLock<EventFd>]> {
    (0..layout.workers).map(|_| OnceLock::new()).collect()
}

#[cfg(test)]
mod tests;
