//! The exchange: how requests get from the edge's ring threads to Python workers and answers back, without a system call under load.
//!
//! One sealed memory file per app ([`Segment`]), mapped by the edge and by the app's hosts. In it: one queue for all workers, one slot per
//! request with its own request area, response ring and inbound ring, one dirty bitmap and doorbell per ring thread, one record and inbox per worker seat.
//! The edge's end is [`EdgeRing`], a worker's end is [`WorkerSeat`] and [`Claim`].
//!
//! Invariants: the edge believes nothing it reads here (garbage is `Corrupt`, never a panic, never an unbounded loop); a crash of any party
//! at any instruction leaves a state from which the others go on. Must not know: HTTP semantics, Python, rings, sockets.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on fails")
)]
#![cfg_attr(
    loom,
    allow(
        dead_code,
        reason = "the models use the algorithms, not what is built on them"
    )
)]

pub mod corrupt;
pub mod event;
pub mod handover;
pub mod layout;
mod line;
pub mod request;
pub mod response;

// The algorithms, over borrowed atomics: the same code runs on shared memory and under loom.
mod inbox;
mod outbox;
mod parking;
mod queue;
mod state;
mod stream;
mod sync;

#[cfg(not(loom))]
mod area;
#[cfg(not(loom))]
mod edge;
#[cfg(not(loom))]
pub mod fuzz;
#[cfg(not(loom))]
mod record;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
mod wake;
#[cfg(not(loom))]
mod worker;

pub use corrupt::Corrupt;
pub use event::EventKind;
pub use layout::Layout;
pub use state::WorkerId;

#[cfg(not(loom))]
pub use edge::{
    Cancel, Chunk, EdgeRing, Frame, Full, Held, Mark, Park, Purpose, SlotId, SlotState, Times,
};
#[cfg(not(loom))]
pub use record::{WorkerRecord, WorkerStatus};
#[cfg(not(loom))]
pub use segment::Segment;
#[cfg(not(loom))]
pub use worker::{Claim, Finish, WaitSpace, Wake, WorkerSeat, WriteError};

#[cfg(all(test, loom))]
mod models;
