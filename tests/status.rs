//! `ringgate status`: processes, generations, workers, times and counts, as a table and as JSON.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::HUP;
use harness::{Setup, eventually};

#[test]
fn the_json_document_counts_requests() {
    let server = Setup::app("basic:application").workers(2).start();
    let mut client = server.client();
    for _ in 0..5 {
        client.get("/hello").expect(200);
    }
    client.get("/none").expect(404);
    let status = eventually("the counters", || {
        Some(server.status()).filter(|status| status["requests"]["by_status"]["404"] == 1)
    });
    assert_eq!(status["requests"]["by_status"]["200"], 5);
    assert_eq!(status["connections"]["open"], 1);
    let app = &status["apps"][0];
    assert_eq!(
        (app["target"].as_str(), app["state"].as_str()),
        (Some("basic:application"), Some("ready"))
    );
    assert_eq!(app["workers"].as_array().unwrap().len(), 2);
    assert_eq!(app["queue_time"]["count"], 6);
    assert!(app["app_time"]["max_s"].as_f64().unwrap() > 0.0);
    assert_eq!(status["edge"]["pid"], server.edge().unwrap());
}

#[test]
fn a_busy_worker_says_what_it_is_doing() {
    let server = Setup::app("basic:application").workers(2).start();
    let mut client = server.client();
    client.send("GET /block/shown HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the page runs", || {
        server
            .dir()
            .path()
            .join("shown.started")
            .exists()
            .then_some(())
    });
    let status = server.status();
    assert_eq!(status["apps"][0]["in_flight"], 1);
    let workers = status["apps"][0]["workers"].to_string();
    assert!(
        workers.contains("busy") || workers.contains("running") || workers.contains("/block/shown"),
        "{workers}"
    );
    let table = server.command(&["status"]);
    assert!(table.status.success());
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for word in [
        "basic",
        &server.pid().to_string(),
        &server.edge().unwrap().to_string(),
    ] {
        assert!(table.contains(word), "no {word:?} in\n{table}");
    }
    server.dir().write("shown.go", "");
    client.response().expect(200);
}

#[test]
fn generations_are_shown() {
    let server = Setup::app("basic:application").workers(1).start();
    let first = server.status()["apps"][0]["generations"].clone();
    server.signal(HUP);
    eventually("the next generation", || {
        let now = server.status()["apps"][0]["generations"].clone();
        (now != first && now.as_array().unwrap().len() == 1).then_some(())
    });
}

#[test]
fn the_control_socket_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let server = Setup::app("basic:application").start();
    let mode = std::fs::metadata(server.control_socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn garbage_on_the_control_socket_hurts_nobody() {
    use std::io::Write;
    let server = Setup::app("basic:application").start();
    for garbage in [b"\xff\xfe\x00".as_slice(), b"nonsense\n", &[b'x'; 100_000]] {
        let mut stream = std::os::unix::net::UnixStream::connect(server.control_socket()).unwrap();
        // It may hang up while we still send.
        stream.write_all(garbage).ok();
    }
    server.status();
    server.get("/hello").expect(200);
}
