//! One application: which kind of worker it gets, its generations of hosts, and what follows when one dies.
//!
//! Invariants: at most one host is `Probe` or `Starting`; `pending` and such a host exclude each other; every worker
//! that the edge was told of as up is reported gone before its seat is given away. Knows nothing of other apps.

use super::backoff::Backoff;
use super::host::{Host, Role, Seat};
use super::{Context, End, HostId, HostOrder, Setup};
use crate::policy::Action;
use config::{Kind, KindChoice, LogLevel};
use control::message::{AppState, FromHost, ProbeVerdict, ToEdge, ToHost, WorkerSpec};

/// How long the probe may import.
const PROBE_MS: u64 = 60_000;
/// How long a host may take to end after `Quit`.
pub const QUIT_MS: u64 = 2_000;
/// How often a host that imports for long is spoken of.
const REMINDER_MS: u64 = 30_000;
/// Starts that crash before the app counts as not bootable.
const FIRST_ATTEMPTS: u32 = 3;
/// Crashes (no SIGKILL) in sub-interpreters before the app goes to processes.
const CRASHES_MAX: u32 = 2;

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
    choice: KindChoice,
    workers: usize,
    grace_ms: u64,
    generation: u32,
    /// Last life of each seat.
    incarnations: Vec<u16>,
    /// Seats whose socket this edge has.
    introduced: Vec<bool>,
    /// When to start a host.
    pending: Option<Pending>,
    backoff: Backoff,
    crashes: u32,
    ever_ready: bool,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    at_ms: u64,
    probe: bool,
    /// Nothing but seats is missing.
    for_seats: bool,
}

impl Pending {
    fn at(at_ms: u64, probe: bool) -> Option<Pending> {
        Some(Pending {
            at_ms,
            probe,
            for_seats: false,
        })
    }
}

impl App {
    pub fn new(index: usize, app: &config::App, setup: &Setup) -> App {
        App {
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
            choice: setup.config.kind,
            workers: setup.config.workers,
            grace_ms: setup.config.timeouts.graceful_ms,
            generation: 0,
            incarnations: vec![0; usize::from(setup.seats)],
            introduced: vec![false; usize::from(setup.seats)],
            pending: None,
            backoff: Backoff::default(),
            crashes: 0,
            ever_ready: false,
        }
    }

    /// A first start, or the code anew: what was learnt about the old code is forgotten.
    pub fn load(&mut self, ctx: &mut Context<'_>) {
        self.abandon_start(ctx);
        self.load_failed = false;
        self.reload_failed = false;
        self.crashes = 0;
        self.backoff = Backoff::default();
        let probe = match (self.choice, &ctx.setup.no_interpreters) {
            (KindChoice::Processes, _) => {
                self.decide(Kind::Processes, "as --kind says");
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
        }
        if let Some(pending) = self.pending.filter(|pending| pending.at_ms <= ctx.now_ms) {
            self.start_host(pending.probe, ctx);
        }
    }

    fn look_after(&mut self, at: usize, ctx: &mut Context<'_>) {
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

    fn start_host(&mut self, probe: bool, ctx: &mut Context<'_>) {
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
        if !probe {
            self.generation += 1;
        }
        let host = Host {
            id: ctx.new_host(),
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
            seats: workers
                .iter()
                .map(|spec| Seat {
                    index: spec.index,
                    incarnation: spec.incarnation,
                    pid: None,
                    stuck: None,
                })
                .collect(),
            started_ms: ctx.now_ms,
            reminder_ms: ctx.now_ms + REMINDER_MS,
            condemned: false,
            look_at_ms: None,
        };
        let order = HostOrder {
            host: host.id,
            app: self.index,
            generation: host.generation,
            kind,
            probe,
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

    /// Free seats for a generation; if there are too few, the oldest host that is leaving goes at once and we wait for its end.
    fn take_seats(&mut self, ctx: &mut Context<'_>) -> Option<Vec<WorkerSpec>> {
        let taken = |index: u16| {
            self.hosts
                .iter()
                .any(|host| host.seats.iter().any(|seat| seat.index == index))
        };
        let free: Vec<u16> = (0..self.incarnations.len() as u16)
            .filter(|index| !taken(*index))
            .take(self.workers)
            .collect();
        if free.len() < self.workers {
            let oldest = self.hosts.iter_mut().find(|host| host.is_leaving());
            if let Some(host) = oldest.filter(|host| host.role != Role::Killed) {
                host.role = Role::Killed;
                ctx.out.push(Action::KillHost(host.id));
            }
            // A far date instead of a spin; the end of the host looks here again.
            self.pending = Some(Pending {
                at_ms: ctx.now_ms + QUIT_MS,
                probe: false,
                for_seats: true,
            });
            return None;
        }
        let specs = free.into_iter().map(|index| {
            let life = &mut self.incarnations[usize::from(index)];
            *life = life.wrapping_add(1).max(1);
            WorkerSpec {
                index,
                incarnation: *life,
            }
        });
        Some(specs.collect())
    }

    fn introduce_seat(&mut self, index: u16, ctx: &mut Context<'_>) {
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
                    });
                }
            }
        }
    }

    pub fn host_started(&mut self, id: HostId, pid: u32) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.id == id) {
            host.pid = Some(pid);
        }
    }

    pub fn handle(&mut self, id: HostId, message: FromHost, ctx: &mut Context<'_>) {
        match message {
            FromHost::Probe { verdict } => self.probed(id, verdict, ctx),
            FromHost::WorkerUp {
                index,
                incarnation,
                pid,
            } => self.worker_up(id, index, incarnation, pid, ctx),
            FromHost::WorkerGone {
                index,
                incarnation,
                pid,
                reason,
            } => {
                self.worker_gone(id, index, incarnation, pid, &reason, ctx);
            }
            FromHost::Ready => self.ready(id, ctx),
            FromHost::Failed {
                stage,
                message,
                traceback,
            } => self.failed(id, &stage, &message, &traceback, ctx),
            FromHost::LateRefusal { module } => self.late_refusal(id, &module, ctx),
            // Its end follows, and says the same.
            FromHost::Drained => {}
        }
    }

    fn position(&self, id: HostId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == id)
    }

    fn probed(&mut self, id: HostId, verdict: ProbeVerdict, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        if !matches!(self.hosts[at].role, Role::Probe { .. }) {
            return;
        }
        self.hosts[at].role = Role::Quitting {
            kill_at_ms: ctx.now_ms + QUIT_MS,
        };
        match verdict {
            ProbeVerdict::Interpreters => {
                self.decide(
                    Kind::Interpreters,
                    "everything it imports works in a sub-interpreter",
                );
                self.pending = Pending::at(ctx.now_ms, false);
            }
            ProbeVerdict::Degraded { modules } => {
                let why = format!(
                    "in a sub-interpreter these modules lose their C part: {}",
                    modules.join(", ")
                );
                self.fall_back(&why, ctx);
            }
            ProbeVerdict::Refused { module, .. } => {
                self.fall_back(
                    &format!("module {module} does not load in a sub-interpreter"),
                    ctx,
                );
            }
            ProbeVerdict::Failed {
                message,
                traceback,
                asgi: true,
            } => {
                self.start_failed(None, true, &message, &traceback, ctx);
            }
            // It may be the sub-interpreter's fault (signal handlers, fork); a process is the judge of that.
            ProbeVerdict::Failed { message, .. } => {
                self.fall_back(
                    &format!("its import fails in a sub-interpreter ({message})"),
                    ctx,
                );
            }
        }
    }

    fn decide(&mut self, kind: Kind, why: &str) {
        self.kind = Some(kind);
        why.clone_into(&mut self.why);
    }

    /// On to processes, with one line that says why.
    fn fall_back(&mut self, why: &str, ctx: &mut Context<'_>) {
        ctx.log(
            LogLevel::Info,
            format!("{}: workers are processes: {why}", self.name),
        );
        self.decide(Kind::Processes, why);
        self.pending = Pending::at(ctx.now_ms, false);
    }

    fn worker_up(
        &mut self,
        id: HostId,
        index: u16,
        incarnation: u16,
        pid: u32,
        ctx: &mut Context<'_>,
    ) {
        let Some(at) = self.position(id) else { return };
        let host = &mut self.hosts[at];
        let (generation, kind) = (host.generation, host.kind);
        let Some(seat) = host.seat(index) else {
            ctx.log(
                LogLevel::Error,
                format!(
                    "{}: its host speaks of worker {index}, which is not its own",
                    self.name
                ),
            );
            return;
        };
        let before = seat.pid.map(|_| seat.incarnation);
        *seat = Seat {
            index,
            incarnation,
            pid: Some(pid),
            stuck: None,
        };
        self.incarnations[usize::from(index)] = incarnation;
        let app = self.index;
        if let Some(incarnation) = before.filter(|life| *life != incarnation) {
            ctx.edge(ToEdge::WorkerGone {
                app,
                index,
                incarnation,
                reason: "replaced".into(),
            });
        }
        ctx.edge(ToEdge::WorkerUp {
            app,
            index,
            incarnation,
            generation,
            pid,
            kind,
        });
    }

    fn worker_gone(
        &mut self,
        id: HostId,
        index: u16,
        incarnation: u16,
        pid: u32,
        reason: &str,
        ctx: &mut Context<'_>,
    ) {
        let Some(at) = self.position(id) else { return };
        let leaving = self.hosts[at].is_leaving();
        let Some(seat) = self.hosts[at]
            .seat(index)
            .filter(|seat| seat.incarnation == incarnation)
        else {
            return;
        };
        let was_up = seat.pid.take().is_some();
        seat.stuck = None;
        if !was_up {
            return;
        }
        if !leaving {
            ctx.log(
                LogLevel::Warning,
                format!("{}: worker {index} (pid {pid}) ended: {reason}", self.name),
            );
        }
        ctx.edge(ToEdge::WorkerGone {
            app: self.index,
            index,
            incarnation,
            reason: reason.to_owned(),
        });
    }

    fn ready(&mut self, id: HostId, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        if self.hosts[at].role != Role::Starting {
            return;
        }
        self.hosts[at].role = Role::Serving;
        self.backoff.worked();
        self.decided = true;
        self.load_failed = false;
        let host = &self.hosts[at];
        let (generation, kind, workers) = (host.generation, host.kind, host.seats.len());
        let took_ms = ctx.now_ms - host.started_ms;
        ctx.log(
            LogLevel::Info,
            format!(
                "{}: generation {generation} is up after {}.{} s, {}",
                self.name,
                took_ms / 1000,
                took_ms % 1000 / 100,
                crate::banner::workers_text(workers, kind)
            ),
        );
        self.ever_ready = true;
        self.set_state(AppState::Ready, "ready".into(), ctx);
        for at in 0..self.hosts.len() {
            if self.hosts[at].role == Role::Serving && self.hosts[at].id != id {
                self.drain(at, ctx);
            }
        }
    }

    fn drain(&mut self, at: usize, ctx: &mut Context<'_>) {
        let host = &mut self.hosts[at];
        host.role = Role::Draining {
            quit_at_ms: ctx.now_ms + self.grace_ms,
        };
        if host.condemned {
            host.look_at_ms = Some(ctx.now_ms);
        }
        ctx.out.push(Action::ToHost(host.id, ToHost::Drain));
    }

    fn late_refusal(&mut self, id: HostId, module: &str, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        if self.hosts[at].is_leaving() || self.kind != Some(Kind::Interpreters) {
            return;
        }
        if self.choice == KindChoice::Interpreters {
            ctx.log(
                LogLevel::Error,
                format!("{}: module {module} does not load in a sub-interpreter; without --kind interpreters the workers would be processes now", self.name),
            );
            return;
        }
        self.abandon_start(ctx);
        self.fall_back(
            &format!("module {module}, imported while serving, does not load in a sub-interpreter"),
            ctx,
        );
    }

    fn failed(
        &mut self,
        id: HostId,
        stage: &str,
        message: &str,
        traceback: &str,
        ctx: &mut Context<'_>,
    ) {
        let Some(at) = self.position(id) else { return };
        let host = &mut self.hosts[at];
        let starting = host.role == Role::Starting;
        let generation = host.generation;
        if host.is_leaving() {
            return;
        }
        host.role = Role::Quitting {
            kill_at_ms: ctx.now_ms + QUIT_MS,
        };
        if starting {
            let load = stage != "worker";
            self.start_failed(Some(generation), load, message, traceback, ctx);
        } else {
            ctx.log(
                LogLevel::Error,
                with_traceback(
                    &format!("{}: its host failed: {message}", self.name),
                    traceback,
                ),
            );
            self.start_again(ctx);
        }
    }

    /// A host is gone, whatever it was doing.
    pub fn ended(&mut self, id: HostId, end: &End, ctx: &mut Context<'_>) {
        let Some(at) = self.position(id) else { return };
        let host = self.hosts.remove(at);
        for seat in host.seats.iter().filter(|seat| seat.pid.is_some()) {
            let (index, incarnation) = (seat.index, seat.incarnation);
            ctx.edge(ToEdge::WorkerGone {
                app: self.index,
                index,
                incarnation,
                reason: end.to_string(),
            });
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.for_seats) {
            pending.at_ms = ctx.now_ms;
        }
        match host.role {
            Role::Draining { .. } | Role::Quitting { .. } | Role::Killed => {
                if host.role == Role::Killed && !host.seats.is_empty() {
                    ctx.log(
                        LogLevel::Warning,
                        format!("{}: generation {} was killed", self.name, host.generation),
                    );
                }
            }
            Role::Probe { .. } => {
                self.fall_back(
                    &format!("its import in a sub-interpreter ends the process ({end})"),
                    ctx,
                );
            }
            Role::Starting => {
                let crashed = matches!(end, End::Signal(_));
                if crashed && host.kind == Kind::Interpreters && self.choice == KindChoice::Auto {
                    self.fall_back(
                        &format!("its workers crash in sub-interpreters ({end})"),
                        ctx,
                    );
                    return;
                }
                let message = format!("its process ended while it started ({end})");
                self.start_failed(Some(host.generation), false, &message, "", ctx);
            }
            Role::Serving => self.died(&host, end, ctx),
        }
    }

    fn died(&mut self, host: &Host, end: &End, ctx: &mut Context<'_>) {
        let pid = host.pid.unwrap_or_default();
        ctx.log(
            LogLevel::Error,
            format!(
                "{}: its host (pid {pid}) ended: {end}; starting another",
                self.name
            ),
        );
        // A SIGKILL comes from outside: an administrator, or the kernel short of memory.
        if matches!(end, End::Signal(signal) if *signal != sys::process::SIGKILL) {
            self.crashes += 1;
        }
        let may_change = self.choice == KindChoice::Auto && host.kind == Kind::Interpreters;
        if may_change && self.crashes >= CRASHES_MAX {
            self.fall_back(
                &format!("its workers keep crashing in sub-interpreters ({end})"),
                ctx,
            );
        }
        self.start_again(ctx);
    }

    /// It served, and its host is gone or useless.
    fn start_again(&mut self, ctx: &mut Context<'_>) {
        if self.hosts.iter().any(|host| {
            matches!(
                host.role,
                Role::Probe { .. } | Role::Starting | Role::Serving
            )
        }) {
            return;
        }
        let at_ms = self.backoff.after_death(ctx.now_ms);
        self.pending = Pending::at(at_ms, false);
        self.wait_state("crashed", at_ms, ctx);
    }

    /// A generation did not come up.
    fn start_failed(
        &mut self,
        generation: Option<u32>,
        load: bool,
        message: &str,
        traceback: &str,
        ctx: &mut Context<'_>,
    ) {
        let what = if load {
            "cannot be loaded"
        } else {
            "does not start"
        };
        self.reload_failed = true;
        if self.is_serving() {
            let keeps = self
                .hosts
                .iter()
                .rev()
                .find(|host| host.role == Role::Serving)
                .map_or(0, |host| host.generation);
            let new = generation.map_or("the new code".to_owned(), |number| {
                format!("generation {number}")
            });
            let text = format!(
                "{}: {new} {what}: {message}; generation {keeps} keeps serving",
                self.name
            );
            ctx.log(LogLevel::Error, with_traceback(&text, traceback));
            return;
        }
        ctx.log(
            LogLevel::Error,
            with_traceback(&format!("{}: {what}: {message}", self.name), traceback),
        );
        if load && !self.ever_ready {
            self.decided = true;
            self.load_failed = true;
            self.set_state(AppState::Failed, format!("{what}: {message}"), ctx);
            return;
        }
        let at_ms = self.backoff.after_failure(ctx.now_ms);
        self.decided |= self.backoff.failures() >= FIRST_ATTEMPTS;
        self.pending = Pending::at(at_ms, false);
        self.wait_state(&format!("{what}: {message}"), at_ms, ctx);
    }

    fn wait_state(&mut self, what: &str, at_ms: u64, ctx: &mut Context<'_>) {
        let wait_ms = at_ms - ctx.now_ms;
        let text = match wait_ms {
            0 => format!("{what}; being started again"),
            _ => format!(
                "{what}; started again in {}.{} s",
                wait_ms / 1000,
                wait_ms % 1000 / 100
            ),
        };
        if wait_ms > 0 {
            ctx.log(LogLevel::Warning, format!("{}: {text}", self.name));
        }
        self.set_state(AppState::Backoff, text, ctx);
    }

    fn set_state(&mut self, state: AppState, message: String, ctx: &mut Context<'_>) {
        (self.state, self.message) = (state, message.clone());
        ctx.edge(ToEdge::AppState {
            app: self.index,
            state,
            message,
        });
    }

    /// Whatever is being started is not wanted any more.
    pub fn abandon_start(&mut self, ctx: &mut Context<'_>) {
        self.pending = None;
        for host in &mut self.hosts {
            if matches!(host.role, Role::Probe { .. } | Role::Starting) {
                host.role = Role::Killed;
                ctx.out.push(Action::KillHost(host.id));
            }
        }
    }

    /// The server ends: hosts have no further use.
    pub fn quit(&mut self, ctx: &mut Context<'_>) {
        self.abandon_start(ctx);
        for host in &mut self.hosts {
            if matches!(host.role, Role::Serving | Role::Draining { .. }) {
                host.role = Role::Quitting {
                    kill_at_ms: ctx.now_ms + QUIT_MS,
                };
                ctx.out.push(Action::ToHost(host.id, ToHost::Quit));
            }
        }
    }

    /// For `status`.
    pub fn table(&self) -> serde_json::Value {
        let generations = self.hosts.iter().map(|host| {
            serde_json::json!({
                "generation": host.generation,
                "state": host.state_name(),
                "kind": host.kind.as_str(),
                "pid": host.pid,
                "workers_up": host.seats.iter().filter(|seat| seat.pid.is_some()).count(),
                "workers": host.seats.len(),
            })
        });
        serde_json::json!({
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "kind": self.kind.map(Kind::as_str),
            "why": self.why,
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

fn with_traceback(text: &str, traceback: &str) -> String {
    match traceback.trim_end() {
        "" => text.to_owned(),
        traceback => format!("{text}\n{traceback}"),
    }
}
