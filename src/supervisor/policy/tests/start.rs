//! Starts: kinds, probes, failures, and when serving begins.

use super::*;

#[test]
fn asked_for_kinds_are_not_probed() {
    for (choice, kind) in [
        (KindChoice::Processes, Kind::Processes),
        (KindChoice::Interpreters, Kind::Interpreters),
    ] {
        let world = World::started(1, choice);
        let order = world.host_order();
        assert_eq!(
            (
                order.kind,
                order.probe,
                order.generation,
                order.workers.len()
            ),
            (kind, false, 1, 2)
        );
    }
}

#[test]
fn the_edge_hears_of_sockets_and_seats_before_the_workers() {
    let world = World::started(1, KindChoice::Processes);
    let names: Vec<String> = world
        .to_edge()
        .iter()
        .map(|message| {
            serde_json::to_value(message).expect("json")["type"]
                .as_str()
                .expect("type")
                .to_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "start",
            "listener",
            "app",
            "app_state",
            "worker",
            "worker",
            "host_log",
            "processes"
        ]
    );
    assert_eq!(world.actions[0], Action::StartEdge);
}

#[test]
fn a_probe_that_succeeds_leads_to_interpreters() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order();
    assert!(probe.probe && probe.workers.is_empty());
    world.verdict(probe.host, ProbeVerdict::Interpreters);
    let order = world.host_order();
    assert_eq!((order.kind, order.probe), (Kind::Interpreters, false));
    world.ended(probe.host, End::Code(0));
    world.bring_up(&order);
    assert!(world.did(&Action::ToEdge(ToEdge::Go)));
    assert!(world.did(&Action::Announce));
}

#[test]
fn every_other_verdict_leads_to_processes_with_one_line_that_says_why() {
    let refused = ProbeVerdict::Refused {
        module: "numpy".into(),
        message: "no".into(),
    };
    let degraded = ProbeVerdict::Degraded {
        modules: vec!["yarl".into(), "yaml".into()],
    };
    for (verdict, why) in [
        (refused, "numpy does not load in a sub-interpreter (no)"),
        (degraded, "lose their C part: yarl, yaml"),
    ] {
        let mut world = World::started(1, KindChoice::Auto);
        let probe = world.host_order().host;
        world.verdict(probe, verdict);
        assert_eq!(world.host_order().kind, Kind::Processes);
        assert_eq!(world.logged.len(), 1);
        world.assert_logged(why);
    }
}

#[test]
fn an_import_that_fails_in_the_probe_is_tried_in_a_process_and_only_that_is_spoken_of() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    let message = "ValueError: signal only works in main thread".to_owned();
    world.verdict(
        probe,
        ProbeVerdict::Failed {
            message,
            traceback: "".into(),
            asgi: false,
        },
    );
    let order = world.host_order();
    assert_eq!((order.kind, world.logged.len()), (Kind::Processes, 0));
    world.bring_up(&order);
    assert!(
        world.policy.kinds()[0]
            .1
            .contains("ValueError: signal only works in main thread")
    );
}

#[test]
fn a_probe_that_crashes_or_hangs_leads_to_processes() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    world.ended(probe, CRASHED);
    assert_eq!(world.host_order().kind, Kind::Processes);
    world.assert_logged("ends the process (killed by SIGSEGV)");

    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    world.wait(60_000);
    assert!(world.did(&Action::KillHost(probe)));
    assert_eq!(world.host_order().kind, Kind::Processes);
    world.assert_logged("did not end within 60 s");
    world.ended(probe, KILLED);
    assert!(world.host_orders().is_empty());
}

#[test]
fn an_old_python_is_not_probed() {
    let mut world = World::with(config(1, KindChoice::Auto), Some("this is 3.12".into()));
    world.start();
    assert_eq!(world.host_order().kind, Kind::Processes);
}

#[test]
fn an_asgi_app_is_told_so_and_ends_the_server_with_code_4() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    let message = "main:app is an ASGI application".to_owned();
    world.verdict(
        probe,
        ProbeVerdict::Failed {
            message,
            traceback: String::new(),
            asgi: true,
        },
    );
    world.assert_logged("main:app is an ASGI application");
    world.ended(probe, End::Code(0));
    world.event(Event::EdgeEnded(End::Code(0)));
    assert_eq!(world.exit_code(), Some(EXIT_APP));
}

#[test]
fn the_only_app_that_cannot_be_loaded_ends_the_server_with_its_traceback_and_code_4() {
    let mut world = World::started(1, KindChoice::Processes);
    let host = world.host_order().host;
    world.load_fails(host);
    world.assert_logged(
        "shop: cannot be loaded: ModuleNotFoundError: No module named 'shop'\nTraceback\n  line",
    );
    assert!(world.did(&Action::ToEdge(ToEdge::Quit)));
    world.ended(host, End::Code(1));
    assert_eq!(world.exit_code(), None);
    world.event(Event::EdgeEnded(End::Code(0)));
    assert_eq!(world.exit_code(), Some(EXIT_APP));
    world.event(Event::Tick);
    assert!(world.actions.is_empty(), "nothing follows the exit");
}

#[test]
fn of_several_apps_the_others_go_on() {
    let mut world = World::started(2, KindChoice::Processes);
    let orders = world.host_orders();
    world.load_fails(orders[1].host);
    world.ended(orders[1].host, End::Code(1));
    assert!(!world.did(&Action::ToEdge(ToEdge::Go)));
    world.bring_up(&orders[0]);
    assert!(world.did(&Action::ToEdge(ToEdge::Go)) && world.did(&Action::Announce));
    world.wait(600_000);
    assert!(world.host_orders().is_empty(), "it waits for a reload");
    world.event(Event::Reload);
    assert_eq!(world.host_orders().len(), 2);
}

#[test]
fn several_apps_none_of_which_loads_end_the_server() {
    let mut world = World::started(2, KindChoice::Processes);
    for order in world.host_orders() {
        world.load_fails(order.host);
        world.ended(order.host, End::Code(1));
    }
    world.event(Event::EdgeEnded(End::Code(0)));
    assert_eq!(world.exit_code(), Some(EXIT_APP));
}

#[test]
fn a_slow_app_does_not_keep_the_others_from_being_served_for_ever() {
    let mut world = World::started(2, KindChoice::Processes);
    let orders = world.host_orders();
    world.bring_up(&orders[0]);
    world.wait(14_000);
    assert!(!world.did(&Action::ToEdge(ToEdge::Go)));
    world.wait(2_000);
    assert!(world.did(&Action::ToEdge(ToEdge::Go)));
    world.wait(20_000);
    world.assert_logged("blog: still importing after 30 s");
    world.bring_up(&orders[1]);
    assert!(!world.did(&Action::ToEdge(ToEdge::Go)), "once is enough");
}

#[test]
fn hosts_that_crash_at_every_start_are_tried_three_times_and_then_end_the_server_with_code_3() {
    let mut world = World::started(1, KindChoice::Processes);
    for attempt in 1..=3 {
        let host = world.host_order().host;
        world.ended(host, CRASHED);
        if attempt < 3 {
            assert!(world.host_orders().is_empty(), "not at once");
            world.wait(1000);
        }
    }
    world.event(Event::EdgeEnded(End::Code(0)));
    assert_eq!(world.exit_code(), Some(EXIT_SERVER));
}

#[test]
fn interpreters_that_crash_while_they_start_are_replaced_by_processes() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    world.verdict(probe, ProbeVerdict::Interpreters);
    let host = world.host_order().host;
    world.ended(host, CRASHED);
    assert_eq!(world.host_order().kind, Kind::Processes);
    world.assert_logged("its workers crash in sub-interpreters");
}

#[test]
fn files_alone_are_served_at_once() {
    let mut world = World::new(0, KindChoice::Auto);
    world.event(Event::Start);
    assert!(world.did(&Action::ToEdge(ToEdge::Go)));
    world.event(Event::FromEdge(FromEdge::Ready {}));
    assert!(world.did(&Action::Announce));
}

#[test]
fn an_edge_that_cannot_start_ends_the_server_with_its_message_and_code_3() {
    let mut world = World::started(1, KindChoice::Processes);
    let mut world2 = World::new(1, KindChoice::Processes);
    world2.event(Event::Start);
    let host = world2.host_order().host;
    world2.event(Event::FromEdge(FromEdge::Failed {
        message: "io_uring is switched off: sysctl ...".into(),
    }));
    world2.event(Event::EdgeEnded(End::Code(1)));
    world2.assert_logged("io_uring is switched off");
    assert!(world2.did(&Action::KillHost(host)));
    world2.ended(host, KILLED);
    assert_eq!(world2.exit_code(), Some(EXIT_SERVER));
    // Once it has served, it is worth another try.
    world.event(Event::FromEdge(FromEdge::Failed {
        message: "a ring thread is lost".into(),
    }));
    world.event(Event::EdgeEnded(End::Code(1)));
    assert!(world.did(&Action::StartEdge));
}
