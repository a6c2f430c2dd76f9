//! What the ASGI specification asks of a server, duty by duty (A1 to A36), through the real binary over raw sockets, with both kinds of workers.
//!
//! The other half of each test is the page of the same name in apps/asgi_duties.py. A34 (server push) is obsolete and not offered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod application;
mod extensions;
mod http;
mod lifespan;
mod scope;
mod socket;
mod time;
mod websockets;

use harness::{PerKind, Server, Setup, shared_by_kind};
use std::sync::OnceLock;

fn setup(kind: &str) -> Setup {
    let setup = Setup::app("asgi_duties:application").kind(kind).workers(1);
    setup.dir().write("source.bin", "abcdefghij".repeat(10));
    setup
}

/// One server of each kind that the test's Python can do, shared by all tests here.
fn servers() -> Vec<&'static Server> {
    static SERVERS: PerKind = [const { OnceLock::new() }; 2];
    shared_by_kind(&SERVERS, setup)
}

/// The page must say "ok".
#[track_caller]
fn ok(target: &str) {
    for server in servers() {
        assert_eq!(server.get(target).expect(200).text(), "ok", "{target}");
    }
}

fn source() -> String {
    "abcdefghij".repeat(10)
}
