//! What the control thread knows of the system, and how the supervisor's messages change it.
//!
//! Owns the ring threads' mailboxes, the segments and the current snapshot. Invariants: a ring thread hears of an app's segment
//! before anything else of that app; every change of the apps' view is followed by a new snapshot to every ring.
//! Must not know how messages arrive or how the status is asked for.

use super::memory::Memory;
use crate::files;
use crate::gate::Gates;
use crate::mailbox::{Lost, Mailbox, ToRing};
use crate::snapshot::{Snapshot, WorkerView};
use crate::stats::RingStats;
use crate::worker_socket::WorkerSocket;
use config::{Address, Config};
use control::message::ToEdge;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use sys::eventfd::EventFd;

/// One ring thread, from outside.
pub struct RingHandle {
    pub mailbox: Arc<Mailbox>,
    pub stats: Arc<RingStats>,
    /// `None` once joined.
    pub thread: Option<JoinHandle<()>>,
    pub up: bool,
    pub drained: bool,
    /// The access log that it writes to by now.
    pub log: u32,
}

pub struct World {
    pub config: Arc<Config>,
    pub epoch: u32,
    /// Ring clock at the start of this edge.
    pub started_ns: u64,
    pub rings: Vec<RingHandle>,
    /// As `config.apps`.
    gates: Vec<Arc<Gates>>,
    /// Counts the access logs of this edge.
    log: u32,
    pub snapshot: Snapshot,
    /// By app; `None` until it has come.
    pub segments: Vec<Option<Arc<shm::Segment>>>,
    pub listeners: Vec<Address>,
    /// What processes took at the last look.
    pub memory: RefCell<Memory>,
    /// The supervisor's process table.
    pub processes: serde_json::Value,
    pub accepting: bool,
    pub draining: bool,
    /// Access-log lines lost since the start.
    pub lost: Lost,
}

/// What a message asks of the control thread itself.
pub enum Effect {
    None,
    /// A line for the error log.
    Say(config::LogLevel, String),
    /// A line that stands in the error log already, for those who are told beside it: level, origin and text.
    Tell(config::LogLevel, String, String),
    /// Read this pipe: what the app's host prints.
    HostLog {
        app: usize,
        generation: u32,
        pipe: OwnedFd,
    },
    ReopenLogs,
    /// The configuration is another; its access log is the `log`th.
    Turned {
        log: u32,
    },
    Drain {
        grace_ms: u64,
    },
    Quit,
    CommandDone {
        id: u64,
        ok: bool,
        message: String,
    },
}

impl World {
    pub fn new(
        config: Arc<Config>,
        epoch: u32,
        started_ns: u64,
        rings: Vec<RingHandle>,
        gates: Vec<Arc<Gates>>,
    ) -> World {
        World {
            snapshot: Snapshot::starting(&config),
            segments: vec![None; config.apps.len()],
            config,
            epoch,
            started_ns,
            rings,
            gates,
            log: 0,
            listeners: Vec::new(),
            memory: RefCell::default(),
            processes: serde_json::Value::Null,
            accepting: false,
            draining: false,
            lost: Lost::default(),
        }
    }

    /// Workers that are up: processes or interpreters, not their threads.
    pub fn workers(&self) -> usize {
        let apps = self.config.apps.iter().zip(&self.snapshot.apps);
        let counts = apps.map(|(app, view)| {
            let asgi = |worker: &&WorkerView| worker.interface == config::Interface::Asgi;
            let looped = view.workers.iter().filter(asgi).count();
            let threads = app.options.seats_per_worker();
            looped + (view.workers.len() - looped).div_ceil(threads)
        });
        counts.sum()
    }

    /// Requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        let segments = self.segments.iter().flatten();
        segments.map(|segment| segment.queue_len()).sum()
    }

    /// Takes in one message with its descriptors.
    pub fn apply(&mut self, message: ToEdge, mut descriptors: Vec<OwnedFd>) -> Effect {
        match message {
            ToEdge::Start { .. } => complaint("a second Start"),
            ToEdge::Listener { address } => self.listener(address, descriptors),
            ToEdge::Unlisten { address } => {
                self.listeners.retain(|known| *known != address);
                self.post_all(|| ToRing::Unlisten {
                    address: address.clone(),
                });
                Effect::None
            }
            ToEdge::App { app, name } => match descriptors.pop() {
                Some(segment) => self.app(app, &name, segment),
                None => complaint("an app without its segment"),
            },
            ToEdge::Worker {
                app,
                index,
                generation: _,
            } => match <[OwnedFd; 2]>::try_from(descriptors) {
                Ok([socket, wake]) => self.worker_socket(app, index, socket, wake),
                Err(_) => complaint("a worker without its socket and eventfd"),
            },
            ToEdge::WorkerUp {
                app,
                index,
                incarnation,
                generation,
                pid,
                kind,
                interface,
                up_ms,
            } => {
                self.change(app, |view| {
                    view.worker_up(WorkerView {
                        index,
                        incarnation,
                        generation,
                        pid,
                        kind,
                        interface,
                        up_ns: up_ms.saturating_mul(1_000_000),
                    });
                });
                Effect::None
            }
            ToEdge::WorkerGone {
                app,
                index,
                incarnation,
                reason,
            } => {
                for ring in &self.rings {
                    ring.mailbox.post(ToRing::WorkerGone {
                        app,
                        index,
                        incarnation,
                    });
                }
                self.change(app, |view| view.worker_gone(index, incarnation));
                Effect::Say(
                    config::LogLevel::Debug,
                    format!("app {app}: worker {index} (life {incarnation}) has gone: {reason}"),
                )
            }
            ToEdge::AppState {
                app,
                state,
                message,
            } => {
                self.change(app, |view| {
                    view.state = state;
                    view.message = message;
                });
                Effect::None
            }
            ToEdge::HostLog { app, generation } => match descriptors.pop() {
                Some(pipe) => Effect::HostLog {
                    app,
                    generation,
                    pipe,
                },
                None => complaint("a host log without its pipe"),
            },
            ToEdge::Processes { document } => {
                self.processes = document;
                Effect::None
            }
            ToEdge::Site { config } => self.site(*config),
            ToEdge::Go => {
                self.accepting = true;
                self.post_all(|| ToRing::Go);
                Effect::None
            }
            ToEdge::ReopenLogs => Effect::ReopenLogs,
            ToEdge::Said {
                level,
                origin,
                text,
            } => Effect::Tell(level, origin, text),
            ToEdge::LookAgain => {
                self.post_all(|| ToRing::LookAgain);
                Effect::None
            }
            ToEdge::Drain { grace_ms, patience } => {
                self.draining = true;
                self.post_all(|| ToRing::Drain { grace_ms, patience });
                Effect::Drain { grace_ms }
            }
            ToEdge::Quit => {
                self.draining = true;
                self.post_all(|| ToRing::Quit);
                Effect::Quit
            }
            ToEdge::CommandDone { id, ok, message } => Effect::CommandDone { id, ok, message },
        }
    }

    /// Spreads the sockets over the rings, so that every socket has a ring and every ring a socket.
    fn listener(&mut self, address: Address, sockets: Vec<OwnedFd>) -> Effect {
        let rings = self.rings.len();
        if sockets.is_empty() {
            return complaint("a listener without its sockets");
        }
        for index in 0..rings.max(sockets.len()) {
            match sockets[index % sockets.len()].try_clone() {
                Ok(socket) => self.rings[index % rings].mailbox.post(ToRing::Listener {
                    address: address.clone(),
                    socket,
                }),
                Err(error) => return complaint(&format!("no descriptor for {address}: {error}")),
            }
        }
        self.listeners.push(address);
        Effect::None
    }

    /// A new configuration for every ring, or, if a location of it cannot be opened, for none.
    fn site(&mut self, config: Config) -> Effect {
        if config.rings != self.config.rings || config.apps.len() != self.config.apps.len() {
            return complaint("a configuration with other rings or apps");
        }
        let open = || {
            let mut all = Vec::with_capacity(self.rings.len());
            for _ in &self.rings {
                let open = |mount: &config::StaticMount| {
                    let directory = sys::file::open_root(&mount.dir);
                    directory.map_err(|error| files::cannot_open(mount, &error))
                };
                let directories = files::mounts(&config).map(open);
                all.push(directories.collect::<io::Result<Vec<_>>>()?);
            }
            Ok::<_, io::Error>(all)
        };
        let directories = match open() {
            Ok(directories) => directories,
            Err(error) => {
                return Effect::Say(
                    config::LogLevel::Error,
                    format!("{error}; the old configuration stays"),
                );
            }
        };
        let another_log = config.access_log != self.config.access_log
            || config.access_log_format != self.config.access_log_format
            || config.syslog != self.config.syslog;
        self.log += u32::from(another_log);
        let gates = self.gates.iter().zip(&config.apps);
        self.gates = gates
            .map(|(gates, app)| Arc::new(gates.turned_to(&app.options)))
            .collect();
        self.config = Arc::new(config);
        for (ring, directories) in self.rings.iter().zip(directories) {
            ring.mailbox.post(ToRing::Site {
                config: Arc::clone(&self.config),
                directories,
                gates: self.gates.clone(),
                log: self.log,
            });
        }
        Effect::Turned { log: self.log }
    }

    fn app(&mut self, app: usize, name: &str, segment: OwnedFd) -> Effect {
        let Some(place) = self.segments.get_mut(app) else {
            return complaint(&format!("app {app}, which the configuration does not have"));
        };
        match shm::Segment::attach(segment) {
            Ok(segment) => {
                let segment = Arc::new(segment);
                *place = Some(Arc::clone(&segment));
                self.post_all(|| ToRing::App {
                    app,
                    segment: Arc::clone(&segment),
                });
                self.share_snapshot();
                Effect::None
            }
            Err(error) => Effect::Say(
                config::LogLevel::Critical,
                format!("app {name}: its shared memory is not usable: {error}"),
            ),
        }
    }

    fn worker_socket(&mut self, app: usize, index: u16, socket: OwnedFd, wake: OwnedFd) -> Effect {
        if let Err(error) = sys::socket::set_nonblocking(std::os::fd::AsFd::as_fd(&socket), true) {
            return complaint(&format!("worker {index}'s socket: {error}"));
        }
        let socket = WorkerSocket::new(Arc::new(socket));
        let wake = Arc::new(EventFd::from_fd(wake));
        self.post_all(|| ToRing::WorkerSocket {
            app,
            index,
            socket: socket.clone(),
            wake: Arc::clone(&wake),
        });
        Effect::None
    }

    fn change(&mut self, app: usize, change: impl FnOnce(&mut crate::snapshot::AppView)) {
        if let Some(view) = self.snapshot.apps.get_mut(app) {
            change(view);
            self.share_snapshot();
        }
    }

    fn share_snapshot(&self) {
        let snapshot = Arc::new(self.snapshot.clone());
        self.post_all(|| ToRing::Snapshot(Arc::clone(&snapshot)));
    }

    fn post_all(&self, message: impl Fn() -> ToRing) {
        for ring in &self.rings {
            ring.mailbox.post(message());
        }
    }
}

/// The supervisor is our own program, but a message that makes no sense must not take the edge down.
fn complaint(what: &str) -> Effect {
    Effect::Say(
        config::LogLevel::Error,
        format!("the supervisor sent {what}"),
    )
}
