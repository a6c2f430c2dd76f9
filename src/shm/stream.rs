//! A byte ring of frames with one writer and one reader. A slot has two: the response ring (worker to edge) and the inbound ring (edge to worker).
//!
//! A frame is `u32 length, u8 kind, 3 zero bytes`, then `length` bytes, padded to 8. Everything is 8-aligned, so the header never wraps; a
//! body frame is cut so that its bytes never wrap either and can leave from where they are. Positions are free-running u32s.
//! `produced` carries the ticket of the request beside the position: what an earlier use of the slot left in the response ring counts as nothing,
//! so nobody has to reset it. (The inbound ring is written before the final ticket is known; the edge resets it and uses [`NO_TICKET`].)
//!
//! Invariants, writer: `written - consumed <= size`. Reader: `consumed <= read <= produced`, `produced - consumed <= size`; the reader keeps its
//! own `consumed` and checks `produced` at every look.

use crate::corrupt::Corrupt;
use crate::sync::{AtomicU32, AtomicU64, Ordering, store_load_barrier};

pub const FRAME_HEADER_BYTES: u32 = 8;

/// Stands for the ticket in the inbound ring.
pub const NO_TICKET: u32 = 0;

/// Kinds of frames; the inbound ring's are in `event`.
pub const HEAD: u8 = 1;
pub const BODY: u8 = 2;
pub const FILE: u8 = 3;
pub const WANT_BODY: u8 = 4;
pub const INFORMATIONAL: u8 = 5;
pub const TRAILERS: u8 = 6;
pub const ACCEPT: u8 = 7;
pub const TEXT_PART: u8 = 8;
pub const TEXT_END: u8 = 9;
pub const BINARY_PART: u8 = 10;
pub const BINARY_END: u8 = 11;
pub const CLOSE: u8 = 12;
const FILE_BYTES: usize = 24;

/// The bytes of a ring: `size` of them, a power of two. Offsets are below `size` and ranges do not leave it, or nothing is copied.
pub trait Bytes {
    fn size(&self) -> u32;
    fn put(&self, offset: u32, bytes: &[u8]);
    fn get(&self, offset: u32, bytes: &mut [u8]);
}

#[inline]
fn padded(len: u32) -> u32 {
    len.next_multiple_of(8)
}

/// Writer's end. Lives as long as one claim.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    ticket: u32,
    written: u32,
    published: u32,
    /// The last `consumed` seen; the true one is not smaller.
    consumed: u32,
    /// Room that the last refused write wanted.
    wanted: u32,
}

impl Writer {
    pub fn new(ticket: u32) -> Writer {
        Writer {
            ticket,
            written: 0,
            published: 0,
            consumed: 0,
            wanted: 0,
        }
    }

    #[inline]
    fn room(&self, size: u32) -> u32 {
        // A hostile `consumed` makes this nonsense at most below `size`; the writer hurts its own ring only.
        size.saturating_sub(self.written.wrapping_sub(self.consumed))
    }

    /// Is there room for `need` bytes of frames? Looks at the shared position only if the known one does not do.
    #[inline]
    fn has_room(&mut self, size: u32, need: u32, consumed: &AtomicU32) -> bool {
        if self.room(size) >= need {
            return true;
        }
        // Acquire: the reader is done with the bytes that we are about to write over.
        self.consumed = consumed.load(Ordering::Acquire);
        if self.room(size) >= need {
            return true;
        }
        self.wanted = need;
        false
    }

    #[inline]
    fn frame(&mut self, ring: &impl Bytes, kind: u8, payload: &[u8]) {
        let size = ring.size();
        let header = (payload.len() as u64 | u64::from(kind) << 32).to_le_bytes();
        ring.put(self.written & (size - 1), &header);
        let at = self.written.wrapping_add(FRAME_HEADER_BYTES) & (size - 1);
        let until_end = (size - at) as usize;
        let (first, second) = payload.split_at(payload.len().min(until_end));
        ring.put(at, first);
        if !second.is_empty() {
            ring.put(0, second);
        }
        self.written = self
            .written
            .wrapping_add(FRAME_HEADER_BYTES + padded(payload.len() as u32));
    }

    /// Writes a frame whole. `Err(true)`: it could fit later; `Err(false)`: never.
    pub fn whole(
        &mut self,
        ring: &impl Bytes,
        consumed: &AtomicU32,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), bool> {
        let size = ring.size();
        if payload.len() > (size - FRAME_HEADER_BYTES) as usize {
            return Err(false);
        }
        let need = FRAME_HEADER_BYTES + padded(payload.len() as u32);
        if !self.has_room(size, need, consumed) {
            return Err(true);
        }
        self.frame(ring, kind, payload);
        Ok(())
    }

    pub fn file(
        &mut self,
        ring: &impl Bytes,
        consumed: &AtomicU32,
        token: u64,
        offset: u64,
        length: u64,
    ) -> Result<(), bool> {
        let mut payload = [0; FILE_BYTES];
        payload[..8].copy_from_slice(&token.to_le_bytes());
        payload[8..16].copy_from_slice(&offset.to_le_bytes());
        payload[16..].copy_from_slice(&length.to_le_bytes());
        self.whole(ring, consumed, FILE, &payload)
    }

    /// Writes as much of `bytes` as there is room for, in frames of at most a quarter of the ring; returns how much. The frames are of kind `part`,
    /// the one that ends `bytes` of kind `end`.
    pub fn pieces(
        &mut self,
        ring: &impl Bytes,
        consumed: &AtomicU32,
        (part, end): (u8, u8),
        bytes: &[u8],
    ) -> usize {
        let size = ring.size();
        let mut done = 0;
        while done < bytes.len() {
            if !self.has_room(size, FRAME_HEADER_BYTES + 8, consumed) {
                break;
            }
            let at = self.written.wrapping_add(FRAME_HEADER_BYTES) & (size - 1);
            // The known room may be small while the true one is large: look once more before cutting the bytes up.
            if (self.room(size) as usize) < bytes.len() - done {
                self.consumed = consumed.load(Ordering::Acquire);
            }
            let most = (self.room(size).saturating_sub(FRAME_HEADER_BYTES))
                .min(size - at)
                .min(size / 4);
            let len = (bytes.len() - done).min(most as usize);
            if len == 0 {
                break;
            }
            let kind = if done + len == bytes.len() { end } else { part };
            self.frame(ring, kind, &bytes[done..done + len]);
            done += len;
        }
        done
    }

    /// Shows everything written so far to the reader. False if there was nothing new.
    #[inline]
    pub fn publish(&mut self, produced: &AtomicU64) -> bool {
        self.show(produced, Ordering::Release)
    }

    /// The same, ordered before a look at whether the reader is there yet.
    #[inline]
    pub fn publish_before_look(&mut self, produced: &AtomicU64) -> bool {
        let shown = self.show(produced, Ordering::SeqCst);
        store_load_barrier();
        shown
    }

    #[inline]
    pub fn has_unpublished(&self) -> bool {
        self.published != self.written
    }

    #[inline]
    fn show(&mut self, produced: &AtomicU64, order: Ordering) -> bool {
        if self.published == self.written {
            return false;
        }
        self.published = self.written;
        produced.store(
            u64::from(self.ticket) << 32 | u64::from(self.written),
            order,
        );
        true
    }

    /// Payload that would fit now, in one frame or several.
    pub fn free(&mut self, size: u32, consumed: &AtomicU32) -> u32 {
        self.consumed = consumed.load(Ordering::Acquire);
        self.room(size).saturating_sub(4 * (FRAME_HEADER_BYTES + 8))
    }

    /// Before sleeping for room: says so, then looks once more. True: there is room (for what was last refused, or a quarter of the ring).
    pub fn lie_down(&mut self, size: u32, consumed: &AtomicU32, waiting: &AtomicU32) -> bool {
        waiting.store(1, Ordering::SeqCst);
        store_load_barrier();
        self.consumed = consumed.load(Ordering::SeqCst);
        self.room(size) >= self.wanted.max(size / 4)
    }
}

/// What the reader found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A head of some sort (`HEAD`, `INFORMATIONAL`, `TRAILERS`, `ACCEPT`), in the scratch buffer.
    Head {
        kind: u8,
    },
    /// `len` bytes at `offset` of the ring; they may be given up by consuming up to `end`.
    Body {
        offset: u32,
        len: u32,
        end: u32,
    },
    /// The same for a piece of a WebSocket message.
    Message {
        binary: bool,
        last: bool,
        offset: u32,
        len: u32,
        end: u32,
    },
    File {
        token: u64,
        offset: u64,
        length: u64,
    },
    WantBody,
    /// Code and reason are in the scratch buffer.
    Close,
}

/// A frame that was found and checked to lie in the ring: `len` bytes at `at`, which may wrap.
#[derive(Debug, Clone, Copy)]
struct Raw {
    kind: u8,
    at: u32,
    len: u32,
    end: u32,
}

/// Reader's end. Lives as long as one use of the slot. Believes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reader {
    read: u32,
    consumed: u32,
}

impl Reader {
    /// The next frame, if one was published under `ticket`. Checked against the ring, not moved past.
    #[inline]
    fn look(&self, ring: &impl Bytes, produced: u64, ticket: u32) -> Result<Option<Raw>, Corrupt> {
        let size = ring.size();
        let produced = if (produced >> 32) as u32 == ticket {
            produced as u32
        } else {
            0
        };
        let ahead = produced.wrapping_sub(self.read);
        if ahead == 0 {
            return Ok(None);
        }
        if produced.wrapping_sub(self.consumed) > size || ahead > size || ahead % 8 != 0 {
            return Err(Corrupt("ring: impossible position"));
        }
        let mut header = [0; 8];
        ring.get(self.read & (size - 1), &mut header);
        let header = u64::from_le_bytes(header);
        let (len, kind) = (header as u32, (header >> 32) as u8);
        if len > ahead - FRAME_HEADER_BYTES || padded(len) > ahead - FRAME_HEADER_BYTES {
            return Err(Corrupt("ring: a frame is longer than what was published"));
        }
        Ok(Some(Raw {
            kind,
            at: self.read.wrapping_add(FRAME_HEADER_BYTES) & (size - 1),
            len,
            end: self.read.wrapping_add(FRAME_HEADER_BYTES + padded(len)),
        }))
    }

    /// The next frame of a response ring. What is not left in the ring is copied into `scratch`.
    pub fn next(
        &mut self,
        ring: &impl Bytes,
        produced: u64,
        ticket: u32,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<Item>, Corrupt> {
        let Some(raw) = self.look(ring, produced, ticket)? else {
            return Ok(None);
        };
        let Raw { kind, at, len, end } = raw;
        let item = match kind {
            BODY | TEXT_PART..=BINARY_END if len > ring.size() - at => {
                return Err(Corrupt("response ring: a body frame wraps"));
            }
            BODY => Item::Body {
                offset: at,
                len,
                end,
            },
            TEXT_PART..=BINARY_END => Item::Message {
                binary: kind >= BINARY_PART,
                last: matches!(kind, TEXT_END | BINARY_END),
                offset: at,
                len,
                end,
            },
            HEAD | INFORMATIONAL | TRAILERS | ACCEPT => {
                scratch.clear();
                copy(ring, at, len, scratch);
                Item::Head { kind }
            }
            FILE if len as usize == FILE_BYTES => {
                scratch.clear();
                copy(ring, at, len, scratch);
                let number = |at: usize| {
                    scratch[at..at + 8]
                        .iter()
                        .rev()
                        .fold(0u64, |number, &byte| number << 8 | u64::from(byte))
                };
                Item::File {
                    token: number(0),
                    offset: number(8),
                    length: number(16),
                }
            }
            WANT_BODY if len == 0 => Item::WantBody,
            CLOSE if len >= 2 => {
                scratch.clear();
                copy(ring, at, len, scratch);
                Item::Close
            }
            _ => return Err(Corrupt("response ring: unknown kind of frame")),
        };
        self.read = end;
        Ok(Some(item))
    }

    /// The kind of the next frame of any ring; its payload is appended to `out`, and its room may be given up at the next `publish`.
    pub fn take(
        &mut self,
        ring: &impl Bytes,
        produced: u64,
        ticket: u32,
        out: &mut Vec<u8>,
    ) -> Result<Option<u8>, Corrupt> {
        let Some(raw) = self.look(ring, produced, ticket)? else {
            return Ok(None);
        };
        copy(ring, raw.at, raw.len, out);
        self.read = raw.end;
        self.consumed = raw.end;
        Ok(Some(raw.kind))
    }

    /// The kind of the next frame, which stays where it is.
    pub fn peek(
        &self,
        ring: &impl Bytes,
        produced: u64,
        ticket: u32,
    ) -> Result<Option<u8>, Corrupt> {
        Ok(self.look(ring, produced, ticket)?.map(|raw| raw.kind))
    }

    /// Where reading stands; everything before may be consumed.
    pub fn position(&self) -> u32 {
        self.read
    }

    /// Moves `consumed` up to `mark` if that lies ahead and has been read. True if it moved.
    pub fn advance(&mut self, mark: u32) -> bool {
        let step = mark.wrapping_sub(self.consumed);
        if step == 0 || step > self.read.wrapping_sub(self.consumed) {
            return false;
        }
        self.consumed = mark;
        true
    }

    /// Tells the writer. True: it waits for room and there is enough to be worth waking it.
    pub fn publish(
        &self,
        size: u32,
        consumed: &AtomicU32,
        produced: &AtomicU64,
        waiting: &AtomicU32,
    ) -> bool {
        consumed.store(self.consumed, Ordering::SeqCst);
        store_load_barrier();
        if waiting.load(Ordering::SeqCst) == 0 {
            return false;
        }
        // A waiting writer has shown all it wrote, so this is its true room. When all is consumed the room is the whole ring.
        let used = (produced.load(Ordering::Acquire) as u32).wrapping_sub(self.consumed);
        used == 0 || size.saturating_sub(used) >= size / 4
    }
}

/// Appends a range that may wrap. `len <= size` was checked.
fn copy(ring: &impl Bytes, at: u32, len: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + len as usize, 0);
    let copied = &mut out[start..];
    let until_end = (ring.size() - at).min(len) as usize;
    ring.get(at, &mut copied[..until_end]);
    if until_end < len as usize {
        ring.get(0, &mut copied[until_end..]);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
