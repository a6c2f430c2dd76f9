//! What PEP 3333 asks of a server, duty by duty (W1 to W41), through the real binary with both kinds of workers, with one thread and with several.
//!
//! The other half of each test is the page of the same name in apps/duties, in the file of the same name; most pages run inside wsgiref.validate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod answering;
mod closing;
mod environ;
mod file_wrapper;
mod framing;
mod input;

use harness::{PerKind, Response, Server, Setup, shared, shared_by_kind};
use std::sync::OnceLock;

fn setup(kind: &str) -> Setup {
    let setup = Setup::app("duties:application")
        .kind(kind)
        .workers(2)
        .option("--env", "FROM_THE_DEPLOYER=a=b c");
    setup.dir().write("source.bin", "abcdefghij".repeat(10));
    setup
}

/// One server of each kind that the test's Python can do, and one with several threads, shared by all tests here.
fn servers() -> Vec<&'static Server> {
    static SERVERS: PerKind = [const { OnceLock::new() }; 2];
    static THREADS: OnceLock<Server> = OnceLock::new();
    let mut servers = shared_by_kind(&SERVERS, setup);
    servers.push(shared(&THREADS, || {
        let setup = setup("processes").option("--threads", "3");
        setup.also("--env", "THREADS=3")
    }));
    servers
}

/// The page must say "ok".
#[track_caller]
fn ok(target: &str) {
    ok_with("GET", target, "", b"");
}

#[track_caller]
fn ok_with(method: &str, target: &str, headers: &str, body: &[u8]) {
    for server in servers() {
        let response = server
            .client()
            .request(method, target, headers, body)
            .expect(200);
        assert_eq!(response.text(), "ok", "{target}");
    }
}

fn source() -> String {
    "abcdefghij".repeat(10)
}

/// A request whose response must not look whole: it breaks off, or, where nothing of it has left yet, an error page
/// takes its place.
#[track_caller]
fn breaks_off(server: &Server, target: &str) {
    let mut client = server.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    match client.try_response("GET") {
        Ok(response) => assert!(
            matches!(response.status, 500 | 502),
            "{target}: {response:?}"
        ),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{target}"),
    }
}

#[track_caller]
fn is_error(response: Response) {
    let response = response.expect(500);
    assert!(
        !response.text().contains("Traceback"),
        "the client sees the traceback: {}",
        response.text()
    );
}

const LINES: &[u8] = b"one\ntwo\nthree";
