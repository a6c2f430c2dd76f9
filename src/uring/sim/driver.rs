//! The simulated driver: takes operations in, lets the world go on, hands completions out.
//!
//! Owns the submission queue, the pending operations, the completions under way and the provided buffers. Invariants:
//! completions of one operation come in order; a buffer is written only between its return and its next completion, and
//! holds poison while it is free.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use super::operation::{Pending, Progress};
use super::world::{WALL_MINUS_MONOTONIC_NS, World};
use super::{Faults, Sim};
use crate::Options;
use crate::driver::{Completion, DETACHED, Driver, Operation, Wait};

/// A driver over nothing but a seed.
pub struct SimDriver {
    pub(super) world: Rc<RefCell<World>>,
    queue: Vec<(u64, Operation)>,
    pending: Vec<Pending>,
    /// Completions under way: when they are due, in order of making.
    due: Vec<(u64, Completion)>,
    buffers: Vec<*mut [u8]>,
    free: VecDeque<u16>,
    abandoned: bool,
}

/// What free buffers hold.
const POISON: u8 = 0xdd;
/// Virtual nanoseconds a turn takes.
const TURN_NS: u64 = 1_000;

impl SimDriver {
    pub fn new(seed: u64, faults: Faults, options: &Options) -> SimDriver {
        let buffer =
            || Box::into_raw(vec![POISON; options.buffer_bytes as usize].into_boxed_slice());
        SimDriver {
            world: Rc::new(RefCell::new(World::new(seed, faults))),
            queue: Vec::new(),
            pending: Vec::new(),
            due: Vec::new(),
            buffers: (0..options.buffers).map(|_| buffer()).collect(),
            free: (0..options.buffers).collect(),
            abandoned: false,
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
            let buffers = Buffers {
                all: &self.buffers,
                free: &mut self.free,
            };
            match self.pending[index].perform(&mut world, buffers) {
                Progress::None => {}
                Progress::Partial => any = true,
                Progress::Complete {
                    result,
                    more,
                    buffer,
                } => {
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
                        buffer,
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

/// The provided buffers, as operations see them.
pub struct Buffers<'a> {
    all: &'a [*mut [u8]],
    free: &'a mut VecDeque<u16>,
}

impl Buffers<'_> {
    pub fn is_empty(&self) -> bool {
        self.free.is_empty()
    }

    pub fn size(&self) -> usize {
        self.all.first().map_or(0, |buffer| buffer.len())
    }

    /// Fills the next free buffer.
    pub fn fill(&mut self, bytes: &[u8]) -> Option<u16> {
        let id = self.free.pop_front()?;
        let buffer = self.all[id as usize].cast::<u8>();
        assert!(bytes.len() <= self.size());
        // SAFETY: a free buffer of `size` bytes, to which no reference exists.
        unsafe { buffer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Some(id)
    }
}

// SAFETY: buffers are boxed slices that live as long as the driver, or for ever once abandoned; they are written in
// `Buffers::fill` and `give_back` only, that is, while they are free.
unsafe impl Driver for SimDriver {
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

    fn buffer(&mut self, id: u16) -> NonNull<u8> {
        NonNull::new(self.buffers[id as usize].cast()).expect("boxes are not null")
    }

    fn give_back(&mut self, id: u16) {
        assert!(!self.free.contains(&id), "buffer {id} was given back twice");
        let buffer = self.buffers[id as usize];
        // SAFETY: the caller gave up the buffer, so no reference to it exists.
        unsafe { buffer.cast::<u8>().write_bytes(POISON, buffer.len()) };
        self.free.push_back(id);
    }

    fn abandon_buffers(&mut self) {
        self.abandoned = true;
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

impl Drop for SimDriver {
    fn drop(&mut self) {
        if self.abandoned {
            return;
        }
        for &buffer in &self.buffers {
            // SAFETY: made by `Box::into_raw` in `new`, freed once, here; nobody refers to it unless abandoned.
            drop(unsafe { Box::from_raw(buffer) });
        }
    }
}
