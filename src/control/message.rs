//! The vocabulary of supervisor, edge and app hosts: JSON, one message per packet, descriptors beside it in a fixed order.
//!
//! Invariant: a message fits [`crate::channel::LONG_MESSAGE_BYTES_MAX`]; free texts are cut with [`clip`] by whoever fills them.
//! Knows neither when a message is due nor what follows from it.

use config::{Address, AppOptions, Config, Interface, Kind, LogLevel};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Longest free text (message, traceback) in one message, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Supervisor to edge. After an edge restart everything is sent again, with a higher epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToEdge {
    /// First message. Descriptors: `config.rings` doorbell eventfds, then the status socket's listener.
    /// `epoch` counts edge processes from 1; above 1 the segments may hold a dead edge's requests.
    Start {
        config: Box<Config>,
        epoch: u32,
    },
    /// Descriptors: its sockets. Socket i is for ring i modulo the rings; where there are fewer sockets, ring i has socket i modulo the sockets.
    Listener {
        address: Address,
    },
    /// Close that listener; its connections stay.
    Unlisten {
        address: Address,
    },
    /// Descriptors: the app's segment.
    App {
        app: usize,
        name: String,
    },
    /// Descriptors: the edge's end of this worker index's socket, and the eventfd that its event loop sleeps on. Once per index in use.
    Worker {
        app: usize,
        index: u16,
        generation: u32,
    },
    WorkerUp {
        app: usize,
        index: u16,
        incarnation: u16,
        generation: u32,
        pid: u32,
        kind: Kind,
        interface: Interface,
        /// Since when, in milliseconds of the monotonic clock.
        up_ms: u64,
    },
    WorkerGone {
        app: usize,
        index: u16,
        incarnation: u16,
        reason: String,
    },
    /// Shown by `status`, and the text of the 503 while no worker is up.
    AppState {
        app: usize,
        state: AppState,
        message: String,
    },
    /// Descriptors: the read end of this host's stdout and stderr.
    HostLog {
        app: usize,
        generation: u32,
    },
    /// The supervisor's process table, for `status`.
    Processes {
        document: serde_json::Value,
    },
    /// Instead of what `Start` said; rings and apps are the same. Connections stay, and requests that have begun are served as they began.
    Site {
        config: Box<Config>,
    },
    /// Start accepting.
    Go,
    ReopenLogs,
    /// A line that the supervisor has put into the error log, for those who are told beside it.
    Said {
        level: LogLevel,
        origin: String,
        text: String,
    },
    /// Another server has the same listeners and may have missed a wake-up for a connection: look at their queues.
    LookAgain,
    /// Graceful stop: leave the listeners, finish requests, answer `Connection: close`, then `Drained` and exit 0.
    Drain {
        grace_ms: u64,
        patience: Patience,
    },
    /// Quick stop: exit now; buffered log lines are written.
    Quit,
    /// Answer to [`FromEdge::Command`].
    CommandDone {
        id: u64,
        ok: bool,
        message: String,
    },
}

/// How long what runs no request may stay while the edge drains; 0: it ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Patience {
    /// Connections at rest: their next request is answered with `Connection: close`.
    pub rest_ms: u64,
    /// WebSockets.
    pub sockets_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// No worker has been up yet.
    Starting,
    /// Workers are up.
    Ready,
    /// It will not come up without a change and a reload.
    Failed,
    /// It crashed and is waiting to be started again.
    Backoff,
}

/// Edge to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromEdge {
    /// Rings are up and every message so far is taken in; after `Go` it accepts.
    Ready {},
    /// A request ran over `--timeout` and got its 504; `request` names it for the log, e.g. `GET /report`.
    WorkerStuck {
        app: usize,
        index: u16,
        incarnation: u16,
        request: String,
    },
    /// After `Drain`: nothing is left to do; exits next.
    Drained,
    /// It cannot start; `message` is for the user and says what to do.
    Failed { message: String },
    /// A command from the status socket, e.g. `reload`; answered by [`ToEdge::CommandDone`].
    Command { id: u64, name: String },
}

/// Supervisor to app host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHost {
    /// First message. Descriptors: the segment, `spec.rings` doorbells, then for each entry of `spec.workers` its socket and the
    /// eventfd that wakes its event loop. With `spec.probe` there are none, `rings` is 0 and `workers` is empty.
    Start { spec: Box<HostSpec> },
    /// More descriptors of `Start`: one message carries at most [`crate::channel::DESCRIPTORS_MAX`].
    Descriptors {},
    /// Serve: after `Loaded`. From here on a host must not be killed for nothing.
    Open,
    /// Stop claiming, finish what runs, report `Drained`, exit 0.
    Drain,
    /// Exit now.
    Quit,
    /// The request in this seat ran over its time: interrupt it, and replace the worker (with the next incarnation) if that does not help.
    Replace { index: u16 },
    /// From a zygote to its worker: interrupt what this seat is at, if that began at `mark` (`since_ns` of its record).
    Interrupt { index: u16, mark: u64 },
    /// More workers beside those that serve. Descriptors: for each its socket and its eventfd.
    Grow { workers: Vec<WorkerSpec> },
    /// This worker takes no more requests, finishes, and is gone for good; the others go on.
    Retire { index: u16 },
    /// Another executable is about to be started beside this one: calls the hook `pre_exec`, then says [`FromHost::HookDone`].
    Executing {},
}

/// What an app host is to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    pub app: usize,
    /// For log lines and process titles.
    pub name: String,
    /// `module:callable` or `module:factory()`.
    pub target: String,
    /// "" or "/prefix"; SCRIPT_NAME.
    pub mount: String,
    /// The app's settings; what is decided from them (`kind`, `workers`, the search path) stands in fields of its own.
    pub options: AppOptions,
    /// Already the host's working directory; first on `sys.path`.
    pub chdir: PathBuf,
    /// Next on `sys.path`.
    pub pythonpath: Vec<PathBuf>,
    /// Already in the host's environment; repeated for `status` and probes.
    pub env: Vec<(String, String)>,
    pub kind: Kind,
    /// A throw-away run: import the app in one sub-interpreter, report `Probe`, exit 0.
    pub probe: bool,
    /// Another generation serves meanwhile: this one takes nothing before all its workers can.
    pub successor: bool,
    /// None has been up since the server was started.
    pub first: bool,
    /// Somebody serves meanwhile: another generation, or the server whose place this one is to take. A warm-up that fails fails this one.
    pub beside: bool,
    pub generation: u32,
    /// Seats. With several threads per worker (`options.seats_per_worker()`): all of the first worker, then all of the second, and so on.
    pub workers: Vec<WorkerSpec>,
    /// Doorbells that follow the segment.
    pub rings: usize,
    /// `--timeout`, for the host's own measures; 0: none.
    pub timeout_ms: u64,
    /// `wsgi.multithread`.
    pub multithread: bool,
    /// SERVER_SOFTWARE, e.g. `ringgate/0.1.0`.
    pub server_software: String,
    /// What the host puts in front of its own log lines, e.g. `shop[2]` (app and generation).
    pub log_prefix: String,
}

/// A place in the exchange for one worker. The first life of the worker is `incarnation`; each refork counts one up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSpec {
    pub index: u16,
    pub incarnation: u16,
}

/// App host to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromHost {
    /// The answer of a probe run.
    Probe {
        verdict: ProbeVerdict,
    },
    WorkerUp {
        index: u16,
        incarnation: u16,
        pid: u32,
        /// What the callable speaks.
        interface: Interface,
    },
    /// A worker process died (or an interpreter ended); the host reforks by itself and reports `WorkerUp` again.
    WorkerGone {
        index: u16,
        incarnation: u16,
        pid: u32,
        reason: String,
    },
    /// This worker, one of several, could not be started, and the host gives it up.
    SeatLost {
        index: u16,
        incarnation: u16,
        message: String,
    },
    /// Every worker could serve, and none does before [`ToHost::Open`]. Of interpreters always, of processes beside another generation.
    Loaded,
    /// Every seat is up.
    Ready,
    /// It cannot serve. `stage` is one of `start`, `import`, `callable`, `asgi`, `warmup`, `worker`; exits next.
    Failed {
        stage: String,
        message: String,
        traceback: String,
    },
    /// With `reload`: the files of the modules that are imported so far, without those of the interpreter's installation.
    Files {
        paths: Vec<PathBuf>,
    },
    /// While serving in interpreters, an import was refused; the app belongs into processes.
    LateRefusal {
        module: String,
    },
    Drained,
    /// Answer to [`ToHost::Executing`].
    HookDone,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum ProbeVerdict {
    /// Everything loaded in a sub-interpreter.
    Interpreters,
    /// It loads, but these modules silently lost their C part.
    Degraded { modules: Vec<String> },
    /// `module` refuses to load in a sub-interpreter.
    Refused { module: String, message: String },
    /// It would not load anywhere. `asgi`: it is an ASGI app, which comes later.
    Failed {
        message: String,
        traceback: String,
        asgi: bool,
    },
}

/// Cuts a text to [`TEXT_BYTES_MAX`], keeping its end, where a traceback says what happened.
pub fn clip(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut start = text.len() - TEXT_BYTES_MAX;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("[...]{}", &text[start..])
}
