//! Options: one definition each, the parser and help made from them, and the checked model that the processes read.
//!
//! `model` is what edge and supervisor see. `options` is the one table. `cli` turns arguments and environment into
//! raw strings, `check` turns raw strings into the model or one clear message; neither looks at files or sockets.
#![forbid(unsafe_code)]

pub mod model;

pub use model::{
    Address, App, Config, Kind, KindChoice, Limits, LogFormat, LogLevel, LogTarget, StaticMount,
    Timeouts,
};
