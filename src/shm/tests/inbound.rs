//! The way in: streamed bodies and events from the edge to workers, and workers that run an event loop.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{LAYOUT, Pair, answer};
use shm::event::{disconnect, read_disconnect};
use shm::{
    Cancel, Claim, EdgeRing, EventKind, Finish, Frame, Full, Layout, Park, WaitSpace, Wake,
    WorkerSeat, WorkerStatus,
};
use sys::eventfd::EventFd;

/// A worker with an event loop, and the eventfd it sleeps on.
fn looped(pair: &mut Pair, index: u16, incarnation: u16) -> (WorkerSeat, EventFd) {
    let bell = EventFd::new().unwrap();
    pair.segment.set_bell(index, bell.try_clone().unwrap());
    let mut seat = pair.worker(index, incarnation);
    seat.make_looped().unwrap();
    (seat, bell)
}

fn news(seat: &WorkerSeat) -> Vec<u32> {
    let mut slots = Vec::new();
    seat.inbox(|slot| slots.push(slot));
    slots
}

/// Everything that has come, as text.
fn events(claim: &mut Claim) -> String {
    let mut text = String::new();
    let mut payload = Vec::new();
    while let Some(kind) = claim.next_event(&mut payload).unwrap() {
        text += &format!("{kind:?}({}) ", String::from_utf8_lossy(&payload));
        payload.clear();
    }
    text
}

#[test]
fn what_came_before_the_claim_is_found_after_it() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.edge.reserve().unwrap();
    pair.edge.push_event(slot, EventKind::Body, b"one").unwrap();
    pair.edge.commit_events(slot);
    assert!(pair.edge.submit(slot, 0, pair.now_ns));
    assert_eq!(
        pair.edge
            .push_bytes(slot, EventKind::Body, Some(EventKind::BodyEnd), b"two"),
        3
    );
    let mut claim = worker.try_claim().unwrap();
    assert_eq!(
        events(&mut claim),
        "Body(one) ",
        "the rest is not committed"
    );
    pair.edge.commit_events(slot);
    assert_eq!(claim.peek_event(), Ok(Some(EventKind::BodyEnd)));
    assert_eq!(events(&mut claim), "BodyEnd(two) ");
    assert_eq!(events(&mut claim), "");
    claim.finish(Finish::End);
}

#[test]
fn a_slot_used_again_starts_with_an_empty_inbound_ring() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    for round in 0..20u8 {
        let slot = pair.submit(b"x");
        assert_eq!(slot.index(), 0);
        let mut claim = worker.try_claim().unwrap();
        assert_eq!(claim.peek_event(), Ok(None));
        pair.edge
            .push_event(slot, EventKind::Body, &vec![round; 900])
            .unwrap();
        pair.edge.commit_events(slot);
        if round % 2 == 0 {
            assert_eq!(events(&mut claim).len(), 900 + "Body() ".len());
        }
        claim.finish(Finish::End);
        pair.read(slot);
        pair.edge.release(slot);
    }
}

#[test]
fn a_full_ring_is_reported_when_there_is_room() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let body: Vec<u8> = (0..50_000u32).map(|at| (at % 251) as u8).collect();
    let push = |edge: &mut EdgeRing, sent: usize| {
        edge.push_bytes(
            slot,
            EventKind::WsBinaryPart,
            Some(EventKind::WsBinaryEnd),
            &body[sent..],
        )
    };
    let mut sent = push(&mut pair.edge, 0);
    assert!(sent > 3000 && sent < 4096);
    assert_eq!(
        pair.edge.push_event(slot, EventKind::BodyEnd, &[]),
        Err(Full)
    );
    assert_eq!(pair.edge.inbound_room(slot), 0);
    let mut claim = worker.try_claim().unwrap();
    // A new worker makes the ring look at everything once.
    pair.dirty();
    let (mut got, mut kinds) = (Vec::new(), Vec::new());
    while sent < body.len() {
        assert_eq!(pair.dirty(), [], "nothing was read");
        while let Some(kind) = claim.next_event(&mut got).unwrap() {
            kinds.push(kind);
        }
        assert_eq!(pair.dirty(), [slot], "there is room");
        assert!(pair.edge.inbound_room(slot) > 3000);
        let more = push(&mut pair.edge, sent);
        assert!(more > 0);
        sent += more;
        pair.edge.commit_events(slot);
    }
    while let Some(kind) = claim.next_event(&mut got).unwrap() {
        kinds.push(kind);
    }
    assert_eq!(got, body);
    assert_eq!(kinds.pop(), Some(EventKind::WsBinaryEnd));
    assert!(kinds.iter().all(|&kind| kind == EventKind::WsBinaryPart));
}

#[test]
fn a_worker_without_a_loop_waits_for_events() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let mut claim = worker.try_claim().unwrap();
    assert_eq!(claim.wait_event(Duration::ZERO), WaitSpace::TimedOut);
    std::thread::scope(|scope| {
        // Longer than any test may take: only the event ends it.
        let waiting = scope.spawn(|| {
            assert_eq!(claim.wait_event(Duration::from_secs(600)), WaitSpace::Retry);
            let text = events(&mut claim);
            assert_eq!(
                claim.wait_event(Duration::from_secs(600)),
                WaitSpace::Cancelled
            );
            text
        });
        pair.edge.push_event(slot, EventKind::BodyEnd, b"").unwrap();
        pair.edge.commit_events(slot);
        while pair.edge.inbound_room(slot) < 4000 {
            std::thread::yield_now();
        }
        assert_eq!(pair.edge.cancel(slot), Cancel::Running);
        assert_eq!(waiting.join().unwrap(), "BodyEnd() ");
    });
}

#[test]
fn a_loop_is_rung_for_requests_events_room_and_the_clients_end() {
    let mut pair = Pair::new();
    let (mut seat, bell) = looped(&mut pair, 0, 1);
    let rung = || bell.take().unwrap();
    assert_eq!(seat.lie_down(true), Wake::Sleep);
    let slot = pair.submit(b"x");
    pair.edge.wake_workers(pair.now_ns);
    assert_eq!(rung(), 1);
    seat.get_up();
    let mut claim = seat.try_claim().unwrap();
    assert_eq!(seat.lie_down(true), Wake::Sleep);

    pair.edge
        .push_event(slot, EventKind::Body, b"data")
        .unwrap();
    pair.edge.commit_events(slot);
    pair.edge.commit_events(slot);
    assert_eq!(rung(), 1);
    seat.get_up();
    assert_eq!(news(&seat), [0]);
    assert_eq!(news(&seat), []);
    assert_eq!(events(&mut claim), "Body(data) ");

    // In a turn nobody rings, and nothing is lost.
    pair.edge
        .push_event(slot, EventKind::Disconnect, &disconnect(1001, "bye"))
        .unwrap();
    pair.edge.commit_events(slot);
    assert_eq!(rung(), 0);
    assert_eq!(seat.lie_down(true), Wake::Now);
    seat.get_up();
    assert_eq!(news(&seat), [0]);
    let mut payload = Vec::new();
    assert_eq!(
        claim.next_event(&mut payload),
        Ok(Some(EventKind::Disconnect))
    );
    assert_eq!(read_disconnect(&payload), (1001, &b"bye"[..]));

    while claim.write_body(&[1; 1000]) > 0 {}
    assert!(!claim.want_space());
    assert_eq!(seat.lie_down(true), Wake::Sleep);
    assert_eq!(rung(), 0);
    pair.read(slot);
    assert_eq!(rung(), 1);
    seat.get_up();
    assert_eq!(news(&seat), [0]);
    assert!(claim.want_space());

    assert_eq!(seat.lie_down(true), Wake::Sleep);
    assert_eq!(pair.edge.cancel(slot), Cancel::Running);
    assert_eq!(rung(), 1);
    seat.get_up();
    assert_eq!(news(&seat), [0]);
    assert!(claim.cancelled());
    claim.finish(Finish::Abort);
    assert_eq!(seat.lie_down(true), Wake::Sleep);
    pair.segment.request_drain(0);
    assert_eq!(rung(), 1);
    seat.get_up();
    assert!(seat.should_drain());
    assert_eq!(seat.lie_down(true), Wake::Now);
    seat.get_up();
    assert_eq!(seat.lie_down(false), Wake::Sleep, "it knows by now");
}

#[test]
fn a_loop_in_a_turn_is_picked_for_nothing() {
    let mut pair = Pair::new();
    let (mut first, first_bell) = looped(&mut pair, 0, 1);
    let (mut second, second_bell) = looped(&mut pair, 1, 1);
    assert_eq!(second.lie_down(true), Wake::Sleep);
    assert_eq!(first.lie_down(true), Wake::Sleep);
    first.get_up();
    pair.submit(b"a");
    pair.edge.set_eager(4);
    pair.edge.wake_workers(pair.now_ns);
    assert_eq!(
        (first_bell.take().unwrap(), second_bell.take().unwrap()),
        (0, 1)
    );
    // One that does not claim any more is not picked either.
    second.get_up();
    assert!(second.try_claim().is_some());
    assert_eq!(second.lie_down(false), Wake::Sleep);
    pair.submit(b"b");
    pair.edge.wake_workers(pair.now_ns);
    assert_eq!(second_bell.take().unwrap(), 0);
    assert_eq!(first.lie_down(true), Wake::Now, "there is a request");
}

#[test]
fn several_requests_at_once_and_what_the_record_says() {
    let mut pair = Pair::new();
    let (mut seat, _bell) = looped(&mut pair, 2, 1);
    let record = |pair: &Pair| pair.segment.worker(2).unwrap();
    let before = record(&pair);
    assert!(before.looped && before.turn % 2 == 1);
    let slots = [pair.submit(b"a"), pair.submit(b"b")];
    let claims = [seat.try_claim().unwrap(), seat.try_claim().unwrap()];
    assert_eq!(record(&pair).running, 2);
    assert_eq!(seat.lie_down(true), Wake::Sleep);
    assert_eq!(record(&pair).turn, before.turn + 1);
    seat.get_up();
    assert_eq!(record(&pair).turn, before.turn + 2);
    let [first, second] = claims;
    answer(second, b"done");
    assert_eq!(
        (record(&pair).running, record(&pair).status),
        (1, WorkerStatus::Busy)
    );
    first.finish(Finish::End);
    let after = record(&pair);
    assert_eq!((after.running, after.slot, after.served), (0, None, 2));
    assert_eq!(pair.dirty(), slots);
}

#[test]
fn a_process_that_cannot_ring_a_loop_leaves_it_to_others() {
    let (mut pair, fd) = Pair::with_fd(LAYOUT);
    let (mut asleep, bell) = looped(&mut pair, 0, 1);
    assert_eq!(asleep.lie_down(true), Wake::Sleep);
    // A host of another generation, without the eventfds of this one.
    let foreign = Arc::new(shm::Segment::attach(fd).unwrap());
    let mut other = WorkerSeat::attach(foreign, 1, 1, 2, Arc::clone(&pair.bells)).unwrap();
    pair.submit(b"a");
    pair.submit(b"b");
    let _claim = other.try_claim().unwrap();
    assert_eq!(bell.take().unwrap(), 0);
    assert_eq!(pair.edge.idle_workers(), 1, "it can still be picked");
    pair.edge.set_eager(4);
    pair.edge.wake_workers(pair.now_ns);
    assert_eq!(bell.take().unwrap(), 1);
    assert!(other.make_looped().is_err());
}

#[test]
fn websocket_frames_and_interim_responses_arrive_in_order() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    let slot = pair.submit(b"x");
    let mut claim = worker.try_claim().unwrap();
    claim.write_informational(b"103").unwrap();
    claim.write_accept(b"101").unwrap();
    assert_eq!(claim.write_message(false, b"hi"), Ok(2));
    assert_eq!(claim.write_message(true, b""), Ok(0));
    claim.write_trailers(b"later").unwrap();
    claim.write_close(&disconnect(1000, "done")).unwrap();
    claim.flush();
    let edge = &mut pair.edge;
    assert_eq!(
        edge.next_frame(slot),
        Ok(Some(Frame::Informational(b"103")))
    );
    assert_eq!(edge.next_frame(slot), Ok(Some(Frame::Accept(b"101"))));
    let Ok(Some(Frame::Message {
        binary: false,
        last: true,
        chunk,
    })) = edge.next_frame(slot)
    else {
        panic!("a text message")
    };
    assert_eq!(edge.bytes(slot, chunk), b"hi");
    assert!(matches!(
        edge.next_frame(slot),
        Ok(Some(Frame::Message {
            binary: true,
            last: true,
            ..
        }))
    ));
    assert_eq!(edge.next_frame(slot), Ok(Some(Frame::Trailers(b"later"))));
    assert_eq!(
        edge.next_frame(slot),
        Ok(Some(Frame::Close {
            code: 1000,
            reason: b"done"
        }))
    );
    edge.consume_all(slot);
    let written = claim.write_message(true, &[3; 9000]);
    assert!(matches!(written, Ok(3000..4096)), "{written:?}");
    assert_eq!(
        claim.write_message(true, &[3; 10]),
        Err(shm::WriteError::Full)
    );
}

#[test]
fn a_restarted_edge_tells_loops_that_their_clients_are_gone() {
    let mut pair = Pair::new();
    let (mut seat, bell) = looped(&mut pair, 0, 1);
    let slot = pair.submit(b"x");
    pair.edge.push_event(slot, EventKind::Body, b"old").unwrap();
    pair.edge.commit_events(slot);
    let claim = seat.try_claim().unwrap();
    assert_eq!(seat.lie_down(true), Wake::Sleep);
    pair.edge = EdgeRing::new(Arc::clone(&pair.segment), 0);
    assert!(bell.take().unwrap() > 0);
    seat.get_up();
    assert_eq!(news(&seat), [slot.index() as u32]);
    assert!(claim.cancelled());
    pair.edge.worker_up(0, 1);
    pair.edge.settle();
    claim.finish(Finish::Abort);
    pair.dirty();
    let slot = pair.submit(b"y");
    let mut claim = seat.try_claim().unwrap();
    assert_eq!((claim.slot(), events(&mut claim)), (0, String::new()));
    pair.edge.push_event(slot, EventKind::Body, b"new").unwrap();
    pair.edge.commit_events(slot);
    assert_eq!(events(&mut claim), "Body(new) ");
}

#[test]
fn a_successor_starts_with_an_empty_inbox() {
    let mut pair = Pair::new();
    let (mut seat, _bell) = looped(&mut pair, 0, 1);
    let slot = pair.submit(b"x");
    std::mem::forget(seat.try_claim().unwrap());
    pair.edge.push_event(slot, EventKind::Body, b"z").unwrap();
    pair.edge.commit_events(slot);
    std::mem::forget(seat);
    assert_eq!(pair.edge.worker_gone(0, 1), [slot]);
    let (next, _) = looped(&mut pair, 0, 2);
    assert_eq!(news(&next), []);
    pair.edge.release(slot);
}

#[test]
fn pushing_keeps_the_ring_thread_from_deep_sleep() {
    let mut pair = Pair::new();
    let mut worker = pair.worker(0, 1);
    pair.dirty();
    let slot = pair.submit(b"x");
    let _claim = worker.try_claim().unwrap();
    assert!(matches!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Nap(_)
    ));
    pair.edge.after_park();
    assert_eq!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Sleep
    );
    pair.edge.after_park();
    pair.edge.push_event(slot, EventKind::Body, b"x").unwrap();
    pair.edge.commit_events(slot);
    assert!(matches!(
        pair.edge.before_park(sys::clock::monotonic_ns()),
        Park::Nap(_)
    ));
}

#[test]
fn large_segments_have_inboxes_for_every_slot() {
    let (mut pair, _fd) = Pair::with_fd(Layout {
        slots: 16384,
        rings: 4,
        ..LAYOUT
    });
    let (mut seat, _bell) = looped(&mut pair, 3, 1);
    let mut edge = EdgeRing::new(Arc::clone(&pair.segment), 3);
    let slots: Vec<_> = (0..4096)
        .map(|_| {
            let slot = edge.reserve().unwrap();
            assert!(edge.submit(slot, 0, 1));
            slot
        })
        .collect();
    let claims: Vec<_> = std::iter::from_fn(|| seat.try_claim()).collect();
    for &slot in &slots {
        edge.push_event(slot, EventKind::BodyEnd, b"").unwrap();
        edge.commit_events(slot);
    }
    let expected: Vec<u32> = slots.iter().map(|slot| slot.index() as u32).collect();
    assert_eq!(news(&seat), expected);
    drop(claims);
}
