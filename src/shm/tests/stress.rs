//! Two ring threads and four workers, all sleeping and waking as in life: streams longer than their rings, clients that leave, workers that drain
//! and are replaced. Every answer is compared byte for byte. Also what ThreadSanitizer watches.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shm::{EdgeRing, Finish, Frame, Held, Layout, Park, Segment, SlotId, WaitSpace, WorkerSeat};
use sys::eventfd::EventFd;

const RINGS: u32 = 2;
const WORKERS: u16 = 4;
const LAYOUT: Layout = Layout {
    slots: 64,
    rings: RINGS,
    workers: 2 * WORKERS as u32,
    request_bytes: 4096,
    response_bytes: 4096,
    inbound_bytes: 4096,
};

fn requests_per_ring() -> u32 {
    if cfg!(debug_assertions) {
        50_000
    } else {
        300_000
    }
}

/// Length of the answer to a request: mostly short, sometimes several rings long.
fn answer_len(id: u32) -> usize {
    match id % 64 {
        0 => 20_000,
        1 => 4096,
        _ => (id % 700) as usize,
    }
}

fn answer_byte(id: u32, at: usize) -> u8 {
    (at as u32).wrapping_mul(31).wrapping_add(id) as u8
}

/// One worker's life.
fn work(mut seat: WorkerSeat, stop: &AtomicBool) -> u32 {
    let mut served = 0;
    while !stop.load(Ordering::SeqCst) && !seat.should_drain() {
        let Some(mut claim) = seat.try_claim() else {
            seat.park(Duration::from_secs(60));
            continue;
        };
        let id = u32::from_le_bytes(claim.request().try_into().unwrap());
        claim.write_head(&id.to_le_bytes()).unwrap();
        let body: Vec<u8> = (0..answer_len(id)).map(|at| answer_byte(id, at)).collect();
        let mut written = 0;
        let mut how = Finish::End;
        while written < body.len() {
            written += claim.write_body(&body[written..]);
            if written < body.len()
                && claim.wait_space(Duration::from_secs(60)) == WaitSpace::Cancelled
            {
                how = Finish::Abort;
                break;
            }
        }
        claim.finish(how);
        served += 1;
    }
    served
}

struct Ring {
    edge: EdgeRing,
    bell: EventFd,
    /// By local slot number: the request's id and what has come of its answer.
    running: Vec<Option<(u32, Vec<u8>)>>,
    held: Vec<Held>,
    open: usize,
    done: u32,
}

impl Ring {
    fn submit(&mut self, id: u32, now_ns: u64) -> bool {
        let Some(slot) = self.edge.reserve() else {
            return false;
        };
        self.edge.request_area(slot)[..4].copy_from_slice(&id.to_le_bytes());
        assert!(self.edge.submit(slot, 4, now_ns));
        let local = self.edge.local(slot);
        self.running[local] = Some((id, Vec::new()));
        self.open += 1;
        if id % 97 == 5 {
            // The client leaves at once.
            self.edge.cancel(slot);
            self.close(slot);
        }
        true
    }

    fn close(&mut self, slot: SlotId) {
        let local = self.edge.local(slot);
        self.running[local] = None;
        self.open -= 1;
        self.done += 1;
    }

    fn read(&mut self, slot: SlotId) {
        let local = self.edge.local(slot);
        let Some((id, got)) = &mut self.running[local] else {
            panic!("not ours")
        };
        loop {
            match self.edge.next_frame(slot).unwrap() {
                None => return,
                Some(Frame::Head(head)) => assert_eq!(head, id.to_le_bytes()),
                Some(Frame::Body(chunk)) => {
                    got.extend_from_slice(self.edge.bytes(slot, chunk));
                    if *id % 50 == 7 {
                        self.held.push(self.edge.hold(slot, chunk));
                    }
                    self.edge.consume(slot, chunk.mark());
                }
                Some(Frame::End) => break,
                Some(other) => panic!("{other:?}"),
            }
            if *id % 640 == 0 && got.len() > 8000 {
                // The client leaves in the middle.
                self.edge.cancel(slot);
                self.close(slot);
                return;
            }
        }
        assert!(
            got.len() == answer_len(*id)
                && got
                    .iter()
                    .enumerate()
                    .all(|(at, &byte)| byte == answer_byte(*id, at))
        );
        self.edge.release(slot);
        self.close(slot);
    }

    fn run(&mut self, requests: u32) {
        let mut next = 0;
        while self.done < requests {
            let now_ns = sys::clock::monotonic_ns();
            while next < requests && self.open < 24 && self.submit(next, now_ns) {
                next += 1;
            }
            self.edge.wake_workers(now_ns);
            let timeout = match self.edge.before_park(sys::clock::monotonic_ns()) {
                Park::Stay => None,
                Park::Nap(ns) => Some(Duration::from_nanos(ns)),
                // Nobody rings for slots kept aside alone; life has other reasons to wake up, this test has not.
                Park::Sleep if self.open == 0 => Some(Duration::from_millis(1)),
                Park::Sleep => Some(Duration::from_secs(60)),
            };
            if let Some(timeout) = timeout {
                let rung = self.bell.poll(Some(timeout)).unwrap();
                assert!(rung || timeout < Duration::from_secs(60), "a lost wake");
                self.bell.take().unwrap();
            }
            self.edge.after_park();
            let mut dirty = Vec::new();
            self.edge.dirty(|slot| dirty.push(slot));
            dirty.into_iter().for_each(|slot| self.read(slot));
            self.held.clear();
        }
    }
}

#[test]
fn rings_and_workers_at_full_speed() {
    let (_fd, segment) = Segment::create(&LAYOUT).unwrap();
    let segment = Arc::new(segment);
    let bells: Arc<[EventFd]> = (0..RINGS).map(|_| EventFd::new().unwrap()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seat = |index, incarnation| {
            WorkerSeat::attach(
                Arc::clone(&segment),
                index,
                incarnation,
                1,
                Arc::clone(&bells),
            )
            .unwrap()
        };
        let stop = &stop;
        let mut workers: Vec<_> = (0..WORKERS)
            .map(|index| seat(index, 1))
            .map(|seat| scope.spawn(move || work(seat, stop)))
            .collect();
        let rings: Vec<_> = (0..RINGS as usize)
            .map(|ring| {
                let (segment, bell) = (Arc::clone(&segment), bells[ring].try_clone().unwrap());
                scope.spawn(move || {
                    let edge = EdgeRing::new(segment, ring);
                    let running = (0..edge.capacity()).map(|_| None).collect();
                    let mut ring = Ring {
                        edge,
                        bell,
                        running,
                        held: Vec::new(),
                        open: 0,
                        done: 0,
                    };
                    ring.run(requests_per_ring());
                })
            })
            .collect();
        // A new generation takes over while requests flow, several times, in the seats that the old one left.
        for generation in 2..6 {
            let base = if generation % 2 == 0 { WORKERS } else { 0 };
            let next: Vec<_> = (0..WORKERS)
                .map(|index| seat(base + index, generation))
                .collect();
            workers.extend(
                next.into_iter()
                    .map(|seat| scope.spawn(move || work(seat, stop))),
            );
            for worker in workers.drain(..usize::from(WORKERS)) {
                let leaving = WORKERS - base;
                (0..WORKERS).for_each(|index| segment.request_drain(leaving + index));
                worker.join().unwrap();
            }
        }
        rings.into_iter().for_each(|ring| ring.join().unwrap());
        stop.store(true, Ordering::SeqCst);
        (0..2 * WORKERS).for_each(|index| segment.unpark(index));
    });
    assert_eq!(segment.workers(), []);
}
