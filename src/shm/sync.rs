//! The atomics that every algorithm of this crate is written over: the processor's, or loom's under `cfg(loom)`.
//!
//! The sleep protocols ("publish, then look whether the other side sleeps" against "say that I sleep, then look whether something was
//! published") need a single total order of four accesses. All four are `SeqCst`, which is enough by the language's memory model and needs no
//! fence; loom treats `SeqCst` accesses as acquire/release, so under loom [`store_load_barrier`] is a real fence. ThreadSanitizer knows no
//! fences at all, which is the second reason for having none.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stands between a `SeqCst` write and the `SeqCst` read that decides about sleeping. Free outside loom.
#[inline(always)]
pub fn store_load_barrier() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}
