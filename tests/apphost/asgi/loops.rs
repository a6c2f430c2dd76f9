//! Event loops: requests over their time, loops that stand still, loops of other makers.

use super::{SEVERAL, accepted, host};
use crate::driver::{Answer, Setup, get, post, websocket};
use crate::harness::eventually;
use crate::kinds;
use config::Kind;
use control::message::{FromHost, ToHost};
use shm::EventKind;
use shm::event::{CODE_TIMEOUT, disconnect};

#[test]
fn a_request_over_its_time_is_cancelled_and_its_stack_logged() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/slow"));
        eventually("claimed", || host.ring.worker_of(slot));
        host.event(slot, EventKind::Disconnect, &disconnect(CODE_TIMEOUT, ""));
        host.ring.cancel(slot);
        host.logged("GET /slow ran over its time and is cancelled; it was here:");
        host.logged("await asyncio.sleep(600)");
        host.logged("cancelled");
        eventually("the slot is free again", || {
            host.pause();
            (host.ring.in_use() == 0).then_some(())
        });
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
}

#[test]
fn what_a_loop_stands_still_at_is_interrupted() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/blocks"));
        host.logged("blocks");
        // A live loop is left alone.
        host.order(&ToHost::Replace { index: 0 });
        host.logged("in blocks");
        // RequestTimeout is heeded.
        assert_eq!(host.wait(slot).status, 500);
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
}

#[test]
fn a_loop_that_heeds_nothing_loses_its_seat() {
    if !crate::interpreters() {
        return;
    }
    let (mut host, _dir) = host(SEVERAL, Kind::Interpreters);
    let waits = host.submit(&get("/slow"));
    eventually("claimed", || host.ring.worker_of(waits));
    let slot = host.submit(&get("/deaf"));
    host.logged("deaf");
    host.order(&ToHost::Replace { index: 0 });
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(matches!(gone, FromHost::WorkerGone { incarnation: 1, .. }));
    for slot in [waits, slot] {
        assert!(host.wait(slot).aborted);
    }
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    for _ in 0..20 {
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
    // When it comes back it finds that nothing is its own any more.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(host.call(&get("/wrong")).status, 200);
}

#[test]
fn a_loop_that_turns_is_not_replaced() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/slow"));
        eventually("claimed", || host.ring.worker_of(slot));
        host.order(&ToHost::Replace { index: 0 });
        // Longer than the host's patience with one that stands still.
        let mut watch = [sys::socket::Watch::read(std::os::fd::AsFd::as_fd(
            &host.channel,
        ))];
        sys::socket::poll(&mut watch, Some(2500)).expect("poll");
        assert!(!watch[0].readable, "{:?}", host.message());
        assert_eq!(host.call(&get("/wrong")).status, 200);
        host.ring.cancel(slot);
    }
}

#[test]
fn uvloop_serves_as_well_where_it_loads() {
    if !crate::harness::python::has("uvloop") {
        return crate::harness::skipped("no uvloop");
    }
    let (mut setup, _dir) = Setup::source(SEVERAL, Kind::Processes, 2);
    setup.spec.options.event_loop = config::EventLoop::Uvloop;
    let mut host = setup.ready();
    for _ in 0..200 {
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
    assert_eq!(host.call(&get("/tasks")).text(), "fine", "{}", host.log());
    let answer = host.call(&get("/large"));
    assert_eq!(answer.body.len(), 1_000_000);
    let slot = host.submit(&get("/early"));
    let mut answer = Answer::default();
    host.take_until(slot, &mut answer, |answer| answer.status == 200);
    host.ring.cancel(slot);
    let mut spooled = post("/echo", vec![7; 100_000]);
    spooled.spooled = true;
    assert_eq!(host.call(&spooled).status, 200);
    let (slot, mut answer) = accepted(&mut host, &websocket("/"));
    host.event(slot, EventKind::WsTextEnd, b"hello");
    host.take_until(slot, &mut answer, |answer| answer.messages.len() == 1);
    host.ring.cancel(slot);
    host.logged("left 1006");
    // Both sleep now: a request wakes one.
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(host.call(&get("/wrong")).status, 200);
    let slot = host.submit(&get("/blocks"));
    host.logged("blocks");
    let index = host.ring.worker_of(slot).expect("claimed").index;
    host.order(&ToHost::Replace { index });
    assert_eq!(host.wait(slot).status, 500);
    host.order(&ToHost::Drain);
    host.until(|message| *message == FromHost::Drained);
}
