//! Python's allocator of small objects, before a fork: what is free in its pools is taken, so that new objects of the forks lie together in fresh ones.
//!
//! Written for obmalloc (pools of one size of block, from 3.10 on 16 KiB large), and harmless with anything else in its place.

use super::object::Python;
use pyo3::ffi;
use std::ffi::c_void;

const BLOCK_MAX: usize = 512;
const BLOCK_STEP: usize = 16;
const POOL: usize = 16 * 1024;
const POOL_HEADER: usize = 48;
/// No more than this is taken in one size: it is another allocator, or its pools are other ones.
const TAKEN_MAX: usize = 4 * 1024 * 1024;

/// Takes for good what is free in pools that are partly in use.
pub fn fill_pools(_py: Python<'_>) {
    for size in (1..=BLOCK_MAX / BLOCK_STEP).rev().map(|n| n * BLOCK_STEP) {
        if !fill(size) {
            return;
        }
    }
}

/// A pool that was not in use is begun when no other of the size has a free block: blocks are taken until they make up such a pool, which is
/// given back. False: none came, and all blocks were given back.
fn fill(size: usize) -> bool {
    let per_pool = (POOL - POOL_HEADER) / size;
    let mut blocks: Vec<*mut c_void> = Vec::new();
    let mut in_row = 0;
    while blocks.len() * size < TAKEN_MAX {
        // SAFETY: the GIL is held, by the caller's token.
        let block = unsafe { ffi::PyObject_Malloc(size) };
        if block.is_null() {
            break;
        }
        let address = block as usize;
        let follows = blocks
            .last()
            .is_some_and(|last| *last as usize + size == address);
        in_row = match () {
            () if address % POOL == POOL_HEADER => 1,
            () if follows && in_row > 0 => in_row + 1,
            () => 0,
        };
        blocks.push(block);
        if in_row == per_pool {
            release(&blocks[blocks.len() - in_row..]);
            return true;
        }
    }
    release(&blocks);
    false
}

fn release(blocks: &[*mut c_void]) {
    for block in blocks {
        // SAFETY: ours, from PyObject_Malloc above, not used and not given back before; the GIL is still held.
        unsafe { ffi::PyObject_Free(*block) };
    }
}
