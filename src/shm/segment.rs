//! The segment: the memory file, its mapping, and typed views of its regions. Everything in it is an atomic or a byte area behind [`Area`].
//!
//! The layout is read from the shared header once, at `attach`, checked, and kept in private memory; offsets are computed from that copy only,
//! so whatever is scribbled into the header later changes nothing. Must not know who is edge and who is worker.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;

use sys::eventfd::EventFd;
use sys::memfd::{self, Mapping};

use crate::corrupt::Corrupt;
use crate::inbox::Inbox;
use crate::layout::{self, Layout, Offsets};
use crate::line::Line;
use crate::outbox::Outbox;
use crate::parking::{self, Mask};
use crate::queue::Queue;
use crate::request;
use crate::state::{self, State, WorkerId};
use crate::stream::Bytes;
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

/// What a worker's seat looks like from outside. Written by the worker: believe it for display only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRecord {
    pub index: u16,
    pub status: WorkerStatus,
    pub incarnation: u16,
    pub generation: u32,
    pub pid: u32,
    /// The slot it runs.
    pub slot: Option<u32>,
    /// When it claimed that, or when it went idle (monotonic ns).
    pub since_ns: u64,
    /// Requests finished by this incarnation.
    pub served: u64,
    /// Requests it runs right now; more than one only in an event loop.
    pub running: u32,
    /// It runs an event loop: `since_ns` is the beginning of the loop's present or last turn.
    pub looped: bool,
    /// Counts the loop's turns; odd while it is in one. The same odd number for long: something blocks the loop.
    pub turn: u64,
    pub draining: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerStatus {
    /// Nobody sits here.
    Empty,
    Idle,
    Busy,
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

    /// One seat; `None` beyond the layout.
    pub fn worker(&self, index: u16) -> Option<WorkerRecord> {
        let record = self.record(index)?;
        let slot = record.slot.load(Ordering::Relaxed).checked_sub(1);
        let occupied = record.occupied.load(Ordering::Acquire) != 0;
        let idle = self.idle().contains(index);
        let looped = record.looped.load(Ordering::Relaxed) != 0;
        let since = if slot.is_some() || looped {
            &record.since_ns
        } else {
            &record.idle_since_ns
        };
        Some(WorkerRecord {
            index,
            status: match (occupied, idle && slot.is_none()) {
                (false, _) => WorkerStatus::Empty,
                (true, true) => WorkerStatus::Idle,
                (true, false) => WorkerStatus::Busy,
            },
            incarnation: record.incarnation.load(Ordering::Relaxed) as u16,
            generation: record.generation.load(Ordering::Relaxed),
            pid: record.pid.load(Ordering::Relaxed),
            slot,
            since_ns: since.load(Ordering::Relaxed),
            served: record.served.load(Ordering::Relaxed),
            running: record.running.load(Ordering::Relaxed),
            looped,
            turn: record.turn.load(Ordering::Relaxed),
            draining: record.wake.0.drain.load(Ordering::Relaxed) != 0,
        })
    }

    /// `METHOD target` of the request that this worker is running in this slot, cut to a screenful; for display. `None` if it has ended
    /// meanwhile: the area is written by a ring thread only while the slot is free, so what was read between two looks at an unchanged claim
    /// was not being written.
    pub fn request_line(&self, slot: u32, worker: WorkerId) -> Option<String> {
        const SHOWN_BYTES: usize = request::FIXED_BYTES + 512;
        if slot >= self.layout.slots {
            return None;
        }
        let word = &self.slot(slot).state;
        let before = state::load(word)?;
        if !matches!(before, State::Claimed { worker: by, .. } if by == worker) {
            return None;
        }
        let mut beginning = [0; SHOWN_BYTES];
        let shown = SHOWN_BYTES.min(self.layout.request_bytes as usize);
        self.request_area(slot).get(0, &mut beginning[..shown]);
        std::sync::atomic::fence(Ordering::Acquire);
        if state::load(word)? != before {
            return None;
        }
        let (method, target) = request::peek(&beginning[..shown])?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Some(format!("{} {}", text(method), text(target)))
    }

    /// Every seat that is not empty.
    pub fn workers(&self) -> Vec<WorkerRecord> {
        (0..self.layout.workers as u16)
            .filter_map(|index| self.worker(index))
            .filter(|record| record.status != WorkerStatus::Empty)
            .collect()
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
        let bell: &Apart<AtomicU32> = self.block(self.offsets.bells, ring, self.layout.rings);
        Outbox {
            bell: &bell.0,
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
        // SAFETY: `at + bytes` lies within the mapping: the region holds one area of this size for each slot.
        let start = unsafe { self.mapping.start().byte_add(at) };
        Area {
            start,
            size: bytes,
            _segment: self,
        }
    }
}

fn bells(layout: &Layout) -> Box<[OnceLock<EventFd>]> {
    (0..layout.workers).map(|_| OnceLock::new()).collect()
}

/// The bytes of one slot's request, response or inbound ring. Raw, because another process may write them at any time; who may touch them when is
/// settled by the slot's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area<'a> {
    /// Invariant: `size` mapped bytes, as long as the segment lives.
    start: NonNull<u8>,
    size: u32,
    _segment: &'a Segment,
}

impl<'a> Area<'a> {
    /// `len` bytes from `offset`, cut to the area.
    #[inline]
    pub fn bytes(&self, offset: u32, len: u32) -> &'a [u8] {
        let offset = offset.min(self.size);
        let len = len.min(self.size - offset);
        // SAFETY: within the area. By the slot's state nobody who keeps the rules writes here now. One who breaks them can change the bytes
        // under the reader: then the reader copies or sends a mixture; nothing in this workspace decides anything by reading such a slice twice.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr().add(offset as usize), len as usize)
        }
    }

    /// The whole area, to be written. The caller owns the slot (`reserve`d and not yet submitted) and makes one such slice at a time.
    #[inline]
    pub fn bytes_mut(&mut self) -> &'a mut [u8] {
        // SAFETY: within the area; exclusive by the slot's state and the caller's `&mut` on the ring that owns it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size as usize) }
    }
}

impl Bytes for Area<'_> {
    #[inline]
    fn size(&self) -> u32 {
        self.size
    }

    #[inline]
    fn put(&self, offset: u32, bytes: &[u8]) {
        if offset as usize + bytes.len() > self.size as usize {
            debug_assert!(false, "frames are cut to the ring");
            return;
        }
        // SAFETY: the range lies within the area (checked above) and does not overlap private memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.start.as_ptr().add(offset as usize),
                bytes.len(),
            );
        }
    }

    #[inline]
    fn get(&self, offset: u32, bytes: &mut [u8]) {
        if offset as usize + bytes.len() > self.size as usize {
            debug_assert!(false, "frames are checked against the ring");
            return;
        }
        // SAFETY: as in `put`.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.as_ptr().add(offset as usize),
                bytes.as_mut_ptr(),
                bytes.len(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
