//! ASGI workers without an edge: events both ways, back-pressure, how applications end, loops that stand still. What a client sees is in tests/asgi.

mod http;
mod loops;
mod pressure;
mod websocket;

use crate::driver::{Host, Setup};
use crate::harness::TempDir;
use config::Kind;

pub use websocket::accepted;

/// One application that can do everything, by its path.
const SEVERAL: &str = include_str!("pages.py");

/// A host with one worker.
fn host(source: &str, kind: Kind) -> (Host, TempDir) {
    let (setup, dir) = Setup::source(source, kind, 1);
    (setup.ready(), dir)
}
