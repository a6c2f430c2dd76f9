//! While it serves: deaths, reloads, restarts of the edge.

use super::*;
use control::message::AppState;

fn gone(index: u16, incarnation: u16, reason: &str) -> Action {
    Action::ToEdge(ToEdge::WorkerGone {
        app: 0,
        index,
        incarnation,
        reason: reason.into(),
    })
}

#[test]
fn a_killed_host_is_replaced_at_once_and_its_workers_are_reported_gone() {
    let mut world = World::serving();
    world.ended(1, KILLED);
    assert!(
        world.did(&gone(0, 1, "killed by SIGKILL")) && world.did(&gone(1, 1, "killed by SIGKILL"))
    );
    let order = world.host_order();
    assert_eq!(
        (order.generation, order.workers[0]),
        (
            2,
            WorkerSpec {
                index: 0,
                incarnation: 2
            }
        )
    );
    world.assert_logged("shop: its host (pid 101) ended: killed by SIGKILL; starting another");
    world.bring_up(&order);
    let state = ToEdge::AppState {
        app: 0,
        state: AppState::Ready,
        message: "ready".into(),
    };
    assert!(world.did(&Action::ToEdge(state)));
}

#[test]
fn a_worker_that_was_never_reported_up_is_reported_gone_for_it_may_have_claimed_a_request() {
    let mut world = World::serving();
    world.ended(1, KILLED);
    let order = world.host_order();
    world.ended(order.host, KILLED);
    assert!(
        world.did(&gone(0, 2, "killed by SIGKILL")) && world.did(&gone(1, 2, "killed by SIGKILL"))
    );
    let order = world.host_order();
    world.bring_up(&order);
    // The same for a life that the host began without getting to say so; its number is not given away again.
    world.host(
        order.host,
        FromHost::WorkerGone {
            index: 0,
            incarnation: 3,
            pid: 1003,
            reason: "x".into(),
        },
    );
    world.ended(order.host, KILLED);
    assert!(world.did(&gone(0, 4, "killed by SIGKILL")));
    assert_eq!(
        world.host_order().workers[0],
        WorkerSpec {
            index: 0,
            incarnation: 5
        }
    );
}

#[test]
fn twenty_kills_in_a_row_cost_no_pause_and_a_crash_loop_slows_down() {
    let mut world = World::serving();
    let mut host = 1;
    for _ in 0..20 {
        world.ended(host, KILLED);
        let order = world.host_order();
        world.bring_up(&order);
        host = order.host;
    }
    world.ended(host, KILLED);
    assert!(world.host_orders().is_empty(), "one at a time now");
    let state = world.to_edge().into_iter().any(|message| {
        matches!(message, ToEdge::AppState { state: AppState::Backoff, message, .. } if message.contains("started again in 3.0 s"))
    });
    assert!(state, "{:?}", world.actions);
    world.wait(3_000);
    assert_eq!(world.host_orders().len(), 1);
}

#[test]
fn a_host_that_is_killed_while_it_starts_again_is_started_again() {
    let mut world = World::serving();
    world.ended(1, KILLED);
    for _ in 0..5 {
        let order = world.host_order();
        world.ended(order.host, KILLED);
    }
    assert_eq!(world.host_orders().len(), 1);
    let waits = |message: &&ToEdge| {
        matches!(
            message,
            ToEdge::AppState {
                state: AppState::Starting,
                ..
            }
        )
    };
    assert!(
        world.to_edge().iter().any(waits),
        "requests may wait for it"
    );
}

#[test]
fn an_app_that_served_once_and_no_longer_starts_is_tried_ever_more_rarely() {
    let mut world = World::serving();
    world.ended(1, KILLED);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let order = world.host_order();
        world.load_fails(order.host);
        world.ended(order.host, End::Code(1));
        let started = world.now_ms;
        let mut waited = 0;
        while world.host_orders().is_empty() && waited < 100 {
            let next = world.policy.deadline().expect("a try is planned");
            world.wait(next - world.now_ms);
            waited += 1;
        }
        pauses.push(world.now_ms - started);
    }
    assert_eq!(
        pauses,
        [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
    );
}

#[test]
fn interpreters_that_keep_crashing_are_replaced_by_processes_but_kills_from_outside_do_not_count() {
    for (end, kind) in [(CRASHED, Kind::Processes), (KILLED, Kind::Interpreters)] {
        let mut world = World::started(1, KindChoice::Auto);
        let probe = world.host_order().host;
        world.verdict(probe, ProbeVerdict::Interpreters);
        for _ in 0..2 {
            let order = world.host_order();
            world.bring_up(&order);
            world.ended(order.host, end.clone());
        }
        assert_eq!(world.host_order().kind, kind);
    }
}

#[test]
fn a_crash_that_changes_the_kind_gives_up_the_successor_of_the_old_kind() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    world.verdict(probe, ProbeVerdict::Interpreters);
    let first = world.host_order();
    world.bring_up(&first);
    world.ended(first.host, CRASHED);
    let second = world.host_order();
    world.bring_up(&second);
    world.event(Event::Reload);
    let probe = world.host_order().host;
    world.verdict(probe, ProbeVerdict::Interpreters);
    let third = world.host_order();
    world.ended(second.host, CRASHED);
    world.ended(third.host, CRASHED);
    assert_eq!(
        world
            .host_orders()
            .iter()
            .map(|order| order.kind)
            .next_back(),
        Some(Kind::Processes)
    );
}

#[test]
fn a_process_worker_that_its_host_replaces_is_passed_on_to_the_edge() {
    let mut world = World::serving();
    world.host(
        1,
        FromHost::WorkerGone {
            index: 1,
            incarnation: 1,
            pid: 1011,
            reason: "killed by SIGKILL".into(),
        },
    );
    assert!(world.did(&gone(1, 1, "killed by SIGKILL")));
    world.assert_logged("shop: worker 1 (pid 1011) ended: killed by SIGKILL");
    world.worker_up(1, 1, 2);
    let up = ToEdge::WorkerUp {
        app: 0,
        index: 1,
        incarnation: 2,
        generation: 1,
        pid: 1012,
        kind: Kind::Processes,
        interface: Interface::Wsgi,
        up_ms: world.now_ms,
    };
    assert!(world.did(&Action::ToEdge(up)));
    // The host's end must speak of the new life.
    world.ended(1, KILLED);
    assert!(
        world.did(&gone(1, 2, "killed by SIGKILL")) && !world.did(&gone(1, 1, "killed by SIGKILL"))
    );
}

#[test]
fn a_reload_starts_a_generation_beside_the_old_one_which_then_finishes() {
    let mut world = World::serving();
    world.event(Event::Reload);
    let order = world.host_order();
    assert_eq!(order.generation, 2);
    let indexes: Vec<u16> = order.workers.iter().map(|worker| worker.index).collect();
    assert_eq!(indexes, [2, 3], "seats of its own");
    world.bring_up(&order);
    assert!(world.did(&Action::ToHost(1, ToHost::Drain)));
    world.host(1, FromHost::Drained);
    world.ended(1, End::Code(0));
    assert!(world.did(&gone(0, 1, "exit code 0")));
    assert!(world.host_orders().is_empty(), "its end was wanted");
    world.event(Event::Reload);
    let indexes: Vec<u16> = world
        .host_order()
        .workers
        .iter()
        .map(|worker| worker.index)
        .collect();
    assert_eq!(indexes, [0, 1], "seats come back");
}

#[test]
fn a_new_generation_that_cannot_be_loaded_leaves_the_old_one_serving() {
    let mut world = World::serving();
    world.event(Event::Reload);
    let order = world.host_order();
    world.load_fails(order.host);
    world.assert_logged("shop: generation 2 cannot be loaded");
    world.assert_logged("generation 1 keeps serving");
    world.ended(order.host, End::Code(1));
    world.wait(100_000);
    assert!(world.host_orders().is_empty());
    assert!(!world.did(&Action::ToHost(1, ToHost::Drain)));
    world.event(Event::Reload);
    assert_eq!(world.host_order().generation, 3);
}

#[test]
fn an_old_generation_that_does_not_finish_is_told_to_quit_and_then_killed() {
    let mut world = World::serving();
    world.event(Event::Reload);
    let order = world.host_order();
    world.bring_up(&order);
    world.wait(29_000);
    assert!(world.actions.is_empty());
    world.wait(1_000);
    assert!(world.did(&Action::ToHost(1, ToHost::Quit)));
    world.wait(2_000);
    assert!(world.did(&Action::KillHost(1)));
    world.ended(1, KILLED);
    assert!(world.host_orders().is_empty());
}

/// Generations that were let in while older ones were still at their requests, the last of them serving.
fn four_generations(world: &mut World) {
    for _ in 0..3 {
        world.event(Event::Reload);
        let order = world.host_order();
        world.bring_up(&order);
    }
    assert_eq!(world.policy.apps[0].hosts.len(), 4, "eight seats");
}

#[test]
fn a_reload_waits_for_a_generation_that_finishes_its_requests_and_kills_none() {
    let mut world = World::serving();
    four_generations(&mut world);
    for _ in 0..3 {
        world.event(Event::Reload);
        assert!(world.host_orders().is_empty());
        world.assert_logged("a new generation waits until an earlier one has finished");
    }
    world.wait(10_000);
    let kill = |action: &Action| matches!(action, Action::KillHost(_));
    assert!(!world.actions.iter().any(kill));
    world.host(1, FromHost::Drained);
    world.ended(1, End::Code(0));
    let order = world.host_order();
    world.bring_up(&order);
    assert!(world.policy.apps[0].is_serving());
}

#[test]
fn a_developer_does_not_wait_for_requests_of_code_before_the_last() {
    let mut world = World::serving();
    world.policy.apps[0].options.reload = true;
    four_generations(&mut world);
    world.event(Event::Reload);
    assert!(world.did(&Action::KillHost(1)));
    world.ended(1, KILLED);
    let order = world.host_order();
    world.bring_up(&order);
}

#[test]
fn a_host_that_died_is_replaced_while_a_reload_waits() {
    let mut world = World::serving();
    four_generations(&mut world);
    let serving = world.policy.apps[0].hosts[3].id;
    world.event(Event::Reload);
    world.ended(serving, KILLED);
    let order = world.host_order();
    world.bring_up(&order);
    assert!(world.policy.apps[0].is_serving());
}

#[test]
fn a_reload_during_a_start_throws_the_unfinished_one_away() {
    let mut world = World::serving();
    world.event(Event::Reload);
    let first = world.host_order().host;
    world.event(Event::Reload);
    assert!(world.did(&Action::KillHost(first)));
    let second = world.host_order();
    world.host(first, FromHost::Ready);
    assert!(
        !world.did(&Action::ToHost(1, ToHost::Drain)),
        "its word does not count any more"
    );
    world.ended(first, KILLED);
    world.bring_up(&second);
    assert!(world.did(&Action::ToHost(1, ToHost::Drain)));
}

#[test]
fn a_reload_command_is_answered_when_the_new_generation_is_up_or_has_failed() {
    let mut world = World::serving();
    world.event(Event::FromEdge(FromEdge::Command {
        id: 7,
        name: "reload".into(),
    }));
    let order = world.host_order();
    world.bring_up(&order);
    let message = "every application runs its new generation".to_owned();
    assert!(world.did(&Action::ToEdge(ToEdge::CommandDone {
        id: 7,
        ok: true,
        message
    })));
    world.event(Event::FromEdge(FromEdge::Command {
        id: 8,
        name: "reload".into(),
    }));
    let order = world.host_order();
    world.load_fails(order.host);
    assert!(world.to_edge().iter().any(|message| matches!(
        message,
        ToEdge::CommandDone {
            id: 8,
            ok: false,
            ..
        }
    )));
    world.event(Event::FromEdge(FromEdge::Command {
        id: 9,
        name: "dance".into(),
    }));
    assert!(world.to_edge().iter().any(|message| matches!(
        message,
        ToEdge::CommandDone {
            id: 9,
            ok: false,
            ..
        }
    )));
}

#[test]
fn a_late_refusal_rolls_over_to_processes() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    world.verdict(probe, ProbeVerdict::Interpreters);
    let first = world.host_order();
    world.ended(probe, End::Code(0));
    world.bring_up(&first);
    world.host(
        first.host,
        FromHost::LateRefusal {
            module: "numpy".into(),
        },
    );
    let second = world.host_order();
    assert_eq!(second.kind, Kind::Processes);
    world.host(
        first.host,
        FromHost::LateRefusal {
            module: "pandas".into(),
        },
    );
    assert!(world.host_orders().is_empty(), "one is on its way");
    world.bring_up(&second);
    assert!(world.did(&Action::ToHost(first.host, ToHost::Drain)));
    world.assert_logged("module numpy, imported while serving");
}

#[test]
fn a_killed_edge_is_back_at_once_and_told_everything() {
    let mut world = World::serving();
    let up_ms = world.now_ms;
    world.now_ms += 1000;
    world.event(Event::EdgeEnded(KILLED));
    let messages = world.to_edge();
    assert_eq!(
        world
            .actions
            .iter()
            .position(|action| *action == Action::StartEdge),
        Some(1),
        "behind one log line"
    );
    assert!(matches!(messages[0], ToEdge::Start { epoch: 2, .. }));
    for index in [0, 1] {
        assert!(messages.contains(&&ToEdge::Worker {
            app: 0,
            index,
            generation: 1
        }));
        let pid = 1001 + u32::from(index) * 10;
        let up = ToEdge::WorkerUp {
            app: 0,
            index,
            incarnation: 1,
            generation: 1,
            pid,
            kind: Kind::Processes,
            interface: Interface::Wsgi,
            up_ms,
        };
        assert!(messages.contains(&&up), "{messages:?}");
    }
    assert!(messages.contains(&&ToEdge::HostLog {
        app: 0,
        generation: 1
    }));
    assert!(messages.contains(&&ToEdge::Go));
    assert!(!world.did(&Action::Announce), "that was said");
    assert!(world.host_orders().is_empty(), "the hosts live on");
}

#[test]
fn an_edge_that_cannot_stay_up_is_not_started_in_a_spin() {
    let mut world = World::serving();
    let mut starts = 0;
    let begin = world.now_ms;
    world.event(Event::EdgeEnded(KILLED));
    while world.now_ms < begin + 60_000 {
        if world.did(&Action::StartEdge) {
            starts += 1;
            world.event(Event::EdgeEnded(End::Code(1)));
        } else {
            world.wait(50);
        }
    }
    assert!((5..12).contains(&starts), "{starts}");
}

#[test]
fn usr1_reopens_our_log_and_the_edges() {
    let mut world = World::serving();
    world.event(Event::ReopenLogs);
    assert!(world.did(&Action::ReopenLogs) && world.did(&Action::ToEdge(ToEdge::ReopenLogs)));
}

#[test]
fn the_process_table_is_sent_when_it_changes_and_only_then() {
    let mut world = World::serving();
    world.event(Event::Tick);
    assert!(world.actions.is_empty());
    world.ended(1, KILLED);
    assert!(
        world
            .to_edge()
            .iter()
            .any(|message| matches!(message, ToEdge::Processes { .. }))
    );
}

#[test]
fn a_generation_that_may_have_taken_requests_is_not_killed_for_the_next() {
    let mut world = World::serving();
    world.event(Event::Reload);
    let second = world.host_order();
    world.host(second.host, FromHost::Loaded);
    world.event(Event::Reload);
    assert!(!world.did(&Action::KillHost(second.host)));
    assert!(world.did(&Action::ToHost(second.host, ToHost::Drain)));
    let third = world.host_order();
    world.host(second.host, FromHost::Loaded);
    assert!(!world.did(&Action::ToHost(second.host, ToHost::Open)));
    world.bring_up(&third);
    assert!(world.did(&Action::ToHost(1, ToHost::Drain)));
}
