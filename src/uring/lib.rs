//! A thread-per-core executor over io_uring: futures over ring operations, nothing shared between threads.
//!
//! One [`Runtime`] per thread drives one [`Driver`]: the real ring, or the seeded simulation of [`sim`]. Inside it, tasks
//! are started with [`spawn`] and use [`net`], [`fs`] and [`time`]; the world outside reaches them through a [`Poller`]
//! (looked at every turn) and a [`Doorbell`] (which makes the loop turn).
//!
//! Floors inside the crate, ground first: `options`, `store`, `reader`, `driver`, `flight`, `task`, `wheel`, `poller`, `stats`, `start_error` |
//! `real` | `event_loop` (with `descriptor`) | `runtime` | `time`, `net`, `fs`, `beside`, `doorbell` | `sim`.
//!
//! Invariants: memory that the kernel may touch belongs to the flight slab until the last completion; dropping a future, a
//! socket or a file never blocks and never panics; a full queue is flushed, never an error. Knows no protocol.

pub mod beside;
mod descriptor;
mod doorbell;
pub mod driver;
mod event_loop;
mod flight;
pub mod fs;
pub mod net;
mod options;
mod poller;
mod reader;
mod real;
mod runtime;
pub mod sim;
mod start_error;
mod stats;
mod store;
mod task;
pub mod time;
mod wheel;

pub use doorbell::Doorbell;
pub use driver::Driver;
pub use options::Options;
pub use poller::{Park, Poller};
pub use runtime::{
    Runtime, YieldNow, now, on_stall, precise_now, set_poller, spawn, stats, wake_all, wall,
    yield_now,
};
pub use start_error::{KERNEL_MIN, StartError};
pub use stats::{Stall, Stats};
