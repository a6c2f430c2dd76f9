//! The wake policy: which parked worker is woken for queued work, and how many. Used by ring threads after submitting and by workers that leave
//! work behind.
//!
//! A worker that is awake and quick takes the next request anyway, so on one processor a burst of short requests is served by one worker without a
//! single switch. A worker that has been at one request for longer than [`QUICK_NS`] (it computes, or waits for a database) counts as
//! away, and another is woken for it. For an event loop the same is asked of its present turn: a turn that takes long is blocked by something.

use crate::segment::Segment;
use crate::sync::Ordering;

/// A worker younger in its request than this is expected back soon.
pub const QUICK_NS: u64 = 100_000;

/// Wakes at most `limit` idle workers, most recently idle first, and none beyond `eager` workers that are awake and quick. Returns how many.
pub fn wake(segment: &Segment, now_ns: u64, eager: usize, limit: usize) -> usize {
    let room = eager.saturating_sub(quick_workers(segment, now_ns, eager));
    (0..room.min(limit))
        .take_while(|_| wake_one(segment))
        .count()
}

/// Wakes the most recently idle worker that this process can wake: its caches are the warmest.
pub fn wake_one(segment: &Segment) -> bool {
    let rank = |index| {
        let record = segment.record(index).filter(|_| segment.can_wake(index))?;
        Some(record.idle_since_ns.load(Ordering::Relaxed))
    };
    let Some(index) = segment.idle().take_best(rank) else {
        return false;
    };
    segment.unpark(index);
    true
}

/// Workers that are awake and between requests or young in one; counting stops at `enough`.
fn quick_workers(segment: &Segment, now_ns: u64, enough: usize) -> usize {
    let idle = segment.idle();
    segment
        .live()
        .members()
        .filter(|&index| !idle.contains(index))
        .filter_map(|index| segment.record(index))
        .filter(|record| {
            let between = record.slot.load(Ordering::Relaxed) == 0
                && record.looped.load(Ordering::Relaxed) == 0;
            between || now_ns.saturating_sub(record.since_ns.load(Ordering::Relaxed)) < QUICK_NS
        })
        .take(enough)
        .count()
}
