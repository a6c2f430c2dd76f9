//! Requests that run over their time.

use super::*;

fn stuck(world: &mut World, index: u16, incarnation: u16) {
    let request = "GET /slow".to_owned();
    world.event(Event::FromEdge(FromEdge::WorkerStuck {
        app: 0,
        index,
        incarnation,
        request,
    }));
}

fn busy(world: &mut World, index: u16, incarnation: u16, since_ms: u64) {
    world.seats.insert(
        (0, index),
        SeatView {
            incarnation,
            busy_since_ms: Some(since_ms),
            served: 0,
        },
    );
}

fn interpreters() -> (World, HostOrder) {
    let mut world = World::started(1, KindChoice::Interpreters);
    let order = world.host_order();
    world.bring_up(&order);
    (world, order)
}

#[test]
fn a_stuck_process_is_replaced_by_its_host() {
    let mut world = World::serving();
    busy(&mut world, 0, 1, 500);
    stuck(&mut world, 0, 1);
    assert!(world.did(&Action::ToHost(1, ToHost::Replace { index: 0 })));
    world.assert_logged(
        "shop: GET /slow ran over --timeout in worker 0 (pid 1001); it is interrupted",
    );
    stuck(&mut world, 0, 1);
    assert!(world.actions.is_empty(), "asked once");
    world.host(
        1,
        FromHost::WorkerGone {
            index: 0,
            incarnation: 1,
            pid: 1001,
            reason: "killed".into(),
        },
    );
    world.worker_up(1, 0, 2);
    world.wait(60_000);
    assert!(world.actions.is_empty(), "{:?}", world.actions);
}

#[test]
fn the_next_request_of_one_that_was_interrupted_may_be_stuck_right_away() {
    let mut world = World::serving();
    busy(&mut world, 0, 1, 500);
    stuck(&mut world, 0, 1);
    assert!(world.did(&Action::ToHost(1, ToHost::Replace { index: 0 })));
    world.wait(1_000);
    let now_ms = world.now_ms;
    busy(&mut world, 0, 1, now_ms);
    world.wait(500);
    stuck(&mut world, 0, 1);
    assert!(world.did(&Action::ToHost(1, ToHost::Replace { index: 0 })));
}

#[test]
fn word_of_a_former_life_is_ignored() {
    let mut world = World::serving();
    stuck(&mut world, 0, 9);
    stuck(&mut world, 7, 1);
    assert!(world.actions.is_empty());
}

#[test]
fn a_host_that_does_not_replace_is_helped_and_then_killed() {
    let mut world = World::serving();
    busy(&mut world, 0, 1, 500);
    stuck(&mut world, 0, 1);
    world.wait(5_000);
    assert!(world.did(&Action::KillWorker { pid: 1001 }));
    world.wait(5_000);
    assert!(world.did(&Action::KillHost(1)));
    world.ended(1, KILLED);
    assert_eq!(world.host_orders().len(), 1);
}

#[test]
fn an_interrupted_interpreter_that_comes_free_needs_nothing_more() {
    let (mut world, _) = interpreters();
    busy(&mut world, 0, 1, 500);
    stuck(&mut world, 0, 1);
    world.assert_logged("it is interrupted");
    world.seats.insert(
        (0, 0),
        SeatView {
            incarnation: 1,
            busy_since_ms: None,
            served: 0,
        },
    );
    world.wait(60_000);
    assert!(world.actions.is_empty());
    // It may be stuck again, with another request.
    let now_ms = world.now_ms;
    busy(&mut world, 0, 1, now_ms);
    stuck(&mut world, 0, 1);
    assert_eq!(world.actions.len(), 2);
}

#[test]
fn an_interpreter_that_stays_stuck_costs_its_generation_once_the_others_are_done() {
    let (mut world, old) = interpreters();
    busy(&mut world, 0, 1, 500);
    busy(&mut world, 1, 1, 900);
    stuck(&mut world, 0, 1);
    world.wait(6_000);
    let new = world.host_order();
    assert_eq!(new.generation, 2);
    world.assert_logged("cannot be interrupted; a new generation takes over");
    world.wait(10_000);
    assert!(
        !world.did(&Action::KillHost(old.host)),
        "nothing serves but the old one"
    );
    world.bring_up(&new);
    assert!(world.did(&Action::ToHost(old.host, ToHost::Drain)));
    world.wait(5_000);
    assert!(
        !world.did(&Action::KillHost(old.host)),
        "its other worker still has a request"
    );
    world.seats.insert(
        (0, 1),
        SeatView {
            incarnation: 1,
            busy_since_ms: None,
            served: 0,
        },
    );
    world.wait(100);
    assert!(world.did(&Action::KillHost(old.host)));
    world.ended(old.host, KILLED);
    assert!(world.host_orders().is_empty());
}

#[test]
fn two_stuck_interpreters_cost_one_generation() {
    let (mut world, _) = interpreters();
    busy(&mut world, 0, 1, 500);
    busy(&mut world, 1, 1, 500);
    stuck(&mut world, 0, 1);
    world.wait(1_000);
    stuck(&mut world, 1, 1);
    world.wait(6_000);
    assert_eq!(world.host_orders().len(), 1);
    world.wait(10_000);
    assert!(world.host_orders().is_empty());
}

#[test]
fn a_condemned_host_ends_with_the_grace_period_at_the_latest() {
    let (mut world, old) = interpreters();
    busy(&mut world, 0, 1, 500);
    busy(&mut world, 1, 1, 500);
    stuck(&mut world, 0, 1);
    world.wait(6_000);
    let new = world.host_order();
    world.bring_up(&new);
    world.wait(33_000);
    assert!(
        world.did(&Action::ToHost(old.host, ToHost::Quit))
            && world.did(&Action::KillHost(old.host))
    );
}
