//! The bytes of a slot, raw: its request area and its two rings.
//!
//! Any process may write them at any time; who may touch them when is settled by the slot's state.

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::segment::Segment;
use crate::stream::Bytes;

/// The bytes of one slot's request, response or inbound ring. Raw, because another process may write them at any time; who may touch them when is
/// settled by the slot's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area<'a> {
    /// Invariant: `size` mapped bytes, as long as the segment lives.
    start: NonNull<u8>,
    size: u32,
    _segment: PhantomData<&'a Segment>,
}

impl<'a> Area<'a> {
    /// # Safety
    /// `size` bytes from `start` are mapped for as long as the segment lives.
    #[inline]
    pub unsafe fn new(_: &'a Segment, start: NonNull<u8>, size: u32) -> Area<'a> {
        Area {
            start,
            size,
            _segment: PhantomData,
        }
    }

    /// `len` bytes from `offset`, cut to the area.
    #[inline]
    pub fn bytes(&self, offset: u32, len: u32) -> &'a [u8] {
        let offset = offset.min(self.size);
        let len = len.min(self.size - offset);
        // SAFETY: within the area. By the slot's state nobody who keeps the rules writes here now. One who breaks them can change the bytes
        // under the reader: then the reader copies or sends a mixture; nothing in this workspace decides anything by reading such a slice twice.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr().add(offset as usize), len as usize)
        }
    }

    /// The whole area, to be written. The caller owns the slot (`reserve`d and not yet submitted) and makes one such slice at a time.
    #[inline]
    pub fn bytes_mut(&mut self) -> &'a mut [u8] {
        // SAFETY: within the area; exclusive by the slot's state and the caller's `&mut` on the ring that owns it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size as usize) }
    }
}

impl Bytes for Area<'_> {
    #[inline]
    fn size(&self) -> u32 {
        self.size
    }

    #[inline]
    fn put(&self, offset: u32, bytes: &[u8]) {
        if offset as usize + bytes.len() > self.size as usize {
            debug_assert!(false, "frames are cut to the ring");
            return;
        }
        // SAFETY: the range lies within the area (checked above) and does not overlap private memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.start.as_ptr().add(offset as usize),
                bytes.len(),
            );
        }
    }

    #[inline]
    fn get(&self, offset: u32, bytes: &mut [u8]) {
        if offset as usize + bytes.len() > self.size as usize {
            debug_assert!(false, "frames are checked against the ring");
            return;
        }
        // SAFETY: as in `put`.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.as_ptr().add(offset as usize),
                bytes.as_mut_ptr(),
                bytes.len(),
            );
        }
    }
}
