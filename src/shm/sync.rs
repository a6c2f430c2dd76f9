//! The atomics that every algorithm of this crate is written over: the processor's, or loom's under `cfg(loom)`.
//!
//! The sleep protocols ("publish, then look whether the other side sleeps" against "say that I sleep, then look whether something was
//! published") need a single total order of four accesses. All four are `SeqCst`, which is enough by the language's memory model and needs no
//! fence; loom treats `SeqCst` accesses as acquire/release, so under loom [`store_load_barrier`] is a real fence. ThreadSanitizer knows no
//! fences at all, which is the second reason for having none.

//!
//! Loom's partial-order reduction compares an access with the last one to the same object only, so that a thread's own load hides the race of its
//! following compare-and-swap with another thread's earlier load (seen with loom 0.7: of thousands of interleavings it tried fifteen). Under
//! loom every load therefore first touches a companion, relaxed: it orders nothing, but makes loads of different threads depend on each other.

#[cfg(loom)]
pub use checked::{AtomicU32, AtomicU64};
#[cfg(loom)]
pub use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stands between a `SeqCst` write and the `SeqCst` read that decides about sleeping. Free outside loom.
#[inline(always)]
pub fn store_load_barrier() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

#[cfg(loom)]
mod checked {
    use loom::sync::atomic::{AtomicUsize, Ordering};

    macro_rules! atomic {
        ($name:ident, $value:ty) => {
            #[derive(Debug)]
            pub struct $name {
                inner: loom::sync::atomic::$name,
                companion: AtomicUsize,
            }

            impl $name {
                pub fn new(value: $value) -> $name {
                    $name {
                        inner: loom::sync::atomic::$name::new(value),
                        companion: AtomicUsize::new(0),
                    }
                }

                pub fn load(&self, order: Ordering) -> $value {
                    self.companion.fetch_add(1, Ordering::Relaxed);
                    self.inner.load(order)
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    self.inner.store(value, order);
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.inner.swap(value, order)
                }

                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_or(value, order)
                }

                pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.inner.fetch_and(value, order)
                }

                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.inner.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
}
