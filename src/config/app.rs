//! How one app is run: the checked settings of an `[app.NAME]` table, or of the command line for the apps named there.
//!
//! Owns the types and their defaults, not their parsing. Times are milliseconds, sizes bytes; 0 switches off what its comment says.

use crate::model::KindChoice;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppOptions {
    /// Which protocol the callable speaks.
    pub interface: InterfaceChoice,
    pub kind: KindChoice,
    pub extensions: Extensions,
    /// Workers kept at all times (1..=WORKERS_MAX).
    pub workers: usize,
    /// Workers in bursts; not below `workers`.
    pub workers_max: usize,
    /// Threads that serve requests in each WSGI worker.
    pub threads: usize,
    /// Until the app begins to answer; beyond: 504. 0: for ever.
    pub timeout_ms: u64,
    /// How long running requests may take after a stop, reload or recycle.
    pub graceful_ms: u64,
    /// A worker is replaced after so many requests, plus a random number up to `max_requests_jitter`. 0: never.
    pub max_requests: u64,
    pub max_requests_jitter: u64,
    /// A worker (interpreters: its host) is replaced when its memory is beyond this. 0: never.
    pub max_rss_bytes: u64,
    /// `processes` only: import the app once and fork; off: every worker imports it.
    pub preload: bool,
    /// What was imported before the fork is never freed in workers.
    pub immortal: bool,
    /// Paths requested of every new generation before it takes traffic.
    pub warmup: Vec<String>,
    /// And before the workers are forked, once for all.
    pub warmup_before_fork: bool,
    /// Development: a change of the app's files makes the next generation.
    pub reload: bool,
    /// Files and globs watched besides the imported modules; relative ones from the app's directory.
    pub reload_include: Vec<String>,
    /// Production too: a change of one of these files makes the next generation, as HUP does.
    pub touch_reload: Vec<PathBuf>,
    /// WSGI: hop-by-hop headers are left out, not refused.
    pub tolerate_hop_by_hop: bool,
    /// `Server-Timing` on responses.
    pub server_timing: bool,
    /// Requests running at once over all workers; beyond: they wait. 0: no bound but the workers.
    pub concurrency: usize,
    /// Longest prefix decides; see [`Route`].
    pub routes: Vec<Route>,
    pub lifespan: Lifespan,
    pub event_loop: EventLoop,
    /// ASGI `root_path` and WSGI SCRIPT_NAME in front of the mount.
    pub root_path: String,
    pub websocket: WebSocketOptions,
    /// The interpreter asked for; `None`: the configuration's.
    pub python: Option<PathBuf>,
    /// Where it is imported from; `None`: the configuration's.
    pub chdir: Option<PathBuf>,
    pub env: Vec<(String, String)>,
    pub pythonpath: Vec<PathBuf>,
    /// Python's `logging.config` from this file (.ini, .json, .yaml), before the app is imported.
    pub log_config: Option<PathBuf>,
    /// A gunicorn configuration file (or `python:MODULE`) whose functions are hooks; executed in the app's host.
    pub hooks: Option<PathBuf>,
}

impl Default for AppOptions {
    fn default() -> AppOptions {
        AppOptions {
            interface: InterfaceChoice::Auto,
            kind: KindChoice::Auto,
            extensions: Extensions::Shared,
            workers: 1,
            workers_max: 1,
            threads: 1,
            timeout_ms: 30_000,
            graceful_ms: 30_000,
            max_requests: 0,
            max_requests_jitter: 0,
            max_rss_bytes: 0,
            preload: true,
            immortal: true,
            warmup: Vec::new(),
            warmup_before_fork: false,
            reload: false,
            reload_include: Vec::new(),
            touch_reload: Vec::new(),
            tolerate_hop_by_hop: false,
            server_timing: false,
            concurrency: 0,
            routes: Vec::new(),
            lifespan: Lifespan::Auto,
            event_loop: EventLoop::Auto,
            root_path: String::new(),
            websocket: WebSocketOptions::default(),
            python: None,
            chdir: None,
            env: Vec::new(),
            pythonpath: Vec::new(),
            log_config: None,
            hooks: None,
        }
    }
}

impl AppOptions {
    /// Places in the exchange that one worker takes: one for each request thread. An ASGI worker has a loop, which is one.
    pub fn seats_per_worker(&self) -> usize {
        match self.interface {
            InterfaceChoice::Asgi => 1,
            InterfaceChoice::Auto | InterfaceChoice::Wsgi => self.threads.max(1),
        }
    }
}

/// Rules for a part of an app's paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Prefix of the whole path at a segment boundary, e.g. `/reports`.
    pub path: String,
    /// Instead of the app's; `Some(0)`: for ever.
    pub timeout_ms: Option<u64>,
    /// Requests of this route running at once; further ones wait without holding a worker. 0: no bound.
    #[serde(default)]
    pub concurrency: usize,
    /// Health checks: never refused for want of room, taken before waiting requests.
    #[serde(default)]
    pub health: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceChoice {
    Auto,
    Wsgi,
    Asgi,
}

/// What the callable turned out to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    Wsgi,
    Asgi,
}

/// How extension modules are loaded in sub-interpreters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extensions {
    /// As CPython does: modules that do not support it refuse.
    Shared,
    /// Each interpreter loads its own copy of the shared object, unchecked. Experimental.
    Private,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifespan {
    Auto,
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventLoop {
    /// uvloop where it loads, else asyncio.
    Auto,
    Asyncio,
    Uvloop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSocketOptions {
    /// Longest message; beyond: close with 1009.
    pub max_message_bytes: usize,
    /// Between two keep-alive pings; 0: none.
    pub ping_interval_ms: u64,
    /// A ping without pong for so long: close with 1011. 0: never.
    pub ping_timeout_ms: u64,
    /// permessage-deflate (RFC 7692).
    pub deflate: bool,
}

impl Default for WebSocketOptions {
    fn default() -> WebSocketOptions {
        WebSocketOptions {
            max_message_bytes: 16 << 20,
            ping_interval_ms: 20_000,
            ping_timeout_ms: 20_000,
            deflate: true,
        }
    }
}
