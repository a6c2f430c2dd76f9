//! The provided-buffer ring: receive buffers that belong to nobody until data arrives.
//!
//! Owns two allocations: the entries the kernel reads, and the buffers. Invariant: an id is in the ring or out with a
//! completion, never both; `tail` is the kernel's view of ours, published with release order.

use io_uring::{Submitter, types::BufRingEntry};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The one buffer group of a ring.
pub const GROUP: u16 = 0;
const PAGE_BYTES: usize = 4096;

pub struct Buffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    size_bytes: u32,
    tail: u16,
    registered: bool,
    abandoned: bool,
}

impl Buffers {
    /// `count` is a power of two.
    pub fn new(count: u16, size_bytes: u32) -> Buffers {
        assert!(
            count.is_power_of_two() && count <= 32_768 && size_bytes > 0,
            "checked options"
        );
        let (layout, size) = (entries_layout(count), memory_layout(count, size_bytes));
        // SAFETY: the layout is not empty.
        let entries = allocated(unsafe { alloc_zeroed(layout) }, layout).cast();
        // Not zeroed: the kernel fills before anybody reads, and pages never filled cost no memory.
        // SAFETY: the layout is not empty.
        let memory = allocated(unsafe { alloc(size) }, size);
        Buffers {
            entries,
            memory,
            count,
            size_bytes,
            tail: 0,
            registered: false,
            abandoned: false,
        }
    }

    /// Makes them known to the ring, all free.
    pub fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the entries are page-aligned, as long as `count` says, and live until `unregister` or for ever.
        unsafe {
            submitter.register_buf_ring_with_flags(
                self.entries.as_ptr() as u64,
                self.count,
                GROUP,
                0,
            )?;
        }
        self.registered = true;
        for id in 0..self.count {
            self.give_back(id);
        }
        Ok(())
    }

    pub fn unregister(&mut self, submitter: &Submitter<'_>) {
        if self.registered && submitter.unregister_buf_ring(GROUP).is_err() {
            // The kernel may still use them: they stay allocated.
            self.abandoned = true;
        }
        self.registered = false;
    }

    #[inline]
    pub fn address(&self, id: u16) -> NonNull<u8> {
        debug_assert!(id < self.count);
        // SAFETY: id < count (the kernel hands out only ids we gave), so the offset is inside the allocation.
        unsafe { self.memory.add(id as usize * self.size_bytes as usize) }
    }

    /// Puts a buffer at the tail of the ring.
    #[inline]
    pub fn give_back(&mut self, id: u16) {
        let address = self.address(id).as_ptr() as u64;
        let index = self.tail & (self.count - 1);
        // SAFETY: index < count, and the kernel does not look at this entry before the tail passes it. Only address,
        // length and id are written: the first entry's remaining field is the tail.
        unsafe {
            let entry = self.entries.add(index as usize).as_mut();
            entry.set_addr(address);
            entry.set_len(self.size_bytes);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail field of the entries, aligned for u16, shared with the kernel and always accessed atomically.
        let tail = unsafe { &*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    /// Somebody still refers to the memory: never free it.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.abandoned {
            return;
        }
        // SAFETY: allocated in `new` with the same layouts; the ring has forgotten them (`unregister`).
        unsafe {
            dealloc(self.entries.as_ptr().cast(), entries_layout(self.count));
            dealloc(
                self.memory.as_ptr(),
                memory_layout(self.count, self.size_bytes),
            );
        }
    }
}

/// Checks what an allocator answered.
fn allocated(block: *mut u8, layout: Layout) -> NonNull<u8> {
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

fn entries_layout(count: u16) -> Layout {
    layout(count as usize * size_of::<BufRingEntry>())
}

fn memory_layout(count: u16, size_bytes: u32) -> Layout {
    layout(count as usize * size_bytes as usize)
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, PAGE_BYTES)
        .expect("32,768 buffers of 4 GiB fit the address space")
}
