//! The course of an ending server: the edge first, so that no request is lost, then the hosts, then we.
//!
//! The same course leads to rest: edge and hosts go, the listeners and we stay, for a server that may have to serve again.

use super::{Action, Outside, Policy, edge, upgrade};
use config::LogLevel;
use control::message::{Patience, ToEdge};

/// How long the edge may take beyond the grace period, and to end when told to.
pub const SLACK_MS: u64 = 3_000;

/// What comes when everybody has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Exit(u8),
    /// Exit with 0, for another server serves; if that one dies before, service again.
    Yield,
    /// `wake`: and no rest after all.
    Rest {
        wake: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    No,
    /// The edge finishes what it has; hosts still work.
    Draining {
        kill_at_ms: u64,
        then: Then,
    },
    /// Everybody was told to end.
    Ending {
        kill_at_ms: u64,
        then: Then,
    },
    /// Nobody is left but us.
    Resting,
    Done,
}

impl Stop {
    pub fn deadline(self) -> Option<u64> {
        match self {
            Stop::Draining { kill_at_ms, .. } | Stop::Ending { kill_at_ms, .. } => Some(kill_at_ms),
            Stop::No | Stop::Resting | Stop::Done => None,
        }
    }

    /// It rests, or will.
    pub fn rests(self) -> bool {
        match self {
            Stop::Resting => true,
            _ => matches!(self.then(), Some(Then::Rest { .. })),
        }
    }

    /// It leaves because another server serves.
    pub fn yields(self) -> bool {
        self.then() == Some(Then::Yield)
    }

    fn then(self) -> Option<Then> {
        match self {
            Stop::Draining { then, .. } | Stop::Ending { then, .. } => Some(then),
            Stop::No | Stop::Resting | Stop::Done => None,
        }
    }

    /// What was to come when everybody has gone is something else now.
    pub fn lead_to(&mut self, end: Then) {
        if let Stop::Draining { then, .. } | Stop::Ending { then, .. } = self {
            *then = end;
        }
    }

    /// It is to serve again. True: it may at once; else it will when everybody has gone.
    pub fn wake(&mut self) -> bool {
        if self.rests() {
            self.lead_to(Then::Rest { wake: true });
        }
        *self == Stop::Resting
    }
}

impl Policy {
    /// TERM: what runs may finish.
    pub(super) fn terminate(&mut self, now_ms: u64, outside: &dyn Outside) {
        match self.stop {
            Stop::No if self.live && self.edge.state == edge::State::Ready => {
                self.log(LogLevel::Info, "stopping; running requests may finish");
                self.settle_heir(now_ms);
                self.leave(now_ms, Then::Exit(0), outside);
            }
            // Nothing has been served yet, or the edge is between two lives: there is nothing to finish.
            Stop::No | Stop::Resting => self.end(now_ms, 0, outside),
            // Once is enough; but rest is none, and nobody is to come back now.
            stop @ (Stop::Draining { .. } | Stop::Ending { .. })
                if stop.rests() || stop.yields() =>
            {
                self.stop.lead_to(Then::Exit(0));
                self.settle_heir(now_ms);
                self.out.push(Action::CloseListeners);
            }
            Stop::Draining { .. } | Stop::Ending { .. } | Stop::Done => {}
        }
    }

    /// The edge finishes what it has.
    pub(super) fn leave(&mut self, now_ms: u64, then: Then, outside: &dyn Outside) {
        if self.edge.state != edge::State::Ready {
            return self.end_as(now_ms, then, outside);
        }
        let timeouts = &self.setup.config.timeouts;
        let grace_ms = timeouts.graceful_ms;
        let patience = match self.upgrade.heir.serves() {
            true => upgrade::patience(timeouts),
            false => Patience::default(),
        };
        self.stop = Stop::Draining {
            kill_at_ms: now_ms + grace_ms + SLACK_MS,
            then,
        };
        self.let_go(then);
        self.out
            .push(Action::ToEdge(ToEdge::Drain { grace_ms, patience }));
    }

    /// The listeners that nobody needs any more.
    fn let_go(&mut self, then: Then) {
        match then {
            Then::Exit(_) => self.out.push(Action::CloseListeners),
            Then::Yield => self.out.push(Action::LendListeners),
            Then::Rest { .. } => {}
        }
    }

    /// Every request is answered: the hosts end, then we do.
    fn finish(&mut self, now_ms: u64, then: Then, outside: &dyn Outside) {
        self.stop = Stop::Ending {
            kill_at_ms: now_ms + SLACK_MS,
            then,
        };
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        apps.iter_mut().for_each(|app| app.finish(&mut ctx));
    }

    /// Everybody ends now, then we do.
    pub(super) fn end(&mut self, now_ms: u64, code: u8, outside: &dyn Outside) {
        self.settle_heir(now_ms);
        self.end_as(now_ms, Then::Exit(code), outside);
    }

    fn end_as(&mut self, now_ms: u64, then: Then, outside: &dyn Outside) {
        match &mut self.stop {
            Stop::Done => return,
            // Those that took their time have it no longer.
            Stop::Ending { then: before, .. } => {
                if let Then::Rest { .. } | Then::Yield = before {
                    *before = then;
                }
                return self.quit_hosts(now_ms, outside);
            }
            Stop::No | Stop::Draining { .. } | Stop::Resting => {}
        }
        self.stop = Stop::Ending {
            kill_at_ms: now_ms + SLACK_MS,
            then,
        };
        self.let_go(then);
        self.tell_edge(ToEdge::Quit);
        self.quit_hosts(now_ms, outside);
    }

    fn quit_hosts(&mut self, now_ms: u64, outside: &dyn Outside) {
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        apps.iter_mut().for_each(|app| app.quit(&mut ctx));
    }

    pub(super) fn advance_stop(&mut self, now_ms: u64, outside: &dyn Outside) {
        match self.stop {
            Stop::Draining { kill_at_ms, then } => {
                if !self.edge.is_up() {
                    self.finish(now_ms, then, outside);
                    self.advance_stop(now_ms, outside);
                } else if kill_at_ms <= now_ms {
                    self.log(
                        LogLevel::Error,
                        "the edge did not end in time; stopping at once",
                    );
                    self.end_as(now_ms, then, outside);
                }
            }
            Stop::Ending { kill_at_ms, then } => {
                let hosts = self.apps.iter().any(|app| !app.hosts.is_empty());
                if !hosts && !self.edge.is_up() {
                    self.everybody_has_gone(now_ms, then, outside);
                } else if kill_at_ms <= now_ms {
                    // The hosts have deadlines of their own.
                    if self.edge.is_up() {
                        self.out.push(Action::KillEdge);
                    }
                    self.stop = Stop::Ending {
                        kill_at_ms: now_ms + SLACK_MS,
                        then,
                    };
                }
            }
            Stop::No | Stop::Resting | Stop::Done => {}
        }
    }

    fn everybody_has_gone(&mut self, now_ms: u64, then: Then, outside: &dyn Outside) {
        match then {
            Then::Exit(code) => {
                self.stop = Stop::Done;
                self.out.push(Action::Exit(code));
            }
            Then::Yield => self.everybody_has_gone(now_ms, Then::Exit(0), outside),
            Then::Rest { wake } => {
                self.stop = Stop::Resting;
                if wake {
                    self.wake(now_ms, outside);
                }
            }
        }
    }
}
