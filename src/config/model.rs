//! The checked configuration: what edge and supervisor read.
//!
//! Owns the types and their defaults' meaning, not their parsing. Invariants (upheld by `check`, relied on everywhere):
//! (`binds` or `inherited`) and (`apps` or `statics`) are not empty, `1 <= rings <= RINGS_MAX`, `1 <= workers <= workers_max <= WORKERS_MAX`,
//! mounts are unique and either "" or start with '/' and do not end with one, paths are absolute.
//! Must not know how options are written on a command line.

use crate::app::AppOptions;
use crate::files::StaticMount;
use crate::remote::{Statsd, Syslog};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Ring threads of one edge. With a segment and one socket per worker, all doorbells fit one SCM_RIGHTS message (253 descriptors).
pub const RINGS_MAX: usize = 64;
/// Workers of one app: half the exchange's 256 worker records, so that two generations stand side by side.
pub const WORKERS_MAX: usize = 128;

/// Everything the processes need to know, decided and checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Where to listen; port 0 is replaced by the chosen port before the edge sees it.
    pub binds: Vec<Address>,
    /// Inherited descriptors to listen on.
    #[serde(default)]
    pub inherited: Vec<i32>,
    /// Ring threads of the edge.
    pub rings: usize,
    pub apps: Vec<App>,
    pub statics: Vec<StaticMount>,
    /// Directories whose files an app may send by `X-Sendfile`; each is a location without a URL.
    #[serde(default)]
    pub sendfile_roots: Vec<StaticMount>,
    /// The interpreter that was asked for; `None`: the active virtual environment, else `python3`.
    pub python: Option<PathBuf>,
    pub limits: Limits,
    pub timeouts: Timeouts,
    /// `None`: no access log.
    pub access_log: Option<LogTarget>,
    pub access_log_format: LogFormat,
    pub error_log: LogTarget,
    pub log_level: LogLevel,
    #[serde(default)]
    pub statsd: Option<Statsd>,
    #[serde(default)]
    pub syslog: Option<Syslog>,
    /// The unix socket on which `ringgate status` asks.
    pub control_socket: PathBuf,
    /// The user named it, so another one will not do.
    pub control_socket_chosen: bool,
    /// Where the apps are imported from; relative paths of the command line are already resolved against the caller's directory.
    pub chdir: PathBuf,
    /// Added to the apps' environment.
    pub env: Vec<(String, String)>,
    /// Put in front of the apps' `sys.path`, after `chdir`.
    pub pythonpath: Vec<PathBuf>,
    /// Value of the `Server` response header; "" sends none.
    pub server_header: String,
    /// `listen(2)` backlog.
    pub backlog: u32,
    pub pid_file: Option<PathBuf>,
    #[serde(default)]
    pub identity: Identity,
    /// Go into the background when ready.
    #[serde(default)]
    pub daemon: bool,
    #[serde(default)]
    pub forwarded: Forwarded,
    #[serde(default)]
    pub odd_headers: OddHeaders,
    /// `None`: the PROXY protocol is not looked for.
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// What was accepted and has no effect, or not the whole: one warning each at the start.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// The native extension; `None`: found beside the executable.
    pub extension: Option<PathBuf>,
    /// Where to report readiness; the descriptor was inherited.
    pub ready_fd: Option<i32>,
    /// The configuration file, if there is one.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// A Python application and where it hangs in the URL space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Short unique name for logs and status, e.g. `shop`.
    pub name: String,
    /// "" for the root, else "/prefix" without a trailing slash. It becomes SCRIPT_NAME.
    pub mount: String,
    /// `module:callable` or `module:factory()`.
    pub target: String,
    #[serde(default)]
    pub options: AppOptions,
}

/// Who the server is to be once its sockets are open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name or number.
    pub user: Option<String>,
    /// Name or number.
    pub group: Option<String>,
    /// Take the user's further groups too.
    pub init_groups: bool,
    pub umask: Option<u32>,
}

/// What becomes of request headers whose name has an underscore: as a CGI variable they pass for the one with a hyphen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddHeaders {
    pub map: HeaderMap,
    /// In lower case: from those whose X-Forwarded-For is believed, these reach the application; `*` is every one.
    pub forwarder: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderMap {
    Drop,
    /// 400 for the request.
    Refuse,
    /// They reach the application.
    Dangerous,
}

impl Default for OddHeaders {
    fn default() -> OddHeaders {
        OddHeaders {
            map: HeaderMap::Drop,
            forwarder: vec!["script_name".into(), "path_info".into()],
        }
    }
}

/// Who may say, in the PROXY protocol, which client it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    pub version_1: bool,
    pub version_2: bool,
    /// Peers on unix sockets may always.
    pub trusted: Trusted,
}

/// Whose word counts for who the client is and how it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// Peers on unix sockets are believed too, unless nobody is.
    pub trusted: Trusted,
    /// (lower-case name, value): each says that the client came by https.
    pub secure_headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trusted {
    Nobody,
    Networks(Vec<Network>),
    Everybody,
}

/// Addresses whose first `bits` bits are those of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub address: IpAddr,
    pub bits: u8,
}

impl Network {
    pub fn contains(&self, peer: IpAddr) -> bool {
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = u32::from(ours) ^ u32::from(theirs);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = u128::from(ours) ^ u128::from(theirs);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl Trusted {
    /// Whether it is this peer; `None`: it came by a unix socket.
    pub fn has(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Trusted::Nobody, _) => false,
            (Trusted::Everybody, _) | (Trusted::Networks(_), None) => true,
            (Trusted::Networks(networks), Some(peer)) => {
                networks.iter().any(|network| network.contains(peer))
            }
        }
    }
}

impl Default for Forwarded {
    fn default() -> Forwarded {
        let host = |address: IpAddr| Network {
            address,
            bits: if address.is_ipv4() { 32 } else { 128 },
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Forwarded {
            trusted: Trusted::Networks(vec![
                host(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                host(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ]),
            secure_headers: vec![
                header("x-forwarded-proto", "https"),
                header("x-forwarded-protocol", "ssl"),
                header("x-forwarded-ssl", "on"),
            ],
        }
    }
}

/// An address to listen on, or listened on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    /// As a client would type it: `http://127.0.0.1:8000`, `unix:/run/shop.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How workers live: the user's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KindChoice {
    /// Probe the app, prefer interpreters, fall back to processes.
    Auto,
    Interpreters,
    Processes,
}

/// How workers live: decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sub-interpreters with their own GIL in one process (CPython 3.13+).
    Interpreters,
    /// Processes forked from a zygote that has imported the app.
    Processes,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Interpreters => "interpreters",
            Kind::Processes => "processes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client may ask for before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Request line in bytes; beyond: 414.
    pub request_line: usize,
    /// Header fields; beyond: 431.
    pub header_count: usize,
    /// One header field in bytes, line end included; beyond: 431.
    pub field_bytes: usize,
    /// The whole head (request line and fields) in bytes; beyond: 431.
    pub header_bytes: usize,
    /// Request body in bytes; beyond: 413.
    pub body_bytes: u64,
    /// Requests queued and running per app; beyond: 503 with Retry-After.
    pub pending: usize,
    /// WebSockets open per app, beside those; beyond: 503 with Retry-After.
    pub websockets: usize,
    /// Client connections over all ring threads; beyond: 503 and close.
    pub connections: usize,
    /// The user named that number; else it is lowered to what the descriptor limit allows.
    pub connections_chosen: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_line: 8190,
            header_count: 100,
            field_bytes: 32 * 1024,
            header_bytes: 16 * 1024,
            body_bytes: 100 * 1024 * 1024,
            pending: 1024,
            websockets: 1024,
            connections: 16 * 1024,
            connections_chosen: false,
        }
    }
}

/// How long anything may take, in milliseconds; 0 switches the timeout off where the option's help says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From a request's first byte to the end of its head; beyond: 408 and close.
    pub header_ms: u64,
    /// Between two reads of a request body; beyond: 408 and close.
    pub body_ms: u64,
    /// Idle keep-alive connection; beyond: close. 0: no keep-alive, every response closes.
    pub idle_ms: u64,
    /// Between two writes that make progress; beyond: close.
    pub write_ms: u64,
    /// How long running requests may take after TERM: the longest `--graceful-timeout` of all apps.
    pub graceful_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            header_ms: 10_000,
            body_ms: 30_000,
            idle_ms: 75_000,
            write_ms: 60_000,
            graceful_ms: 30_000,
        }
    }
}

/// Where a log goes. A file is opened for appending, and again on USR1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    Stdout,
    Stderr,
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Combined,
    Json,
    /// gunicorn's way.
    Atoms(Vec<Piece>),
}

/// A part of a line of the access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    Text(String),
    /// `%(h)s`
    Address,
    /// `%(t)s`: `[23/Nov/2026:01:02:03 +0000]`
    Time,
    /// `%(r)s`
    RequestLine,
    /// `%(m)s`
    Method,
    /// `%(U)s`: the path, without the query, percent-decoded.
    Path,
    /// `%({raw_uri}e)s`
    Target,
    /// `%(q)s`
    Query,
    /// `%(H)s`
    Protocol,
    /// `%(s)s`
    Status,
    /// `%(B)s`, and `%(b)s`, for which gunicorn writes 0 as well.
    Bytes,
    /// `%(T)s` seconds, `%(M)s` milliseconds, `%(D)s` microseconds.
    Whole {
        per_second: u32,
    },
    /// `%(L)s`: seconds with six digits behind the point.
    Seconds,
    /// `%(p)s`: `<app/worker>`.
    Worker,
    /// `%(u)s`: the name in Basic credentials.
    User,
    /// `%({remote_port}e)s`
    Port,
    /// `%({wsgi.url_scheme}e)s`
    Scheme,
    /// `%({server_name}e)s`, `%({server_port}e)s`: where the client was accepted.
    ServerName,
    ServerPort,
    /// `%({name}i)s`, lower case; also `%(f)s` and `%(a)s`.
    RequestHeader(String),
    /// `%({name}o)s`, lower case.
    ResponseHeader(String),
    /// What is not known here: `-`.
    Dash,
}

/// Least severe first, so that `level >= config.log_level` says whether a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        }
    }
}

impl Config {
    /// Whether somebody reads a line for every request.
    pub fn logs_requests(&self) -> bool {
        self.access_log.is_some() || self.syslog.as_ref().is_some_and(|syslog| syslog.access)
    }

    /// Where the app runs and is imported from.
    pub fn chdir_of<'c>(&'c self, app: &'c App) -> &'c Path {
        app.options.chdir.as_deref().unwrap_or(&self.chdir)
    }

    /// The app's own directories come first.
    pub fn pythonpath_of(&self, app: &App) -> Vec<PathBuf> {
        [&app.options.pythonpath[..], &self.pythonpath].concat()
    }

    /// In the order in which they are set: the app's own win.
    pub fn env_of(&self, app: &App) -> Vec<(String, String)> {
        [&self.env[..], &app.options.env].concat()
    }

    /// A configuration with every default, listening on nothing and serving nothing: a base for tests.
    pub fn bare() -> Config {
        Config {
            binds: Vec::new(),
            inherited: Vec::new(),
            rings: 1,
            apps: Vec::new(),
            statics: Vec::new(),
            sendfile_roots: Vec::new(),
            python: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            access_log: None,
            access_log_format: LogFormat::Combined,
            error_log: LogTarget::Stderr,
            log_level: LogLevel::Info,
            statsd: None,
            syslog: None,
            control_socket: PathBuf::from("/tmp/ringgate.sock"),
            control_socket_chosen: false,
            chdir: PathBuf::from("/"),
            env: Vec::new(),
            pythonpath: Vec::new(),
            server_header: "ringgate".into(),
            backlog: 2048,
            pid_file: None,
            identity: Identity::default(),
            daemon: false,
            forwarded: Forwarded::default(),
            odd_headers: OddHeaders::default(),
            proxy: None,
            notes: Vec::new(),
            extension: None,
            ready_fd: None,
            file: None,
        }
    }
}
