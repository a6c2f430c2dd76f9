//! Tasks: boxed futures in a slab, a queue of the runnable ones, and wakers that are just a number.
//!
//! Owns every task from `insert` to its end. Invariants: a task stands in the run queue at most once; a waker outlives its
//! task harmlessly, because the number carries a generation. Must not know operations or time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::store::Store;

pub type Local = Pin<Box<dyn Future<Output = ()>>>;

/// Names a task for wakers: slab index (32 bits), generation (24), runtime (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(u64);

impl TaskId {
    fn new(index: u32, generation: u32, runtime: u8) -> TaskId {
        TaskId(
            u64::from(index) | u64::from(generation & 0xff_ffff) << 32 | u64::from(runtime) << 56,
        )
    }

    fn index(self) -> u32 {
        self.0 as u32
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff_ffff
    }

    pub fn runtime(self) -> u8 {
        (self.0 >> 56) as u8
    }
}

/// The index of the future that `block_on` drives; it is not in the slab.
const ROOT: u32 = u32::MAX;

struct Task {
    /// Absent while it is being polled.
    future: Option<Local>,
    generation: u32,
    queued: bool,
}

/// What to poll next.
pub enum Runnable {
    Root,
    Task(TaskId, Local),
}

/// The slab and the run queue.
pub struct Tasks {
    slab: Store<Task>,
    ready: VecDeque<u32>,
    root_queued: bool,
    generation: u32,
    runtime: u8,
}

impl Tasks {
    pub fn new(runtime: u8) -> Tasks {
        Tasks {
            slab: Store::default(),
            ready: VecDeque::new(),
            root_queued: false,
            generation: 0,
            runtime,
        }
    }

    /// Adds a task and queues its first poll.
    pub fn insert(&mut self, future: Local) {
        self.generation = (self.generation + 1) & 0xff_ffff;
        let task = Task {
            future: Some(future),
            generation: self.generation,
            queued: true,
        };
        let index = self.slab.insert(task);
        self.ready.push_back(index);
    }

    pub fn root(&self) -> TaskId {
        TaskId::new(ROOT, 0, self.runtime)
    }

    /// Queues a task, once. Unknown or finished tasks are ignored.
    #[inline]
    pub fn wake(&mut self, id: TaskId) {
        let index = id.index();
        if index == ROOT {
            if !std::mem::replace(&mut self.root_queued, true) {
                self.ready.push_back(ROOT);
            }
            return;
        }
        if let Some(task) = self.slab.get_mut(index)
            && task.generation == id.generation()
            && !task.queued
        {
            task.queued = true;
            self.ready.push_back(index);
        }
    }

    /// Queues every task, once.
    pub fn wake_all(&mut self) {
        for (index, task) in self.slab.iter_mut() {
            if !std::mem::replace(&mut task.queued, true) {
                self.ready.push_back(index);
            }
        }
    }

    /// Takes the next task out for polling; give it back with `put_back` or `finish`.
    #[inline]
    pub fn next(&mut self) -> Option<Runnable> {
        while let Some(index) = self.ready.pop_front() {
            if index == ROOT {
                self.root_queued = false;
                return Some(Runnable::Root);
            }
            let runtime = self.runtime;
            if let Some(task) = self.slab.get_mut(index) {
                task.queued = false;
                if let Some(future) = task.future.take() {
                    return Some(Runnable::Task(
                        TaskId::new(index, task.generation, runtime),
                        future,
                    ));
                }
            }
        }
        None
    }

    #[inline]
    pub fn put_back(&mut self, id: TaskId, future: Local) {
        if let Some(task) = self.slab.get_mut(id.index()) {
            task.future = Some(future);
        }
    }

    /// The future has ended (and has been dropped by the caller).
    pub fn finish(&mut self, id: TaskId) {
        self.slab.remove(id.index());
    }

    pub fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }

    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Takes all futures out, for dropping them at shut-down.
    pub fn take_all(&mut self) -> Vec<Local> {
        self.ready.clear();
        let tasks = self.slab.take_all();
        tasks.into_iter().filter_map(|task| task.future).collect()
    }
}

/// A waker for a task: clone and drop do nothing, wake pushes a number.
#[inline]
pub fn waker(id: TaskId) -> Waker {
    // SAFETY: the vtable's functions treat the data word as a number and never as a pointer, so cloning, dropping and
    // sending it to other threads is harmless; waking elsewhere is refused in `wake`.
    unsafe { Waker::from_raw(raw(id)) }
}

fn raw(id: TaskId) -> RawWaker {
    RawWaker::new(std::ptr::without_provenance(id.0 as usize), &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &VTABLE),
    |data| crate::event_loop::wake(TaskId(data.addr() as u64)),
    |data| crate::event_loop::wake(TaskId(data.addr() as u64)),
    |_| {},
);

const _: () = assert!(size_of::<usize>() == 8, "wakers carry 64 bits");
