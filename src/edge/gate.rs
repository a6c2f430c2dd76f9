//! How many requests of an app or a route run at once, over all ring threads; the others wait here, in order, without a worker.
//!
//! A gate belongs to the process; whoever leaves hands its place to the first in line, whichever ring thread that is on, by mail. Its bound can
//! be changed at any time. Invariants: a place is a [`Permit`] and cannot get lost, because its drop passes it on; nobody waits while a place is
//! free. Must not know what a request is, nor how a ring thread is reached.

use config::AppOptions;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The gates of one app, as `Rules` number them: 0 is the whole app, then come its routes. Of one generation of the configuration; the next
/// takes over the gates that it still has, with whoever is inside or in line.
#[derive(Debug, Default)]
pub struct Gates {
    places: Box<[Place]>,
    sockets: Arc<Sockets>,
}

/// A part of an app's paths, and its gate where it has a bound.
#[derive(Debug)]
struct Place {
    /// "": the whole app.
    path: String,
    gate: Option<Arc<Gate>>,
}

impl Gates {
    pub fn new(options: &AppOptions) -> Gates {
        Gates::default().turned_to(options)
    }

    /// What follows these: gates of the same path go on with the bound they have now, those without one let everybody in.
    pub fn turned_to(&self, options: &AppOptions) -> Gates {
        let routes = options.routes.iter();
        let routes = routes.map(|route| (route.path.as_str(), route.concurrency));
        let bounds: Vec<(&str, usize)> = std::iter::once(("", options.concurrency))
            .chain(routes)
            .collect();
        let bounded = |path: &str| {
            bounds
                .iter()
                .any(|(each, bound)| *each == path && *bound > 0)
        };
        for place in self.places.iter().filter(|place| !bounded(&place.path)) {
            if let Some(gate) = &place.gate {
                gate.set_bound(usize::MAX);
            }
        }
        let places = bounds.iter().map(|&(path, bound)| {
            let old = self.places.iter().find(|place| place.path == path);
            let old = old.and_then(|place| place.gate.clone());
            let gate = (bound > 0).then(|| match old {
                Some(gate) => {
                    gate.set_bound(bound);
                    gate
                }
                None => Arc::new(Gate::new(bound)),
            });
            Place {
                path: path.to_owned(),
                gate,
            }
        });
        Gates {
            places: places.collect(),
            sockets: Arc::clone(&self.sockets),
        }
    }

    pub fn find(&self, gate: usize) -> Option<&Arc<Gate>> {
        self.places.get(gate)?.gate.as_ref()
    }

    /// Lets one more WebSocket in if fewer than `bound` are open.
    pub fn open_socket(&self, bound: usize) -> Option<Socket> {
        let open = &self.sockets.0;
        let more = |count| (count < bound).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Socket(Arc::clone(&self.sockets)))
    }
}

/// The WebSockets of one app that are open, over all generations of its configuration. Nobody waits here: beyond the bound they are refused.
#[derive(Debug, Default)]
struct Sockets(AtomicUsize);

/// One of them; its drop makes room for another.
#[derive(Debug)]
pub struct Socket(Arc<Sockets>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One bound.
#[derive(Debug)]
pub struct Gate {
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    bound: usize,
    /// Permits given out: more than the bound only after that was lowered. Invariant: `waiting` is empty while it is below the bound.
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
            line: Mutex::new(Line {
                bound,
                inside: 0,
                waiting: VecDeque::new(),
            }),
        }
    }

    /// From now on so many. Raised: those in line come in as far as there is room. Lowered: whoever is inside stays.
    fn set_bound(self: &Arc<Gate>, bound: usize) {
        let admitted: Vec<Waiting> = {
            let mut line = self.lock();
            line.bound = bound;
            let room = bound.saturating_sub(line.inside).min(line.waiting.len());
            line.inside += room;
            line.waiting.drain(..room).collect()
        };
        for Waiting { ticket, to } in admitted {
            to.admit(ticket, Permit(Arc::clone(self)));
        }
    }

    /// A place, or one in line: then `to` is given the permit later, unless `leave` comes before.
    pub fn enter(self: &Arc<Gate>, ticket: Ticket, to: Arc<dyn Reach>) -> Option<Permit> {
        let mut line = self.lock();
        if line.inside < line.bound {
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
            let is_over = line.inside > line.bound;
            let next = (!is_over).then(|| line.waiting.pop_front()).flatten();
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

    fn options(whole: usize, routes: &[(&str, usize)]) -> AppOptions {
        let route = |&(path, concurrency): &(&str, usize)| config::Route {
            path: path.to_owned(),
            timeout_ms: None,
            concurrency,
            health: false,
        };
        AppOptions {
            concurrency: whole,
            routes: routes.iter().map(route).collect(),
            ..AppOptions::default()
        }
    }

    #[test]
    fn a_new_configuration_keeps_who_is_inside_and_who_waits() {
        let mail = Arc::new(Mail::default());
        let first = Gates::new(&options(0, &[("/slow", 1), ("/gone", 1)]));
        let enter = |gates: &Gates, at: usize, number| {
            let gate = gates.find(at).expect("a bound");
            gate.enter(ticket(0, number), Arc::clone(&mail) as _)
        };
        assert!(first.find(0).is_none());
        let inside = [enter(&first, 1, 0), enter(&first, 2, 1)];
        assert!(enter(&first, 1, 2).is_none() && enter(&first, 2, 3).is_none());
        // Another order, another bound for one, none for the other: whoever waited for that comes in.
        let second = first.turned_to(&options(5, &[("/new", 1), ("/slow", 1)]));
        let came = mail.take();
        assert_eq!(came.len(), 1);
        assert_eq!(came[0].0, ticket(0, 3));
        assert!(enter(&second, 2, 4).is_none(), "as full as before");
        let third = second.turned_to(&options(5, &[("/slow", 3)]));
        let came = mail.take();
        assert_eq!(came.len(), 2);
        // Lowered: nobody is thrown out, and nobody comes in before enough have left.
        let last = third.turned_to(&options(5, &[("/slow", 1)]));
        assert!(enter(&last, 1, 5).is_none());
        drop(came);
        assert!(mail.take().is_empty());
        drop(inside);
        assert_eq!(mail.take()[0].0, ticket(0, 5));
    }

    /// Entering, leaving, giving up and changes of the bound in any order: nobody waits while there is room, nobody comes in while there is none,
    /// and everybody who stays in line comes in.
    #[test]
    fn random_lives_of_a_gate() {
        for seed in 0..300 {
            let mut random = Random(seed);
            let gate = Arc::new(Gate::new(1 + random.below(4)));
            let mail = Arc::new(Mail::default());
            let (mut inside, mut waiting) = (Vec::new(), VecDeque::new());
            let mut bound = gate.lock().bound;
            for number in 0..200 {
                let before = inside.len();
                match random.below(8) {
                    0..=2 => match gate.enter(ticket(0, number), Arc::clone(&mail) as _) {
                        Some(permit) => inside.push(permit),
                        None => waiting.push_back(ticket(0, number)),
                    },
                    3..=4 if !inside.is_empty() => {
                        drop(inside.swap_remove(random.below(inside.len())));
                    }
                    5 if !waiting.is_empty() => {
                        let at = random.below(waiting.len());
                        gate.leave(waiting.remove(at).expect("it is there"));
                    }
                    6 => {
                        bound = random.below(6);
                        gate.set_bound(bound);
                    }
                    _ => {}
                }
                for (came, permit) in mail.take() {
                    assert_eq!(waiting.pop_front(), Some(came), "in order, seed {seed}");
                    inside.push(permit);
                }
                let line = gate.lock();
                assert_eq!(
                    (line.inside, line.waiting.len()),
                    (inside.len(), waiting.len())
                );
                assert!(inside.len() <= bound.max(before), "seed {seed}");
                assert!(waiting.is_empty() || inside.len() >= bound, "seed {seed}");
            }
            gate.set_bound(1);
            while !waiting.is_empty() {
                inside.pop();
                for (came, permit) in mail.take() {
                    assert_eq!(waiting.pop_front(), Some(came));
                    inside.push(permit);
                }
            }
            inside.clear();
            assert_eq!(gate.lock().inside, 0);
        }
    }

    /// splitmix64
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((bits ^ (bits >> 31)) % bound as u64) as usize
        }
    }
}
