//! What the edge does when somebody died: a worker (`worker_gone`), or the edge itself before this process (`recover`, `settle`).
//!
//! The supervisor is believed about births and deaths; shared memory only about what the dead had in hand.

use super::{EdgeRing, Phase, SlotId};
use crate::outbox::AWAKE;
use crate::state::{self, State, WorkerId};
use crate::sync::Ordering;
use crate::wake;

/// A slot kept aside because somebody may still write to it.
#[derive(Debug)]
pub(super) struct Orphan {
    local: u32,
    /// It is free when all of these are gone. Never empty.
    waits_for: Vec<WorkerId>,
}

/// The workers that the supervisor has announced and not taken back.
#[derive(Debug, Default)]
pub(super) struct Live(Vec<WorkerId>);

impl Live {
    fn contains(&self, worker: WorkerId) -> bool {
        self.0.contains(&worker)
    }
}

impl EdgeRing {
    /// Workers announced and not gone.
    pub fn live_workers(&self) -> usize {
        self.live.0.len()
    }

    /// Frees what an earlier edge process left: queued requests are cancelled, finished ones freed, running ones told to stop and kept aside
    /// until their worker ends. `new` does it. Returns how many are kept aside.
    pub fn recover(&mut self) -> usize {
        self.free.clear();
        self.taken = [0; 2];
        for entry in &mut self.entries {
            entry.purpose = None;
        }
        self.orphans.clear();
        self.submitted = 0;
        let slots = self.entries.len();
        // Backwards, so that slot 0 is the first to be used.
        for local in (0..slots).rev() {
            match state::cancel(&self.segment.slot(self.base + local as u32).state) {
                Ok(()) | Err(Some(State::Free | State::Done { .. } | State::Queued { .. })) => {
                    self.set_free(local)
                }
                Err(Some(State::Claimed { worker, .. })) => self.set_orphan(local, Some(worker)),
                Err(None) => self.set_orphan(local, None),
            }
        }
        let segment = &self.segment;
        segment
            .outbox(self.ring)
            .bell
            .store(AWAKE, Ordering::SeqCst);
        self.rouse();
        self.look_at_all = true;
        self.orphans.len()
    }

    /// After a restart, once every living worker was announced (`worker_up`): frees slots kept aside for workers that are not among them.
    pub fn settle(&mut self) {
        let live = std::mem::take(&mut self.live);
        self.bury_those_of(|worker| !live.contains(worker));
        self.live = live;
    }

    /// The supervisor announced a worker. Required: `live_workers` and the clean-up after garbage count on it.
    pub fn worker_up(&mut self, index: u16, incarnation: u16) {
        let worker = WorkerId { index, incarnation };
        // The seat changed hands: whoever sat there before can write no more.
        self.live.0.retain(|other| other.index != index);
        self.live.0.push(worker);
        self.bury_those_of(|other| other.index == index && other.incarnation != incarnation);
        self.look_at_all = true;
    }

    /// The worker is dead and can write no more (process waited for, thread joined). Returns this ring's requests that died with it: what
    /// it had published may still be read; answer 502 if nothing was sent, and `release` each. Requests that it had taken from the queue without
    /// claiming them are queued again, and somebody is woken for them.
    pub fn worker_gone(&mut self, index: u16, incarnation: u16) -> Vec<SlotId> {
        let gone = WorkerId { index, incarnation };
        self.live.0.retain(|&worker| worker != gone);
        if self.live.0.is_empty() {
            self.sleeper.interrupted();
        }
        self.clear_seat(gone);
        let mut died = Vec::new();
        for local in 0..self.entries.len() {
            if self.entries[local].phase != Phase::Submitted {
                continue;
            }
            let slot = self.base + local as u32;
            let lost = match state::load(&self.segment.slot(slot).state) {
                Some(State::Claimed { worker, .. }) => worker == gone,
                Some(State::Queued { ticket }) => {
                    let urgent = self.entries[local].urgent;
                    self.queue(urgent).has_passed(ticket) && !self.requeue(urgent, slot, ticket)
                }
                _ => false,
            };
            if lost {
                self.entries[local].dead = true;
                died.push(SlotId(slot));
            }
        }
        self.bury_those_of(|worker| worker == gone);
        // It may have died between publishing and setting the bit, or after being woken for something in the queue.
        self.look_at_all = true;
        self.rouse();
        if !self.segment.line().is_empty() {
            wake::wake_one(&self.segment);
        }
        died
    }

    /// Whoever died may have picked a sleeper and not woken it: that one is in no idle set, so nobody would pick it again. A wake too many
    /// costs a look.
    fn rouse(&self) {
        let idle = self.segment.idle();
        let picked = |&index: &u16| !idle.contains(index);
        self.segment
            .live()
            .members()
            .filter(picked)
            .for_each(|index| self.segment.unpark(index));
    }

    /// Takes the dead one's bits out of the masks, unless somebody else sits there already.
    fn clear_seat(&self, gone: WorkerId) {
        let Some(record) = self.segment.record(gone.index) else {
            return;
        };
        let sits_there = || record.incarnation.load(Ordering::SeqCst) as u16 == gone.incarnation;
        if !sits_there() {
            return;
        }
        self.segment.idle().remove(gone.index);
        self.segment.live().remove(gone.index);
        record.occupied.store(0, Ordering::SeqCst);
        record.slot.store(0, Ordering::Relaxed);
        if !sits_there() {
            // Somebody sat down in between: give back what we took. An idle bit too many costs one wake for nothing.
            record.occupied.store(1, Ordering::SeqCst);
            self.segment.live().insert(gone.index);
            self.segment.idle().insert(gone.index);
        }
    }

    /// Keeps a slot aside and tells its worker, if any, to stop. `None`: nobody sensible has it, so every present worker is waited for.
    pub(super) fn set_orphan(&mut self, local: usize, worker: Option<WorkerId>) {
        let block = self.segment.slot(self.base + local as u32);
        block.cancelled.store(1, Ordering::SeqCst);
        self.entries[local].phase = Phase::Orphan;
        self.entries[local].touched = true;
        // The name comes from shared memory: it counts if the supervisor or the seat itself confirms it.
        let waits_for =
            match worker.filter(|&worker| self.live.contains(worker) || self.sits(worker)) {
                Some(worker) => vec![worker],
                None => self.live.0.clone(),
            };
        if let [worker] = waits_for[..] {
            // It may sleep for room or for an event, or do other things in its loop.
            self.segment.tell(worker.index, self.base + local as u32);
        }
        if waits_for.is_empty() {
            self.set_free(local);
        } else {
            self.orphans.push(Orphan {
                local: local as u32,
                waits_for,
            });
        }
    }

    fn sits(&self, worker: WorkerId) -> bool {
        self.segment.record(worker.index).is_some_and(|record| {
            record.occupied.load(Ordering::SeqCst) != 0
                && record.incarnation.load(Ordering::SeqCst) as u16 == worker.incarnation
        })
    }

    /// The orphan's worker is through, dead or a fiction: the slot is free.
    pub(super) fn bury(&mut self, local: usize) {
        self.orphans.retain(|orphan| orphan.local as usize != local);
        if self.entries[local].phase == Phase::Orphan {
            self.set_free(local);
        }
    }

    fn bury_those_of(&mut self, is_gone: impl Fn(WorkerId) -> bool) {
        for orphan in &mut self.orphans {
            orphan.waits_for.retain(|&worker| !is_gone(worker));
        }
        let alone = |orphan: &Orphan| orphan.waits_for.is_empty();
        let over: Vec<u32> = self
            .orphans
            .iter()
            .filter(|orphan| alone(orphan))
            .map(|orphan| orphan.local)
            .collect();
        for local in over {
            self.bury(local as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::{Layout, Segment, WorkerSeat};

    /// A segment, its ring, and the workers 0 and 1.
    fn two_workers() -> (Arc<Segment>, EdgeRing, WorkerSeat, WorkerSeat) {
        let layout = Layout {
            slots: 4,
            ..Layout::default()
        };
        let segment = Arc::new(Segment::create(&layout).unwrap().1);
        let edge = EdgeRing::new(Arc::clone(&segment), 0);
        let seat =
            |index| WorkerSeat::attach(Arc::clone(&segment), index, 1, 1, Arc::from([])).unwrap();
        let (first, second) = (seat(0), seat(1));
        (segment, edge, first, second)
    }

    #[test]
    fn a_sleeper_picked_by_the_dead_is_woken_all_the_same() {
        let (segment, mut edge, mut sleeper, dying) = two_workers();
        std::thread::scope(|scope| {
            // Longer than any test may take: only the wake ends it.
            let parked = scope.spawn(move || {
                sleeper.park(Duration::from_secs(600));
                sleeper
            });
            // What `wake_one` does, up to the point where its caller is killed.
            while segment.idle().take_best(|_| Some(0)).is_none() {
                std::thread::yield_now();
            }
            std::mem::forget(dying);
            edge.worker_gone(1, 1);
            drop(parked.join().unwrap());
        });
    }

    #[test]
    fn what_the_dead_had_taken_is_queued_again_in_its_place() {
        let (segment, mut edge, mut worker, dying) = two_workers();
        let usual = edge.reserve().unwrap();
        assert!(edge.submit(usual, 0, 1));
        let urgent = edge.reserve().unwrap();
        assert!(edge.submit_since(urgent, 0, 1, 1, true));
        for expected in [urgent, usual] {
            // What `try_claim` does first; then its caller is killed.
            let (_, slot) = segment.line().pop().unwrap();
            assert_eq!(slot, expected.0);
        }
        std::mem::forget(dying);
        assert_eq!(edge.worker_gone(1, 1), []);
        for expected in [urgent, usual] {
            assert_eq!(worker.try_claim().unwrap().slot(), expected.0);
        }
    }
}
