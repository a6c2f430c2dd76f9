//! Dozing: a sleep that only the doorbell ends. While an app's workers are all busy and requests queue up for them, one more request can only
//! join the queue, so the ring thread is not woken to read it: it reads it when the next answer wakes it anyway.
//!
//! Measured with a Flask app of 750 us on one processor: each wake of the ring thread cost 47 us there and made the app's next 50 us slower, and
//! there were 1.5-2.6 of them for each request. What it may cost: anything else that arrives meanwhile (a static file, another app's request)
//! waits for the doze to end, at most 4 ms (and a tick of the kernel's clock where the worker turns to something long:
//! kernel-notes/early-timers-cost-exits.md). So a ring dozes only after it has seen nothing else for a while. That the app itself had a worker free
//! now and then is nothing else: when its workers are busy again, nobody is kept waiting.
//! Must not know rings, sockets, requests.

use std::time::Duration;
use sys::eventfd::EventFd;

/// Requests in a row that only joined a queue before the ring dozes.
const CALM_MIN: u64 = 256;

/// What one look at an app found.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// Requests handed to it so far.
    pub requests: u64,
    /// Of these not answered yet.
    pub in_flight: u64,
    /// See `EdgeRing::doze_ns`.
    pub doze_ns: Option<u64>,
}

/// Whether to doze, and how long: pure.
#[derive(Debug, Default)]
pub struct Calm {
    /// Requests so far that only joined a queue.
    joined: u64,
    /// Answers so far that were not an app's.
    others: u64,
    /// `joined` when that changed last.
    others_at: u64,
    apps: Vec<Seen>,
}

/// An app at the last look.
#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    /// `joined` when it last had a request that could be begun at once.
    lively_at: u64,
}

impl Calm {
    /// Before the ring thread blocks. `answered` counts all requests so far, the apps' among them.
    pub fn look(&mut self, answered: u64, apps: impl Iterator<Item = Sight>) -> Option<u64> {
        let mut others = answered;
        let mut soonest: Option<u64> = None;
        // Since when nobody was there whom it would have kept waiting.
        let mut calm_since = 0;
        for (index, app) in apps.enumerate() {
            if self.apps.len() <= index {
                self.apps.push(Seen::default());
            }
            let seen = &mut self.apps[index];
            let fresh = app
                .requests
                .wrapping_sub(std::mem::replace(&mut seen.requests, app.requests));
            others = others.wrapping_sub(app.requests.wrapping_sub(app.in_flight));
            match app.doze_ns {
                Some(ns) => {
                    self.joined += fresh;
                    soonest = Some(soonest.map_or(ns, |soonest| soonest.min(ns)));
                }
                None => {
                    if fresh > 0 {
                        seen.lively_at = self.joined;
                    }
                    calm_since = seen.lively_at.max(calm_since);
                }
            }
        }
        if std::mem::replace(&mut self.others, others) != others {
            self.others_at = self.joined;
        }
        let calm = self.joined - calm_since.max(self.others_at);
        soonest.filter(|_| calm >= CALM_MIN)
    }
}

/// The ring's doorbell, to wait for without the ring.
#[derive(Debug)]
pub struct Bell(EventFd);

impl Bell {
    pub fn new(bell: EventFd) -> Bell {
        Bell(bell)
    }

    /// Forgets what was rung. Before the last look at what bells are rung for, or a ring is lost.
    pub fn silence(&self) {
        // The ring's own poll is edge-triggered and needs no counter; without one the doze ends at once.
        drop(self.0.take());
    }

    /// Blocks until it is rung, at most `ns` and the thread's timer slack.
    pub fn wait(&self, ns: u64) {
        // An error ends the doze, which is always right.
        drop(self.0.poll(Some(Duration::from_nanos(ns))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(requests: u64, in_flight: u64, doze_ns: Option<u64>) -> std::iter::Once<Sight> {
        std::iter::once(Sight {
            requests,
            in_flight,
            doze_ns,
        })
    }

    #[test]
    fn dozes_only_when_nothing_but_a_busy_app_was_asked_for_a_while() {
        let mut calm = Calm::default();
        for request in 1..CALM_MIN {
            assert_eq!(calm.look(request - 1, sight(request, 1, Some(800))), None);
        }
        let (all, busy) = (CALM_MIN, Some(800));
        assert_eq!(calm.look(all - 1, sight(all, 1, busy)), Some(800));
        assert_eq!(calm.look(all - 1, sight(all, 1, busy)), Some(800));
        assert_eq!(
            calm.look(all - 1, sight(all, 1, None)),
            None,
            "a worker is free"
        );
        assert_eq!(calm.look(all - 1, sight(all, 1, busy)), Some(800));
        assert_eq!(calm.look(all, sight(all, 1, busy)), None, "a file was sent");
        assert_eq!(calm.look(all, sight(all, 1, busy)), None);
    }

    #[test]
    fn a_queue_that_was_empty_for_a_moment_is_no_reason_to_stay_awake() {
        let mut calm = Calm::default();
        let (busy, free) = (Some(800), None);
        let mut look = |requests, doze_ns| calm.look(requests - 1, sight(requests, 1, doze_ns));
        assert_eq!(look(CALM_MIN, busy), busy);
        // Taken up at once, as the queue was empty; then it fills again.
        assert_eq!(look(CALM_MIN + 1, free), None);
        assert_eq!(look(CALM_MIN + 2, busy), busy);
    }

    #[test]
    fn another_app_with_a_free_worker_keeps_it_awake() {
        let mut calm = Calm::default();
        let mut look =
            |busy, free| calm.look(0, sight(busy, busy, Some(1)).chain(sight(free, free, None)));
        assert_eq!(look(CALM_MIN, 0), Some(1));
        assert_eq!(look(CALM_MIN + 1, 1), None);
        assert_eq!(look(CALM_MIN + 2, 1), None);
    }
}
