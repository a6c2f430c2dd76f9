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

#[test]
fn every_worker_has_its_figures() {
    let server = Setup::app("basic:application")
        .kind("processes")
        .workers(2)
        .start();
    let mut client = server.client();
    for _ in 0..20 {
        client.get("/hello").expect(200);
    }
    let workers = || {
        server.status()["apps"][0]["workers"]
            .as_array()
            .unwrap()
            .clone()
    };
    let shown = eventually("twenty requests", || {
        let workers = workers();
        let sum = |path: &str| -> u64 {
            let of = |worker: &serde_json::Value| worker.pointer(path).unwrap().as_u64().unwrap();
            workers.iter().map(of).sum()
        };
        (sum("/served") == 20 && sum("/queue_time/count") == 20).then_some(workers)
    });
    for worker in &shown {
        assert_eq!(
            (worker["incarnation"].as_u64(), worker["running"].as_u64()),
            (Some(1), Some(0))
        );
        assert!(worker["age_s"].as_f64().unwrap() > 0.0);
        let times = &worker["queue_time"];
        let time = |name: &str| times[name].as_f64().unwrap();
        assert!(
            time("p50_s") <= time("p95_s") && time("p95_s") <= time("max_s"),
            "{times}"
        );
        let memory = &worker["memory"];
        let bytes = |name: &str| memory[name].as_u64().unwrap();
        assert!(0 < bytes("private_bytes") && bytes("private_bytes") <= bytes("resident_bytes"));
    }
    assert!(server.status()["apps"][0]["replacement"].is_null());
    // A worker that dies leaves its reason, and its successor begins anew.
    let pid = shown[0]["pid"].as_u64().unwrap();
    harness::process::kill(u32::try_from(pid).unwrap(), harness::server::KILL);
    let fresh = eventually("its successor", || {
        let index = shown[0]["index"].clone();
        let mut workers = workers().into_iter();
        workers.find(|worker| worker["index"] == index && worker["incarnation"] == 2)
    });
    assert_eq!(
        (&fresh["served"], &fresh["queue_time"]["count"]),
        (&0.into(), &0.into())
    );
    let replacement = server.status()["apps"][0]["replacement"].clone();
    let reason = replacement["reason"].as_str().unwrap();
    assert!(
        reason.contains(&format!("pid {pid}")) && reason.contains("signal 9"),
        "{reason}"
    );
    let table = server.command(&["status"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains(" ago: worker ") && table.contains("signal 9"),
        "{table}"
    );
}
