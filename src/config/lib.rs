//! Options: one definition each, the parser and help made from them, and the checked model that the processes read.
//!
//! Floors inside: `files`, `app`, `remote`, `model`, `options`, `value` | `document` | `raw` | `doors` (the words of other servers) | `check`, `help`, `reference`,
//! `printed` | `cli`. `cli::parse` turns arguments and environment into an [`Invocation`]; what it needs of the world it asks its
//! [`Outside`]. `world::check` looks whether what is named is there.
#![forbid(unsafe_code)]

pub mod app;
pub mod check;
pub mod cli;
pub mod document;
pub mod doors;
pub mod files;
mod help;
pub mod model;
pub mod options;
mod printed;
pub mod raw;
mod reference;
pub mod remote;
pub mod value;
pub mod world;

pub use app::{
    AppOptions, EventLoop, Extensions, Interface, InterfaceChoice, Lifespan, Route,
    WebSocketOptions,
};
pub use check::Surroundings;
pub use cli::{Invocation, Outside, parse};
pub use doors::script::Question;
pub use files::{
    Autoindex, CacheRule, Coding, EntityTag, Pattern, StaticMount, StaticOptions, Symlinks, Try,
    is_own_field,
};
pub use model::{
    Address, App, Config, Forwarded, HeaderMap, Identity, Kind, KindChoice, Limits, LogFormat,
    LogLevel, LogTarget, Network, OddHeaders, Piece, Proxy, Timeouts, Trusted,
};
pub use remote::{Remote, Statsd, Syslog};

/// Something the user got wrong: what, and what to do. The message is complete; nothing needs to be put around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(pub String);

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}
