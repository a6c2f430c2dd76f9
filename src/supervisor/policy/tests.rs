//! The policy driven event by event in virtual time, without a process.

mod crew;
mod life;
mod random;
mod reload;
mod start;
mod stop;
mod stuck;
mod upgrade;

use super::*;
use config::{Interface, KindChoice};
use control::message::{FromHost, ProbeVerdict, ToHost, WorkerSpec};
use std::collections::HashMap;

pub const KILLED: End = End::Signal(9);
pub const CRASHED: End = End::Signal(11);

/// A supervisor in which the test plays every child.
pub struct World {
    policy: Policy,
    pub now_ms: u64,
    /// What the last event led to.
    pub actions: Vec<Action>,
    pub logged: Vec<String>,
    /// What the exchange shows, by (app, index).
    pub seats: HashMap<(usize, u16), SeatView>,
    /// By app: since when a request waits.
    pub queued_since_ms: HashMap<usize, u64>,
    /// By pid.
    pub memory: HashMap<u32, u64>,
    /// What the next reload reads; `None`: the same again.
    pub config: Option<Result<Config, String>>,
}

/// What the policy may look at.
struct Sight<'a> {
    seats: &'a HashMap<(usize, u16), SeatView>,
    queued_since_ms: &'a HashMap<usize, u64>,
    memory: &'a HashMap<u32, u64>,
}

impl Outside for Sight<'_> {
    fn seat(&self, app: usize, index: u16) -> Option<SeatView> {
        self.seats.get(&(app, index)).copied()
    }
    fn queued_since_ms(&self, app: usize) -> Option<u64> {
        self.queued_since_ms.get(&app).copied()
    }
    fn resident_bytes(&self, pid: u32) -> Option<u64> {
        self.memory.get(&pid).copied()
    }
}

pub fn config(apps: usize, kind: KindChoice) -> Config {
    let mut config = Config::bare();
    let names = ["shop", "blog", "wiki"];
    for (at, name) in names.iter().take(apps).enumerate() {
        let mount = if at == 0 {
            String::new()
        } else {
            format!("/{name}")
        };
        config.apps.push(config::App {
            name: (*name).into(),
            mount,
            target: format!("{name}:app"),
            options: config::AppOptions {
                workers: 2,
                kind,
                ..config::AppOptions::default()
            },
        });
    }
    config
}

impl World {
    pub fn new(apps: usize, kind: KindChoice) -> World {
        World::with(config(apps, kind), None)
    }

    /// One that is to take another server's place.
    pub fn heir(apps: usize, kind: KindChoice) -> World {
        World::build(config(apps, kind), None, true)
    }

    pub fn with(config: Config, no_interpreters: Option<String>) -> World {
        World::build(config, no_interpreters, false)
    }

    fn build(mut config: Config, no_interpreters: Option<String>, heir: bool) -> World {
        let listeners = vec![Address::Tcp("127.0.0.1:8000".parse().expect("address"))];
        config.binds.clone_from(&listeners);
        let no_interpreters = vec![no_interpreters; config.apps.len()];
        let setup = Setup {
            config,
            listeners,
            heir,
            no_interpreters,
            seats: 8,
            slots: 2048,
            supervisor_pid: 1,
            seed: 7,
        };
        World {
            policy: Policy::new(setup),
            now_ms: 1000,
            actions: Vec::new(),
            logged: Vec::new(),
            seats: HashMap::new(),
            queued_since_ms: HashMap::new(),
            memory: HashMap::new(),
            config: None,
        }
    }

    /// Started, edge ready.
    pub fn started(apps: usize, kind: KindChoice) -> World {
        let mut world = World::new(apps, kind);
        world.start();
        world
    }

    pub fn start(&mut self) {
        self.event(Event::Start);
        let first = std::mem::take(&mut self.actions);
        self.event(Event::EdgeStarted { pid: 2 });
        self.event(Event::FromEdge(FromEdge::Ready {}));
        self.actions = first;
    }

    /// One app of processes that is up with two workers.
    pub fn serving() -> World {
        let mut world = World::started(1, KindChoice::Processes);
        let order = world.host_order();
        world.bring_up(&order);
        world
    }

    pub fn event(&mut self, event: Event) {
        self.actions = self.step(event);
        // The configuration is read at once.
        if self.did(&Action::ReadConfig) {
            let read = match self.config.clone() {
                Some(read) => read,
                None => Ok(self.policy.setup.config.clone()),
            };
            let more = self.step(Event::ConfigRead(read.map(Box::new)));
            self.actions.extend(more);
        }
        for action in &self.actions {
            if let Action::Log(_, text) = action {
                self.logged.push(text.clone());
            }
        }
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let sight = Sight {
            seats: &self.seats,
            queued_since_ms: &self.queued_since_ms,
            memory: &self.memory,
        };
        self.policy.handle(self.now_ms, event, &sight)
    }

    pub fn host(&mut self, host: HostId, message: FromHost) {
        self.event(Event::FromHost(host, message));
    }

    /// Lets time pass up to each deadline in turn; collects what happens.
    pub fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        let mut all = Vec::new();
        while let Some(at_ms) = self.policy.deadline().filter(|at_ms| *at_ms <= until) {
            assert!(
                at_ms > self.now_ms || !all.is_empty() || at_ms >= 1000,
                "a deadline in the past spins"
            );
            self.now_ms = self.now_ms.max(at_ms);
            self.event(Event::Tick);
            let next = self.policy.deadline();
            assert!(
                next.is_none_or(|next| next > self.now_ms),
                "the deadline {next:?} stays at {}",
                self.now_ms
            );
            all.append(&mut self.actions);
        }
        self.now_ms = until;
        self.actions = all;
    }

    /// The one host that the last event asked for.
    #[track_caller]
    pub fn host_order(&self) -> HostOrder {
        let orders: Vec<HostOrder> = self.host_orders();
        assert_eq!(orders.len(), 1, "{:?}", self.actions);
        orders[0].clone()
    }

    pub fn host_orders(&self) -> Vec<HostOrder> {
        let orders = self.actions.iter().filter_map(|action| match action {
            Action::StartHost(order) => Some(order.clone()),
            _ => None,
        });
        orders.collect()
    }

    /// All workers of a host come up; `actions` are those of its `Ready`.
    pub fn bring_up(&mut self, order: &HostOrder) {
        self.event(Event::HostStarted {
            host: order.host,
            pid: 100 + order.host,
        });
        if order.successor || order.kind == config::Kind::Interpreters {
            self.host(order.host, FromHost::Loaded);
            assert!(self.did(&Action::ToHost(order.host, ToHost::Open)));
        }
        for worker in &order.workers {
            self.worker_up(order.host, worker.index, worker.incarnation);
        }
        self.host(order.host, FromHost::Ready);
    }

    pub fn worker_up(&mut self, host: HostId, index: u16, incarnation: u16) {
        let pid = 1000 + u32::from(index) * 10 + u32::from(incarnation);
        self.host(
            host,
            FromHost::WorkerUp {
                index,
                incarnation,
                pid,
                interface: Interface::Wsgi,
            },
        );
    }

    pub fn verdict(&mut self, host: HostId, verdict: ProbeVerdict) {
        self.host(host, FromHost::Probe { verdict });
    }

    pub fn ended(&mut self, host: HostId, end: End) {
        self.event(Event::HostEnded(host, end));
    }

    pub fn load_fails(&mut self, host: HostId) {
        let message = "ModuleNotFoundError: No module named 'shop'".to_owned();
        self.host(
            host,
            FromHost::Failed {
                stage: "import".into(),
                message,
                traceback: "Traceback\n  line".into(),
            },
        );
    }

    pub fn did(&self, action: &Action) -> bool {
        self.actions.contains(action)
    }

    pub fn to_edge(&self) -> Vec<&ToEdge> {
        let messages = self.actions.iter().filter_map(|action| match action {
            Action::ToEdge(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    #[track_caller]
    pub fn assert_logged(&self, text: &str) {
        assert!(
            self.logged.iter().any(|line| line.contains(text)),
            "{text:?} is not in {:#?}",
            self.logged
        );
    }

    pub fn exit_code(&self) -> Option<u8> {
        self.actions.iter().find_map(|action| match action {
            Action::Exit(code) => Some(*code),
            _ => None,
        })
    }
}
