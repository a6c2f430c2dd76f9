//! Events on their way to a worker: one that publishes while the request is being claimed is found, a loop does not sleep through its inbox, and a ring
//! thread that waits for room is told of it.

use loom::sync::Arc;
use loom::thread;

use super::stream::{Ring, SIZE};
use super::{Bell, check};
use crate::event::EventKind;
use crate::inbox::Inbox;
use crate::outbox::{self, Outbox};
use crate::parking::{self, RUNNING};
use crate::state::{self, WorkerId};
use crate::stream::{NO_TICKET, Reader, Writer};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const TICKET: u32 = 5;
const ME: WorkerId = WorkerId {
    index: 0,
    incarnation: 1,
};

struct Exchange {
    state: AtomicU64,
    ring: Ring,
    produced: AtomicU64,
    consumed: AtomicU32,
    waiting: AtomicU32,
    cancelled: AtomicU32,
    summary: AtomicU64,
    words: Vec<AtomicU64>,
    word: AtomicU32,
    /// The seat's eventfd.
    bell: Bell,
    doorbell: AtomicU32,
    due_ns: AtomicU64,
    dirty: Vec<AtomicU64>,
    ring_thread: Bell,
}

impl Exchange {
    /// With one request in the queue.
    fn new() -> Arc<Exchange> {
        let exchange = Exchange {
            state: AtomicU64::new(0),
            ring: Ring::new(),
            produced: AtomicU64::new(0),
            consumed: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            cancelled: AtomicU32::new(0),
            summary: AtomicU64::new(0),
            words: vec![AtomicU64::new(0)],
            word: AtomicU32::new(RUNNING),
            bell: Bell::new(),
            doorbell: AtomicU32::new(outbox::AWAKE),
            due_ns: AtomicU64::new(0),
            dirty: vec![AtomicU64::new(0)],
            ring_thread: Bell::new(),
        };
        state::enqueue(&exchange.state, TICKET);
        Arc::new(exchange)
    }

    fn inbox(&self) -> Inbox<'_> {
        Inbox {
            summary: &self.summary,
            words: &self.words,
        }
    }

    fn outbox(&self) -> Outbox<'_> {
        Outbox {
            bell: &self.doorbell,
            due_ns: &self.due_ns,
            words: &self.dirty,
        }
    }

    /// `Segment::tell`.
    fn tell(&self) {
        self.inbox().mark(0);
        if parking::notify(&self.word) {
            self.bell.ring();
        }
    }

    /// `EdgeRing::commit_events`.
    fn commit(&self, writer: &mut Writer) {
        if writer.publish_before_look(&self.produced) && state::claimant(&self.state).is_some() {
            self.tell();
        }
    }

    /// `EdgeRing::push_event`, asleep between the tries.
    fn push(&self, writer: &mut Writer, payload: &[u8]) {
        loop {
            let kind = EventKind::Body as u8;
            if writer
                .whole(&self.ring, &self.consumed, kind, payload)
                .is_ok()
            {
                return;
            }
            self.commit(writer);
            if !writer.lie_down(SIZE, &self.consumed, &self.waiting) {
                if self.outbox().sleep() {
                    self.ring_thread.wait();
                }
                self.outbox().get_up();
                self.outbox().take(0);
            }
        }
    }

    /// `Claim::next_event`.
    fn next(&self, reader: &mut Reader, out: &mut Vec<u8>) -> bool {
        let produced = self.produced.load(Ordering::SeqCst);
        let taken = reader.take(&self.ring, produced, NO_TICKET, out).unwrap();
        if taken.is_none() {
            return false;
        }
        if reader.publish(SIZE, &self.consumed, &self.produced, &self.waiting) {
            self.waiting.store(0, Ordering::SeqCst);
            if self.outbox().mark(0, || false, || 0) == outbox::Ring::Now {
                self.ring_thread.ring();
            }
        }
        true
    }

    /// A loop's sleep: `WorkerSeat::{lie_down, get_up, inbox}`.
    fn turn(&self) {
        if parking::lie_down(&self.word) && self.inbox().is_empty() {
            self.bell.wait();
        }
        parking::get_up(&self.word);
        self.inbox().drain(|slot| assert_eq!(slot, 0));
    }
}

#[test]
fn an_event_published_during_the_claim_is_found() {
    check(|| {
        let exchange = Exchange::new();
        let worker = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || {
                assert!(state::claim(&exchange.state, TICKET, ME));
                let (mut reader, mut out) = (Reader::default(), Vec::new());
                while !exchange.next(&mut reader, &mut out) {
                    exchange.turn();
                }
                out
            })
        };
        let mut writer = Writer::new(NO_TICKET);
        exchange.push(&mut writer, b"a");
        exchange.commit(&mut writer);
        assert_eq!(worker.join().unwrap(), b"a");
    });
}

#[test]
fn a_body_longer_than_the_inbound_ring_gets_through_and_nobody_sleeps_for_ever() {
    check(|| {
        let exchange = Exchange::new();
        assert!(state::claim(&exchange.state, TICKET, ME));
        let worker = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || {
                let (mut reader, mut out) = (Reader::default(), Vec::new());
                while out.len() < 3 {
                    if !exchange.next(&mut reader, &mut out) {
                        exchange.turn();
                    }
                }
                out
            })
        };
        let mut writer = Writer::new(NO_TICKET);
        for byte in [1, 2, 3] {
            exchange.push(&mut writer, &[byte]);
        }
        exchange.commit(&mut writer);
        assert_eq!(worker.join().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn a_loop_hears_that_its_client_left() {
    check(|| {
        let exchange = Exchange::new();
        assert!(state::claim(&exchange.state, TICKET, ME));
        let worker = {
            let exchange = Arc::clone(&exchange);
            thread::spawn(move || {
                while exchange.cancelled.load(Ordering::SeqCst) == 0 {
                    exchange.turn();
                }
            })
        };
        // `EdgeRing::set_orphan`.
        exchange.cancelled.store(1, Ordering::SeqCst);
        exchange.tell();
        worker.join().unwrap();
    });
}
