//! How many requests of an app or a route run at once, over all ring threads; the others wait here, in order, without a worker.
//!
//! A gate belongs to the process; whoever leaves hands its place to the first in line, whichever ring thread that is on, by mail. Invariants:
//! a place is a [`Permit`] and cannot get lost, because its drop passes it on; nobody waits while a place is free. Must not know what a
//! request is, nor how a ring thread is reached.

use config::Config;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The gates of all apps of one edge process: by app, then as `Rules` number them (0: the whole app, then its routes).
#[derive(Debug)]
pub struct Gates(Box<[AppGates]>);

/// Of one app; `None` where there is no bound.
type AppGates = Box<[Option<Arc<Gate>>]>;

impl Gates {
    pub fn new(config: &Config) -> Gates {
        let gate = |bound: usize| (bound > 0).then(|| Arc::new(Gate::new(bound)));
        let apps = config.apps.iter().map(|app| {
            let routes = app
                .options
                .routes
                .iter()
                .map(|route| gate(route.concurrency));
            std::iter::once(gate(app.options.concurrency))
                .chain(routes)
                .collect()
        });
        Gates(apps.collect())
    }

    pub fn find(&self, app: usize, gate: usize) -> Option<&Arc<Gate>> {
        self.0.get(app)?.get(gate)?.as_ref()
    }
}

/// One bound.
#[derive(Debug)]
pub struct Gate {
    bound: usize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Permits given out. Invariant: `waiting` is empty while it is below the bound.
    inside: usize,
    /// Bounded by the slots of the exchange, one of which everybody in line has.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    to: Arc<dyn Reach>,
}

/// The way to a ring thread, from any other.
pub trait Reach: std::fmt::Debug + Send + Sync {
    fn admit(&self, ticket: Ticket, permit: Permit);
}

/// Names somebody in line: the app, the ring thread, and a number that the thread uses once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub app: usize,
    pub ring: usize,
    pub number: u64,
}

/// A place inside. Dropping it passes it on.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

impl Gate {
    fn new(bound: usize) -> Gate {
        Gate {
            bound,
            line: Mutex::default(),
        }
    }

    /// A place, or one in line: then `to` is given the permit later, unless `leave` comes before.
    pub fn enter(self: &Arc<Gate>, ticket: Ticket, to: Arc<dyn Reach>) -> Option<Permit> {
        let mut line = self.lock();
        if line.inside < self.bound {
            line.inside += 1;
            return Some(Permit(Arc::clone(self)));
        }
        line.waiting.push_back(Waiting { ticket, to });
        None
    }

    /// Does not want in any more. A permit that is in the mail already is to be dropped when it comes.
    pub fn leave(&self, ticket: Ticket) {
        self.lock()
            .waiting
            .retain(|waiting| waiting.ticket != ticket);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // No step in between is visible: every change is one statement on one field.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let next = {
            let mut line = self.0.lock();
            let next = line.waiting.pop_front();
            if next.is_none() {
                line.inside -= 1;
            }
            next
        };
        if let Some(Waiting { ticket, to }) = next {
            to.admit(ticket, Permit(Arc::clone(&self.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring thread's mail.
    #[derive(Debug, Default)]
    struct Mail(Mutex<Vec<(Ticket, Permit)>>);

    impl Reach for Mail {
        fn admit(&self, ticket: Ticket, permit: Permit) {
            self.0.lock().expect("not poisoned").push((ticket, permit));
        }
    }

    impl Mail {
        fn take(&self) -> Vec<(Ticket, Permit)> {
            std::mem::take(&mut self.0.lock().expect("not poisoned"))
        }
    }

    fn ticket(ring: usize, number: u64) -> Ticket {
        Ticket {
            app: 0,
            ring,
            number,
        }
    }

    #[test]
    fn places_go_round_in_order_over_all_rings() {
        let gate = Arc::new(Gate::new(2));
        let rings = [Arc::new(Mail::default()), Arc::new(Mail::default())];
        let enter =
            |ring: usize, number| gate.enter(ticket(ring, number), Arc::clone(&rings[ring]) as _);
        let first = enter(0, 0).expect("a place");
        let second = enter(1, 0).expect("a place");
        for number in 1..=2 {
            for ring in [1, 0] {
                assert!(enter(ring, number).is_none());
            }
        }
        drop(second);
        let mut order = Vec::new();
        // Each round drops the permits that came, and so brings the next.
        loop {
            let came: Vec<_> = rings.iter().flat_map(|ring| ring.take()).collect();
            if came.is_empty() {
                break;
            }
            order.extend(came.iter().map(|(ticket, _)| *ticket));
        }
        assert_eq!(
            order,
            [ticket(1, 1), ticket(0, 1), ticket(1, 2), ticket(0, 2)]
        );
        drop(first);
        assert_eq!(gate.lock().inside, 0);
    }

    #[test]
    fn who_leaves_the_line_is_passed_over() {
        let gate = Arc::new(Gate::new(1));
        let mail = Arc::new(Mail::default());
        let enter = |number| gate.enter(ticket(0, number), Arc::clone(&mail) as _);
        let inside = enter(0);
        assert!(enter(1).is_none() && enter(2).is_none());
        gate.leave(ticket(0, 1));
        drop(inside);
        let came = mail.take();
        assert_eq!(came[0].0, ticket(0, 2));
        assert_eq!(came.len(), 1);
        // Too late to leave: the permit is dropped where it arrives, and the place is free.
        gate.leave(ticket(0, 2));
        drop(came);
        assert!(enter(3).is_some());
    }

    #[test]
    fn a_ring_thread_that_ended_keeps_no_place() {
        let gate = Arc::new(Gate::new(1));
        let (gone, alive) = (Arc::new(Mail::default()), Arc::new(Mail::default()));
        let inside = gate.enter(ticket(0, 0), Arc::clone(&alive) as _);
        assert!(gate.enter(ticket(1, 0), Arc::clone(&gone) as _).is_none());
        assert!(gate.enter(ticket(0, 1), Arc::clone(&alive) as _).is_none());
        drop(inside);
        // Its mail is never read.
        drop(gone);
        assert_eq!(alive.take().len(), 1);
    }
}
