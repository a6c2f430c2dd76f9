//! Another server takes this one's place, or does not.

use super::*;
use control::message::Patience;

/// Asked by a signal, the new one started.
fn beside() -> World {
    let mut world = World::serving();
    world.event(Event::Upgrade);
    assert!(world.did(&Action::StartHeir));
    world.event(Event::HeirStarted { pid: 77 });
    world
}

/// It died, or did not even come to serve.
fn gone(why: &str) -> Event {
    Event::HeirEnded {
        why: why.into(),
        asked: false,
    }
}

fn both_serve() -> World {
    let mut world = beside();
    world.event(Event::HeirReady);
    world
}

fn ask(world: &mut World, id: u64) {
    let name = "upgrade".to_owned();
    world.event(Event::FromEdge(FromEdge::Command { id, name }));
}

#[track_caller]
fn answer(world: &World, number: u64) -> (bool, String) {
    let mut answers = world
        .to_edge()
        .into_iter()
        .filter_map(|message| match message {
            ToEdge::CommandDone { id, ok, message } if *id == number => {
                Some((*ok, message.clone()))
            }
            _ => None,
        });
    answers.next_back().expect("an answer")
}

fn drains(world: &World) -> Option<Patience> {
    world.to_edge().iter().find_map(|message| match message {
        ToEdge::Drain { patience, .. } => Some(*patience),
        _ => None,
    })
}

#[test]
fn a_signal_starts_a_new_server_and_leaves_the_rest_to_the_operator() {
    let mut world = both_serve();
    world.assert_logged("the new server (pid 77) serves beside this one");
    world.wait(3_600_000);
    assert!(!world.did(&Action::HandOver) && drains(&world).is_none());
    world.event(Event::Upgrade);
    world.assert_logged("a new server (pid 77) has been started already");
    world.event(Event::Terminate);
    assert!(world.did(&Action::HandOver));
    let patience = drains(&world).expect("it leaves");
    assert!(patience.rest_ms > 0 && patience.sockets_ms > patience.rest_ms);
}

#[test]
fn the_command_does_the_whole_and_is_answered_when_the_names_are_handed_over() {
    let mut world = World::serving();
    ask(&mut world, 5);
    assert!(world.did(&Action::StartHeir) && world.to_edge().is_empty());
    world.event(Event::HeirStarted { pid: 77 });
    world.event(Event::HeirReady);
    assert!(world.did(&Action::HandOver) && drains(&world).is_none());
    world.event(Event::HeirTookOver);
    assert_eq!(
        answer(&world, 5),
        (true, "pid 77 serves now; pid 1 finishes what it has".into())
    );
    assert!(drains(&world).is_some());
    world.event(Event::EdgeEnded(End::Code(0)));
    world.ended(1, End::Code(0));
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn the_command_finishes_what_a_signal_began() {
    let mut world = beside();
    ask(&mut world, 5);
    world.event(Event::HeirReady);
    assert!(world.did(&Action::HandOver));
    let mut world = both_serve();
    ask(&mut world, 6);
    assert!(world.did(&Action::HandOver));
    // A new one that does not say that it has the names has them all the same.
    world.wait(3_000);
    assert!(answer(&world, 6).0);
}

#[test]
fn a_new_server_that_does_not_come_up_changes_nothing() {
    let mut world = World::serving();
    ask(&mut world, 5);
    world.event(Event::HeirStarted { pid: 77 });
    world.event(gone("shop: cannot be loaded"));
    let (ok, why) = answer(&world, 5);
    assert!(
        !ok && why.contains("this one goes on: shop: cannot be loaded"),
        "{why}"
    );
    assert!(drains(&world).is_none());
    // And the next try is a new one.
    ask(&mut world, 6);
    assert!(world.did(&Action::StartHeir));
    world.event(Event::HeirStarted { pid: 78 });
    world.wait(600_000);
    assert!(world.did(&Action::KillHeir), "it takes too long");
    world.event(gone("killed by SIGKILL"));
    assert!(!answer(&world, 6).0);
}

#[test]
fn who_stops_while_a_new_server_starts_stops_that_one_too() {
    let mut world = beside();
    world.event(Event::Terminate);
    assert!(world.did(&Action::KillHeir) && !world.did(&Action::HandOver));
    assert_eq!(drains(&world), Some(Patience::default()));
}

#[test]
fn nobody_rests_without_another_who_serves() {
    let mut world = World::serving();
    world.event(Event::Rest);
    world.assert_logged("WINCH: no new server stands beside this one");
    assert!(drains(&world).is_none());
}

/// Edge and host have gone, for the new server serves.
fn at_rest() -> World {
    let mut world = both_serve();
    world.event(Event::Rest);
    assert!(drains(&world).is_some() && !world.did(&Action::CloseListeners));
    world.event(Event::EdgeEnded(End::Code(0)));
    world.ended(1, End::Code(0));
    assert_eq!(world.exit_code(), None);
    assert_eq!(world.policy.deadline(), None);
    world
}

#[track_caller]
fn assert_awake(world: &mut World) {
    assert!(world.did(&Action::StartEdge));
    assert!(world.to_edge().contains(&&ToEdge::Go));
    let order = world.host_order();
    world.bring_up(&order);
    assert!(world.policy.apps[0].is_serving());
}

#[test]
fn hup_wakes_who_rests() {
    let mut world = at_rest();
    world.event(Event::Reload);
    assert_awake(&mut world);
}

#[test]
fn the_end_of_the_new_server_wakes_who_rests() {
    let mut world = at_rest();
    world.event(gone("killed by SIGKILL"));
    assert_awake(&mut world);
    // Also if it has not come to rest yet.
    let mut world = both_serve();
    world.event(Event::Rest);
    world.event(gone("killed by SIGKILL"));
    assert!(!world.did(&Action::StartEdge));
    world.event(Event::EdgeEnded(End::Code(0)));
    world.ended(1, End::Code(0));
    assert_awake(&mut world);
}

/// Its names are the new one's, by command.
fn handed_over() -> World {
    let mut world = World::serving();
    ask(&mut world, 5);
    world.event(Event::HeirStarted { pid: 77 });
    world.event(Event::HeirReady);
    world.event(Event::HeirTookOver);
    assert!(drains(&world).is_some_and(|patience| patience.sockets_ms > 0));
    assert!(world.did(&Action::LendListeners) && !world.did(&Action::CloseListeners));
    world
}

#[test]
fn who_has_handed_over_serves_again_when_the_new_server_dies() {
    let mut world = handed_over();
    world.event(gone("killed by SIGSEGV"));
    world.assert_logged("this one serves again as soon as its running requests are finished");
    // Only these are waited for any more.
    assert_eq!(drains(&world), Some(Patience::default()));
    assert!(!world.did(&Action::TakeBack));
    world.event(Event::EdgeEnded(End::Code(0)));
    world.ended(1, End::Code(0));
    assert!(world.did(&Action::TakeBack));
    assert_awake(&mut world);
    // And hands over once more.
    ask(&mut world, 6);
    assert!(world.did(&Action::StartHeir));
}

#[test]
fn who_has_handed_over_ends_when_the_new_server_is_told_to() {
    let mut world = handed_over();
    world.event(Event::HeirEnded {
        why: "exit code 0".into(),
        asked: true,
    });
    assert!(
        world.did(&Action::CloseListeners),
        "nobody waits where nobody comes"
    );
    world.event(Event::EdgeEnded(End::Code(0)));
    world.ended(1, End::Code(0));
    assert_eq!(world.exit_code(), Some(0));
    // Whoever is told to end itself does not come back either.
    let mut world = handed_over();
    world.event(Event::Terminate);
    world.event(gone("killed by SIGKILL"));
    world.event(Event::EdgeEnded(End::Code(0)));
    world.ended(1, End::Code(0));
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn a_new_server_that_dies_while_it_takes_over_leaves_the_names_to_the_old_one() {
    let mut world = World::serving();
    ask(&mut world, 5);
    world.event(Event::HeirStarted { pid: 77 });
    world.event(Event::HeirReady);
    assert!(world.did(&Action::HandOver));
    world.event(gone("killed by SIGKILL"));
    assert!(world.did(&Action::TakeBack) && drains(&world).is_none());
    assert!(!answer(&world, 5).0);
}

#[test]
fn term_ends_who_rests() {
    let mut world = at_rest();
    world.event(Event::Terminate);
    assert!(world.did(&Action::HandOver));
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn an_heir_serves_everything_or_nothing() {
    let mut world = World::heir(2, KindChoice::Processes);
    world.start();
    let orders = world.host_orders();
    world.bring_up(&orders[0]);
    assert!(!world.did(&Action::ToEdge(ToEdge::Go)));
    world.wait(60_000);
    assert!(
        !world.did(&Action::ToEdge(ToEdge::Go)),
        "it has no patience to lose"
    );
    world.load_fails(orders[1].host);
    world.assert_logged("not every application came up");
    assert!(world.did(&Action::ToEdge(ToEdge::Quit)));
}

#[test]
fn an_heir_has_no_heir_before_it_is_alone() {
    let mut world = World::heir(1, KindChoice::Processes);
    world.start();
    let order = world.host_order();
    world.bring_up(&order);
    assert!(world.did(&Action::Announce));
    ask(&mut world, 5);
    assert!(!answer(&world, 5).0);
    world.event(Event::Promoted);
    assert!(world.did(&Action::ToEdge(ToEdge::LookAgain)));
    ask(&mut world, 6);
    assert!(world.did(&Action::StartHeir));
}

#[test]
fn hooks_come_first_and_are_not_waited_for_too_long() {
    let hooked = || {
        let mut config = config(1, KindChoice::Processes);
        config.apps[0].options.hooks = Some("/srv/gunicorn.conf.py".into());
        let mut world = World::with(config, None);
        world.start();
        let order = world.host_order();
        world.bring_up(&order);
        world.event(Event::Upgrade);
        assert!(world.did(&Action::ToHost(order.host, ToHost::Executing {})));
        assert!(!world.did(&Action::StartHeir));
        (world, order.host)
    };
    let (mut world, host) = hooked();
    world.host(host, FromHost::HookDone);
    assert!(world.did(&Action::StartHeir));
    let (mut world, _) = hooked();
    world.wait(6_000);
    assert!(world.did(&Action::StartHeir));
}
