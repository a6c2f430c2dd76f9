//! The exchange against a list of operations: two ring threads and three workers in one thread, beside a model that is too simple to be wrong.
//!
//! Each byte is one operation. Checked all along: order of the queue, who holds what, that no request is lost, doubled or shown to a worker
//! after its client left, that answers arrive byte for byte, that slots come back, and that a sleeper is rung.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sys::eventfd::EventFd;

use crate::{
    Cancel, Claim, EdgeRing, Finish, Frame, Layout, Park, Segment, SlotId, WaitSpace, WorkerSeat,
};

const RINGS: usize = 2;
const WORKERS: usize = 3;
const LAYOUT: Layout = Layout {
    slots: 8,
    rings: RINGS as u32,
    workers: WORKERS as u32,
    request_bytes: 4096,
    response_bytes: 4096,
    inbound_bytes: 4096,
};
/// Longer lists only repeat themselves.
const OPERATIONS_MAX: usize = 4096;

struct Request {
    id: u32,
    ring: usize,
    slot: SlotId,
    /// What a worker has written and shown; what the edge has read.
    shown: Vec<u8>,
    read: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Queued,
    Running,
    Ended,
    Aborted,
    Died,
}

struct Worker {
    /// `None` while the seat is empty.
    seat: Option<WorkerSeat>,
    incarnation: u16,
    claim: Option<(u32, Claim)>,
    /// Written by the claim, not yet shown.
    unshown: Vec<u8>,
}

struct World {
    segment: Arc<Segment>,
    bells: Arc<[EventFd]>,
    edges: Vec<EdgeRing>,
    asleep: [bool; RINGS],
    workers: Vec<Worker>,
    /// Those that the edge still cares for.
    requests: Vec<Request>,
    /// Ids in the order in which workers must see them.
    queue: VecDeque<u32>,
    next_id: u32,
    now_ns: u64,
}

/// Fuzz entry: panics where the exchange and the model disagree.
pub fn fuzz_operations(operations: &[u8]) {
    let mut world = World::new();
    for &operation in operations.iter().take(OPERATIONS_MAX) {
        world.now_ns += 1_000_000;
        world.step(operation);
    }
    world.wind_up();
}

/// Every fifth request goes before the others.
fn is_urgent(id: u32) -> bool {
    id.is_multiple_of(5)
}

impl World {
    fn new() -> World {
        let (_fd, segment) = Segment::create(&LAYOUT).expect("memfd");
        let segment = Arc::new(segment);
        let bells = (0..RINGS)
            .map(|_| EventFd::new().expect("eventfd"))
            .collect();
        let edges = (0..RINGS)
            .map(|ring| EdgeRing::new(Arc::clone(&segment), ring))
            .collect();
        let workers = (0..WORKERS)
            .map(|_| Worker {
                seat: None,
                incarnation: 0,
                claim: None,
                unshown: Vec::new(),
            })
            .collect();
        let mut world = World {
            segment,
            bells,
            edges,
            asleep: [false; RINGS],
            workers,
            requests: Vec::new(),
            queue: VecDeque::new(),
            next_id: 1,
            now_ns: 1,
        };
        (0..WORKERS).for_each(|index| world.sit_down(index));
        world
    }

    fn step(&mut self, operation: u8) {
        let ring = usize::from(operation & 1);
        let index = usize::from(operation) % WORKERS;
        match operation >> 3 {
            0..6 => self.submit(ring),
            6..8 => self.cancel(operation),
            8..14 => self.claim(index),
            14..18 => self.write(index, operation),
            18..20 => self.flush(index),
            20..24 => self.finish(
                index,
                if operation & 7 == 7 {
                    Finish::Abort
                } else {
                    Finish::End
                },
            ),
            24..28 => self.turn(ring),
            28 => self.sleep(ring),
            29 => self.kill(index),
            30 => self.sit_down(index),
            _ if operation & 7 == 7 => self.restart(ring),
            _ => self.wait_space(index),
        }
    }

    fn submit(&mut self, ring: usize) {
        let in_use = self.edges[ring].in_use();
        let Some(slot) = self.edges[ring].reserve() else {
            assert_eq!(
                in_use,
                self.edges[ring].capacity(),
                "a free slot is given out"
            );
            return;
        };
        let id = self.next_id;
        self.next_id += 1;
        self.edges[ring].request_area(slot)[..4].copy_from_slice(&id.to_le_bytes());
        let (now_ns, urgent) = (self.now_ns, is_urgent(id));
        assert!(
            self.edges[ring].submit_since(slot, 4, now_ns, now_ns, urgent),
            "the queue has room for every slot"
        );
        self.edges[ring].wake_workers(self.now_ns);
        let at = if urgent {
            self.queue.partition_point(|&id| is_urgent(id))
        } else {
            self.queue.len()
        };
        self.queue.insert(at, id);
        self.requests.push(Request {
            id,
            ring,
            slot,
            shown: Vec::new(),
            read: Vec::new(),
            stage: Stage::Queued,
        });
    }

    fn cancel(&mut self, operation: u8) {
        if self.requests.is_empty() {
            return;
        }
        let request = self
            .requests
            .remove(usize::from(operation) % self.requests.len());
        let outcome = self.edges[request.ring].cancel(request.slot);
        let expected = if request.stage == Stage::Running {
            Cancel::Running
        } else {
            Cancel::Freed
        };
        assert_eq!(outcome, expected);
        self.queue.retain(|&id| id != request.id);
        for worker in &self.workers {
            if let Some((id, claim)) = &worker.claim {
                assert!(*id != request.id || claim.cancelled());
            }
        }
    }

    fn claim(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some(seat) = &mut worker.seat else { return };
        if worker.claim.is_some() {
            return;
        }
        let Some(claim) = seat.try_claim() else {
            assert!(self.queue.is_empty(), "an idle worker finds what is queued");
            return;
        };
        let id = u32::from_le_bytes(claim.request().try_into().expect("four bytes"));
        assert_eq!(
            Some(id),
            self.queue.pop_front(),
            "first in, first out, the urgent before the others"
        );
        assert!(!claim.cancelled());
        worker.claim = Some((id, claim));
        worker.unshown.clear();
        self.request(id).expect("queued").stage = Stage::Running;
    }

    fn request(&mut self, id: u32) -> Option<&mut Request> {
        self.requests.iter_mut().find(|request| request.id == id)
    }

    fn write(&mut self, index: usize, operation: u8) {
        let worker = &mut self.workers[index];
        let Some((id, claim)) = &mut worker.claim else {
            return;
        };
        let len = [1, 7, 8, 100, 1000, 1024, 3000, 5000][usize::from(operation & 7)];
        let bytes: Vec<u8> = (0..len)
            .map(|at| (at as u32).wrapping_mul(*id) as u8)
            .collect();
        let written = claim.write_body(&bytes);
        worker.unshown.extend_from_slice(&bytes[..written]);
    }

    fn show(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some((id, _)) = worker.claim else { return };
        let unshown = std::mem::take(&mut worker.unshown);
        if let Some(request) = self.request(id) {
            request.shown.extend(unshown);
        }
    }

    fn flush(&mut self, index: usize) {
        if let Some((_, claim)) = &mut self.workers[index].claim {
            claim.flush();
            self.show(index);
        }
    }

    fn wait_space(&mut self, index: usize) {
        let Some((_, claim)) = &mut self.workers[index].claim else {
            return;
        };
        let cancelled = claim.cancelled();
        let outcome = claim.wait_space(Duration::ZERO);
        assert_eq!(outcome == WaitSpace::Cancelled, cancelled);
        self.show(index);
    }

    fn finish(&mut self, index: usize, how: Finish) {
        self.show(index);
        let Some((id, claim)) = self.workers[index].claim.take() else {
            return;
        };
        claim.finish(how);
        if let Some(request) = self.request(id) {
            request.stage = if how == Finish::End {
                Stage::Ended
            } else {
                Stage::Aborted
            };
        }
    }

    /// A ring thread is awake to be told something.
    fn get_up(&mut self, ring: usize) {
        self.asleep[ring] = false;
        self.edges[ring].after_park();
    }

    fn turn(&mut self, ring: usize) {
        self.get_up(ring);
        let mut dirty = Vec::new();
        self.edges[ring].dirty(|slot| dirty.push(slot));
        for slot in dirty {
            self.read(ring, slot);
        }
        self.edges[ring].wake_workers(self.now_ns);
    }

    /// Reads one slot to its present end, and takes the slot back if that is the end of all.
    fn read(&mut self, ring: usize, slot: SlotId) {
        let place = self
            .requests
            .iter()
            .position(|request| (request.ring, request.slot) == (ring, slot));
        let place = place.expect("only slots that the edge cares for are reported");
        let request = &mut self.requests[place];
        let edge = &mut self.edges[ring];
        let end = loop {
            match edge.next_frame(slot).expect("nobody writes garbage here") {
                None => break None,
                Some(Frame::Body(chunk)) => {
                    request.read.extend_from_slice(edge.bytes(slot, chunk));
                    edge.consume(slot, chunk.mark());
                }
                Some(Frame::End) => break Some(Stage::Ended),
                Some(Frame::Abort) => break Some(request.stage),
                Some(other) => panic!("nobody wrote {other:?}"),
            }
        };
        assert!(request.read == request.shown, "what was shown arrives");
        if let Some(end) = end {
            assert_eq!(request.stage, end);
            assert!(end != Stage::Queued && end != Stage::Running);
            edge.release(slot);
            self.requests.remove(place);
        }
    }

    fn sleep(&mut self, ring: usize) {
        self.turn(ring);
        self.bells[ring].take().expect("eventfd");
        if self.edges[ring].before_park(self.now_ns) == Park::Stay {
            self.turn(ring);
            return;
        }
        self.asleep[ring] = true;
    }

    fn kill(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some(seat) = worker.seat.take() else {
            return;
        };
        std::mem::forget(seat);
        let id = worker.claim.take().map(|(id, claim)| {
            std::mem::forget(claim);
            id
        });
        let incarnation = worker.incarnation;
        worker.unshown.clear();
        let expected = self.request(id.unwrap_or(0)).map(|request| {
            request.stage = Stage::Died;
            (request.ring, request.slot)
        });
        for ring in 0..RINGS {
            self.get_up(ring);
            let died = self.edges[ring].worker_gone(index as u16, incarnation);
            let expected = expected.filter(|&(of, _)| of == ring).map(|(_, slot)| slot);
            assert_eq!(died, Vec::from_iter(expected));
        }
    }

    fn sit_down(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if worker.seat.is_some() {
            return;
        }
        worker.incarnation += 1;
        let (segment, bells) = (Arc::clone(&self.segment), Arc::clone(&self.bells));
        let seat = WorkerSeat::attach(segment, index as u16, worker.incarnation, 1, bells)
            .expect("a seat");
        worker.seat = Some(seat);
        let incarnation = worker.incarnation;
        for ring in 0..RINGS {
            self.get_up(ring);
            self.edges[ring].worker_up(index as u16, incarnation);
        }
    }

    /// The edge dies and comes back: both rings, as they are threads of one process.
    fn restart(&mut self, _ring: usize) {
        self.requests.clear();
        self.queue.clear();
        self.asleep = [false; RINGS];
        for ring in 0..RINGS {
            self.edges[ring] = EdgeRing::new(Arc::clone(&self.segment), ring);
            for (index, worker) in self.workers.iter().enumerate() {
                if worker.seat.is_some() {
                    self.edges[ring].worker_up(index as u16, worker.incarnation);
                }
            }
            self.edges[ring].settle();
        }
    }

    /// Everybody finishes: nothing may be left anywhere.
    fn wind_up(&mut self) {
        for index in 0..WORKERS {
            self.sit_down(index);
        }
        for _ in 0..=LAYOUT.slots {
            for index in 0..WORKERS {
                self.finish(index, Finish::End);
                self.claim(index);
            }
        }
        for ring in 0..RINGS {
            let waiting = self.requests.iter().any(|request| request.ring == ring);
            let rung = self.bells[ring].take().expect("eventfd") > 0;
            assert!(
                !(self.asleep[ring] && waiting) || rung,
                "a sleeper with answers was rung"
            );
            self.turn(ring);
            assert_eq!(self.edges[ring].in_use(), 0, "every slot has come back");
        }
        assert!(self.requests.is_empty() && self.queue.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_lists_of_operations() {
        let rounds = if cfg!(debug_assertions) { 200 } else { 2000 };
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..rounds {
            let operations: Vec<u8> = (0..1500)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    (seed >> 24) as u8
                })
                .collect();
            fuzz_operations(&operations);
        }
    }
}
