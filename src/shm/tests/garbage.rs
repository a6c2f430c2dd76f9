//! The app side writes garbage into every field while the edge keeps running: no panic, no hang, no lost slot that does not come back
//! when the app is replaced.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shm::{Corrupt, EdgeRing, EventKind, Frame, Layout, Segment, SlotId};
use sys::memfd::Mapping;

const LAYOUT: Layout = Layout {
    slots: 32,
    rings: 2,
    workers: 8,
    request_bytes: 4096,
    response_bytes: 4096,
    inbound_bytes: 4096,
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}

/// Writes anything anywhere until told to stop. Small numbers and copies of other fields are likelier to be believed than noise.
fn scribble(mapping: &Mapping, stop: &AtomicBool, seed: u64) {
    let mut random = Random(seed);
    let words = mapping.len() as u64 / 8;
    // Everything before the request areas, and the response areas.
    let control = LAYOUT.offsets().requests / 8;
    let responses = LAYOUT.offsets().responses / 8;
    let word = |index: u64| {
        assert!(index < words);
        // SAFETY: an aligned word within the mapping, which lives longer than this borrow; atomics may be written by anybody.
        unsafe {
            mapping
                .start()
                .cast::<AtomicU64>()
                .add(index as usize)
                .as_ref()
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let target = match random.below(4) {
            0 => responses + random.below(words - responses),
            // The first frames of a response.
            1 => responses + random.below(u64::from(LAYOUT.slots)) * 512 + random.below(4),
            _ => random.below(control),
        };
        let value = match random.below(6) {
            0 => random.next(),
            1 => random.below(8),
            2 => random.below(8) | random.next() << 32,
            3 => word(random.below(control)).load(Ordering::Relaxed),
            4 => word(target).load(Ordering::Relaxed) ^ 1 << random.below(64),
            _ => word(target)
                .load(Ordering::Relaxed)
                .wrapping_add(random.below(128)),
        };
        word(target).store(value, Ordering::Relaxed);
    }
}

/// One ring thread's life with everything it may do; returns how often it saw garbage.
fn live(edge: &mut EdgeRing, rounds: u64, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut mine: Vec<SlotId> = Vec::new();
    let (mut corrupt, mut held) = (0, Vec::new());
    for round in 0..rounds {
        let now_ns = round * 1000;
        if let Some(slot) = edge.reserve() {
            edge.request_area(slot)[..8].copy_from_slice(&round.to_le_bytes());
            match edge.submit_since(slot, 8, now_ns, now_ns, random.below(4) == 0) {
                true => {
                    edge.push_event(slot, EventKind::Body, b"early").ok();
                    mine.push(slot);
                }
                false => edge.abandon(slot),
            }
        }
        if !mine.is_empty() {
            let slot = mine[random.below(mine.len() as u64) as usize];
            let bytes = [7; 3000];
            let pushed = edge.push_bytes(slot, EventKind::Body, None, &bytes);
            assert!(pushed <= bytes.len() && edge.inbound_room(slot) <= 4096);
            edge.commit_events(slot);
        }
        edge.wake_workers(now_ns);
        let mut dirty = Vec::new();
        edge.dirty(|slot| dirty.push(slot));
        dirty.extend(mine.iter().copied().take(3));
        dirty.retain(|slot| mine.contains(slot));
        dirty.sort_unstable();
        dirty.dedup();
        for slot in dirty {
            let over = read(edge, slot, &mut held);
            corrupt += u64::from(over.is_err());
            if over != Ok(false) {
                edge.cancel(slot);
                mine.retain(|&other| other != slot);
            }
        }
        held.truncate(4);
        if !mine.is_empty() && random.below(3) == 0 {
            edge.cancel(mine.swap_remove(random.below(mine.len() as u64) as usize));
        }
        if random.below(50) == 0 {
            // The supervisor replaces the app now and then.
            let incarnation = random.next() as u16;
            for index in 0..LAYOUT.workers as u16 {
                for died in edge.worker_gone(index, incarnation) {
                    read(edge, died, &mut held).ok();
                    edge.release(died);
                    mine.retain(|&other| other != died);
                }
                edge.worker_up(index, incarnation.wrapping_add(1));
            }
            edge.settle();
        }
        if let Some(ns) = edge.doze_ns() {
            assert!(ns <= 4_000_000);
            edge.before_doze(sys::clock::monotonic_ns(), ns);
        }
        edge.before_park(sys::clock::monotonic_ns());
        edge.after_park();
        assert!(
            edge.queue_len() <= 128 + 512 && edge.idle_workers() <= 256 && edge.live_workers() <= 8
        );
    }
    for slot in mine {
        edge.cancel(slot);
    }
    corrupt
}

/// True: the response has ended.
fn read(edge: &mut EdgeRing, slot: SlotId, held: &mut Vec<shm::Held>) -> Result<bool, Corrupt> {
    let times = edge.times(slot, 1 << 40);
    assert!(times.queued_ns <= 1 << 40 && times.last_ns <= 1 << 40);
    std::hint::black_box((
        edge.state(slot).ok(),
        edge.worker_of(slot),
        edge.ticket(slot),
    ));
    // A ring that is written faster than it is read never ends, in life as here: bounded by the connection's turn.
    for _ in 0..100 {
        match edge.next_frame(slot)? {
            None => return Ok(false),
            Some(Frame::End | Frame::Abort) => return Ok(true),
            Some(
                Frame::Head(head)
                | Frame::Informational(head)
                | Frame::Trailers(head)
                | Frame::Accept(head),
            ) => drop(shm::response::decode(head)),
            Some(Frame::Close { code, reason }) => drop((code, reason.len())),
            Some(Frame::Body(chunk) | Frame::Message { chunk, .. }) => {
                assert!(edge.bytes(slot, chunk).len() == chunk.len());
                held.insert(0, edge.hold(slot, chunk));
                edge.consume(slot, chunk.mark());
            }
            Some(Frame::File { .. } | Frame::WantBody) => edge.consume_all(slot),
        }
    }
    Ok(false)
}

#[test]
fn the_edge_survives_a_scribbling_app() {
    let (fd, segment) = Segment::create(&LAYOUT).unwrap();
    let segment = Arc::new(segment);
    let theirs = Mapping::new(fd.as_fd(), LAYOUT.offsets().total as usize).unwrap();
    let stop = AtomicBool::new(false);
    let rounds = if cfg!(debug_assertions) {
        200_000
    } else {
        1_000_000
    };
    std::thread::scope(|scope| {
        scope.spawn(|| scribble(&theirs, &stop, 0xDEAD_BEEF_1234_5677));
        let rings: Vec<_> = [0, 1]
            .map(|ring| {
                let segment = Arc::clone(&segment);
                scope.spawn(move || {
                    let mut edge = EdgeRing::new(segment, ring);
                    live(&mut edge, rounds, 0x1234_5678_9ABC_DEF1 + ring as u64)
                })
            })
            .into();
        let status = Arc::clone(&segment);
        scope.spawn({
            let stop = &stop;
            move || {
                while !stop.load(Ordering::Relaxed) {
                    assert!(status.workers().len() <= 8);
                }
            }
        });
        let corrupt: Vec<_> = rings.into_iter().map(|ring| ring.join()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(
            corrupt
                .into_iter()
                .all(|count| count.expect("no panic") > 0),
            "garbage is noticed"
        );
    });
    // The app is replaced: everything is usable again.
    let mut edge = EdgeRing::new(Arc::clone(&segment), 0);
    for index in 0..LAYOUT.workers as u16 {
        edge.worker_up(index, 1);
    }
    edge.settle();
    for index in 0..LAYOUT.workers as u16 {
        edge.worker_gone(index, 1);
    }
    assert_eq!(edge.in_use(), 0);
}
