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

use harness::{Server, Setup, eventually, python, shared, skipped};
use std::path::PathBuf;
use std::sync::OnceLock;

fn setup(kind: &str) -> Setup {
    let setup = Setup::app("asgi_duties:application").kind(kind).workers(1);
    setup.dir().write("source.bin", "abcdefghij".repeat(10));
    setup
}

/// One server of each kind that the test's Python can do, shared by all tests here.
fn servers() -> Vec<&'static Server> {
    static PROCESSES: OnceLock<Server> = OnceLock::new();
    static INTERPRETERS: OnceLock<Server> = OnceLock::new();
    let mut servers = vec![shared(&PROCESSES, || setup("processes"))];
    if python::has_interpreters() {
        servers.push(shared(&INTERPRETERS, || setup("interpreters")));
    } else {
        skipped("interpreters need CPython 3.13 or newer");
    }
    servers
}

/// The page must say "ok".
#[track_caller]
fn ok(target: &str) {
    for server in servers() {
        assert_eq!(server.get(target).expect(200).text(), "ok", "{target}");
    }
}

/// Waits for a mark that the application leaves.
fn mark(server: &Server, name: &str) -> String {
    let path: PathBuf = server.dir().path().join(name);
    eventually(name, || {
        path.exists()
            .then(|| std::fs::read_to_string(&path).unwrap())
    })
}

fn forget(server: &Server, name: &str) {
    std::fs::remove_file(server.dir().path().join(name)).ok();
}

fn source() -> String {
    "abcdefghij".repeat(10)
}
