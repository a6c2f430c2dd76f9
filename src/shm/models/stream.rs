//! The response ring: bytes arrive whole and in order, never written over while they are read, and a writer that sleeps for room gets it.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::{Futex, check};
use crate::parking::{self, PARKED, RUNNING};
use crate::stream::{BODY, Bytes, Item, Reader, Writer};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Two headers and two words of payload.
pub(super) const SIZE: u32 = 32;
const TICKET: u32 = 9;

pub(super) struct Ring(Vec<UnsafeCell<[u8; 8]>>);

impl Ring {
    pub(super) fn new() -> Ring {
        Ring((0..SIZE / 8).map(|_| UnsafeCell::new([0; 8])).collect())
    }
}

// SAFETY: the cells are what loom checks.
unsafe impl Sync for Ring {}
// SAFETY: as above.
unsafe impl Send for Ring {}

impl Bytes for Ring {
    fn size(&self) -> u32 {
        SIZE
    }

    fn put(&self, offset: u32, bytes: &[u8]) {
        for (index, part) in bytes.chunks(8).enumerate() {
            // SAFETY: checked by loom.
            self.0[offset as usize / 8 + index]
                .with_mut(|cell| unsafe { (&mut *cell)[..part.len()].copy_from_slice(part) });
        }
    }

    fn get(&self, offset: u32, bytes: &mut [u8]) {
        for (index, part) in bytes.chunks_mut(8).enumerate() {
            // SAFETY: checked by loom.
            self.0[offset as usize / 8 + index]
                .with(|cell| unsafe { part.copy_from_slice(&(&*cell)[..part.len()]) });
        }
    }
}

struct Slot {
    ring: Ring,
    produced: AtomicU64,
    consumed: AtomicU32,
    waiting: AtomicU32,
    cancelled: AtomicU32,
    word: AtomicU32,
    futex: Futex,
}

impl Slot {
    fn new() -> Arc<Slot> {
        Arc::new(Slot {
            ring: Ring::new(),
            // Left by an earlier request.
            produced: AtomicU64::new(u64::from(TICKET - 1) << 32 | 16),
            consumed: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            cancelled: AtomicU32::new(0),
            word: AtomicU32::new(RUNNING),
            futex: Futex::new(),
        })
    }

    /// `Claim::wait_space` without the clock. False: cancelled.
    fn wait_space(&self, writer: &mut Writer) -> bool {
        loop {
            let noted = parking::lie_down(&self.word);
            let room = writer.lie_down(SIZE, &self.consumed, &self.waiting);
            let cancelled = self.cancelled.load(Ordering::SeqCst) != 0;
            if !room && !cancelled && noted {
                self.futex.wait(&self.word, PARKED);
            }
            parking::get_up(&self.word);
            if room || cancelled {
                self.waiting.store(0, Ordering::SeqCst);
                return !cancelled;
            }
        }
    }

    fn unpark(&self) {
        if parking::notify(&self.word) {
            self.futex.wake();
        }
    }

    /// Reads what is there, byte for byte; the tail of `EdgeRing::{next_frame, consume}`.
    fn read(&self, reader: &mut Reader, got: &mut Vec<u8>) {
        let mut scratch = Vec::new();
        while let Some(item) = reader
            .next(
                &self.ring,
                self.produced.load(Ordering::Acquire),
                TICKET,
                &mut scratch,
            )
            .unwrap()
        {
            let Item::Body { offset, len, end } = item else {
                panic!("{item:?}")
            };
            let mut bytes = vec![0; len as usize];
            self.ring.get(offset, &mut bytes);
            got.extend_from_slice(&bytes);
            assert!(reader.advance(end));
            if reader.publish(SIZE, &self.consumed, &self.produced, &self.waiting) {
                self.unpark();
            }
        }
    }
}

#[test]
fn a_body_longer_than_the_ring_gets_through() {
    check(|| {
        let slot = Slot::new();
        let body = [1, 2, 3, 4];
        let writing = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let mut writer = Writer::new(TICKET);
                for byte in body {
                    while writer.pieces(&slot.ring, &slot.consumed, (BODY, BODY), &[byte]) == 0 {
                        writer.publish(&slot.produced);
                        assert!(slot.wait_space(&mut writer));
                    }
                }
                writer.publish(&slot.produced);
            })
        };
        let (mut reader, mut got) = (Reader::default(), Vec::new());
        while got.len() < body.len() {
            slot.read(&mut reader, &mut got);
            thread::yield_now();
        }
        assert_eq!(got, body);
        writing.join().unwrap();
    });
}

#[test]
fn a_writer_waiting_for_room_hears_that_the_client_left() {
    check(|| {
        let slot = Slot::new();
        let writing = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let mut writer = Writer::new(TICKET);
                while writer.pieces(&slot.ring, &slot.consumed, (BODY, BODY), &[1; 8]) > 0 {}
                writer.publish(&slot.produced);
                assert!(!slot.wait_space(&mut writer));
            })
        };
        // `EdgeRing::set_orphan`.
        slot.cancelled.store(1, Ordering::SeqCst);
        crate::sync::store_load_barrier();
        if slot.waiting.load(Ordering::SeqCst) != 0 {
            slot.unpark();
        }
        writing.join().unwrap();
    });
}
