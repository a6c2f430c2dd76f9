//! What the supervisor decides, as a pure machine: events and the time in, actions out. No processes, no clock.
//!
//! Owns the state of edge, apps and their hosts by identity, and the course of start, reload and stop. Invariants: at
//! most one host per app is starting; a seat index belongs to at most one living host; after `Exit` nothing follows.
//! Must not know how anything is done: descriptors, pids' fates and logs are the caller's.

mod app;
mod backoff;
mod crew;
mod edge;
mod event;
mod fate;
mod hearing;
mod host;
mod reload;
mod stop;
mod stuck;
#[cfg(test)]
mod tests;
mod upgrade;

use app::App;
use config::{Address, Config, Kind, LogLevel};
use control::message::{AppState, FromEdge, FromHost, ToEdge};
use edge::Edge;
use stop::Stop;
use upgrade::Upgrade;

pub use event::{Action, End, Event, HostId, HostOrder, Outside, SeatView};

/// The edge or the workers would not start.
pub const EXIT_SERVER: u8 = 3;
/// No app could be loaded.
pub const EXIT_APP: u8 = 4;

/// How long the apps that start slowly keep those that are up from being served.
const GO_PATIENCE_MS: u64 = 15_000;

/// What a policy is made for.
#[derive(Debug, Clone)]
pub struct Setup {
    pub config: Config,
    pub listeners: Vec<Address>,
    /// It takes the place of another server: it serves everything or nothing.
    pub heir: bool,
    /// Why sub-interpreters cannot be had, if so.
    pub no_interpreters: Vec<Option<String>>,
    /// Seats in each app's exchange.
    pub seats: u16,
    /// Requests and WebSockets that each app's exchange has room for.
    pub slots: usize,
    pub supervisor_pid: u32,
    /// For jitter.
    pub seed: u64,
}

pub struct Policy {
    setup: Setup,
    edge: Edge,
    apps: Vec<App>,
    next_host: HostId,
    started_ms: u64,
    /// `Go` has been given, once.
    live: bool,
    /// Those that are up are served though others are not.
    patience_over: bool,
    announced: bool,
    stop: Stop,
    upgrade: Upgrade,
    /// Commands that wait for the reload to end.
    reloads: Vec<u64>,
    /// The configuration is being read again.
    reading: bool,
    /// What it changed that takes a restart, for those who asked.
    in_vain: Option<String>,
    random: u64,
    /// As the edge last got it.
    table: serde_json::Value,
    out: Vec<Action>,
}

/// What an app or the edge may see of the rest, and where it puts what is to be done.
struct Context<'a> {
    now_ms: u64,
    setup: &'a Setup,
    outside: &'a dyn Outside,
    edge_up: bool,
    stopping: bool,
    next_host: &'a mut HostId,
    random: &'a mut u64,
    out: &'a mut Vec<Action>,
}

impl Context<'_> {
    /// A message for the edge; without one it is dropped, for a new edge is told everything anyway.
    fn edge(&mut self, message: ToEdge) {
        if self.edge_up {
            self.out.push(Action::ToEdge(message));
        }
    }

    fn log(&mut self, level: LogLevel, text: String) {
        self.out.push(Action::Log(level, text));
    }

    fn new_host(&mut self) -> HostId {
        *self.next_host += 1;
        *self.next_host
    }

    /// Something from 0 to `most`. (splitmix64)
    fn random(&mut self, most: u64) -> u64 {
        *self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = *self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % most.saturating_add(1).max(1)
    }
}

impl Policy {
    pub fn new(setup: Setup) -> Policy {
        let apps = setup.config.apps.iter().enumerate();
        let apps = apps
            .map(|(index, app)| App::new(index, app, &setup))
            .collect();
        Policy {
            edge: Edge::default(),
            apps,
            next_host: 0,
            started_ms: 0,
            live: false,
            patience_over: false,
            announced: false,
            stop: Stop::No,
            upgrade: Upgrade {
                beside: setup.heir,
                ..Upgrade::default()
            },
            reloads: Vec::new(),
            reading: false,
            in_vain: None,
            random: setup.seed,
            table: serde_json::Value::Null,
            out: Vec::new(),
            setup,
        }
    }

    /// Takes in one event; `now_ms` is monotonic and never goes back.
    pub fn handle(&mut self, now_ms: u64, event: Event, outside: &dyn Outside) -> Vec<Action> {
        if self.stop == Stop::Done {
            return Vec::new();
        }
        self.dispatch(now_ms, event, outside);
        self.advance(now_ms, outside);
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<u64> {
        let stop = self
            .stop
            .deadline()
            .into_iter()
            .chain(self.upgrade.deadline());
        if self.stop != Stop::No {
            return self.apps.iter().filter_map(App::deadline).chain(stop).min();
        }
        let waits = !self.live && !self.patience_over && !self.setup.heir;
        let patience = waits.then_some(self.started_ms + GO_PATIENCE_MS);
        self.apps
            .iter()
            .filter_map(App::deadline)
            .chain(self.apps.iter().filter_map(App::wish_deadline))
            .chain(self.edge.deadline())
            .chain(patience)
            .chain(stop)
            .min()
    }

    /// Name, kind, reason of each app, for the banner.
    pub fn kinds(&self) -> Vec<(Option<Kind>, &str)> {
        self.apps
            .iter()
            .map(|app| (app.kind, app.why.as_str()))
            .collect()
    }

    /// State and message of each app, for the banner.
    pub fn states(&self) -> Vec<(AppState, &str)> {
        self.apps
            .iter()
            .map(|app| (app.state, app.message.as_str()))
            .collect()
    }

    /// Edge, apps, and a context made of the rest, to be worked on side by side.
    fn parts<'a>(
        &'a mut self,
        now_ms: u64,
        outside: &'a dyn Outside,
    ) -> (&'a mut Edge, &'a mut [App], Context<'a>) {
        let Policy {
            setup,
            edge,
            apps,
            next_host,
            random,
            out,
            stop,
            ..
        } = self;
        let edge_up = edge.is_up();
        let stopping = *stop != Stop::No;
        (
            edge,
            apps,
            Context {
                now_ms,
                setup,
                outside,
                edge_up,
                stopping,
                next_host,
                random,
                out,
            },
        )
    }

    fn dispatch(&mut self, now_ms: u64, event: Event, outside: &dyn Outside) {
        match event {
            Event::Start => {
                self.started_ms = now_ms;
                self.start_edge(now_ms, outside);
                let (_, apps, mut ctx) = self.parts(now_ms, outside);
                apps.iter_mut().for_each(|app| app.load(&mut ctx));
            }
            Event::EdgeStarted { pid } => self.edge.pid = Some(pid),
            Event::FromEdge(message) => self.hear_edge(now_ms, message, outside),
            Event::EdgeEnded(end) => self.edge_ended(now_ms, &end, outside),
            Event::FromHost(_, FromHost::HookDone) => self.hook_done(),
            Event::FromHost(host, message) => {
                let (_, apps, mut ctx) = self.parts(now_ms, outside);
                if let Some(app) = owner(apps, host) {
                    app.handle(host, message, &mut ctx);
                }
            }
            Event::HostStarted { host, pid } => {
                if let Some(app) = owner(&mut self.apps, host) {
                    app.host_started(host, pid);
                }
            }
            Event::HostEnded(host, end) => {
                let (_, apps, mut ctx) = self.parts(now_ms, outside);
                if let Some(app) = owner(apps, host) {
                    app.ended(host, &end, &mut ctx);
                }
            }
            Event::Terminate => self.terminate(now_ms, outside),
            Event::Interrupt => {
                self.log(LogLevel::Info, "stopping at once");
                self.end(now_ms, 0, outside);
            }
            Event::Reload if self.stop.rests() => self.wake(now_ms, outside),
            Event::Reload => self.reload(),
            Event::Upgrade => self.upgrade(now_ms, None),
            Event::Rest => self.rest(now_ms, outside),
            Event::HeirStarted { pid } => self.upgrade.pid = Some(pid),
            Event::HeirReady => self.heir_ready(now_ms),
            Event::HeirTookOver => self.heir_took_over(now_ms, outside),
            Event::HeirEnded { why, asked } => self.heir_ended(now_ms, &why, asked, outside),
            Event::Promoted => self.promoted(),
            Event::ConfigRead(read) => self.config_read(now_ms, read, outside),
            Event::FilesChanged { app } => {
                if let Some(app) = self.apps.get_mut(app) {
                    app.files_changed(now_ms);
                }
            }
            Event::MoreWorkers | Event::FewerWorkers => {
                let by = if event == Event::MoreWorkers { 1 } else { -1 };
                let (_, apps, mut ctx) = self.parts(now_ms, outside);
                apps.iter_mut().for_each(|app| app.shift_crew(by, &mut ctx));
            }
            Event::ReopenLogs => self.reopen_logs(),
            Event::Tick => {}
        }
    }

    /// Everything that follows from the state and the time.
    fn advance(&mut self, now_ms: u64, outside: &dyn Outside) {
        let stopping = self.stop != Stop::No;
        let (_, apps, mut ctx) = self.parts(now_ms, outside);
        for app in apps {
            if !stopping {
                app.look_after_change(&mut ctx);
                app.look_after_crew(&mut ctx);
            }
            app.advance(&mut ctx);
        }
        self.look_after_heir(now_ms, outside);
        if self.stop != Stop::No {
            self.advance_stop(now_ms, outside);
            if self.stop == Stop::No {
                // It rested only until everybody had gone.
                self.advance(now_ms, outside);
            }
            return;
        }
        if self.edge.due(now_ms) {
            self.start_edge(now_ms, outside);
        }
        let late = !self.setup.heir && now_ms >= self.started_ms + GO_PATIENCE_MS;
        self.patience_over |= !self.live && late;
        if !self.live {
            self.go_live(now_ms, outside);
        }
        if self.stop != Stop::No {
            return;
        }
        if self.live && !self.announced && self.edge.state == edge::State::Ready {
            self.announced = true;
            self.out.push(Action::Announce);
        }
        self.answer_reloads();
        self.show_processes();
    }

    fn start_edge(&mut self, now_ms: u64, outside: &dyn Outside) {
        let (edge, apps, mut ctx) = self.parts(now_ms, outside);
        edge.start(&mut ctx);
        apps.iter_mut().for_each(|app| app.introduce(&mut ctx));
        self.table = serde_json::Value::Null;
        if self.live {
            self.out.push(Action::ToEdge(ToEdge::Go));
        }
    }

    /// Once every app has come up or failed; or some have and patience with the others is over; never without any. Instead of a server that serves
    /// already, only with all of them.
    fn go_live(&mut self, now_ms: u64, outside: &dyn Outside) {
        let decided = self.apps.iter().all(|app| app.decided);
        let serving = match self.setup.heir {
            true => self.apps.iter().all(App::is_serving),
            false => self.apps.iter().any(App::is_serving),
        };
        // With `reload` the next change may bring what serves.
        let hopeless = self.setup.heir || !self.apps.iter().any(|app| app.options.reload);
        if decided && !serving && hopeless && !self.apps.is_empty() {
            let code = if self.apps.iter().any(|app| app.load_failed) {
                EXIT_APP
            } else {
                EXIT_SERVER
            };
            let text = match (self.apps.len(), self.setup.heir) {
                (1, _) => "the application did not come up; nothing to serve",
                (_, false) => "no application came up; nothing to serve",
                (_, true) => "not every application came up; the old server goes on",
            };
            self.log(LogLevel::Critical, text);
            self.end(now_ms, code, outside);
        } else if decided || (self.patience_over && serving) {
            self.live = true;
            self.tell_edge(ToEdge::Go);
        }
    }

    fn hear_edge(&mut self, now_ms: u64, message: FromEdge, outside: &dyn Outside) {
        match message {
            FromEdge::Ready {} => self.edge.ready(),
            FromEdge::WorkerStuck {
                app,
                index,
                incarnation,
                request,
            } => {
                let (_, apps, mut ctx) = self.parts(now_ms, outside);
                if let Some(app) = apps.get_mut(app) {
                    app.worker_stuck(index, incarnation, &request, &mut ctx);
                }
            }
            // Its end follows, and says the same.
            FromEdge::Drained => {}
            FromEdge::Failed { message } => {
                let (edge, _, mut ctx) = self.parts(now_ms, outside);
                edge.failed(message, &mut ctx);
            }
            FromEdge::Command { id, name } => self.command(now_ms, id, &name),
        }
    }

    fn edge_ended(&mut self, now_ms: u64, end: &End, outside: &dyn Outside) {
        match self.stop {
            Stop::No => {
                let (edge, _, mut ctx) = self.parts(now_ms, outside);
                if edge.ended(end, &mut ctx) == edge::Verdict::Hopeless {
                    self.end(now_ms, EXIT_SERVER, outside);
                }
            }
            _ => {
                self.edge.pid = None;
                self.edge.state = edge::State::None;
            }
        }
    }

    fn command(&mut self, now_ms: u64, id: u64, name: &str) {
        match name {
            "upgrade" => self.upgrade(now_ms, Some(id)),
            "reload" => {
                self.reloads.push(id);
                self.reload();
            }
            "reopen-logs" => {
                self.reopen_logs();
                self.tell_edge(ToEdge::CommandDone {
                    id,
                    ok: true,
                    message: "log files opened again".into(),
                });
            }
            _ => {
                let message =
                    format!("no command '{name}'; there are: reload, reopen-logs, status, upgrade");
                self.tell_edge(ToEdge::CommandDone {
                    id,
                    ok: false,
                    message,
                });
            }
        }
    }

    fn reopen_logs(&mut self) {
        self.out.push(Action::ReopenLogs);
        self.tell_edge(ToEdge::ReopenLogs);
    }

    /// Sends the process table if it is another than last time.
    fn show_processes(&mut self) {
        if !self.edge.is_up() {
            return;
        }
        let table = serde_json::json!({
            "supervisor": {
                "pid": self.setup.supervisor_pid,
                "successor": self.upgrade.pid,
                "beside": self.upgrade.beside,
            },
            "edge": { "pid": self.edge.pid, "epoch": self.edge.epoch },
            "apps": self.apps.iter().map(App::table).collect::<Vec<_>>(),
        });
        if table != self.table {
            self.table = table.clone();
            self.tell_edge(ToEdge::Processes { document: table });
        }
    }

    fn tell_edge(&mut self, message: ToEdge) {
        if self.edge.is_up() {
            self.out.push(Action::ToEdge(message));
        }
    }

    fn log(&mut self, level: LogLevel, text: &str) {
        self.out.push(Action::Log(level, text.to_owned()));
    }
}

fn owner(apps: &mut [App], host: HostId) -> Option<&mut App> {
    apps.iter_mut()
        .find(|app| app.hosts.iter().any(|each| each.id == host))
}
