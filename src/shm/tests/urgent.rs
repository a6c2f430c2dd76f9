//! The urgent queue: before the usual one, never lost, never the reason for a refusal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use harness::{LAYOUT, Pair, answer};
use shm::{Layout, Purpose, SlotId};

fn submit_urgent(pair: &mut Pair, text: &[u8]) -> SlotId {
    let slot = pair.edge.reserve().unwrap();
    pair.edge.request_area(slot)[..text.len()].copy_from_slice(text);
    let (since_ns, now_ns) = (pair.now_ns - 1, pair.now_ns);
    assert!(
        pair.edge
            .submit_since(slot, text.len(), since_ns, now_ns, true)
    );
    slot
}

#[test]
fn the_urgent_goes_first_and_in_order() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let usual = [pair.submit(b"1"), pair.submit(b"2")];
    let urgent = [
        submit_urgent(&mut pair, b"a"),
        submit_urgent(&mut pair, b"b"),
    ];
    assert_eq!(pair.edge.queue_len(), 4);
    for expected in [b"a", b"b", b"1", b"2"] {
        let claim = worker.try_claim().unwrap();
        assert_eq!(claim.request(), expected);
        answer(claim, b"");
    }
    assert!(worker.try_claim().is_none());
    assert_eq!(pair.dirty().len(), 4);
    for slot in usual.into_iter().chain(urgent) {
        assert_eq!(pair.read(slot), "[200].");
        pair.edge.release(slot);
    }
}

#[test]
fn it_has_waited_since_it_came() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    submit_urgent(&mut pair, b"a");
    assert_eq!(worker.try_claim().unwrap().queued_ns(), pair.now_ns - 1);
}

#[test]
fn a_slot_that_changes_queues_is_not_taken_for_its_former_self() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"left");
    pair.edge.cancel(slot);
    assert_eq!(submit_urgent(&mut pair, b"new"), slot);
    let claim = worker.try_claim().unwrap();
    assert_eq!(claim.request(), b"new");
    assert!(worker.try_claim().is_none(), "a leftover");
    answer(claim, b"");
    pair.edge.release(slot);
    // And the other way round.
    let slot = submit_urgent(&mut pair, b"left");
    pair.edge.cancel(slot);
    assert_eq!(pair.submit(b"new"), slot);
    assert_eq!(worker.try_claim().unwrap().request(), b"new");
}

#[test]
fn more_than_the_urgent_queue_holds_takes_the_usual_one() {
    let (mut pair, _fd) = Pair::with_fd(Layout {
        slots: 1024,
        ..LAYOUT
    });
    let mut worker = pair.worker(0, 1);
    for _ in 0..1024 {
        submit_urgent(&mut pair, b"x");
    }
    for _ in 0..1024 {
        answer(worker.try_claim().unwrap(), b"");
    }
    assert!(worker.try_claim().is_none());
}

#[test]
fn some_slots_can_be_kept_for_it_and_each_purpose_has_its_own() {
    let mut pair = Pair::new();
    let mut take = |purpose, bound| pair.edge.reserve_within(purpose, bound);
    let requests: Vec<_> = (0..3).map(|_| take(Purpose::Request, 3)).collect();
    assert!(requests.iter().all(Option::is_some));
    assert_eq!(take(Purpose::Request, 3), None);
    let sockets: Vec<_> = (0..4).map(|_| take(Purpose::Socket, 4)).collect();
    assert!(sockets.iter().all(Option::is_some));
    assert_eq!(take(Purpose::Socket, 4), None);
    assert!(take(Purpose::Request, 4).is_some());
    assert_eq!(take(Purpose::Request, 5), None, "all eight are taken");
    // What is given back is free for either.
    pair.edge.abandon(sockets[0].unwrap());
    assert_eq!(pair.edge.taken(Purpose::Socket), 3);
    assert!(pair.edge.reserve_within(Purpose::Request, 5).is_some());
    assert_eq!(
        (
            pair.edge.taken(Purpose::Request),
            pair.edge.taken(Purpose::Socket)
        ),
        (5, 3)
    );
}
