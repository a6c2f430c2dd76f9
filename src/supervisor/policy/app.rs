//! One application: which kind of worker it gets, its generations of hosts, and what follows when one dies.
//!
//! Invariants: at most one host is `Probe` or `Starting`; `pending` and such a host exclude each other; every worker
//! that the edge was told of as up is reported gone before its seat is given away. Knows nothing of other apps.

use super::backoff::Backoff;
use super::crew::Crew;
use super::host::{Host, Role, Seat};
use super::reload::Change;
use super::{Context, HostId, HostOrder, Setup};
use crate::policy::Action;
use config::{AppOptions, Kind, KindChoice, LogLevel};
use control::message::{AppState, ToEdge, ToHost, WorkerSpec};

/// How long the probe may import.
const PROBE_MS: u64 = 60_000;
/// How long a host may take to end after `Quit`.
pub const QUIT_MS: u64 = 2_000;
/// How often a host that imports for long is spoken of.
const REMINDER_MS: u64 = 30_000;
/// Starts that crash before the app counts as not bootable.
pub(super) const FIRST_ATTEMPTS: u32 = 3;
/// Crashes (no SIGKILL) in sub-interpreters before the app goes to processes.
pub(super) const CRASHES_MAX: u32 = 2;

pub struct App {
    pub index: usize,
    pub name: String,
    pub state: AppState,
    pub message: String,
    pub kind: Option<Kind>,
    /// Why that kind, as the rest of a sentence.
    pub why: String,
    pub hosts: Vec<Host>,
    /// It has come up, or has failed for good or for now.
    pub decided: bool,
    /// It could not be loaded, as opposed to crashed.
    pub load_failed: bool,
    /// The last reload did not come up.
    pub reload_failed: bool,
    pub(super) options: AppOptions,
    pub(super) crew: Crew,
    /// When a worker or host was last replaced, and why; not for a reload, which is asked for.
    pub(super) replacement: Option<(u64, String)>,
    /// Files have changed.
    pub(super) change: Option<Change>,
    pub(super) generation: u32,
    /// Last life of each seat.
    pub(super) incarnations: Vec<u16>,
    /// Seats whose socket this edge has.
    pub(super) introduced: Vec<bool>,
    /// When to start a host.
    pub(super) pending: Option<Pending>,
    pub(super) backoff: Backoff,
    pub(super) crashes: u32,
    pub(super) ever_ready: bool,
    /// What the last probe found, for `status`.
    pub(super) probe: serde_json::Value,
    /// Hosts started because another had died.
    pub(super) restarts: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub at_ms: u64,
    pub probe: bool,
    /// Nothing but seats is missing.
    pub for_seats: bool,
}

impl Pending {
    pub fn at(at_ms: u64, probe: bool) -> Option<Pending> {
        Some(Pending {
            at_ms,
            probe,
            for_seats: false,
        })
    }
}

impl App {
    pub fn new(index: usize, app: &config::App, setup: &Setup) -> App {
        let mut app = App {
            index,
            name: app.name.clone(),
            state: AppState::Starting,
            message: "starting".into(),
            kind: None,
            why: String::new(),
            hosts: Vec::new(),
            decided: false,
            load_failed: false,
            reload_failed: false,
            options: app.options.clone(),
            crew: Crew::of(app.options.workers),
            replacement: None,
            change: None,
            generation: 0,
            incarnations: vec![0; usize::from(setup.seats)],
            introduced: vec![false; usize::from(setup.seats)],
            pending: None,
            backoff: Backoff::default(),
            crashes: 0,
            ever_ready: false,
            probe: serde_json::Value::Null,
            restarts: 0,
        };
        app.clamp_crew();
        app
    }

    /// A first start, or the code anew: what was learnt about the old code is forgotten.
    pub fn load(&mut self, ctx: &mut Context<'_>) {
        self.abandon_start(ctx);
        self.load_failed = false;
        self.reload_failed = false;
        self.crashes = 0;
        self.backoff = Backoff::default();
        let no_interpreters = ctx.setup.no_interpreters.get(self.index);
        let probe = match (self.options.kind, no_interpreters.and_then(Option::as_ref)) {
            (KindChoice::Processes, _) => {
                let why = match self.options.hooks {
                    Some(_) => "its hooks are for processes",
                    None => "as --kind says",
                };
                self.decide(Kind::Processes, why);
                false
            }
            (KindChoice::Interpreters, _) => {
                self.decide(Kind::Interpreters, "as --kind says");
                false
            }
            (KindChoice::Auto, Some(why)) => {
                self.decide(Kind::Processes, why);
                false
            }
            (KindChoice::Auto, None) => true,
        };
        self.pending = Pending::at(ctx.now_ms, probe);
    }

    pub fn is_busy_loading(&self) -> bool {
        self.pending.is_some()
            || self
                .hosts
                .iter()
                .any(|host| matches!(host.role, Role::Probe { .. } | Role::Starting))
    }

    pub fn is_serving(&self) -> bool {
        self.hosts.iter().any(|host| host.role == Role::Serving)
    }

    pub fn deadline(&self) -> Option<u64> {
        let pending = self.pending.map(|pending| pending.at_ms);
        self.hosts
            .iter()
            .filter_map(Host::deadline)
            .chain(pending)
            .min()
    }

    /// Everything that time or freed seats make due.
    pub fn advance(&mut self, ctx: &mut Context<'_>) {
        self.look_after_stuck(ctx);
        for at in 0..self.hosts.len() {
            self.look_after(at, ctx);
            if self.hosts[at].role == Role::Serving {
                self.kill_overdue(at, ctx);
            }
        }
        if let Some(pending) = self.pending.filter(|pending| pending.at_ms <= ctx.now_ms) {
            self.start_host(pending.probe, ctx);
        }
    }

    pub(super) fn look_after(&mut self, at: usize, ctx: &mut Context<'_>) {
        let host = &mut self.hosts[at];
        let id = host.id;
        match host.role {
            Role::Probe { deadline_ms } if deadline_ms <= ctx.now_ms => {
                host.role = Role::Killed;
                ctx.out.push(Action::KillHost(id));
                let why = format!(
                    "its import in a sub-interpreter did not end within {} s",
                    PROBE_MS / 1000
                );
                self.fall_back(&why, ctx);
            }
            Role::Starting if host.reminder_ms <= ctx.now_ms => {
                host.reminder_ms = ctx.now_ms + REMINDER_MS;
                let seconds = (ctx.now_ms - host.started_ms) / 1000;
                ctx.log(
                    LogLevel::Warning,
                    format!("{}: still importing after {seconds} s", self.name),
                );
            }
            Role::Draining { quit_at_ms } if quit_at_ms <= ctx.now_ms => {
                let seconds = self.options.graceful_ms as f64 / 1000.0;
                ctx.log(
                    LogLevel::Warning,
                    format!(
                        "{}: generation {} did not end within --graceful-timeout ({seconds} s) and is stopped; what its workers were doing, a lifespan shutdown too, is cut off",
                        self.name, host.generation
                    ),
                );
                host.role = Role::Quitting {
                    kill_at_ms: ctx.now_ms + QUIT_MS,
                };
                ctx.out.push(Action::ToHost(id, ToHost::Quit));
            }
            Role::Quitting { kill_at_ms } if kill_at_ms <= ctx.now_ms => {
                host.role = Role::Killed;
                ctx.out.push(Action::KillHost(id));
            }
            _ => {}
        }
    }

    pub(super) fn start_host(&mut self, probe: bool, ctx: &mut Context<'_>) {
        let (kind, workers) = match (probe, self.kind) {
            (false, Some(kind)) => {
                let Some(workers) = self.take_seats(ctx) else {
                    return;
                };
                (kind, workers)
            }
            _ => (Kind::Interpreters, Vec::new()),
        };
        self.pending = None;
        let threads = self.options.seats_per_worker();
        if !probe {
            self.generation += 1;
        }
        let successor = self.is_serving();
        let host = Host {
            id: ctx.new_host(),
            open: !probe && kind == Kind::Processes && !successor,
            generation: self.generation,
            kind,
            role: if probe {
                Role::Probe {
                    deadline_ms: ctx.now_ms + PROBE_MS,
                }
            } else {
                Role::Starting
            },
            pid: None,
            seats: Seat::of_workers(&workers, threads),
            threads,
            started_ms: ctx.now_ms,
            reminder_ms: ctx.now_ms + REMINDER_MS,
            condemned: false,
            look_at_ms: None,
            limit: self.draw_limit(ctx),
        };
        let order = HostOrder {
            host: host.id,
            app: self.index,
            generation: host.generation,
            kind,
            probe,
            successor,
            first: !self.ever_ready,
            beside: successor || (ctx.setup.heir && !self.ever_ready),
            workers,
        };
        self.hosts.push(host);
        if !probe {
            for at in 0..order.workers.len() {
                self.introduce_seat(order.workers[at].index, ctx);
            }
            ctx.edge(ToEdge::HostLog {
                app: self.index,
                generation: order.generation,
            });
        }
        ctx.out.push(Action::StartHost(order));
    }

    /// Free seats for a generation. If there are too few, earlier ones are still at their last requests: one that would take over waits for them; where
    /// nobody serves, or a developer waits for new code, the oldest of them goes at once.
    pub(super) fn take_seats(&mut self, ctx: &mut Context<'_>) -> Option<Vec<WorkerSpec>> {
        let wanted = self.crew.wanted * self.options.seats_per_worker();
        let free = self.free_seats(wanted);
        if free.len() < wanted {
            if self.is_serving() && !self.options.reload {
                if self.pending.is_none_or(|pending| !pending.for_seats) {
                    let text = format!(
                        "{}: a new generation waits until an earlier one has finished its requests",
                        self.name
                    );
                    ctx.log(LogLevel::Info, text);
                }
            } else {
                let oldest = self.hosts.iter_mut().find(|host| host.is_leaving());
                if let Some(host) = oldest.filter(|host| host.role != Role::Killed) {
                    host.role = Role::Killed;
                    ctx.out.push(Action::KillHost(host.id));
                }
            }
            // A far date instead of a spin; the end of the host looks here again.
            self.pending = Some(Pending {
                at_ms: ctx.now_ms + QUIT_MS,
                probe: false,
                for_seats: true,
            });
            return None;
        }
        Some(
            free.into_iter()
                .map(|index| self.next_life(index))
                .collect(),
        )
    }

    /// Seats that nobody has, at most so many.
    pub(super) fn free_seats(&self, count: usize) -> Vec<u16> {
        let taken = |index: u16| {
            self.hosts
                .iter()
                .any(|host| host.seats.iter().any(|seat| seat.index == index))
        };
        (0..self.incarnations.len() as u16)
            .filter(|index| !taken(*index))
            .take(count)
            .collect()
    }

    pub(super) fn next_life(&mut self, index: u16) -> WorkerSpec {
        let life = &mut self.incarnations[usize::from(index)];
        *life = life.wrapping_add(1).max(1);
        WorkerSpec {
            index,
            incarnation: *life,
        }
    }

    pub(super) fn introduce_seat(&mut self, index: u16, ctx: &mut Context<'_>) {
        if ctx.edge_up && !std::mem::replace(&mut self.introduced[usize::from(index)], true) {
            ctx.edge(ToEdge::Worker {
                app: self.index,
                index,
                generation: self.generation,
            });
        }
    }

    /// Tells a new edge everything about this app.
    pub fn introduce(&mut self, ctx: &mut Context<'_>) {
        self.introduced.fill(false);
        ctx.edge(ToEdge::App {
            app: self.index,
            name: self.name.clone(),
        });
        ctx.edge(ToEdge::AppState {
            app: self.index,
            state: self.state,
            message: self.message.clone(),
        });
        let hosts: Vec<(u32, Kind, Vec<Seat>)> = self
            .hosts
            .iter()
            .map(|host| (host.generation, host.kind, host.seats.clone()))
            .collect();
        for (generation, kind, seats) in hosts {
            if !seats.is_empty() {
                ctx.edge(ToEdge::HostLog {
                    app: self.index,
                    generation,
                });
            }
            for seat in seats {
                self.introduce_seat(seat.index, ctx);
                if let Some(pid) = seat.pid {
                    let (app, index, incarnation) = (self.index, seat.index, seat.incarnation);
                    ctx.edge(ToEdge::WorkerUp {
                        app,
                        index,
                        incarnation,
                        generation,
                        pid,
                        kind,
                        interface: seat.interface,
                        up_ms: seat.up_ms,
                    });
                }
            }
        }
    }

    /// Whatever is being started is not wanted any more.
    pub fn abandon_start(&mut self, ctx: &mut Context<'_>) {
        self.pending = None;
        for at in 0..self.hosts.len() {
            match self.hosts[at].role {
                // It may have requests already.
                Role::Starting if self.hosts[at].open => self.drain(at, ctx),
                Role::Probe { .. } | Role::Starting => {
                    self.hosts[at].role = Role::Killed;
                    ctx.out.push(Action::KillHost(self.hosts[at].id));
                }
                _ => {}
            }
        }
    }

    /// The last request is answered: hosts come to their end in an orderly way, with what applications do then.
    pub fn finish(&mut self, ctx: &mut Context<'_>) {
        self.abandon_start(ctx);
        for at in 0..self.hosts.len() {
            if self.hosts[at].role == Role::Serving {
                self.drain(at, ctx);
            }
        }
    }

    /// The server ends: hosts have no further use.
    pub fn quit(&mut self, ctx: &mut Context<'_>) {
        self.pending = None;
        for host in &mut self.hosts {
            if matches!(host.role, Role::Probe { .. } | Role::Starting) {
                host.role = Role::Killed;
                ctx.out.push(Action::KillHost(host.id));
            }
            if matches!(host.role, Role::Serving | Role::Draining { .. }) {
                host.role = Role::Quitting {
                    kill_at_ms: ctx.now_ms + QUIT_MS,
                };
                ctx.out.push(Action::ToHost(host.id, ToHost::Quit));
            }
        }
    }

    /// The host that knows of an upgrade first.
    pub fn hooked_host(&self) -> Option<HostId> {
        self.options.hooks.as_ref()?;
        let serving = self.hosts.iter().find(|host| host.role == Role::Serving);
        serving.map(|host| host.id)
    }

    /// For `status`.
    pub fn table(&self) -> serde_json::Value {
        let generations = self.hosts.iter().map(|host| {
            serde_json::json!({
                "generation": host.generation,
                "state": host.state_name(),
                "kind": host.kind.as_str(),
                "pid": host.pid,
                "workers_up": host.leaders().filter(|seat| seat.pid.is_some()).count(),
                "workers": host.leaders().count(),
                "threads": host.threads,
            })
        });
        serde_json::json!({
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "kind": self.kind.map(Kind::as_str),
            "why": self.why,
            "workers": { "wanted": self.crew.wanted, "min": self.bounds().0, "max": self.bounds().1 },
            "probe": self.probe,
            "restarts": self.restarts,
            "recycled": self.crew.recycled,
            "replacement": self.replacement.as_ref().map(|(at_ms, reason)| {
                serde_json::json!({ "at_ms": at_ms, "reason": reason })
            }),
            "generations": generations.collect::<Vec<_>>(),
        })
    }

    /// Asks for a successor of a host that serves badly. `false`: one is coming already.
    pub fn succeed(&mut self, ctx: &mut Context<'_>) -> bool {
        if self.is_busy_loading() {
            return false;
        }
        self.pending = Pending::at(ctx.now_ms, false);
        true
    }
}
