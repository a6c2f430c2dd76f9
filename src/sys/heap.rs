//! The C library's heap, before a fork: what is free in it goes back to the system or is taken, so that what the forks allocate lies together behind it.
//!
//! Free memory lies scattered among what is in use. Each fork would fill it by itself, and get a page of its own for every piece.

/// Larger pieces have mappings of their own (M_MMAP_THRESHOLD, mallopt(3)), and taking and returning one would move that bound.
const PIECE_MAX: usize = 64 * 1024;
/// Below it pieces are taken by the step of the heap, above by eighths.
const FINE_MAX: usize = 1024;
const STEP: usize = 16;
/// What the heap keeps of a piece of a multiple of `STEP` for itself.
const HEADER: usize = 8;
/// At most so much is set aside for the thread (tcache) and not counted as free.
const ASIDE_MAX: usize = 256 * 1024;

/// Takes for good whatever is free below the end of the heap, and returns how much that was. Whole free pages are given back first and not touched again.
///
/// Only glibc's heap is known; another, also one that was put in its place, stays as it is.
#[cfg(target_env = "gnu")]
pub fn fill() -> usize {
    // SAFETY: these look at the heap and give pages back that hold nothing.
    let (end, known) = unsafe {
        libc::malloc_trim(0);
        (libc::sbrk(0) as usize, libc::mallinfo())
    };
    // Both are counts of bytes modulo 2^32.
    let top = end.saturating_sub(known.keepcost as u32 as usize);
    let free = known.fordblks as u32 as usize + ASIDE_MAX;
    let mut taken = 0;
    let mut size = PIECE_MAX;
    while size > STEP {
        // Behind the end the heap grows only when nothing below fits. `taken` bounds it for heaps that are not as we think.
        while taken < free {
            // SAFETY: a piece that is either given back at once or left alone for ever.
            let below = unsafe {
                let piece = libc::malloc(size - HEADER);
                let below = !piece.is_null() && (piece as usize) < top;
                if !below {
                    libc::free(piece);
                }
                below
            };
            if !below {
                break;
            }
            taken += size;
        }
        size = match size > FINE_MAX {
            true => (size / 8 * 7) / STEP * STEP,
            false => size - STEP,
        };
    }
    taken
}

/// As above.
#[cfg(not(target_env = "gnu"))]
pub fn fill() -> usize {
    0
}
