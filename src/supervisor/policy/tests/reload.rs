//! HUP with new settings, and development's reload on changed files.

use super::*;
use control::message::AppState;

fn developing() -> World {
    let mut config = config(1, KindChoice::Processes);
    config.apps[0].options.reload = true;
    let mut world = World::with(config, None);
    world.start();
    world
}

fn state(world: &World) -> Option<(AppState, String)> {
    let mut states = world.to_edge().into_iter().filter_map(|message| {
        if let ToEdge::AppState { state, message, .. } = message {
            Some((*state, message.clone()))
        } else {
            None
        }
    });
    states.next_back()
}

#[test]
fn hup_takes_over_the_settings_of_apps() {
    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.apps[0].options.workers = 3;
    new.apps[0].options.workers_max = 3;
    new.apps[0].target = "shop:other".into();
    world.config = Some(Ok(new.clone()));
    world.event(Event::Reload);
    assert!(world.did(&Action::Configure(Box::new(new))));
    let order = world.host_order();
    assert_eq!(order.workers.len(), 3);
    assert!(
        grown(&world).is_empty(),
        "the old generation stays as it is"
    );
}

fn grown(world: &World) -> Vec<&Action> {
    let grown = |action: &&Action| matches!(action, Action::GrowHost { .. });
    world.actions.iter().filter(grown).collect()
}

#[test]
fn hup_says_what_takes_a_restart() {
    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.rings = 7;
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    world.assert_logged("takes a restart");
    assert_eq!(world.policy.setup.config.rings, 1);
    assert_eq!(
        world.host_orders().len(),
        1,
        "the code is loaded anew all the same"
    );

    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.apps[0].options.timeout_ms = 1;
    new.apps[0].options.python = Some("/other/python".into());
    new.limits.pending = 2000;
    new.limits.header_count = 7;
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    world.assert_logged(
        "what was changed of pending and websockets (together they may be 2048 now), python of shop takes a restart",
    );
    let config = &world.policy.setup.config;
    let options = &config.apps[0].options;
    assert_eq!((options.timeout_ms, &options.python), (1, &None));
    assert_eq!(
        (config.limits.pending, config.limits.header_count),
        (1024, 7)
    );

    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.apps[0].mount = "/elsewhere".into();
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    world.assert_logged("what was changed of applications and mounts takes a restart");
    assert_eq!(world.policy.setup.config.apps[0].mount, "");
}

#[test]
fn hup_sends_the_edge_its_new_configuration() {
    let site = |world: &World| {
        let messages = world.to_edge().into_iter().cloned();
        let mut sites = messages.filter(|message| matches!(message, ToEdge::Site { .. }));
        sites.next_back()
    };
    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.statics = vec![config::StaticMount::new("/files", "/srv/files")];
    new.timeouts.idle_ms = 1;
    new.limits.pending = 2000;
    new.limits.websockets = 48;
    new.apps[0].options.concurrency = 3;
    let expected = ToEdge::Site {
        config: Box::new(new.clone()),
    };
    world.config = Some(Ok(new.clone()));
    world.event(Event::Reload);
    assert_eq!(site(&world), Some(expected));
    assert!(!world.logged.iter().any(|line| line.contains("restart")));
    world.event(Event::Reload);
    assert_eq!(site(&world), None, "nothing new");
    // A location in an application's place, while the applications stay.
    new.statics[0].url = new.apps[0].mount.clone();
    new.apps[0].mount = "/elsewhere".into();
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    assert_eq!(site(&world), None);
    world.assert_logged("statics");
}

#[test]
fn hup_opens_and_closes_listeners() {
    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    let [tcp, unix] = [
        Address::Tcp(([127, 0, 0, 1], 9000).into()),
        Address::Unix("/run/shop.sock".into()),
    ];
    let gone = std::mem::replace(&mut new.binds[0], tcp.clone());
    new.binds.push(unix.clone());
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    let messages = world.to_edge().into_iter().cloned();
    let heard: Vec<ToEdge> = messages
        .filter(|message| {
            matches!(
                message,
                ToEdge::Listener { .. } | ToEdge::Unlisten { .. } | ToEdge::Site { .. }
            )
        })
        .take(3)
        .collect();
    let listener = |address: &Address| ToEdge::Listener {
        address: address.clone(),
    };
    assert_eq!(
        heard,
        [
            listener(&tcp),
            listener(&unix),
            ToEdge::Unlisten { address: gone }
        ]
    );
    // An edge that starts anew listens there.
    assert_eq!(world.policy.setup.listeners, [tcp, unix]);
}

#[test]
fn a_configuration_that_cannot_be_used_changes_nothing() {
    let mut world = World::serving();
    world.config = Some(Err("--workers: 0 is too few".into()));
    world.event(Event::FromEdge(FromEdge::Command {
        id: 3,
        name: "reload".into(),
    }));
    assert!(world.host_orders().is_empty());
    world.assert_logged("the old one stays: --workers: 0 is too few");
    assert!(world.to_edge().iter().any(|message| matches!(
        message,
        ToEdge::CommandDone { id: 3, ok: false, message } if message.contains("too few")
    )));
}

#[test]
fn several_changes_make_one_generation() {
    let mut world = developing();
    let order = world.host_order();
    world.bring_up(&order);
    for _ in 0..5 {
        world.event(Event::FilesChanged { app: 0 });
        world.wait(100);
        assert!(world.host_orders().is_empty());
    }
    world.wait(100);
    assert_eq!(world.host_order().generation, 2);
}

#[test]
fn changes_without_end_do_not_put_it_off_for_ever() {
    let mut world = developing();
    let order = world.host_order();
    world.bring_up(&order);
    let mut waited = 0;
    while world.host_orders().is_empty() {
        world.event(Event::FilesChanged { app: 0 });
        world.wait(100);
        waited += 100;
        assert!(waited <= 2_100);
    }
}

#[test]
fn code_that_does_not_load_is_shown_and_the_old_is_not_served_any_more() {
    let mut world = developing();
    let order = world.host_order();
    world.bring_up(&order);
    world.event(Event::FilesChanged { app: 0 });
    world.wait(200);
    let order = world.host_order();
    world.load_fails(order.host);
    assert!(world.did(&Action::ToHost(1, ToHost::Drain)));
    let (shown, text) = state(&world).expect("a state");
    assert_eq!(shown, AppState::Failed);
    assert!(
        text.contains("No module named") && text.contains("Traceback"),
        "{text}"
    );
    world.ended(order.host, End::Code(1));
    world.ended(1, End::Code(0));
    world.wait(100_000);
    assert!(world.host_orders().is_empty(), "nothing has changed");
    world.event(Event::FilesChanged { app: 0 });
    world.wait(200);
    let order = world.host_order();
    world.bring_up(&order);
    assert_eq!(state(&world).expect("a state").0, AppState::Ready);
}

#[test]
fn in_development_a_first_start_that_fails_waits_for_a_change() {
    let mut world = developing();
    let order = world.host_order();
    world.load_fails(order.host);
    world.ended(order.host, End::Code(1));
    assert_eq!(world.exit_code(), None);
    world.wait(60_000);
    assert_eq!(world.exit_code(), None);
    world.event(Event::FilesChanged { app: 0 });
    world.wait(200);
    assert_eq!(world.host_orders().len(), 1);
}

#[test]
fn files_of_a_host_are_watched() {
    let mut world = developing();
    let order = world.host_order();
    let paths = vec!["/srv/shop.py".into()];
    world.host(
        order.host,
        FromHost::Files {
            paths: paths.clone(),
        },
    );
    assert!(world.did(&Action::Watch { app: 0, paths }));
}
