//! The event loop: descriptors become events for the policy, its actions become processes, messages and log lines.
//!
//! One thread, plain poll(2). Owns the children and the queue towards the edge. Invariants: nothing here decides
//! anything; a child that does not read its channel holds nobody up. Must not know why an action is taken.

mod hosts;
mod upgrade;
mod wait;

use crate::banner;
use crate::child::{self, Child, News};
use crate::daemon::Waiting;
use crate::estate::Predecessor;
use crate::heir::{Heir, Launch};
use crate::identity;
use crate::limits;
use crate::listen;
use crate::log::{Log, Said};
use crate::names::Names;
use crate::policy::{Action, End, Event, HostId, HostOrder, Policy};
use crate::python::Python;
use crate::resources::Resources;
use crate::watch::Watch;
use config::{Config, LogLevel, Mistake};
use control::message::{FromEdge, ToEdge, clip};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use sys::identity::Identity;
use sys::signal::Signals;

/// Messages that an edge may leave untaken before it counts as hung.
const EDGE_QUEUE_MAX: usize = 8192;
/// Complaints that are passed on to the server whose place this one does not come to take.
const TROUBLES_MAX: usize = 4;

/// Reads the configuration again, from wherever it came.
pub type ReadConfig = Box<dyn Fn() -> Result<Config, Mistake>>;

pub struct Supervisor {
    pub config: Config,
    pub read_config: ReadConfig,
    /// As `config.apps`.
    pub pythons: Vec<Python>,
    pub extensions: Vec<PathBuf>,
    pub names: Names,
    pub launch: Launch,
    /// The new server that is to take our place.
    pub heir: Option<Heir>,
    /// The old server whose place we are to take.
    pub predecessor: Option<Predecessor>,
    /// What went wrong before we served, for the old one.
    pub troubles: Vec<String>,
    pub policy: Policy,
    pub resources: Resources,
    /// With `--daemon`: who waits until we serve.
    pub waiting: Option<Waiting>,
    /// Whom children run as; `None`: as we do.
    pub identity: Option<Identity>,
    /// With `reload`.
    pub watch: Option<Watch>,
    pub signals: Signals,
    pub log: Log,
    /// Closed after the readiness line.
    pub ready: Option<Ready>,
    pub edge: Option<EdgeProcess>,
    pub hosts: BTreeMap<HostId, HostProcess>,
    pub events: VecDeque<Event>,
}

/// Where readiness is reported.
pub enum Ready {
    Inherited(OwnedFd),
    Stdout,
    Stderr,
}

pub struct EdgeProcess {
    child: Child,
    /// What it has not taken yet.
    queue: VecDeque<ToEdge>,
    /// Its first message stands in the queue, or has left.
    greeted: bool,
}

pub struct HostProcess {
    child: Child,
    order: HostOrder,
}

fn now_ms() -> u64 {
    sys::clock::monotonic_ns() / 1_000_000
}

impl Supervisor {
    /// Runs until the policy says with which code to exit.
    pub fn run(mut self) -> io::Result<u8> {
        self.watch_files();
        self.events.push_back(Event::Start);
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(code) = self.step(event) {
                    return Ok(code);
                }
            }
            self.wait()?;
        }
    }

    /// One event; `Some` is the exit code.
    fn step(&mut self, event: Event) -> Option<u8> {
        let actions = self.policy.handle(now_ms(), event, &self.resources);
        let mut exit = None;
        for action in actions {
            match action {
                Action::Exit(code) => {
                    self.fail_predecessor();
                    exit = Some(code);
                }
                action => self.perform(action),
            }
        }
        self.flush_edge();
        exit
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::StartEdge => self.start_edge(),
            Action::ToEdge(message) => {
                if message == ToEdge::Go {
                    self.begin_to_listen();
                }
                if let Some(edge) = &mut self.edge {
                    edge.greeted |= matches!(message, ToEdge::Start { .. });
                    edge.queue.push_back(message);
                }
            }
            Action::KillEdge => {
                if let Some(edge) = &mut self.edge {
                    // Ended already: the kill that matters has happened.
                    drop(edge.child.kill());
                }
            }
            Action::StartHost(order) => self.start_host(order),
            Action::GrowHost { host, app, workers } => self.grow_host(host, app, workers),
            Action::ReadConfig => {
                let read = self.read_again().map(Box::new);
                self.events
                    .push_back(Event::ConfigRead(read.map_err(|mistake| mistake.0)));
            }
            Action::Configure(config) => self.configure(*config),
            // Nothing is remembered yet.
            Action::ForgetProbe { .. } => {}
            Action::Watch { app, paths } => {
                if let Some(watch) = &mut self.watch {
                    watch.add_files(app, paths);
                }
                self.complain_of_watch();
            }
            Action::ToHost(host, message) => self.send_to_host(host, &message),
            Action::KillHost(host) => {
                if let Some(host) = self.hosts.get_mut(&host) {
                    drop(host.child.kill());
                }
            }
            Action::KillWorker { pid } => {
                if let Err(error) = sys::process::kill(pid, sys::process::SIGKILL) {
                    self.log.say(
                        LogLevel::Error,
                        &format!("pid {pid} cannot be killed: {error}"),
                    );
                }
            }
            Action::Log(level, text) => {
                self.log.say(level, &text);
                self.note_trouble(level, text);
            }
            Action::StartHeir => self.start_heir(),
            Action::KillHeir => self.kill_heir(),
            Action::HandOver => self.hand_over(),
            Action::Announce => self.announce(),
            Action::TakeBack => self.take_back(),
            Action::CloseListeners => self.resources.close_listeners(),
            Action::LendListeners => {
                let theirs = self.heir.as_ref().map(|heir| heir.listeners.as_slice());
                self.resources.lend_listeners(theirs.unwrap_or_default());
            }
            Action::ReopenLogs => {
                if let Err(error) = self.log.reopen() {
                    self.log.say(
                        LogLevel::Error,
                        &format!("the error log cannot be opened again: {error}"),
                    );
                }
            }
            // Taken by `step`.
            Action::Exit(_) => {}
        }
    }

    /// The configuration as it reads now, when everything that it asks for can be had.
    fn read_again(&mut self) -> Result<Config, Mistake> {
        let mut config = (self.read_config)()?;
        config::world::check(&config)?;
        limits::settle(&mut config)?;
        let fresh = listen::open_more(&mut config, &self.resources.listeners)?;
        if let Some(identity) = &self.identity {
            identity::hand_over(&config, identity)?;
        }
        self.resources.listeners.extend(fresh);
        Ok(config)
    }

    fn configure(&mut self, config: Config) {
        self.log.tell_as(&config);
        let log = (&config.error_log, config.log_level);
        if log != (&self.config.error_log, self.config.log_level)
            && let Err(error) = self.log.turn_to(&config)
        {
            let text = format!("the error log cannot be opened: {error}");
            self.log.say(LogLevel::Error, &text);
        }
        if let Err(error) = self.resources.listen_as(&config) {
            let text = format!("--backlog: {error}");
            self.log.say(LogLevel::Error, &text);
        }
        self.config = config;
        self.watch_files();
    }

    fn start_edge(&mut self) {
        match Child::spawn(&mut child::edge_command(), self.identity.as_ref()) {
            Ok(child) => {
                self.events
                    .push_back(Event::EdgeStarted { pid: child.pid() });
                self.edge = Some(EdgeProcess {
                    child,
                    queue: VecDeque::new(),
                    greeted: false,
                });
            }
            Err(error) => self
                .events
                .push_back(Event::EdgeEnded(End::NotStarted(error.to_string()))),
        }
    }

    /// What was taken over from another server, and what was added to it, takes connections.
    fn begin_to_listen(&mut self) {
        if let Err(error) = self.resources.begin_to_listen(self.config.backlog) {
            let text = format!("what was taken over cannot be listened on: {error}");
            self.log.say(LogLevel::Error, &text);
        }
    }

    fn note_trouble(&mut self, level: LogLevel, text: String) {
        if self.predecessor.is_some()
            && level >= LogLevel::Error
            && self.troubles.len() < TROUBLES_MAX
        {
            let line = text.lines().next().unwrap_or_default();
            self.troubles.push(line.to_owned());
        }
    }

    /// Looks out for changes of files, as the configuration says.
    fn watch_files(&mut self) {
        match Watch::start(&self.config) {
            Ok(watch) => self.watch = watch,
            Err(error) => self.log.say(
                LogLevel::Error,
                &format!("--reload: changes of files cannot be watched ({error})"),
            ),
        }
        self.complain_of_watch();
    }

    fn complain_of_watch(&mut self) {
        let complaint = self.watch.as_mut().and_then(|watch| watch.complaint.take());
        if let Some(complaint) = complaint {
            self.log
                .say(LogLevel::Warning, &format!("--reload: {complaint}"));
        }
    }

    fn look_at_files(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        match watch.changed() {
            Ok(apps) => self
                .events
                .extend(apps.into_iter().map(|app| Event::FilesChanged { app })),
            Err(error) => {
                self.log.say(LogLevel::Error, &format!("--reload: {error}"));
                self.watch = None;
            }
        }
    }

    /// Sends what the edge takes now; the rest waits for room.
    fn flush_edge(&mut self) {
        let Some(edge) = &mut self.edge else { return };
        while edge.greeted
            && let Some(Said {
                level,
                origin,
                text,
            }) = self.log.take_untold()
        {
            let text = clip(&text);
            edge.queue.push_back(ToEdge::Said {
                level,
                origin,
                text,
            });
        }
        while let Some(message) = edge.queue.front() {
            let sent = match self.resources.beside(message) {
                Ok(Some(descriptors)) => edge.child.send(message, &descriptors),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It is gone; its end says so.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    edge.queue.clear();
                }
                Err(error) => {
                    self.log.say(
                        LogLevel::Error,
                        &format!("a message to the edge is lost: {error}"),
                    );
                    edge.queue.pop_front();
                }
                Ok(()) => drop(edge.queue.pop_front()),
            }
        }
        if edge.queue.len() > EDGE_QUEUE_MAX {
            self.log.say(
                LogLevel::Critical,
                "the edge does not take its messages; killing it",
            );
            edge.queue.clear();
            // Ended already: its end is on the way.
            drop(edge.child.kill());
        }
    }

    fn announce(&mut self) {
        let addresses: Vec<_> = self
            .resources
            .listeners
            .iter()
            .map(|listener| listener.address.clone())
            .collect();
        let kinds = self.policy.kinds();
        let apps: Vec<_> = kinds
            .into_iter()
            .zip(self.policy.states())
            .map(|((kind, why), (state, message))| banner::AppLine {
                kind,
                why,
                state,
                message,
            })
            .collect();
        let text = banner::text(
            &self.config,
            &addresses,
            &self.pythons,
            &apps,
            &self.names.shown_control(),
        );
        let line = banner::ready_line(&addresses);
        // A closed terminal is no reason not to serve.
        drop(io::stderr().write_all(text.as_bytes()));
        self.log.say(LogLevel::Info, &line);
        if let Some(waiting) = self.waiting.take() {
            waiting.ready();
        }
        match &self.predecessor {
            Some(_) => self.tell_predecessor(),
            None => crate::notify::ready(),
        }
        let line = format!("{line}\n");
        let written = match self.ready.take() {
            None => Ok(()),
            Some(Ready::Inherited(fd)) => File::from(fd).write_all(line.as_bytes()),
            Some(Ready::Stdout) => io::stdout().write_all(line.as_bytes()),
            Some(Ready::Stderr) => io::stderr().write_all(line.as_bytes()),
        };
        if let Err(error) = written {
            self.log
                .say(LogLevel::Warning, &format!("--ready-fd: {error}"));
        }
    }

    fn hear_edge(&mut self) {
        let Some(edge) = &mut self.edge else { return };
        for news in edge.child.listen::<FromEdge>() {
            match news {
                News::Message(message) => self.events.push_back(Event::FromEdge(message)),
                News::Nonsense(error) => {
                    self.log.say(
                        LogLevel::Critical,
                        &format!("the edge talks nonsense ({error}); killing it"),
                    );
                    drop(edge.child.kill());
                }
            }
        }
    }

    fn end_edge(&mut self) {
        self.hear_edge();
        let Some(end) = self.edge.as_mut().and_then(|edge| edge.child.end()) else {
            return;
        };
        self.edge = None;
        self.events.push_back(Event::EdgeEnded(end));
    }
}
