//! What the policy hears and what it says: the words between it and the loop.

use config::{Config, Kind, LogLevel};
use control::message::{FromEdge, FromHost, ToEdge, ToHost, WorkerSpec};

/// One app-host process; never used twice.
pub type HostId = u32;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Start,
    FromEdge(FromEdge),
    EdgeStarted {
        pid: u32,
    },
    EdgeEnded(End),
    FromHost(HostId, FromHost),
    HostStarted {
        host: HostId,
        pid: u32,
    },
    HostEnded(HostId, End),
    /// TERM.
    Terminate,
    /// INT, QUIT.
    Interrupt,
    /// HUP.
    Reload,
    /// Answer to [`Action::ReadConfig`]: the configuration as it reads now, everything of `binds` open, or why it cannot be used.
    ConfigRead(Result<Box<Config>, String>),
    /// With `reload`: files of this app have changed.
    FilesChanged {
        app: usize,
    },
    /// TTIN: one worker more for every app.
    MoreWorkers,
    /// TTOU: one worker fewer for every app.
    FewerWorkers,
    /// USR1.
    ReopenLogs,
    /// USR2.
    Upgrade,
    /// WINCH, of a server without a terminal.
    Rest,
    /// Answer to [`Action::StartHeir`]; or [`Event::HeirEnded`].
    HeirStarted {
        pid: u32,
    },
    /// The new server serves.
    HeirReady,
    /// Answer to [`Action::HandOver`].
    HeirTookOver,
    /// The new server is gone, and why.
    /// `asked`: with exit code 0, as when it is told to.
    HeirEnded {
        why: String,
        asked: bool,
    },
    /// The server whose place this one takes has left.
    Promoted,
    /// [`Policy::deadline`] has come.
    Tick,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
    /// It could not even be started.
    NotStarted(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Code(code) => write!(f, "exit code {code}"),
            End::Signal(signal) => write!(f, "killed by {}", signal_name(*signal)),
            End::NotStarted(why) => write!(f, "cannot be started: {why}"),
        }
    }
}

fn signal_name(signal: i32) -> String {
    // The numbers are the same on every architecture that runs this.
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Spawn an edge; the messages that follow are for it.
    StartEdge,
    /// The caller puts the descriptors beside it.
    ToEdge(ToEdge),
    KillEdge,
    StartHost(HostOrder),
    /// More workers in a host that serves.
    GrowHost {
        host: HostId,
        app: usize,
        workers: Vec<WorkerSpec>,
    },
    /// Read the configuration again.
    ReadConfig,
    /// The configuration from now on: later orders are made from it, and what it does not listen on is closed.
    Configure(Box<Config>),
    /// What a probe found does not hold.
    ForgetProbe {
        app: usize,
    },
    /// Look out for changes of these files too.
    Watch {
        app: usize,
        paths: Vec<std::path::PathBuf>,
    },
    ToHost(HostId, ToHost),
    KillHost(HostId),
    /// A process worker that its host does not manage to replace.
    KillWorker {
        pid: u32,
    },
    Log(LogLevel, String),
    /// Requests are served: banner and readiness line.
    Announce,
    /// The listening sockets that the supervisor keeps for the next edge.
    CloseListeners,
    /// The same, but for those that the new server has: should it not last, who waits in them is ours to serve.
    LendListeners,
    ReopenLogs,
    /// Start a new server beside this one.
    StartHeir,
    KillHeir,
    /// Our names are the new server's from now on: tell it.
    HandOver,
    /// The new server is gone: the names and the listeners are ours again.
    TakeBack,
    Exit(u8),
}

/// Everything the caller needs to start a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOrder {
    pub host: HostId,
    pub app: usize,
    pub generation: u32,
    pub kind: Kind,
    pub probe: bool,
    /// Another generation serves meanwhile.
    pub successor: bool,
    /// None has been up so far.
    pub first: bool,
    /// Somebody serves meanwhile: another generation, or the server whose place this one is to take.
    pub beside: bool,
    pub workers: Vec<WorkerSpec>,
}

/// What the exchange shows of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatView {
    pub incarnation: u16,
    /// Since when it runs its request; `None`: it runs none.
    pub busy_since_ms: Option<u64>,
    /// Requests finished by this incarnation.
    pub served: u64,
}

/// What the policy may look at while it decides.
pub trait Outside {
    /// A seat of an app.
    fn seat(&self, app: usize, index: u16) -> Option<SeatView>;
    /// Since when the oldest request in an app's queue waits; `None`: none does.
    fn queued_since_ms(&self, app: usize) -> Option<u64>;
    /// Resident memory of a process.
    fn resident_bytes(&self, pid: u32) -> Option<u64>;
}
