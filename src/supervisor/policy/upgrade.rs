//! Another server takes this one's place: USR2 starts it beside this one, `ringgate upgrade` also has this one leave once that one serves.
//!
//! Invariants: at most one new server at a time; nothing here changes what this server does before the new one serves; whoever asked with a
//! command is answered once. WINCH lets this server's processes go while the new one serves, and HUP, or that one's end, brings them back; so does
//! the death of the new one while this one, having handed over by command, finishes what it has.

use super::stop::{SLACK_MS, Then};
use super::{Action, Outside, Policy, Stop, edge};
use config::{LogLevel, Timeouts};
use control::message::{AppState, Patience, ToEdge, ToHost};

/// How long a new server may take until it serves. The asker's own patience is longer.
const START_MS: u64 = 570_000;
/// How long the hooks of the applications may take before it is started.
const HOOKS_MS: u64 = 5_000;
/// How long it may take to put its names over ours.
const HANDING_MS: u64 = 2_000;
/// How long connections at rest are let ask once more, at most half of the grace period.
const REST_MS: u64 = 5_000;
/// WebSockets are told to go so long before the grace period ends, if it is no shorter than twice that.
const FAREWELL_MS: u64 = 2_000;

/// The new server, as this one sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Heir {
    #[default]
    None,
    /// Hooks are being called first.
    Hooks {
        left: usize,
        by_ms: u64,
    },
    Starting {
        by_ms: u64,
    },
    Ready,
    /// It was told that our names are its own; who asked has still to be answered.
    Handing {
        by_ms: u64,
    },
    /// The names are its own.
    Owner,
}

impl Heir {
    fn deadline(&self) -> Option<u64> {
        match *self {
            Heir::Hooks { by_ms, .. } | Heir::Starting { by_ms } | Heir::Handing { by_ms } => {
                Some(by_ms)
            }
            Heir::None | Heir::Ready | Heir::Owner => None,
        }
    }

    /// It serves, or did when it was last heard of.
    pub fn serves(&self) -> bool {
        matches!(self, Heir::Ready | Heir::Handing { .. } | Heir::Owner)
    }
}

/// Everything about upgrades that the policy remembers.
#[derive(Debug, Default)]
pub(super) struct Upgrade {
    pub heir: Heir,
    pub pid: Option<u32>,
    /// Commands that wait for it.
    pub askers: Vec<u64>,
    /// Our names are the new server's, or were until it died.
    pub handed: bool,
    /// This server has itself been started to take another's place, which still serves.
    pub beside: bool,
}

impl Upgrade {
    pub fn deadline(&self) -> Option<u64> {
        self.heir.deadline()
    }
}

/// What runs no request may stay for a while when another server takes it in afterwards.
pub(super) fn patience(timeouts: &Timeouts) -> Patience {
    let grace_ms = timeouts.graceful_ms;
    Patience {
        rest_ms: REST_MS.min(grace_ms / 2),
        sockets_ms: grace_ms - FAREWELL_MS.min(grace_ms / 2),
    }
}

impl Policy {
    /// USR2, or the command of this number.
    pub(super) fn upgrade(&mut self, now_ms: u64, command: Option<u64>) {
        let pid = self.upgrade.pid.unwrap_or_default();
        let refusal = match &self.upgrade.heir {
            _ if self.stop == Stop::Resting => {
                Some("it rests beside a new one; HUP wakes it".into())
            }
            _ if self.stop != Stop::No => Some("it is stopping".into()),
            _ if self.upgrade.beside => Some(
                "it was itself started to take another's place, and that one has not ended yet"
                    .into(),
            ),
            _ if !self.announced => Some("it does not serve yet".into()),
            Heir::None => None,
            // The second half of what USR2 began.
            Heir::Ready if command.is_some() => {
                self.upgrade.askers.extend(command);
                self.hand_over(now_ms);
                return;
            }
            _ if command.is_some() => {
                self.upgrade.askers.extend(command);
                return;
            }
            _ => Some(format!("a new server (pid {pid}) has been started already")),
        };
        if let Some(why) = refusal {
            let text = format!("no new server is started beside this one: {why}");
            self.log(LogLevel::Warning, &text);
            self.tell_asker(command, false, &text);
            return;
        }
        self.upgrade.askers.extend(command);
        self.log(LogLevel::Info, "starting a new server beside this one");
        let hosts: Vec<_> = self
            .apps
            .iter()
            .filter_map(super::App::hooked_host)
            .collect();
        self.upgrade.heir = Heir::Hooks {
            left: hosts.len(),
            by_ms: now_ms + HOOKS_MS,
        };
        let orders = hosts
            .into_iter()
            .map(|host| Action::ToHost(host, ToHost::Executing {}));
        self.out.extend(orders);
    }

    /// A host has called its hook.
    pub(super) fn hook_done(&mut self) {
        if let Heir::Hooks { left, .. } = &mut self.upgrade.heir {
            *left = left.saturating_sub(1);
        }
    }

    pub(super) fn heir_ready(&mut self, now_ms: u64) {
        if !matches!(self.upgrade.heir, Heir::Starting { .. }) {
            return;
        }
        self.upgrade.heir = Heir::Ready;
        let pid = self.upgrade.pid.unwrap_or_default();
        let text = match self.upgrade.askers.is_empty() {
            true => format!(
                "the new server (pid {pid}) serves beside this one; TERM ends this one, WINCH has it rest"
            ),
            false => format!("the new server (pid {pid}) serves"),
        };
        self.log(LogLevel::Info, &text);
        if !self.upgrade.askers.is_empty() {
            self.hand_over(now_ms);
        }
    }

    /// The new server's names are those that were ours; who asked for it is answered, and this one leaves.
    pub(super) fn heir_took_over(&mut self, now_ms: u64, outside: &dyn Outside) {
        if !matches!(self.upgrade.heir, Heir::Handing { .. }) {
            return;
        }
        self.upgrade.heir = Heir::Owner;
        let (pid, own) = (
            self.upgrade.pid.unwrap_or_default(),
            self.setup.supervisor_pid,
        );
        self.answer_askers(
            true,
            &format!("pid {pid} serves now; pid {own} finishes what it has"),
        );
        match self.stop {
            Stop::No if self.edge.state == edge::State::Ready => {
                self.log(LogLevel::Info, "stopping; running requests may finish");
                self.leave(now_ms, Then::Yield, outside);
            }
            _ => self.terminate(now_ms, outside),
        }
    }

    /// It is gone, or could not even be started.
    pub(super) fn heir_ended(
        &mut self,
        now_ms: u64,
        why: &str,
        asked: bool,
        outside: &dyn Outside,
    ) {
        let served = self.upgrade.heir.serves();
        let pid = self.upgrade.pid.take();
        self.upgrade.heir = Heir::None;
        let name = pid.map_or("the new server".to_owned(), |pid| {
            format!("the new server (pid {pid})")
        });
        let text = match (served, self.stop) {
            (false, _) => format!("{name} did not come up, and this one goes on: {why}"),
            (true, Stop::No) => format!("{name} has ended, and this one goes on: {why}"),
            (true, _) => format!("{name} has ended: {why}"),
        };
        self.log(LogLevel::Error, &text);
        self.answer_askers(false, &text);
        match self.stop {
            stop if served && stop.rests() => self.wake(now_ms, outside),
            stop if stop.yields() && asked => {
                // Nobody is to serve any more, and nobody is to wait for it.
                self.stop.lead_to(Then::Exit(0));
                self.out.push(Action::CloseListeners);
            }
            stop if stop.yields() => self.come_back(now_ms),
            Stop::No => self.take_back(),
            _ => {}
        }
    }

    /// The new server has died, and this one is on its way out. Who waits in the listeners is served as soon as what runs is finished.
    fn come_back(&mut self, now_ms: u64) {
        self.log(
            LogLevel::Warning,
            "this one serves again as soon as its running requests are finished",
        );
        self.stop.lead_to(Then::Rest { wake: true });
        if let Stop::Draining { kill_at_ms, .. } = self.stop {
            // Nobody else may stay.
            let grace_ms = kill_at_ms.saturating_sub(now_ms + SLACK_MS);
            let patience = Patience::default();
            self.tell_edge(ToEdge::Drain { grace_ms, patience });
        }
    }

    /// If our names were left to a server that is gone, they are ours again.
    fn take_back(&mut self) {
        if std::mem::replace(&mut self.upgrade.handed, false) {
            self.out.push(Action::TakeBack);
        }
    }

    /// This server's predecessor has left.
    pub(super) fn promoted(&mut self) {
        if std::mem::replace(&mut self.upgrade.beside, false) {
            self.log(
                LogLevel::Info,
                "the old server has left; this one has its names",
            );
            self.tell_edge(ToEdge::LookAgain);
        }
    }

    /// What a stop means for the new server: one that serves has our names from now on, one that does not is not wanted any more.
    pub(super) fn settle_heir(&mut self, now_ms: u64) {
        match self.upgrade.heir {
            Heir::Ready => self.hand_over(now_ms),
            Heir::Hooks { .. } => self.upgrade.heir = Heir::None,
            Heir::Starting { .. } => self.out.push(Action::KillHeir),
            Heir::None | Heir::Handing { .. } | Heir::Owner => {}
        }
    }

    fn hand_over(&mut self, now_ms: u64) {
        self.upgrade.heir = Heir::Handing {
            by_ms: now_ms + HANDING_MS,
        };
        self.upgrade.handed = true;
        self.out.push(Action::HandOver);
    }

    pub(super) fn look_after_heir(&mut self, now_ms: u64, outside: &dyn Outside) {
        if let Heir::Hooks { left: 0, .. } = self.upgrade.heir {
            self.start_heir(now_ms);
        }
        if self.upgrade.deadline().is_none_or(|by_ms| by_ms > now_ms) {
            return;
        }
        match self.upgrade.heir {
            Heir::Hooks { .. } => {
                self.log(
                    LogLevel::Warning,
                    "a pre_exec hook takes too long; it is not waited for",
                );
                self.start_heir(now_ms);
            }
            Heir::Starting { .. } => {
                // Its end says the rest.
                self.upgrade.heir = Heir::Starting { by_ms: u64::MAX };
                self.log(
                    LogLevel::Error,
                    "the new server does not come to serve; killing it",
                );
                self.out.push(Action::KillHeir);
            }
            // It may still do so.
            Heir::Handing { .. } => self.heir_took_over(now_ms, outside),
            Heir::None | Heir::Ready | Heir::Owner => {}
        }
    }

    fn start_heir(&mut self, now_ms: u64) {
        self.upgrade.heir = Heir::Starting {
            by_ms: now_ms + START_MS,
        };
        self.out.push(Action::StartHeir);
    }

    /// WINCH: our processes finish what they have and go; the new server serves alone.
    pub(super) fn rest(&mut self, now_ms: u64, outside: &dyn Outside) {
        if !self.upgrade.heir.serves() {
            let text =
                "WINCH: no new server stands beside this one (USR2 starts it), so nothing may rest";
            self.log(LogLevel::Warning, text);
        } else if self.stop == Stop::No {
            self.log(
                LogLevel::Info,
                "the new server serves alone; running requests may finish, HUP takes up service again",
            );
            self.leave(now_ms, super::stop::Then::Rest { wake: false }, outside);
        }
    }

    /// HUP while it rests, or the end of the server that let it: everything again.
    pub(super) fn wake(&mut self, now_ms: u64, outside: &dyn Outside) {
        if !self.stop.wake() {
            return;
        }
        self.log(LogLevel::Info, "taking up service again");
        self.stop = Stop::No;
        self.take_back();
        self.start_edge(now_ms, outside);
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        for app in apps {
            app.set_state(AppState::Starting, "starting".into(), &mut ctx);
            app.load(&mut ctx);
        }
    }

    fn answer_askers(&mut self, ok: bool, message: &str) {
        for id in std::mem::take(&mut self.upgrade.askers) {
            self.tell_asker(Some(id), ok, message);
        }
    }

    fn tell_asker(&mut self, id: Option<u64>, ok: bool, message: &str) {
        if let Some(id) = id {
            let message = message.to_owned();
            self.tell_edge(ToEdge::CommandDone { id, ok, message });
        }
    }
}
