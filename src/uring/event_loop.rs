//! The event loop: everything one thread's executor consists of, and one turn of it.
//!
//! A turn: submit and wait (one system call) - completions - poller - timers - run tasks, at most the budget - poller
//! again. Owns the driver, the flights, the tasks, the wheel, the pools. Invariants: at most one core per thread; no user
//! code (a poll, a drop, a waker) runs while a part of the core is borrowed, except the poller's own methods. Must not
//! know what the tasks do.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use crate::driver::{Completion, DETACHED, Driver, Handle, Operation, Wait};
use crate::flight::{Arrival, Flights, Key, Outcome, Payload, Yield};
use crate::options::Options;
use crate::poller::{Park, Poller};
use crate::stats::{Stall, Stats, Tallies};
use crate::task::{Local, Runnable, TaskId, Tasks, waker};
use crate::wheel::Wheel;

/// What one receive takes at most.
pub(crate) const SPARE_BYTES: usize = 32 * 1024;

pub(crate) struct Core {
    pub driver: RefCell<Box<dyn Driver>>,
    pub flights: RefCell<Flights>,
    pub tasks: RefCell<Tasks>,
    /// Tasks that called `yield_now`: queued again at the end of the turn.
    pub yielded: RefCell<Vec<Waker>>,
    pub wheel: RefCell<Wheel>,
    /// Buffers for receives.
    pub spares: RefCell<Vec<Box<[u8; SPARE_BYTES]>>>,
    pub poller: RefCell<Option<Box<dyn Poller>>>,
    pub on_stall: Cell<Option<fn(&Stall)>>,
    pub now: Cell<u64>,
    /// Wall clock minus monotonic clock, refreshed with `now` when asked for.
    pub wall: Cell<Option<u64>>,
    pub tallies: Tallies,
    pub options: Options,
    runtime: u8,
}

thread_local! {
    /// The runtime of this thread; null when there is none.
    static CURRENT: Cell<*const Core> = const { Cell::new(std::ptr::null()) };
}

/// Runs `f` on this thread's runtime.
///
/// # Panics
/// Without a runtime on this thread: operations exist only inside one.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&Core) -> R) -> R {
    try_with(f).expect("ring operations need a Runtime on this thread")
}

/// As `with`; `None` without a runtime (a value dropped after its runtime).
#[inline]
pub(crate) fn try_with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    let core = CURRENT.get();
    // SAFETY: CURRENT is set to the boxed core of the one `Runtime` of this thread and cleared at the beginning of the end
    // of its drop, so a non-null pointer is to a live core; only shared references are ever made.
    unsafe { core.as_ref() }.map(f)
}

/// Wakes a task of this thread.
///
/// # Panics
/// On another thread than the task's: what comes from outside arrives by `Poller` and `Doorbell`.
#[inline]
pub(crate) fn wake(id: TaskId) {
    try_with(|core| {
        if core.runtime != id.runtime() {
            foreign_wake();
        }
        core.tasks.borrow_mut().wake(id);
    });
}

#[cold]
fn foreign_wake() {
    // Not a panic in release: the waker of a runtime that is gone may be woken by the next one's teardown.
    debug_assert!(
        false,
        "a task was woken from a foreign thread or a later runtime"
    );
}

/// Numbers the cores of a process, so that a waker knows a stranger's.
static SERIAL: AtomicU8 = AtomicU8::new(0);

impl Core {
    /// Makes this thread's core and lets `with` find it.
    pub fn install(mut driver: Box<dyn Driver>, options: Options) -> Box<Core> {
        assert!(CURRENT.get().is_null(), "one runtime per thread");
        let now = driver.now();
        let runtime = SERIAL.fetch_add(1, Ordering::Relaxed);
        let core = Box::new(Core {
            driver: RefCell::new(driver),
            flights: RefCell::default(),
            tasks: RefCell::new(Tasks::new(runtime)),
            yielded: RefCell::default(),
            wheel: RefCell::new(Wheel::new(now)),
            spares: RefCell::default(),
            poller: RefCell::default(),
            on_stall: Cell::new(None),
            now: Cell::new(now),
            wall: Cell::new(None),
            tallies: Tallies::default(),
            options,
            runtime,
        });
        CURRENT.set(&raw const *core);
        core
    }

    /// Turns until `root` ends.
    pub fn run<F: Future>(&self, mut root: Pin<&mut F>) -> F::Output {
        let id = self.tasks.borrow().root();
        self.tasks.borrow_mut().wake(id);
        let waker = waker(id);
        let mut completions = Vec::with_capacity(self.options.entries as usize);
        loop {
            if let Poll::Ready(output) = self.run_tasks(root.as_mut(), &waker) {
                return output;
            }
            let wait = self.before_enter();
            self.enter(wait, &mut completions);
            self.after_enter(&mut completions);
        }
    }

    /// Drops every task, brings the ring to rest, and lets go of the thread.
    pub fn shut_down(&self) {
        let poller = self.poller.borrow_mut().take();
        drop(poller);
        // Dropping a task may spawn another: take until there are none, within reason.
        for _ in 0..16 {
            let futures = self.tasks.borrow_mut().take_all();
            if futures.is_empty() {
                break;
            }
            drop(futures);
        }
        if !self.drain() {
            self.flights.borrow_mut().leak();
        }
        CURRENT.set(std::ptr::null());
    }

    /// Polls what is runnable, at most the budget.
    fn run_tasks<F: Future>(&self, mut root: Pin<&mut F>, root_waker: &Waker) -> Poll<F::Output> {
        let mut polls = 0;
        while polls < self.options.turn_budget {
            let Some(next) = self.tasks.borrow_mut().next() else {
                break;
            };
            polls += 1;
            match next {
                Runnable::Root => {
                    if let Poll::Ready(output) =
                        root.as_mut().poll(&mut Context::from_waker(root_waker))
                    {
                        return Poll::Ready(output);
                    }
                }
                Runnable::Task(id, future) => self.run_task(id, future),
            }
        }
        self.tallies
            .polls
            .set(self.tallies.polls.get() + u64::from(polls));
        self.tallies.turn_polls.set(polls);
        for waker in self.yielded.take() {
            waker.wake();
        }
        Poll::Pending
    }

    #[inline]
    fn run_task(&self, id: TaskId, mut future: Local) {
        let waker = waker(id);
        let mut poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
        let polled = if self.options.isolate_panics {
            // Whatever the task shares is behind cells, whose borrows unwinding ends; the task itself is dropped.
            catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| {
                self.tallies.panics.set(self.tallies.panics.get() + 1);
                Poll::Ready(())
            })
        } else {
            poll()
        };
        match polled {
            Poll::Pending => self.tasks.borrow_mut().put_back(id, future),
            Poll::Ready(()) => {
                drop(future);
                self.tasks.borrow_mut().finish(id);
            }
        }
    }

    /// Decides how long the coming enter may sleep.
    fn before_enter(&self) -> Wait {
        let mut poller = self.poller.borrow_mut();
        let more = !self.tasks.borrow().is_idle() || self.driver.borrow().has_news();
        if let Some(poller) = poller.as_mut() {
            poller.turn_end(more);
        }
        if more {
            return Wait::No;
        }
        let nap = match poller.as_mut().map(|poller| poller.before_park()) {
            None | Some(Park::Sleep) => None,
            Some(Park::Nap(ns)) => Some(ns),
            Some(Park::Stay) => {
                self.tallies.parked.set(true);
                return Wait::No;
            }
        };
        self.tallies.parked.set(poller.is_some());
        drop(poller);
        let timer = self
            .wheel
            .borrow()
            .next_at()
            .map(|at| at.saturating_sub(self.now.get()));
        match (nap, timer) {
            (None, None) => Wait::Forever,
            (Some(ns), None) | (None, Some(ns)) => Wait::AtMost(ns),
            (Some(nap), Some(timer)) => Wait::AtMost(nap.min(timer)),
        }
    }

    fn enter(&self, wait: Wait, completions: &mut Vec<Completion>) {
        self.watch_for_stall();
        completions.clear();
        let result = self.driver.borrow_mut().enter(wait, completions);
        self.tallies.turns.set(self.tallies.turns.get() + 1);
        if let Err(error) = result {
            // The driver has already dealt with every errno that has a remedy.
            panic!("the ring refused to be entered: {error}");
        }
        self.now.set(self.driver.borrow_mut().now());
        self.wall.set(None);
    }

    fn watch_for_stall(&self) {
        let polls = self.tallies.turn_polls.replace(0);
        if polls == 0 {
            return;
        }
        let elapsed_ns = self
            .driver
            .borrow_mut()
            .now()
            .saturating_sub(self.now.get());
        self.tallies
            .turn_longest_ns
            .set(self.tallies.turn_longest_ns.get().max(elapsed_ns));
        if elapsed_ns > self.options.stall_ns {
            self.tallies.stalls.set(self.tallies.stalls.get() + 1);
            if let Some(report) = self.on_stall.get() {
                report(&Stall { elapsed_ns, polls });
            }
        }
    }

    fn after_enter(&self, completions: &mut Vec<Completion>) {
        self.tallies
            .completions
            .set(self.tallies.completions.get() + completions.len() as u64);
        self.dispatch_all(completions);
        if let Some(poller) = self.poller.borrow_mut().as_mut() {
            if self.tallies.parked.replace(false) {
                poller.after_park();
            }
            poller.poll();
        }
        let now = self.now.get();
        let mut due = Vec::new();
        self.wheel
            .borrow_mut()
            .advance(now, |waker| due.push(waker));
        due.into_iter().for_each(Waker::wake);
    }

    fn dispatch_all(&self, completions: &mut Vec<Completion>) {
        for completion in completions.drain(..) {
            if completion.user_data != DETACHED {
                self.dispatch(&completion);
            }
        }
    }

    #[inline]
    fn dispatch(&self, completion: &Completion) {
        let outcome = self.flights.borrow_mut().complete(completion);
        match outcome {
            Outcome::Settled => {}
            Outcome::Wake(waker) => waker.wake(),
            Outcome::Discard(yields) => {
                self.discard(Arrival::of(completion), yields);
            }
            Outcome::Stray => {
                self.tallies.strays.set(self.tallies.strays.get() + 1);
            }
        }
    }

    /// Cleans up a result that nobody wants.
    pub fn discard(&self, arrival: Arrival, yields: Yield) {
        match yields {
            Yield::Count => {}
            Yield::Descriptor if arrival.result >= 0 => self.close(Handle(arrival.result), None),
            Yield::Descriptor => {}
        }
    }

    /// Ends an operation early.
    pub fn cancel(&self, target: u64) {
        // SAFETY: a cancellation points at no memory.
        unsafe {
            self.driver
                .borrow_mut()
                .push(DETACHED, &Operation::Cancel { target })
        };
    }

    pub fn close(&self, handle: Handle, cancel: Option<u64>) {
        // SAFETY: a close points at no memory.
        unsafe {
            self.driver
                .borrow_mut()
                .push(DETACHED, &Operation::Close { handle, cancel })
        };
    }

    pub fn stats(&self) -> Stats {
        self.tallies.stats(
            self.tasks.borrow().len(),
            self.flights.borrow().len(),
            self.wheel.borrow().len(),
        )
    }

    /// Brings the ring to rest before its memory goes. False: operations are still in the kernel.
    fn drain(&self) -> bool {
        /// Turns of at most 10 ms each.
        const TURNS_MAX: usize = 200;
        let mut completions = Vec::new();
        for _ in 0..TURNS_MAX {
            if self.driver.borrow().queued() == 0 && self.flights.borrow().len() == 0 {
                return true;
            }
            let entered = self
                .driver
                .borrow_mut()
                .enter(Wait::AtMost(10_000_000), &mut completions);
            if entered.is_err() {
                return false;
            }
            self.dispatch_all(&mut completions);
        }
        false
    }
}

/// Submits a one-shot operation whose payload the entry already holds.
///
/// # Safety
/// The memory that `operation` points at belongs to the flight's payload.
pub(crate) unsafe fn launch(
    payload: Payload,
    yields: Yield,
    operation: impl FnOnce(&mut Payload) -> Operation,
) -> Key {
    with(|core| {
        let mut flights = core.flights.borrow_mut();
        let key = flights.launch(payload, yields);
        let operation = flights.with_payload(key, operation);
        drop(flights);
        // SAFETY: the payload stays in the entry, unmoved on the heap, until the last completion (`Flights`).
        unsafe { core.driver.borrow_mut().push(key.user_data(), &operation) };
        key
    })
}

/// Why the ring could not go on.
pub(crate) fn errno(result: i32) -> io::Error {
    io::Error::from_raw_os_error(-result)
}
