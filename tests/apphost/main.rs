//! The app host alone, supervisor and edge played by the test: kinds, start and end, faults, deadlines.
//! What an application sees of WSGI is in tests/wsgi.

#[path = "../harness/mod.rs"]
mod harness;

mod asgi;
mod asgi_life;
mod deadlines;
mod driver;
mod forks;
mod loading;
mod probe;
mod processes;
mod serving;
mod speed;
mod units;

use config::Kind;
use harness::python;

/// The kinds that this Python can run.
fn kinds() -> Vec<Kind> {
    let kinds = [Kind::Interpreters, Kind::Processes];
    kinds
        .into_iter()
        .filter(|kind| *kind == Kind::Processes || python::has_interpreters())
        .collect()
}

/// Only where there are interpreters; says so where not.
fn interpreters() -> bool {
    let there = python::has_interpreters();
    if !there {
        harness::skipped("interpreters need CPython 3.13 or newer");
    }
    there
}
