//! What slow clients may do, and what a full queue says.

use crate::harness::{Client, Setup};
use crate::{get, hasty, server};
use std::io::Write;
use std::net::TcpStream;

#[test]
fn a_client_that_stops_sending_may_count_as_gone() {
    let mut client = server().client();
    client.send(get("/hello")).finish_sending();
    // The end of the stream looks the same whether the client only finished or left; the app's answer may be dropped.
    if let Ok(response) = client.try_response("GET") {
        assert_eq!(response.status, 200);
    }
    client.expect_close();
    server().get("/hello").expect(200);
}

#[test]
fn a_slow_head_is_answered_408_or_closed() {
    let mut client = hasty().client();
    client.send("GET /hello HT");
    if let Ok(response) = client.try_response("GET") {
        assert_eq!(response.status, 408);
    }
    client.expect_close();
}

#[test]
fn a_slow_body_costs_no_worker() {
    let mut slow = hasty().client();
    slow.send("POST /block/slow-body HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    hasty().get("/hello").expect(200);
    if let Ok(response) = slow.try_response("GET") {
        assert_eq!(response.status, 408);
    }
    slow.expect_close();
    assert!(!hasty().dir().has("slow-body.started"));
}

#[test]
fn an_idle_connection_is_closed() {
    let mut client = hasty().client();
    client.get("/hello").expect(200);
    client.expect_close();
    hasty().client().expect_close();
}

#[test]
fn a_client_that_never_reads_is_dropped_and_costs_no_worker() {
    let server = hasty();
    let mut client = server.client();
    client.send(get("/endless/never-read"));
    // The app goes on until nothing fits any more; then the write timeout ends it.
    server.dir().wait("never-read.closed");
    server.get("/hello").expect(200);
}

#[test]
fn a_client_that_pipelines_and_never_reads_costs_little() {
    let server = hasty();
    let edge = server.edge().expect("an edge runs");
    let before = crate::harness::process::resident_kib(edge);
    let requests = get("/big/60000").repeat(100);
    // Sending stops when the server stops reading, or the write timeout closes.
    server.client().flood(requests.as_bytes(), 64 * 1024 * 1024);
    let after = crate::harness::process::resident_kib(edge);
    assert!(after < before + 32 * 1024, "{before} KiB -> {after} KiB");
    server.get("/hello").expect(200);
}

#[test]
fn connections_at_rest_cost_little_and_those_that_were_reset_nothing() {
    const AT_REST: u64 = 500;
    let server = Setup::app("basic:application").workers(1).start();
    let edge = server.edge().expect("an edge runs");
    let resident = || crate::harness::process::resident_kib(edge);
    // What is closed with an answer unread is reset.
    let reset = |count: usize| {
        for _ in 0..count {
            let mut client = TcpStream::connect(server.address()).expect("a connection");
            client.write_all(get("/hello").as_bytes()).expect("sent");
            client.peek(&mut [0]).expect("an answer comes");
        }
        server.get("/hello").expect(200);
        resident()
    };
    let before = reset(500);
    let after = reset(5000);
    assert!(after < before + 1024, "{before} KiB -> {after} KiB");
    let mut clients: Vec<Client> = (0..AT_REST).map(|_| server.client()).collect();
    for client in &mut clients {
        client.get("/hello").expect(200);
    }
    let full = resident();
    assert!(full < after + 4 * AT_REST, "{after} KiB -> {full} KiB");
}

#[test]
fn three_hundred_slow_connections_stop_nobody() {
    let server = server();
    let mut slow: Vec<Client> = (0..300).map(|_| server.client()).collect();
    for client in &mut slow {
        client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhe");
    }
    for _ in 0..20 {
        server.get("/hello").expect(200);
    }
    for client in &mut slow {
        client.send("llohello");
    }
    for client in &mut slow {
        assert_eq!(client.response().expect(200).text(), "hellohello");
    }
}

#[test]
fn a_full_queue_is_answered_503() {
    const PENDING: usize = 64;
    const CLIENTS: usize = 100;
    let setup = Setup::app("basic:application").workers(1);
    let server = setup.option("--pending", PENDING.to_string()).start();
    let mut running = server.client();
    running.send(get("/block/full"));
    crate::harness::eventually("the worker is busy", || {
        server
            .dir()
            .path()
            .join("full.started")
            .exists()
            .then_some(())
    });
    let (report, reports) = std::sync::mpsc::channel();
    for _ in 0..CLIENTS {
        let (mut client, report) = (server.client(), report.clone());
        std::thread::spawn(move || report.send(client.get("/hello")));
    }
    // Those beyond the limit are answered at once, while the worker is still busy; the others wait for it.
    for response in reports.iter().take(CLIENTS + 1 - PENDING) {
        let response = response.expect(503);
        assert!(response.header("retry-after").is_some(), "{response:?}");
        assert!(
            !response.closes(),
            "a full queue is no reason to lose the connection: {response:?}"
        );
    }
    server.dir().write("full.go", "");
    running.response().expect(200);
    for response in reports.iter().take(PENDING - 1) {
        response.expect(200);
    }
}
