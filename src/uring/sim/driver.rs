//! The simulated driver: takes operations in, lets the world go on, hands completions out.
//!
//! Owns the submission queue, the pending operations and the completions under way. Invariant:
//! completions of one operation come in order.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::operation::{Pending, Progress};
use super::world::{WALL_MINUS_MONOTONIC_NS, World};
use super::{Faults, Sim};
use crate::driver::{Completion, DETACHED, Driver, Operation, Wait};

/// A driver over nothing but a seed.
pub struct SimDriver {
    pub(super) world: Rc<RefCell<World>>,
    queue: Vec<(u64, Operation)>,
    pending: Vec<Pending>,
    /// Completions under way: when they are due, in order of making.
    due: Vec<(u64, Completion)>,
}

/// Virtual nanoseconds a turn takes.
const TURN_NS: u64 = 1_000;

impl SimDriver {
    pub fn new(seed: u64, faults: Faults) -> SimDriver {
        SimDriver {
            world: Rc::new(RefCell::new(World::new(seed, faults))),
            queue: Vec::new(),
            pending: Vec::new(),
            due: Vec::new(),
        }
    }

    /// The test's hold on this driver's world.
    pub fn sim(&self) -> Sim {
        Sim {
            world: self.world.clone(),
        }
    }

    /// The kernel takes the submission queue in.
    fn submit(&mut self) {
        for (user_data, operation) in std::mem::take(&mut self.queue) {
            match operation {
                Operation::Cancel { target } => self.cancel(target),
                Operation::Close { handle, cancel } => {
                    if let Some(target) = cancel {
                        self.cancel(target);
                    }
                    self.close(handle);
                }
                operation => {
                    let pending = Pending::new(user_data, operation, &self.world.borrow());
                    self.pending.push(pending);
                }
            }
        }
    }

    fn close(&mut self, handle: crate::driver::Handle) {
        if handle.is_virtual() {
            self.world.borrow_mut().close(handle);
        } else {
            use std::os::fd::FromRawFd;
            // SAFETY: a descriptor of the process that a test gave to its one `Descriptor`, now closing.
            drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(handle.number()) });
        }
    }

    fn cancel(&mut self, target: u64) {
        if let Some(pending) = self
            .pending
            .iter_mut()
            .find(|pending| pending.user_data == target)
        {
            pending.cancelled = true;
        }
    }

    /// Lets pending operations make what progress they can, in an order the seed wills; true if any did.
    fn perform(&mut self) -> bool {
        let mut any = false;
        let count = self.pending.len();
        if count == 0 {
            return false;
        }
        let start = self.world.borrow_mut().random.below(count as u64) as usize;
        let mut order: Vec<usize> = (0..count).map(|index| (start + index) % count).collect();
        if self.world.borrow_mut().random.chance(500) {
            order.reverse();
        }
        let mut finished = Vec::new();
        for index in order {
            let mut world = self.world.borrow_mut();
            match self.pending[index].perform(&mut world) {
                Progress::None => {}
                Progress::Partial => any = true,
                Progress::Complete { result, more } => {
                    any = true;
                    let delayed = {
                        let chance = world.faults.delay;
                        world.random.chance(chance)
                    };
                    let most = world.faults.delay_max_ns;
                    let delay = if delayed { world.random.below(most) } else { 0 };
                    let pending = &mut self.pending[index];
                    // Never before an earlier completion of the same operation.
                    pending.last_at = pending.last_at.max(world.now + delay);
                    let completion = Completion {
                        user_data: pending.user_data,
                        result,
                        more,
                    };
                    if pending.user_data != DETACHED {
                        self.due.push((pending.last_at, completion));
                    }
                    if !more {
                        finished.push(index);
                    }
                }
            }
        }
        finished.sort_unstable_by(|a, b| b.cmp(a));
        for index in finished {
            let pending = self.pending.remove(index);
            if let Some(object) = pending.into_object() {
                self.world.borrow_mut().release(object);
            }
        }
        any
    }

    /// Moves what is due to the caller.
    fn deliver(&mut self, completions: &mut Vec<Completion>) {
        let now = self.world.borrow().now;
        let mut world = self.world.borrow_mut();
        self.due.retain(|(at, completion)| {
            if *at > now {
                return true;
            }
            world.note(completion.user_data ^ completion.result as u64);
            completions.push(*completion);
            false
        });
    }

    fn next_event(&self) -> Option<u64> {
        let due = self.due.iter().map(|due| due.0).min();
        let arrival = self.world.borrow().next_arrival();
        match (due, arrival) {
            (Some(due), Some(arrival)) => Some(due.min(arrival)),
            (due, arrival) => due.or(arrival),
        }
    }

    fn deadlock(&self) -> ! {
        let waiting: Vec<String> = self
            .pending
            .iter()
            .map(|pending| format!("{:?}", pending.operation))
            .collect();
        panic!(
            "nothing can ever happen again; pending in the ring: [{}]",
            waiting.join(", ")
        );
    }
}

impl Driver for SimDriver {
    unsafe fn push(&mut self, user_data: u64, operation: &Operation) {
        if self.queue.len() >= self.world.borrow().faults.queue {
            self.submit();
        }
        self.queue.push((user_data, *operation));
    }

    fn enter(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        let until = {
            let mut world = self.world.borrow_mut();
            world.now += TURN_NS;
            world.woken = false;
            match wait {
                Wait::No => Some(world.now),
                Wait::AtMost(ns) => Some(world.now.saturating_add(ns)),
                Wait::Forever => None,
            }
        };
        self.submit();
        // Bounded by virtual time: every pass either returns or moves the clock on.
        loop {
            self.world.borrow_mut().arrive();
            while self.perform() {}
            self.deliver(completions);
            let now = self.world.borrow().now;
            if !completions.is_empty()
                || self.world.borrow().woken
                || until.is_some_and(|until| until <= now)
            {
                return Ok(());
            }
            let next = match (self.next_event(), until) {
                (Some(event), Some(until)) => event.min(until),
                (Some(event), None) => event,
                (None, Some(until)) => until,
                (None, None) => self.deadlock(),
            };
            self.world.borrow_mut().now = next.max(now + 1);
        }
    }

    fn queued(&self) -> usize {
        self.queue.len()
    }

    fn now(&mut self) -> u64 {
        self.world.borrow().now
    }

    fn wall(&mut self) -> u64 {
        self.world.borrow().now + WALL_MINUS_MONOTONIC_NS
    }
}
