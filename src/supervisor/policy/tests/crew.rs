//! How many workers there are, and how they are replaced: bursts, quiet times, TTIN and TTOU, age and size.

use super::*;

fn seat(world: &mut World, index: u16, incarnation: u16, served: u64) {
    let view = SeatView {
        incarnation,
        busy_since_ms: None,
        served,
    };
    world.seats.insert((0, index), view);
}

/// One app that is up with two workers.
fn serving(kind: KindChoice, change: impl FnOnce(&mut config::AppOptions)) -> World {
    let mut config = config(1, kind);
    change(&mut config.apps[0].options);
    let mut world = World::with(config, None);
    world.start();
    let order = world.host_order();
    world.bring_up(&order);
    world
}

fn grown(world: &World) -> Vec<WorkerSpec> {
    let grown = world.actions.iter().filter_map(|action| match action {
        Action::GrowHost { workers, .. } => Some(workers.clone()),
        _ => None,
    });
    grown.flatten().collect()
}

fn retired(world: &World) -> Vec<u16> {
    let retired = world.actions.iter().filter_map(|action| match action {
        Action::ToHost(_, ToHost::Retire { index }) => Some(*index),
        _ => None,
    });
    retired.collect()
}

fn gone(world: &mut World, index: u16, incarnation: u16) {
    let reason = "drained".into();
    let message = FromHost::WorkerGone {
        index,
        incarnation,
        pid: 1,
        reason,
    };
    world.host(1, message);
}

#[test]
fn a_process_that_served_enough_goes_when_its_successor_is_up() {
    let mut world = serving(KindChoice::Processes, |options| {
        options.max_requests = 1000;
    });
    seat(&mut world, 0, 1, 999);
    seat(&mut world, 1, 1, 999);
    world.wait(200);
    assert!(grown(&world).is_empty());
    seat(&mut world, 0, 1, 1000);
    seat(&mut world, 1, 1, 1000);
    world.wait(200);
    let spec = WorkerSpec {
        index: 2,
        incarnation: 1,
    };
    assert_eq!(grown(&world), [spec], "one after the other");
    assert!(retired(&world).is_empty());
    world.worker_up(1, 2, 1);
    assert_eq!(retired(&world), [0]);
    gone(&mut world, 0, 1);
    world.wait(200);
    // The seat is free again, with a life of its own.
    let spec = WorkerSpec {
        index: 0,
        incarnation: 3,
    };
    assert_eq!(grown(&world), [spec]);
    world.worker_up(1, 0, 3);
    assert_eq!(retired(&world), [1]);
    world.assert_logged("worker 0 (pid 1001) is replaced after 1000 requests");
    assert!(world.host_orders().is_empty(), "the host stays");
}

#[test]
fn jitter_spreads_the_ends_of_workers_that_started_together() {
    let world = serving(KindChoice::Processes, |options| {
        options.workers = 8;
        options.workers_max = 8;
        options.max_requests = 1000;
        options.max_requests_jitter = 100;
    });
    let mut limits: Vec<u64> = (world.policy.apps[0].hosts[0].seats.iter())
        .map(|seat| seat.limit)
        .collect();
    limits.sort_unstable();
    assert!(limits.iter().all(|limit| (1000..=1100).contains(limit)));
    limits.dedup();
    assert!(limits.len() > 1, "{limits:?}");
}

#[test]
fn interpreters_are_replaced_by_a_generation_that_takes_over_when_it_is_up() {
    let mut world = serving(KindChoice::Interpreters, |options| {
        options.max_requests = 1000;
    });
    seat(&mut world, 1, 1, 1000);
    world.wait(200);
    let order = world.host_order();
    assert!(order.successor && order.generation == 2);
    assert!(grown(&world).is_empty() && retired(&world).is_empty());
    world.bring_up(&order);
    assert!(world.did(&Action::ToHost(1, ToHost::Drain)));
}

#[test]
fn a_successor_that_does_not_load_leaves_the_old_ones_and_is_not_tried_in_a_spin() {
    let mut world = serving(KindChoice::Interpreters, |options| {
        options.max_requests = 1000;
    });
    seat(&mut world, 1, 1, 1000);
    world.wait(200);
    let order = world.host_order();
    world.load_fails(order.host);
    world.ended(order.host, End::Code(1));
    world.wait(20_000);
    assert!(world.host_orders().is_empty());
    world.wait(20_000);
    assert_eq!(world.host_orders().len(), 1);
}

#[test]
fn workers_and_hosts_that_grow_too_large_are_replaced() {
    let mut world = serving(KindChoice::Processes, |options| {
        options.max_rss_bytes = 100 << 20;
    });
    seat(&mut world, 0, 1, 5);
    seat(&mut world, 1, 1, 5);
    world.memory.insert(1011, 150 << 20);
    world.wait(5_000);
    assert!(grown(&world).is_empty(), "it has only just started");
    world.wait(10_000);
    assert_eq!(grown(&world).len(), 1);
    world.assert_logged("worker 1 (pid 1011) is replaced after 150 MiB of memory");

    let mut world = serving(KindChoice::Interpreters, |options| {
        options.max_rss_bytes = 100 << 20;
    });
    world.memory.insert(101, 150 << 20);
    world.wait(15_000);
    assert_eq!(world.host_order().generation, 2);
}

#[test]
fn requests_that_wait_make_workers_and_quiet_lets_them_go() {
    let mut world = serving(KindChoice::Processes, |options| options.workers_max = 4);
    for index in 0..4 {
        seat(&mut world, index, 1, 0);
    }
    world.queued_since_ms.insert(0, world.now_ms);
    world.wait(40);
    assert!(grown(&world).is_empty(), "it may be served any moment");
    world.wait(200);
    assert_eq!(grown(&world).len(), 1);
    world.wait(300);
    assert!(grown(&world).is_empty(), "one is on its way");
    world.worker_up(1, 2, 1);
    world.wait(200);
    assert_eq!(grown(&world).len(), 1);
    world.worker_up(1, 3, 1);
    world.wait(1_000);
    assert!(grown(&world).is_empty(), "that is all it may have");
    world.queued_since_ms.clear();
    world.wait(29_000);
    assert!(retired(&world).is_empty());
    world.wait(32_000);
    assert_eq!(retired(&world), [2, 3]);
    gone(&mut world, 3, 1);
    gone(&mut world, 2, 1);
    world.wait(100_000);
    assert!(retired(&world).is_empty() && grown(&world).is_empty());
}

#[test]
fn a_worker_that_does_not_finish_is_killed_after_the_grace() {
    let mut world = serving(KindChoice::Processes, |_| {});
    world.event(Event::FewerWorkers);
    assert_eq!(retired(&world), [1]);
    world.wait(29_000);
    assert!(!world.did(&Action::KillWorker { pid: 1011 }));
    world.wait(1_500);
    assert!(world.did(&Action::KillWorker { pid: 1011 }));
}

#[test]
fn ttin_and_ttou_change_the_number_by_one() {
    for kind in [KindChoice::Processes, KindChoice::Interpreters] {
        let mut world = serving(kind, |_| {});
        world.event(Event::MoreWorkers);
        assert_eq!(grown(&world).len(), 1);
        world.worker_up(1, 2, 1);
        world.event(Event::FewerWorkers);
        if kind == KindChoice::Processes {
            assert_eq!(retired(&world), [2]);
            gone(&mut world, 2, 1);
            world.event(Event::FewerWorkers);
            assert_eq!(retired(&world), [1]);
            gone(&mut world, 1, 1);
            world.event(Event::FewerWorkers);
            world.assert_logged("shop: fewer workers than 1 are not possible");
        } else {
            let order = world.host_order();
            assert_eq!(order.workers.len(), 2, "a generation with fewer");
            world.bring_up(&order);
            world.ended(1, End::Code(0));
        }
        world.event(Event::Tick);
        assert!(grown(&world).is_empty() && retired(&world).is_empty());
        assert!(world.host_orders().is_empty());
    }
}

#[test]
fn the_next_generation_has_the_present_number() {
    let mut world = serving(KindChoice::Processes, |_| {});
    world.event(Event::MoreWorkers);
    world.worker_up(1, 2, 1);
    world.event(Event::Reload);
    // The number in the configuration is what HUP says.
    assert_eq!(world.host_order().workers.len(), 3);
}

#[test]
fn a_worker_that_cannot_be_started_costs_the_others_nothing() {
    let mut world = serving(KindChoice::Interpreters, |_| {});
    world.event(Event::MoreWorkers);
    let message = "ImportError: no".into();
    let lost = FromHost::SeatLost {
        index: 2,
        incarnation: 1,
        message,
    };
    world.host(1, lost);
    world.assert_logged("shop: worker 2 does not start: ImportError: no");
    world.wait(20_000);
    assert!(grown(&world).is_empty());
    world.wait(20_000);
    assert_eq!(grown(&world).len(), 1, "later it is tried again");
}

#[test]
fn a_worker_with_several_threads_comes_and_goes_as_one() {
    let mut world = serving(KindChoice::Processes, |options| {
        options.threads = 2;
        options.max_requests = 1000;
    });
    let seats = |world: &World| world.policy.apps[0].hosts[0].seats.len();
    assert_eq!(seats(&world), 4);
    seat(&mut world, 2, 1, 600);
    seat(&mut world, 3, 1, 600);
    world.wait(200);
    let indexes: Vec<u16> = grown(&world).iter().map(|spec| spec.index).collect();
    assert_eq!(indexes, [4, 5]);
    world.worker_up(1, 5, 1);
    assert!(retired(&world).is_empty());
    world.worker_up(1, 4, 1);
    assert_eq!(retired(&world), [2]);
    gone(&mut world, 2, 1);
    gone(&mut world, 3, 1);
    assert_eq!(seats(&world), 4);
    world.event(Event::FewerWorkers);
    assert_eq!(retired(&world), [4]);
    world.wait(30_000);
    let kills = world.actions.iter();
    let kills = kills.filter(|action| matches!(action, Action::KillWorker { .. }));
    assert_eq!(kills.count(), 2, "two pids here, one process in truth");
}
