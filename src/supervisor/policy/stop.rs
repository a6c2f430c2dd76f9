//! The course of an ending server: the edge first, so that no request is lost, then the hosts, then we.

use super::{Action, Outside, Policy, edge};
use config::LogLevel;
use control::message::ToEdge;

/// How long the edge may take beyond the grace period, and to end when told to.
pub const SLACK_MS: u64 = 3_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    No,
    /// The edge finishes what it has; hosts still work.
    Draining {
        kill_at_ms: u64,
    },
    /// Everybody was told to end; then we exit with this code.
    Ending {
        kill_at_ms: u64,
        code: u8,
    },
    Done,
}

impl Stop {
    pub fn deadline(self) -> Option<u64> {
        match self {
            Stop::Draining { kill_at_ms } | Stop::Ending { kill_at_ms, .. } => Some(kill_at_ms),
            Stop::No | Stop::Done => None,
        }
    }
}

impl Policy {
    /// TERM: what runs may finish.
    pub(super) fn terminate(&mut self, now_ms: u64, outside: &dyn Outside) {
        match self.stop {
            Stop::No if self.live && self.edge.state == edge::State::Ready => {
                let grace_ms = self.setup.config.timeouts.graceful_ms;
                self.log(LogLevel::Info, "stopping; running requests may finish");
                self.stop = Stop::Draining {
                    kill_at_ms: now_ms + grace_ms + SLACK_MS,
                };
                self.out.push(Action::CloseListeners);
                self.out.push(Action::ToEdge(ToEdge::Drain { grace_ms }));
            }
            // Nothing has been served yet, or the edge is between two lives: there is nothing to finish.
            Stop::No => self.end(now_ms, 0, outside),
            // Once is enough.
            Stop::Draining { .. } | Stop::Ending { .. } | Stop::Done => {}
        }
    }

    /// Every request is answered: the hosts end, then we do.
    fn finish(&mut self, now_ms: u64, outside: &dyn Outside) {
        self.stop = Stop::Ending {
            kill_at_ms: now_ms + SLACK_MS,
            code: 0,
        };
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        apps.iter_mut().for_each(|app| app.finish(&mut ctx));
    }

    /// Everybody ends now, then we do.
    pub(super) fn end(&mut self, now_ms: u64, code: u8, outside: &dyn Outside) {
        match self.stop {
            Stop::Done => return,
            // Those that took their time have it no longer.
            Stop::Ending { .. } => return self.quit_hosts(now_ms, outside),
            Stop::No | Stop::Draining { .. } => {}
        }
        self.stop = Stop::Ending {
            kill_at_ms: now_ms + SLACK_MS,
            code,
        };
        self.out.push(Action::CloseListeners);
        self.tell_edge(ToEdge::Quit);
        self.quit_hosts(now_ms, outside);
    }

    fn quit_hosts(&mut self, now_ms: u64, outside: &dyn Outside) {
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        apps.iter_mut().for_each(|app| app.quit(&mut ctx));
    }

    pub(super) fn advance_stop(&mut self, now_ms: u64, outside: &dyn Outside) {
        match self.stop {
            Stop::Draining { kill_at_ms } => {
                if !self.edge.is_up() {
                    self.finish(now_ms, outside);
                    self.advance_stop(now_ms, outside);
                } else if kill_at_ms <= now_ms {
                    self.log(
                        LogLevel::Error,
                        "the edge did not end in time; stopping at once",
                    );
                    self.end(now_ms, 0, outside);
                }
            }
            Stop::Ending { kill_at_ms, code } => {
                let hosts = self.apps.iter().any(|app| !app.hosts.is_empty());
                if !hosts && !self.edge.is_up() {
                    self.stop = Stop::Done;
                    self.out.push(Action::Exit(code));
                } else if kill_at_ms <= now_ms {
                    // The hosts have deadlines of their own.
                    if self.edge.is_up() {
                        self.out.push(Action::KillEdge);
                    }
                    self.stop = Stop::Ending {
                        kill_at_ms: now_ms + SLACK_MS,
                        code,
                    };
                }
            }
            Stop::No | Stop::Done => {}
        }
    }
}
