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
    new.apps[0].options.workers_max = 3;
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    world.assert_logged("WebSocket settings of shop takes a restart");
    let options = &world.policy.setup.config.apps[0].options;
    assert_eq!((options.timeout_ms, options.workers_max), (30_000, 3));

    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.apps[0].mount = "/elsewhere".into();
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    world.assert_logged("other applications or mounts take a restart");
    assert_eq!(world.policy.setup.config.apps[0].mount, "");
}

#[test]
fn hup_sends_the_edge_its_new_locations_and_timeouts() {
    let site = |world: &World| {
        let messages = world.to_edge().into_iter().cloned();
        let mut sites = messages.filter(|message| matches!(message, ToEdge::Site { .. }));
        sites.next_back()
    };
    let mut world = World::serving();
    let mut new = world.policy.setup.config.clone();
    new.statics = vec![config::StaticMount::new("/files", "/srv/files")];
    new.timeouts.idle_ms = 1;
    let expected = ToEdge::Site {
        statics: new.statics.clone(),
        sendfile_roots: Vec::new(),
        timeouts: new.timeouts,
    };
    world.config = Some(Ok(new.clone()));
    world.event(Event::Reload);
    assert_eq!(site(&world), Some(expected));
    assert!(!world.logged.iter().any(|line| line.contains("restart")));
    // A port that was chosen by the system is no change; another address is.
    new.binds = vec![config::Address::Tcp(([127, 0, 0, 1], 1).into())];
    new.backlog += 1;
    world.config = Some(Ok(new.clone()));
    world.event(Event::Reload);
    assert_eq!(site(&world), None, "nothing new");
    world.assert_logged("what was changed of backlog, binds takes a restart");
    // A location in an application's place, while the applications stay.
    new = world.policy.setup.config.clone();
    new.statics[0].url = new.apps[0].mount.clone();
    new.apps[0].mount = "/elsewhere".into();
    world.config = Some(Ok(new));
    world.event(Event::Reload);
    assert_eq!(site(&world), None);
    world.assert_logged("statics");
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
