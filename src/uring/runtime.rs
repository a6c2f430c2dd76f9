//! The executor as its users see it: a runtime per thread, and what may be asked of it from inside.
//!
//! Owns the event loop of its thread. Must not know what the tasks do.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::driver::Driver;
use crate::event_loop::{Core, with};
use crate::options::Options;
use crate::poller::Poller;
use crate::stats::{Stall, Stats};

/// The executor of this thread.
pub struct Runtime {
    core: Box<Core>,
}

/// Starts a detached task on this thread.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    with(|core| {
        core.tallies.spawned.set(core.tallies.spawned.get() + 1);
        core.tasks.borrow_mut().insert(Box::pin(future));
    });
}

/// Wakes every task: something has changed that all of them look at, such as the order to end.
pub fn wake_all() {
    with(|core| core.tasks.borrow_mut().wake_all());
}

/// Lets everything else that is runnable, and the ring, have a turn first.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// Future of [`yield_now`].
#[must_use = "futures do nothing unless polled"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        with(|core| core.yielded.borrow_mut().push(cx.waker().clone()));
        Poll::Pending
    }
}

/// Monotonic nanoseconds, read once per turn; virtual in a simulation. The same line as `sys::clock::monotonic_ns`.
#[inline]
pub fn now() -> u64 {
    with(|core| core.now.get())
}

/// Nanoseconds since the Unix epoch, read at most once per turn; virtual in a simulation.
#[inline]
pub fn wall() -> u64 {
    with(|core| {
        core.wall.get().unwrap_or_else(|| {
            let wall = core.driver.borrow_mut().wall();
            core.wall.set(Some(wall));
            wall
        })
    })
}

/// The clock as of this instant, not of the beginning of the turn: for measuring, not for deciding.
pub fn precise_now() -> u64 {
    with(|core| core.driver.borrow_mut().now())
}

/// Installs the hook into the outside world; replaces an earlier one.
pub fn set_poller(poller: Box<dyn Poller>) {
    let old = with(|core| core.poller.borrow_mut().replace(poller));
    drop(old);
}

/// Counters of this thread's runtime.
pub fn stats() -> Stats {
    with(Core::stats)
}

/// What to do about stalls; by default they are only counted. Runs on the ring thread: must be quick.
pub fn on_stall(report: fn(&Stall)) {
    with(|core| core.on_stall.set(Some(report)));
}

impl Runtime {
    /// A runtime over any driver. It must be used on the thread that the driver was built on.
    ///
    /// # Panics
    /// When this thread has a runtime already.
    pub fn new(driver: Box<dyn Driver>, options: Options) -> Runtime {
        Runtime {
            core: Core::install(driver, options),
        }
    }

    /// A runtime over a new ring of this thread.
    pub fn real(options: Options) -> Result<Runtime, crate::StartError> {
        let driver = crate::real::Ring::new(&options)?;
        Ok(Runtime::new(Box::new(driver), options))
    }

    /// Runs the loop until `future` ends; other tasks keep their state for a later `block_on`.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        self.core.run(pin!(future))
    }

    pub fn stats(&self) -> Stats {
        self.core.stats()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.core.shut_down();
    }
}
