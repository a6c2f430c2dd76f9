//! What the black-box tests drive ringgate with: the real binary in a temporary directory, and strict raw clients.
//!
//! A test starts a [`Server`] (or shares one with the tests beside it), talks to it through [`Client`] and looks at its
//! processes through [`process`]. Readiness is a line on a pipe. Whatever waits has the bound [`PATIENCE`], which is
//! only ever reached by a failing test. Must not know ringgate's insides.

#![allow(
    dead_code,
    reason = "each test binary uses its own part of the harness"
)]
#![allow(
    unused_imports,
    reason = "each test binary uses its own part of the harness"
)]

pub mod client;
pub mod keeper;
pub mod load;
pub mod process;
pub mod python;
pub mod response;
pub mod server;
pub mod temp;
pub mod timetable;

pub use client::Client;
pub use response::Response;
pub use server::{PerKind, Server, Setup, mistake, shared, shared_by_kind};
pub use temp::TempDir;

use std::io::Write;
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen, on a machine busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something; panics with `what` when it never does.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says on the terminal, past the test runner's capture, that a test did not run, and why.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    tell(&format!("SKIPPED {name}: {why}"));
}

/// Says something on the terminal, past the test runner's capture.
pub fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("stderr takes a line");
}
