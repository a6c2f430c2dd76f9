//! Options: one definition each, the parser and help made from them, and the checked model that the processes read.
//!
//! Floors inside: `files`, `model`, `options`, `gunicorn`, `value` | `document` | `raw` | `check`, `help` | `cli`. `cli::parse` turns arguments and
//! environment into an [`Invocation`] without looking at files or sockets; `world::check` does look.
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
    Address, App, Config, Forwarded, Identity, Kind, KindChoice, Limits, LogFormat, LogLevel,
    LogTarget, Network, Piece, Timeouts, Trusted,
};

/// Something the user got wrong: what, and what to do. The message is complete; nothing needs to be put around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(pub String);

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}
