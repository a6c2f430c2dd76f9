//! An edge ring and workers in one thread: what is left of requests when somebody dies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use std::sync::Arc;

use harness::{Pair, answer};
use shm::{Cancel, EdgeRing, Finish, Park, WorkerSeat};

/// The edge process dies and comes back.
fn restart_edge(pair: &mut Pair) {
    pair.edge = EdgeRing::new(Arc::clone(&pair.segment), 0);
}

#[test]
fn a_dead_workers_request_is_named_and_what_it_said_can_be_read() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(1, 5);
    let mut other = pair.worker(2, 1);
    let slots = [pair.submit(b"a"), pair.submit(b"b"), pair.submit(b"c")];
    let mut claim = worker.try_claim().unwrap();
    claim.write_head(b"200").unwrap();
    claim.write_body(b"half");
    claim.flush();
    let survivor = other.try_claim().unwrap();
    // Killed: nothing of it runs any more.
    std::mem::forget((worker, claim));
    assert_eq!(
        pair.edge.worker_gone(1, 4),
        [],
        "an earlier occupant of that seat"
    );
    assert_eq!(pair.edge.worker_gone(1, 5), [slots[0]]);
    assert_eq!(pair.edge.live_workers(), 1);
    assert_eq!(pair.read(slots[0]), "[200]half!");
    pair.edge.release(slots[0]);
    answer(survivor, b"lives");
    answer(other.try_claim().unwrap(), b"too");
    assert_eq!(
        pair.read(slots[1]) + &pair.read(slots[2]),
        "[200]lives.[200]too."
    );
    assert_eq!(
        pair.segment.worker(1).unwrap().status,
        shm::WorkerStatus::Empty
    );
}

#[test]
fn a_dead_workers_last_word_is_found_without_its_bit() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"a");
    answer(worker.try_claim().unwrap(), b"done");
    assert_eq!(pair.dirty(), [slot]);
    std::mem::forget(worker);
    assert_eq!(pair.edge.worker_gone(0, 1), []);
    assert_eq!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Stay
    );
    assert_eq!(pair.dirty(), [slot]);
}

#[test]
fn a_cancelled_request_of_a_dead_worker_frees_its_slot() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"a");
    std::mem::forget(worker.try_claim().unwrap());
    assert_eq!(pair.edge.cancel(slot), Cancel::Running);
    assert_eq!(pair.edge.worker_gone(0, 1), []);
    assert_eq!(pair.edge.in_use(), 0);
}

#[test]
fn a_restarted_edge_starts_clean() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let mut dying = pair.worker(1, 1);
    let mut slots = Vec::new();
    for text in [b"done", b"runs", b"dead", b"wait"] {
        slots.push(pair.submit(text));
    }
    answer(worker.try_claim().unwrap(), b"unread");
    let running = worker.try_claim().unwrap();
    let dead = dying.try_claim().unwrap();
    restart_edge(&mut pair);
    assert_eq!(pair.edge.in_use(), 2, "the two that run");
    assert!(running.cancelled() && dead.cancelled());
    assert!(worker.try_claim().is_none(), "the queued one is cancelled");
    // While the edge was away the other worker died; the supervisor announces the living ones.
    std::mem::forget((dying, dead));
    pair.edge.worker_up(0, 1);
    assert_eq!(pair.edge.in_use(), 2);
    pair.edge.settle();
    assert_eq!(pair.edge.in_use(), 1);
    running.finish(Finish::End);
    assert_eq!(pair.dirty(), []);
    assert_eq!(pair.edge.in_use(), 0);
    let slot = pair.submit(b"new");
    answer(worker.try_claim().unwrap(), b"life");
    assert_eq!(pair.read(slot), "[200]life.");
}

#[test]
fn a_seat_that_changed_hands_frees_what_its_last_occupant_held() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    pair.submit(b"x");
    std::mem::forget(worker.try_claim().unwrap());
    std::mem::forget(worker);
    restart_edge(&mut pair);
    assert_eq!(pair.edge.in_use(), 1);
    let _next = pair.worker(0, 2);
    assert_eq!(pair.edge.in_use(), 0);
}

#[test]
fn drain_is_seen_and_the_seat_is_left_clean() {
    let mut pair = Pair::new();
    let worker = pair.worker(3, 1);
    assert!(!worker.should_drain());
    pair.segment.request_drain(3);
    pair.segment.request_drain(400);
    assert!(worker.should_drain());
    assert!(pair.segment.worker(3).unwrap().draining);
    drop(worker);
    assert_eq!(pair.segment.workers(), []);
    assert!(!pair.worker(3, 2).should_drain());
    assert!(
        WorkerSeat::attach(Arc::clone(&pair.segment), 4, 0, 0, Arc::clone(&pair.bells)).is_err()
    );
}
