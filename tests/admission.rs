//! Limits of routes through the real binary: time, and how many run at once, over several ring threads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::KILL;
use harness::{Client, Server, Setup, eventually, process, python};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// A server of the pages in `basic`: options, the application's keys, its routes with their rules.
fn start(rings: &str, keys: &str, routes: &[(&str, &str)]) -> Server {
    let setup = Setup::bare();
    let mut text = format!(
        "chdir = '{}'\n[app.basic]\ntarget = 'basic'\n{keys}\n",
        python::apps().display()
    );
    for (path, rules) in routes {
        text += &format!("[[app.basic.route]]\npath = '{path}'\n{rules}\n");
    }
    let config = setup.dir().write("site.toml", text);
    setup
        .option("--config", config)
        .option("--rings", rings)
        .start()
}

fn has_started(server: &Server, name: &str) -> bool {
    server.dir().path().join(format!("{name}.started")).exists()
}

/// A client that has asked for `path`.
fn asked(server: &Server, path: &str) -> Client {
    let mut client = server.client();
    client.send(get(path));
    client
}

fn a_route_over_its_time(kind: &str) {
    let keys = format!("workers = 1\nkind = '{kind}'\ntimeout = 600");
    let server = start(
        "1",
        &keys,
        &[("/stuck", "timeout = 1"), ("/spin", "timeout = 1")],
    );
    for page in ["stuck", "spin"] {
        let mut client = asked(&server, &format!("/{page}/{page}"));
        client.response().expect(504);
        let line = server.wait_log(&format!("in {page}"));
        assert!(line.contains("basic.py"), "no stack: {line}");
        server.wait_log(&format!("GET /{page}/{page}"));
        eventually("the app serves again", || {
            (client.get("/hello").status == 200).then_some(())
        });
    }
}

#[test]
fn a_process_over_its_routes_time_is_shown_and_replaced() {
    a_route_over_its_time("processes");
}

#[test]
fn an_interpreter_over_its_routes_time_is_shown_and_interrupted_or_replaced() {
    if python::has_interpreters() {
        a_route_over_its_time("interpreters");
    }
}

#[test]
fn a_bounded_route_leaves_workers_free_over_all_rings() {
    let server = start("2", "workers = 3", &[("/block", "concurrency = 1")]);
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut first = asked(&server, "/block/a");
    eventually("the first runs", || has_started(&server, "a").then_some(()));
    // From many connections, so that both rings have some.
    let mut waiting: Vec<(&str, Client)> = names[1..]
        .iter()
        .map(|name| (*name, asked(&server, &format!("/block/{name}"))))
        .collect();
    for _ in 0..10 {
        server.get("/hello").expect(200);
    }
    assert!(!names[1..].iter().any(|name| has_started(&server, name)));
    let mut running = "a";
    server.dir().write("a.go", "");
    first.response().expect(200);
    // One after the other, in whichever order they came in.
    while !waiting.is_empty() {
        let next = eventually("the next runs", || {
            waiting
                .iter()
                .position(|(name, _)| has_started(&server, name))
        });
        let (name, mut client) = waiting.remove(next);
        server.get("/hello").expect(200);
        let others = waiting.iter().any(|(name, _)| has_started(&server, name));
        assert!(!others, "{running} was over, {name} runs, and another one");
        server.dir().write(&format!("{name}.go"), "");
        client.response().expect(200);
        running = name;
    }
}

#[test]
fn a_place_is_handed_on_when_its_client_or_its_worker_is_gone() {
    let server = start(
        "2",
        "workers = 3\nkind = 'processes'",
        &[("/block", "concurrency = 1")],
    );
    let first = asked(&server, "/block/a");
    eventually("the first runs", || has_started(&server, "a").then_some(()));
    let second = asked(&server, "/block/b");
    let mut third = asked(&server, "/block/c");
    server.get("/hello").expect(200);
    // One leaves while it runs, one while it waits.
    drop((first, second));
    eventually("both are missed", || {
        (server.status()["apps"][0]["abandoned"] == 2).then_some(())
    });
    server.dir().write("a.go", "");
    eventually("the third runs", || has_started(&server, "c").then_some(()));
    assert!(!has_started(&server, "b"));
    let mut fourth = asked(&server, "/block/d");
    let pid = std::fs::read_to_string(server.dir().path().join("c.started")).unwrap();
    process::kill(pid.parse().unwrap(), KILL);
    third.response().expect(502);
    eventually("the fourth runs", || {
        has_started(&server, "d").then_some(())
    });
    server.dir().write("d.go", "");
    fourth.response().expect(200);
}

#[test]
fn times_are_told_to_the_client_and_to_the_app() {
    let server = start("1", "workers = 1\nserver_timing = true", &[]);
    let response = server.get("/environ").expect(200);
    let timing = response.header("server-timing").unwrap();
    assert!(
        timing.starts_with("queue;dur=") && timing.contains(", app;dur="),
        "{timing}"
    );
    let text = response.text();
    assert!(text.contains("ringgate.queue_start"), "{text}");
}
