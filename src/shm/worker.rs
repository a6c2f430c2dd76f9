//! A worker's end of the exchange: claim a request, write the answer, sleep when there is none. Called from threads that hold a GIL (all but `park`
//! and `wait_space`), so nothing here blocks except those two.
//!
//! The edge is trusted to keep the rules, but what is read is checked all the same: a worker may fail, it may not misbehave.

mod claim;
mod looped;
mod spin;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sys::eventfd::EventFd;
use sys::futex;

use crate::corrupt::Corrupt;
use crate::outbox::Ring;
use crate::parking;
use crate::segment::{RecordBlock, Segment};
use crate::state::{self, WorkerId};
use crate::sync::{AtomicU64, Ordering};
use crate::wake;

pub use claim::{Claim, Finish, WaitSpace, WriteError};
pub use looped::Wake;
use spin::Spin;

/// Entries that one `try_claim` skips (of requests cancelled in the queue) before it says "nothing".
const SKIPS_MAX: usize = 1 << 20;

/// What a seat and its claims share.
#[derive(Debug)]
struct Seat {
    segment: Arc<Segment>,
    /// Invariant: `worker.index` is below the layout's seats.
    worker: WorkerId,
    /// One per ring.
    doorbells: Arc<[EventFd]>,
    /// Rings that napped while we had more to do: one bit each.
    owed: AtomicU64,
    /// Awake and quick workers up to which a claim wakes another for what it leaves in the queue.
    eager: usize,
    clock: fn() -> u64,
    /// Sleeps in an event loop; several claims at once.
    looped: AtomicBool,
}

impl Seat {
    fn record(&self) -> &RecordBlock {
        self.segment
            .record(self.worker.index)
            .expect("checked at attach")
    }

    /// Something was published in `slot`: sets its bit and rings its ring thread if need be.
    fn announce(&self, slot: u32) {
        let slots = self.segment.layout().slots_per_ring();
        let ring = slot / slots;
        match self.segment.outbox(ring).mark(
            slot % slots,
            || !self.segment.line().is_empty(),
            self.clock,
        ) {
            Ring::No => {}
            Ring::Now => self.ring(ring),
            Ring::Later => {
                self.owed.fetch_or(1 << ring, Ordering::Relaxed);
            }
        }
    }

    /// Out of work: rings where we have held back and nobody has looked since.
    fn pay_rings(&self) {
        if self.owed.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut owed = self.owed.swap(0, Ordering::Relaxed);
        while owed != 0 {
            let ring = owed.trailing_zeros();
            if self.segment.outbox(ring).overdue() {
                self.ring(ring);
            }
            owed &= owed - 1;
        }
    }

    #[cold]
    fn ring(&self, ring: u32) {
        // A bell that cannot be rung is a closed or foreign descriptor: the edge looks at its next turn.
        let rung = self.doorbells.get(ring as usize).map(EventFd::ring);
        debug_assert!(matches!(rung, None | Some(Ok(()))), "{rung:?}");
    }
}

/// A worker seat, taken. `Send`; used by one thread at a time.
#[derive(Debug)]
pub struct WorkerSeat {
    seat: Arc<Seat>,
    spin: Spin,
}

impl WorkerSeat {
    /// Sits down. `doorbells` holds one eventfd per ring thread, in order; seats of one process share them (empty: nobody is ever rung, for
    /// tests). `generation` is for display.
    pub fn attach(
        segment: Arc<Segment>,
        index: u16,
        incarnation: u16,
        generation: u32,
        doorbells: Arc<[EventFd]>,
    ) -> Result<WorkerSeat, Corrupt> {
        let cpus = sys::cpu::usable();
        let worker = WorkerId { index, incarnation };
        let seat = Seat {
            segment,
            worker,
            doorbells,
            owed: AtomicU64::new(0),
            eager: cpus,
            clock: sys::clock::monotonic_ns,
            looped: AtomicBool::new(false),
        };
        let record = seat
            .segment
            .record(index)
            .ok_or(Corrupt("worker: no such seat"))?;
        record
            .incarnation
            .store(u32::from(incarnation), Ordering::SeqCst);
        seat.segment.idle().remove(index);
        record.pid.store(std::process::id(), Ordering::Relaxed);
        record.generation.store(generation, Ordering::Relaxed);
        record.slot.store(0, Ordering::Relaxed);
        record.served.store(0, Ordering::Relaxed);
        record.since_ns.store(0, Ordering::Relaxed);
        record
            .idle_since_ns
            .store((seat.clock)(), Ordering::Relaxed);
        record.turn.store(0, Ordering::Relaxed);
        record.running.store(0, Ordering::Relaxed);
        record.looped.store(0, Ordering::SeqCst);
        record.wake.0.drain.store(0, Ordering::SeqCst);
        record.wake.0.word.store(parking::RUNNING, Ordering::SeqCst);
        record.occupied.store(1, Ordering::SeqCst);
        seat.segment.live().insert(index);
        Ok(WorkerSeat {
            seat: Arc::new(seat),
            spin: Spin::new(cpus),
        })
    }

    /// Another clock, for tests in virtual time. Before the first claim.
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        if let Some(seat) = Arc::get_mut(&mut self.seat) {
            seat.clock = clock;
        }
    }

    /// The next request, if there is one. Cheap when there is none (two loads). Also rings doorbells that were held back while there was more to do.
    pub fn try_claim(&mut self) -> Option<Claim> {
        let segment = &self.seat.segment;
        let line = segment.line();
        for _ in 0..SKIPS_MAX {
            let Some((ticket, slot)) = line.pop() else {
                break;
            };
            if slot < segment.layout().slots
                && state::claim(&segment.slot(slot).state, ticket, self.seat.worker)
            {
                let claim = Claim::new(Arc::clone(&self.seat), slot, ticket);
                if !line.is_empty() && !segment.idle().is_empty() {
                    wake::wake(segment, claim.claimed_ns(), self.seat.eager, 1);
                }
                return Some(claim);
            }
        }
        self.seat.pay_rings();
        None
    }

    /// Sleeps until there may be a request, a drain or `unpark`, at most `timeout`. Call without the GIL, loop around it. May return early.
    pub fn park(&mut self, timeout: Duration) {
        self.seat.pay_rings();
        let seat = &self.seat;
        let (segment, record, index) = (&seat.segment, seat.record(), seat.worker.index);
        let line = segment.line();
        let wake = &record.wake.0;
        let worth_getting_up = || !line.is_empty() || wake.drain.load(Ordering::SeqCst) != 0;
        let begun = (seat.clock)();
        if self.spin.run(seat.clock, worth_getting_up) {
            return;
        }
        record.idle_since_ns.store(begun, Ordering::Relaxed);
        if !segment.live().contains(index) {
            // A late clean-up after our predecessor in this seat took it out.
            segment.live().insert(index);
        }
        parking::sleep(
            &wake.word,
            segment.idle(),
            index,
            worth_getting_up,
            |word| wait(word, timeout),
        );
        self.spin.learn((self.seat.clock)().saturating_sub(begun));
    }

    /// The host or the supervisor wants this worker to take no more requests and end.
    pub fn should_drain(&self) -> bool {
        self.seat.record().wake.0.drain.load(Ordering::SeqCst) != 0
    }

    /// Drains this seat from within the process (from other threads: `Segment::request_drain`).
    pub fn request_drain(&self) {
        self.seat.segment.request_drain(self.seat.worker.index);
    }

    pub fn index(&self) -> u16 {
        self.seat.worker.index
    }

    pub fn incarnation(&self) -> u16 {
        self.seat.worker.incarnation
    }
}

impl Drop for WorkerSeat {
    /// Stands up in good order. A worker that is killed instead is cleaned up after by `EdgeRing::worker_gone`.
    fn drop(&mut self) {
        self.seat.pay_rings();
        let (segment, record, index) = (
            &self.seat.segment,
            self.seat.record(),
            self.seat.worker.index,
        );
        segment.idle().remove(index);
        segment.live().remove(index);
        record.occupied.store(0, Ordering::SeqCst);
        // It may have been woken for a request that it will not take.
        if !segment.line().is_empty() {
            wake::wake_one(segment);
        }
    }
}

/// One futex wait; why it ended does not matter, everybody looks again.
fn wait(word: &crate::sync::AtomicU32, timeout: Duration) {
    let woken = futex::wait(word, parking::PARKED, Some(timeout));
    debug_assert!(woken.is_ok(), "{woken:?}");
}
