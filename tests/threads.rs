//! `--threads`: several requests at once in one worker, each with a seat of its own, in both kinds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::{HUP, TERM};
use harness::{Client, Server, Setup, python};
use std::collections::BTreeSet;

fn setup(kind: &str, workers: usize, threads: usize) -> Setup {
    Setup::app("basic")
        .kind(kind)
        .workers(workers)
        .option("--threads", threads.to_string())
}

/// Asks for a page that waits for leave, and waits until it is being served.
fn begin(server: &Server, page: &str, name: &str) -> Client {
    let mut client = server.client();
    client.send(format!("GET /{page}/{name} HTTP/1.1\r\nHost: test\r\n\r\n"));
    server.dir().wait(&format!("{name}.started"));
    client
}

fn allow(server: &Server, name: &str) {
    server.dir().write(&format!("{name}.go"), "");
}

/// The interpreters that answer.
fn workers(server: &Server) -> BTreeSet<String> {
    (0..20)
        .map(|_| {
            let facts = server.get("/who").expect(200).json();
            format!("{} {}", facts["pid"], facts["interpreter"])
        })
        .collect()
}

#[test]
fn as_many_requests_run_as_there_are_threads() {
    for kind in python::kinds() {
        let server = setup(kind, 1, 3).start();
        let mut clients: Vec<(&str, Client)> = ["a", "b", "c"]
            .into_iter()
            .map(|name| (name, begin(&server, "block", name)))
            .collect();
        // No thread is left for a fourth, which waits.
        let mut fourth = server.client();
        fourth.send("GET /block/d HTTP/1.1\r\nHost: test\r\n\r\n");
        let (_, mut first) = clients.remove(0);
        allow(&server, "a");
        first.response().expect(200);
        server.dir().wait("d.started");
        for name in ["b", "c", "d"] {
            allow(&server, name);
        }
        for (_, mut client) in clients {
            client.response().expect(200);
        }
        fourth.response().expect(200);
        assert_eq!(workers(&server).len(), 1, "{kind}");
    }
}

#[test]
fn the_environ_says_so() {
    for kind in python::kinds() {
        for (threads, expected) in [(1, false), (2, true)] {
            let server = setup(kind, 2, threads).start();
            let environ = server.get("/environ").expect(200).json();
            assert_eq!(environ["wsgi.multithread"], expected, "{kind} {threads}");
            assert_eq!(environ["wsgi.multiprocess"], true, "{kind} {threads}");
        }
    }
}

#[test]
fn what_a_request_starts_is_no_daemon_by_inheritance() {
    for kind in python::kinds() {
        let server = setup(kind, 1, 2).start();
        let facts = server.get("/who").expect(200).json();
        assert_eq!(facts["inherits_daemon"], false, "{kind}");
    }
}

#[test]
fn a_request_over_its_time_is_interrupted_alone() {
    for kind in python::kinds() {
        let server = setup(kind, 1, 2).option("--timeout", "2").start();
        let before = server.get("/who").expect(200).json();
        let mut client = begin(&server, "spin", "loop");
        client.response().expect(504);
        server.wait_log("it was here");
        // Its neighbour's request goes on: begun before the other's end, ended after.
        let mut neighbour = begin(&server, "block", "neighbour");
        allow(&server, "neighbour");
        neighbour.response().expect(200);
        let after = server.get("/who").expect(200).json();
        assert_eq!(
            (&before["pid"], &before["interpreter"]),
            (&after["pid"], &after["interpreter"]),
            "{kind}: the same worker\n{}",
            server.log()
        );
    }
}

#[test]
fn a_request_that_cannot_be_interrupted_costs_its_process() {
    let server = setup("processes", 1, 2).option("--timeout", "1").start();
    let before = server.get("/who").expect(200).json();
    let mut client = begin(&server, "stuck", "sleep");
    client.response().expect(504);
    server.wait_log("killed: a request ran over its time");
    let after = server.get("/who").expect(200).json();
    assert_ne!(before["pid"], after["pid"], "{}", server.log());
}

#[test]
fn a_seat_that_cannot_be_freed_is_given_to_another_interpreter() {
    if !python::has_interpreters() {
        return harness::skipped("interpreters need CPython 3.13 or newer");
    }
    let server = setup("interpreters", 1, 2).option("--timeout", "1").start();
    let mut client = begin(&server, "stuck", "sleep");
    client.response().expect(504);
    for _ in 0..20 {
        server.get("/hello").expect(200);
    }
    server.wait_log("it was here");
}

#[test]
fn a_stop_and_a_reload_wait_for_every_thread() {
    for kind in python::kinds() {
        for signal in [HUP, TERM] {
            let mut server = setup(kind, 1, 3).start();
            let clients = ["a", "b", "c"].map(|name| (name, begin(&server, "block", name)));
            server.signal(signal);
            if signal == HUP {
                server.wait_log("generation 2 is up");
            } else {
                server.wait_log("stop");
            }
            for (name, mut client) in clients {
                allow(&server, name);
                client.response().expect(200);
            }
            if signal == HUP {
                server.get("/hello").expect(200);
            } else {
                assert!(server.wait().success(), "{}", server.log());
            }
        }
    }
}

#[test]
fn a_crash_costs_what_ran_in_the_process_and_nothing_that_waited() {
    for kind in python::kinds() {
        let server = setup(kind, 1, 2).start();
        let mut neighbour = begin(&server, "block", "neighbour");
        assert_eq!(server.get("/exit/3").status, 502, "{kind}");
        assert_eq!(neighbour.response().status, 502, "{kind}");
        server.get("/hello").expect(200);
        assert_eq!(workers(&server).len(), 1, "{kind}");
    }
}

#[test]
fn lines_of_several_threads_do_not_mix() {
    let server = setup("processes", 1, 4).start();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let text = format!("line-of-{number}-").repeat(20);
                for _ in 0..50 {
                    server
                        .client()
                        .request("POST", "/say", "", text.as_bytes())
                        .expect(200);
                }
            });
        }
    });
    for line in server
        .log()
        .lines()
        .filter(|line| line.contains("line-of-"))
    {
        let kinds: BTreeSet<&str> = ["line-of-0", "line-of-1", "line-of-2", "line-of-3"]
            .into_iter()
            .filter(|each| line.contains(each))
            .collect();
        assert_eq!(kinds.len(), 1, "{line}");
    }
}

#[test]
fn an_event_loop_has_no_threads() {
    if !python::has_frameworks() || !python::has("starlette") {
        return harness::skipped("starlette is not installed");
    }
    for kind in python::kinds() {
        let mut server = Setup::app("site_starlette:app")
            .option("--chdir", python::apps().join("frameworks"))
            .kind(kind)
            .workers(2)
            .option("--threads", "3")
            .start();
        assert_eq!(server.get("/").expect(200).text(), "Hello, starlette!");
        server.signal(HUP);
        server.wait_log("generation 2 is up");
        assert_eq!(server.get("/").expect(200).text(), "Hello, starlette!");
        server.signal(TERM);
        assert!(server.wait().success(), "{}", server.log());
    }
}

/// Two requests wait for each other on one loop: both run, in one thread and one worker, whatever `--threads` says.
#[test]
fn for_an_asgi_application_threads_change_nothing_and_that_is_said() {
    const APP: &str = "\
import asyncio, threading
meeting = asyncio.Event()
waiting = set()
async def application(scope, receive, send):
    if scope['type'] != 'http':
        raise RuntimeError('no lifespan')
    waiting.add(scope['path'])
    if len(waiting) == 2:
        meeting.set()
    await meeting.wait()
    body = str(threading.get_ident()).encode()
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': body})
";
    for kind in python::kinds() {
        for interface in ["auto", "asgi"] {
            let setup = Setup::bare();
            setup.dir().write("looped.py", APP);
            let server = setup
                .arg("looped:application")
                .kind(kind)
                .workers(1)
                .option("--threads", "3")
                .option("--interface", interface)
                .start();
            server.wait_log("--threads 3 changes nothing, it is for WSGI");
            let mut clients = [server.client(), server.client()];
            for (name, client) in ["a", "b"].into_iter().zip(&mut clients) {
                client.send(format!("GET /{name} HTTP/1.1\r\nHost: test\r\n\r\n"));
            }
            let said = clients.map(|mut client| client.response().expect(200).text());
            assert_eq!(said[0], said[1], "{kind} {interface}");
        }
    }
}
