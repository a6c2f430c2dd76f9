//! An edge ring and workers in one thread: the life of requests, step by step.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{LAYOUT, Pair, answer};
use shm::{
    Cancel, EdgeRing, Finish, Frame, Layout, Park, Segment, SlotState, WaitSpace, WorkerId,
    WorkerSeat, WriteError,
};

#[test]
fn a_request_goes_there_and_back() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    assert!(worker.try_claim().is_none());
    let slot = pair.submit(b"hello");
    assert_eq!(pair.edge.state(slot), Ok(SlotState::Queued));
    assert_eq!(
        (pair.edge.queue_len(), pair.edge.worker_of(slot)),
        (1, None)
    );
    let claim = worker.try_claim().unwrap();
    assert_eq!(claim.request(), b"hello");
    assert_eq!(claim.queued_ns(), pair.now_ns);
    assert_eq!(claim.ticket(), pair.edge.ticket(slot));
    let me = WorkerId {
        index: 0,
        incarnation: 1,
    };
    assert_eq!(pair.edge.state(slot), Ok(SlotState::Claimed(me)));
    let record = pair.segment.worker(0).unwrap();
    assert_eq!(
        (record.slot, record.pid, record.generation),
        (Some(slot.index() as u32), std::process::id(), 1)
    );
    answer(claim, b"world");
    assert_eq!(pair.dirty(), [slot]);
    assert_eq!(pair.read(slot), "[200]world.");
    assert_eq!(pair.read(slot), ".");
    assert_eq!(pair.edge.worker_of(slot), Some(me));
    let times = pair.edge.times(slot, sys::clock::monotonic_ns());
    assert!(
        times.queued_ns <= times.claimed_ns
            && times.claimed_ns <= times.first_ns
            && times.first_ns <= times.last_ns
    );
    assert!(times.last_ns > 0);
    pair.edge.release(slot);
    assert_eq!(pair.edge.in_use(), 0);
    assert_eq!(pair.segment.worker(0).unwrap().served, 1);
    assert_eq!(pair.dirty(), []);
}

#[test]
fn requests_are_served_in_order_and_hot_slots_are_used_again() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    for _ in 0..1000 {
        let slots = [pair.submit(b"a"), pair.submit(b"b")];
        assert!(slots.iter().all(|slot| slot.index() < 2));
        for text in [b"a", b"b"] {
            let claim = worker.try_claim().unwrap();
            assert_eq!(claim.request(), text);
            answer(claim, text);
        }
        for slot in pair.dirty() {
            pair.read(slot);
            pair.edge.release(slot);
        }
        assert_eq!(pair.edge.in_use(), 0);
    }
}

#[test]
fn all_slots_taken_is_none_and_abandon_gives_back() {
    let mut pair = Pair::new();
    let slots: Vec<_> = std::iter::from_fn(|| pair.edge.reserve()).collect();
    assert_eq!(slots.len(), 8);
    pair.edge.abandon(slots[3]);
    assert_eq!(pair.edge.reserve(), Some(slots[3]));
    assert_eq!(pair.edge.cancel(slots[0]), Cancel::Freed);
    assert_eq!(pair.edge.in_use(), 7);
}

#[test]
fn a_cancelled_queued_request_is_never_seen() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let first = pair.submit(b"first");
    assert_eq!(pair.edge.cancel(first), Cancel::Freed);
    let second = pair.submit(b"second");
    assert_eq!(first, second, "the slot is used again at once");
    assert_eq!(worker.try_claim().unwrap().request(), b"second");
    assert!(worker.try_claim().is_none());
}

#[test]
fn leftovers_of_cancelled_requests_never_fill_the_queue() {
    let mut pair = Pair::new();
    let kept = pair.submit(b"kept");
    for _ in 0..1000 {
        let slot = pair.submit(b"gone");
        assert_eq!(pair.edge.cancel(slot), Cancel::Freed);
        pair.now_ns += 20_000_000;
    }
    let late = pair.submit(b"late");
    let mut worker = pair.worker(0, 1);
    for (slot, text) in [(kept, "kept"), (late, "late")] {
        let claim = worker.try_claim().unwrap();
        assert_eq!(claim.slot(), slot.index() as u32);
        assert_eq!(claim.request(), text.as_bytes());
    }
    assert!(worker.try_claim().is_none());
}

#[test]
fn cancelling_a_running_request_tells_the_worker_and_frees_the_slot_when_it_ends() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let claim = worker.try_claim().unwrap();
    assert!(!claim.cancelled());
    assert_eq!(pair.edge.cancel(slot), Cancel::Running);
    assert!(claim.cancelled());
    assert_eq!(pair.edge.in_use(), 1);
    answer(claim, b"for nobody");
    assert_eq!(pair.dirty(), [], "not reported");
    assert_eq!(pair.edge.in_use(), 0);
    let slot = pair.submit(b"next");
    let claim = worker.try_claim().unwrap();
    assert!(
        !claim.cancelled(),
        "the flag belongs to one use of the slot"
    );
    answer(claim, b"fresh");
    assert_eq!(
        pair.read(slot),
        "[200]fresh.",
        "nothing is left of the old answer"
    );
}

#[test]
fn an_unfinished_claim_aborts() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let mut claim = worker.try_claim().unwrap();
    claim.write_head(b"200").unwrap();
    drop(claim);
    assert_eq!(pair.read(slot), "[200]!");
}

#[test]
fn streaming_waits_for_room() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let mut claim = worker.try_claim().unwrap();
    assert_eq!(claim.write_head(&[b'h'; 5000]), Err(WriteError::TooLong));
    let body = vec![b'b'; 10_000];
    let mut written = claim.write_body(&body);
    assert!(written > 3000 && written < 4096);
    assert_eq!(claim.write_body(&body), 0);
    assert_eq!(claim.write_file(1, 2, 3), Err(WriteError::Full));
    assert_eq!(
        claim.wait_space(Duration::from_millis(1)),
        WaitSpace::TimedOut
    );
    let mut got = pair.read(slot);
    while written < body.len() {
        assert_eq!(claim.wait_space(Duration::ZERO), WaitSpace::Retry);
        written += claim.write_body(&body[written..]);
        claim.flush();
        got += &pair.read(slot);
    }
    claim.write_file(7, 8, 9).unwrap();
    claim.want_body().unwrap();
    claim.finish(Finish::End);
    got += &pair.read(slot);
    assert_eq!(
        got,
        "b".repeat(10_000) + "File { token: 7, offset: 8, length: 9 }WantBody."
    );
    assert_eq!(pair.edge.cancel(slot), Cancel::Freed);
}

#[test]
fn held_bytes_keep_their_slot() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let mut claim = worker.try_claim().unwrap();
    claim.write_body(b"precious");
    claim.finish(Finish::End);
    let Ok(Some(Frame::Body(chunk))) = pair.edge.next_frame(slot) else {
        panic!()
    };
    let held = [pair.edge.hold(slot, chunk), pair.edge.hold(slot, chunk)];
    pair.edge.release(slot);
    assert_eq!(pair.edge.in_use(), 1);
    for _ in 0..7 {
        assert_ne!(pair.submit(b"y"), slot);
        answer(worker.try_claim().unwrap(), b"other");
    }
    assert_eq!(pair.edge.reserve(), None);
    assert_eq!(&*held[0], b"precious");
    drop(held);
    assert_eq!(pair.edge.reserve(), Some(slot));
}

#[test]
fn bells_ring_only_for_sleepers_and_once() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    // Answers that take no time are worth a nap.
    worker.set_clock(|| 1);
    pair.dirty();
    assert_eq!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Sleep,
        "nothing is on its way"
    );
    pair.edge.after_park();
    let slots = [pair.submit(b"a"), pair.submit(b"b"), pair.submit(b"c")];
    assert!(matches!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Nap(_)
    ));
    answer(worker.try_claim().unwrap(), b"1");
    answer(worker.try_claim().unwrap(), b"2");
    assert_eq!(
        pair.bells[0].take().unwrap(),
        0,
        "it naps and there is more to do"
    );
    let last = worker.try_claim().unwrap();
    assert_eq!(pair.bells[0].take().unwrap(), 0);
    answer(last, b"3");
    assert_eq!(pair.bells[0].take().unwrap(), 1, "nothing more to do");
    pair.edge.after_park();
    assert_eq!(pair.dirty(), slots);
    for slot in slots {
        pair.edge.release(slot);
    }
    pair.submit(b"d");
    pair.submit(b"e");
    assert!(matches!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Nap(_)
    ));
    pair.edge.after_park();
    assert_eq!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Sleep,
        "a nap that brought nothing"
    );
    answer(worker.try_claim().unwrap(), b"4");
    assert_eq!(
        pair.bells[0].take().unwrap(),
        1,
        "asleep: rung whatever else there is to do"
    );
    answer(worker.try_claim().unwrap(), b"5");
    assert_eq!(pair.bells[0].take().unwrap(), 0, "rung already");
    assert_eq!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Stay
    );
}

#[test]
fn a_bell_held_back_rings_when_the_worker_runs_out_of_work() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    pair.dirty();
    pair.submit(b"a");
    let cancelled = pair.submit(b"b");
    assert!(matches!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Nap(_)
    ));
    answer(worker.try_claim().unwrap(), b"1");
    assert_eq!(pair.bells[0].take().unwrap(), 0);
    pair.edge.cancel(cancelled);
    assert!(worker.try_claim().is_none());
    assert_eq!(pair.bells[0].take().unwrap(), 1);
}

#[test]
fn another_mapping_of_the_file_is_the_same_exchange() {
    let (mut pair, fd) = Pair::with_fd(Layout {
        slots: 4,
        rings: 2,
        ..LAYOUT
    });
    let segment = Arc::new(Segment::attach(fd).unwrap());
    let mut worker = WorkerSeat::attach(segment, 0, 1, 1, Arc::clone(&pair.bells)).unwrap();
    let mut second = EdgeRing::new(Arc::clone(&pair.segment), 1);
    let slot = second.reserve().unwrap();
    assert_eq!((slot.index(), second.local(slot)), (2, 0));
    assert!(second.submit(slot, 0, 1));
    answer(worker.try_claim().unwrap(), b"across");
    let mut seen = Vec::new();
    second.dirty(|slot| seen.push(slot));
    assert_eq!(seen, [slot]);
    assert_eq!(pair.dirty(), []);
}
