//! The C library's heap: what is free in it, and giving that back.
//!
//! Free memory lies scattered among what is in use. By itself the heap gives back only what is free at its end, so a process keeps the memory of
//! its busiest moment (`usage`, `give_back`). And each fork would fill the gaps by itself, and get a page of its own for every piece: `fill`.

use crate::process::page_bytes;

/// Larger pieces have mappings of their own (M_MMAP_THRESHOLD, mallopt(3)), and taking and returning one would move that bound.
const PIECE_MAX: usize = 64 * 1024;
/// Below it pieces are taken by the step of the heap, above by eighths.
const FINE_MAX: usize = 1024;
const STEP: usize = 16;
/// What the heap keeps of a piece of a multiple of `STEP` for itself.
const HEADER: usize = 8;
/// At most so much is set aside for the thread (tcache) and not counted as free.
const ASIDE_MAX: usize = 256 * 1024;

/// What the process's private memory is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Taken from the heap, by all threads.
    pub used_bytes: u64,
    /// In memory and of no file: the heap's, used or not, stacks and whatever else.
    pub resident_bytes: u64,
}

/// Looks; waits for threads that are just taking memory, and they for it. `None`: not known for this heap.
#[cfg(target_env = "gnu")]
pub fn usage() -> Option<Usage> {
    // SAFETY: it looks at the heap.
    let known = unsafe { libc::mallinfo() };
    // Counts of bytes modulo 2^32: beyond 4 GiB too little is taken for used, which costs a needless `give_back`.
    let used_bytes = u64::from(known.uordblks as u32) + u64::from(known.hblkhd as u32);
    let resident_bytes = resident_bytes()?;
    Some(Usage {
        used_bytes,
        resident_bytes,
    })
}

#[cfg(not(target_env = "gnu"))]
pub fn usage() -> Option<Usage> {
    None
}

/// Memory of this process that is of no file (proc(5), statm). Costs microseconds.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared) * page_bytes())
}

/// Gives all whole free pages back to the system. Threads that want memory meanwhile wait: 0.1 s for each GiB given back, about.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: pages that hold nothing are given back.
    unsafe {
        libc::malloc_trim(0);
    }
}

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

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_between_what_is_used_is_given_back() {
        const PIECES: usize = 4096;
        const PIECE_BYTES: usize = 32 * 1024;
        let mut pieces: Vec<Vec<u8>> = vec![vec![1; PIECE_BYTES]; PIECES];
        let full = usage().expect("glibc's heap");
        // Each second one stays, so that nothing is free at the end.
        pieces
            .iter_mut()
            .step_by(2)
            .for_each(|piece| *piece = Vec::new());
        let idle = usage().expect("as above");
        let freed = (PIECES / 2 * PIECE_BYTES) as u64;
        assert!(full.used_bytes - idle.used_bytes > freed * 9 / 10);
        give_back();
        let after = resident_bytes().expect("there is a /proc");
        assert!(full.resident_bytes - after > freed / 2, "{full:?} {after}");
        assert!(pieces.iter().skip(1).step_by(2).all(|piece| piece[9] == 1));
    }
}
