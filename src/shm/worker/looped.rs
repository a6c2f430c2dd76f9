//! The seat of a worker that runs an event loop: several requests at once, sleep in the loop's own poll, woken by an eventfd.
//!
//! ```text
//! loop { turn { inbox; try_claim; callbacks }; match lie_down() { Wake::Sleep => poll(timeout), Wake::Now => poll(0) }; get_up() }
//! ```
//!
//! Between `get_up` and `lie_down` the loop is in a turn and nobody picks this worker for new requests: a busy loop is given nothing.

use super::WorkerSeat;
use crate::corrupt::Corrupt;
use crate::parking;
use crate::sync::Ordering;

/// What a loop may do that has nothing of its own to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Poll without waiting, and look again: there is a request, an event, a drain or an early wake.
    Now,
    /// Sleep; the seat's eventfd rings.
    Sleep,
}

impl WorkerSeat {
    /// From now on this seat belongs to an event loop. The segment must know the seat's eventfd (`Segment::set_bell`), else nobody
    /// in this process wakes it.
    pub fn make_looped(&mut self) -> Result<(), Corrupt> {
        if self.seat.segment.bell(self.index()).is_none() {
            return Err(Corrupt("worker: a seat for a loop without an eventfd"));
        }
        self.seat.looped.store(true, Ordering::Relaxed);
        let record = self.seat.record();
        record.looped.store(1, Ordering::SeqCst);
        // What was left for an earlier occupant says nothing to us.
        self.inbox(|_| {});
        self.begin_turn();
        Ok(())
    }

    /// Calls `look` for every slot about which the edge has published something since the last call: events, room, a cancellation. May be called for
    /// a slot with nothing new, or for one that is not this worker's any more.
    #[inline]
    pub fn inbox(&self, look: impl FnMut(u32)) {
        if let Some(inbox) = self.seat.segment.inbox(self.index()) {
            inbox.drain(look);
        }
    }

    /// Ends the turn: about to wait in the loop's poll. With `claims` this worker may be picked for queued requests meanwhile.
    /// `get_up` must follow in any case. Once it drains, a drain is no news any more.
    pub fn lie_down(&mut self, claims: bool) -> Wake {
        self.seat.pay_rings();
        let seat = &self.seat;
        let (segment, record, index) = (&seat.segment, seat.record(), seat.worker.index);
        let wake = &record.wake.0;
        let turn = record.turn.load(Ordering::Relaxed);
        record
            .turn
            .store(turn.wrapping_add(turn & 1), Ordering::Relaxed);
        let noted = parking::lie_down(&wake.word);
        if claims {
            record
                .idle_since_ns
                .store((seat.clock)(), Ordering::Relaxed);
            if !segment.live().contains(index) {
                // A late clean-up after our predecessor in this seat took it out.
                segment.live().insert(index);
            }
            segment.idle().insert(index);
        }
        let work = claims && (!segment.line().is_empty() || wake.drain.load(Ordering::SeqCst) != 0);
        if noted && !work && wake.news.load(Ordering::SeqCst) == 0 {
            Wake::Sleep
        } else {
            Wake::Now
        }
    }

    /// Begins the next turn: nobody picks this worker any more.
    pub fn get_up(&mut self) {
        let seat = &self.seat;
        let wake = &seat.record().wake.0;
        parking::get_up(&wake.word);
        seat.segment.idle().remove(seat.worker.index);
        self.begin_turn();
    }

    fn begin_turn(&self) {
        let record = self.seat.record();
        record
            .since_ns
            .store((self.seat.clock)(), Ordering::Relaxed);
        let turn = record.turn.load(Ordering::Relaxed);
        record
            .turn
            .store(turn.wrapping_add(1) | 1, Ordering::Relaxed);
    }

    /// Begins another turn without a sleep in between.
    pub fn next_turn(&mut self) {
        self.begin_turn();
    }

    /// For a loop that has other things to do as well: true if there is nothing to claim, or somebody idle was woken for it.
    pub fn leave_to_others(&self) -> bool {
        let segment = &self.seat.segment;
        if segment.line().is_empty() {
            return true;
        }
        !segment.idle().is_empty()
            && crate::wake::wake(segment, (self.seat.clock)(), self.seat.eager, 1) > 0
    }

    /// Hands what this worker will not take to somebody else: call it when claiming stops while requests may be queued.
    pub fn pass_on(&self) {
        if !self.seat.segment.line().is_empty() {
            crate::wake::wake_one(&self.seat.segment);
        }
    }
}
