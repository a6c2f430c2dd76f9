//! Stops: graceful, quick, and those that need force.

use super::*;
use control::message::Patience;

#[test]
fn term_lets_the_edge_finish_then_ends_the_hosts() {
    let mut world = World::serving();
    world.event(Event::Terminate);
    assert!(world.did(&Action::CloseListeners));
    assert!(world.did(&Action::ToEdge(ToEdge::Drain {
        grace_ms: 30_000,
        patience: Patience::default()
    })));
    assert!(
        !world.did(&Action::ToHost(1, ToHost::Quit)),
        "they still have work"
    );
    world.event(Event::Terminate);
    world.event(Event::Reload);
    assert!(world.actions.is_empty());
    // A host that dies meanwhile is replaced: requests may still be queued.
    world.event(Event::FromEdge(FromEdge::Drained));
    world.event(Event::EdgeEnded(End::Code(0)));
    // Applications have things to do at their end.
    assert!(world.did(&Action::ToHost(1, ToHost::Drain)));
    assert_eq!(world.exit_code(), None);
    world.ended(1, End::Code(0));
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn an_application_that_does_not_come_to_its_end_is_ended() {
    let mut world = World::serving();
    world.event(Event::Terminate);
    world.event(Event::EdgeEnded(End::Code(0)));
    world.wait(31_000);
    assert!(world.did(&Action::ToHost(1, ToHost::Quit)));
    world.wait(3_000);
    assert!(world.did(&Action::KillHost(1)));
    world.ended(1, KILLED);
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn int_hurries_an_application_that_takes_its_time_to_end() {
    let mut world = World::serving();
    world.event(Event::Terminate);
    world.event(Event::EdgeEnded(End::Code(0)));
    assert!(!world.did(&Action::ToHost(1, ToHost::Quit)));
    world.event(Event::Interrupt);
    assert!(world.did(&Action::ToHost(1, ToHost::Quit)));
    world.ended(1, End::Code(0));
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn int_ends_everything_at_once_and_kills_what_does_not_end() {
    let mut world = World::serving();
    world.event(Event::Interrupt);
    assert!(
        world.did(&Action::ToEdge(ToEdge::Quit)) && world.did(&Action::ToHost(1, ToHost::Quit))
    );
    world.wait(3_000);
    assert!(world.did(&Action::KillEdge) && world.did(&Action::KillHost(1)));
    world.event(Event::EdgeEnded(KILLED));
    world.ended(1, KILLED);
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn int_during_a_graceful_stop_ends_it() {
    let mut world = World::serving();
    world.event(Event::Terminate);
    world.event(Event::Interrupt);
    assert!(world.did(&Action::ToEdge(ToEdge::Quit)));
}

#[test]
fn a_graceful_stop_has_an_end_even_if_the_edge_has_not() {
    let mut world = World::serving();
    world.event(Event::Terminate);
    world.wait(40_000);
    assert!(world.did(&Action::KillEdge) && world.did(&Action::KillHost(1)));
    world.event(Event::EdgeEnded(KILLED));
    world.ended(1, KILLED);
    assert_eq!(world.exit_code(), Some(0));
}

#[test]
fn a_host_that_dies_during_a_graceful_stop_is_replaced_for_what_is_still_queued() {
    let mut world = World::serving();
    world.event(Event::Terminate);
    world.ended(1, KILLED);
    assert_eq!(world.host_orders().len(), 1);
    let order = world.host_order();
    world.bring_up(&order);
    world.event(Event::EdgeEnded(End::Code(0)));
    assert!(world.did(&Action::ToHost(order.host, ToHost::Drain)));
}

#[test]
fn term_before_anything_is_served_ends_at_once() {
    let mut world = World::started(1, KindChoice::Auto);
    let probe = world.host_order().host;
    world.event(Event::Terminate);
    assert!(world.did(&Action::KillHost(probe)) && world.did(&Action::ToEdge(ToEdge::Quit)));
    world.ended(probe, KILLED);
    world.event(Event::EdgeEnded(End::Code(0)));
    assert_eq!(world.exit_code(), Some(0));
}
