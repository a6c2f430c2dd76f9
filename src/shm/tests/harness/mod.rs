//! An edge ring and its exchange in one thread, with the steps that tests take.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use shm::{Claim, EdgeRing, Finish, Frame, Layout, Segment, SlotId, WorkerSeat};
use sys::eventfd::EventFd;

pub struct Pair {
    pub segment: Arc<Segment>,
    pub edge: EdgeRing,
    pub bells: Arc<[EventFd]>,
    pub now_ns: u64,
}

pub const LAYOUT: Layout = Layout {
    slots: 8,
    rings: 1,
    workers: 4,
    request_bytes: 4096,
    response_bytes: 4096,
    inbound_bytes: 4096,
};

impl Pair {
    pub fn new() -> Pair {
        Pair::with_fd(LAYOUT).0
    }

    pub fn with_fd(layout: Layout) -> (Pair, OwnedFd) {
        let (fd, segment) = Segment::create(&layout).unwrap();
        let segment = Arc::new(segment);
        let bells = (0..layout.rings).map(|_| EventFd::new().unwrap()).collect();
        let edge = EdgeRing::new(Arc::clone(&segment), 0);
        (
            Pair {
                segment,
                edge,
                bells,
                now_ns: sys::clock::monotonic_ns(),
            },
            fd,
        )
    }

    pub fn worker(&mut self, index: u16, incarnation: u16) -> WorkerSeat {
        let seat = WorkerSeat::attach(
            Arc::clone(&self.segment),
            index,
            incarnation,
            1,
            Arc::clone(&self.bells),
        )
        .unwrap();
        self.edge.worker_up(index, incarnation);
        seat
    }

    pub fn submit(&mut self, text: &[u8]) -> SlotId {
        let slot = self.edge.reserve().unwrap();
        self.edge.request_area(slot)[..text.len()].copy_from_slice(text);
        assert!(self.edge.submit(slot, text.len(), self.now_ns));
        slot
    }

    pub fn dirty(&mut self) -> Vec<SlotId> {
        let mut slots = Vec::new();
        self.edge.dirty(|slot| slots.push(slot));
        slots
    }

    /// Everything a slot has to say, as text.
    pub fn read(&mut self, slot: SlotId) -> String {
        let mut text = String::new();
        loop {
            let chunk = match self.edge.next_frame(slot).unwrap() {
                None => return text,
                Some(Frame::Head(head)) => {
                    text += &format!("[{}]", String::from_utf8_lossy(head));
                    continue;
                }
                Some(Frame::Body(chunk)) => chunk,
                Some(Frame::End) => return text + ".",
                Some(Frame::Abort) => return text + "!",
                Some(other) => {
                    text += &format!("{other:?}");
                    continue;
                }
            };
            text += &String::from_utf8_lossy(self.edge.bytes(slot, chunk));
            self.edge.consume(slot, chunk.mark());
        }
    }
}

pub fn answer(mut claim: Claim, body: &[u8]) {
    claim.write_head(b"200").unwrap();
    assert_eq!(claim.write_body(body), body.len());
    claim.finish(Finish::End);
}
