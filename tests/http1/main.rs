//! HTTP/1.1 as bytes on a connection: what is served, what is refused and how, what slow clients may do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../../src/proto/seed.rs"]
mod seed;

mod bodies;
mod connections;
mod cuts;
mod limits;
mod refusals;
mod slowness;
mod targets;

use harness::{Response, Server, Setup, shared};
use std::sync::OnceLock;

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    shared(&SERVER, || {
        Setup::app("basic:application")
            .workers(2)
            .option("--limit-request-body", "65536")
    })
}

/// A server whose timeouts are short; what is tested is what happens then, not when.
fn hasty() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let setup = || {
        Setup::app("basic:application")
            .workers(1)
            .option("--keep-alive", "1")
            .option("--header-timeout", "1")
            .option("--body-timeout", "1")
    };
    shared(&SERVER, || setup().option("--write-timeout", "1"))
}

#[track_caller]
fn exchange(request: impl AsRef<[u8]>) -> Response {
    server().client().send(request).response()
}

/// The request must be refused with this status, and the connection must end.
#[track_caller]
fn refused(request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let mut client = server().client();
    // The refusal may come before all was sent.
    if client.try_send(request).is_err() {
        return;
    }
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    let response = client
        .try_response("GET")
        .unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(response.status, status, "{shown:?}: {response:?}");
    assert!(
        response.closes(),
        "{shown:?}: no Connection: close in {response:?}"
    );
    let rest = client.rest();
    assert!(
        rest.is_empty(),
        "{shown:?}: something behind the refusal: {:?}",
        String::from_utf8_lossy(&rest)
    );
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}
