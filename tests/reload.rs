//! HUP: a new generation of the apps with no request lost, and the old one kept when the new one is bad.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::load::Load;
use harness::server::HUP;
use harness::{Server, Setup, eventually, process, python};

const RELOADS: usize = 4;

fn versioned(kind: &str) -> Setup {
    let setup = Setup::app("versioned:application")
        .kind(kind)
        .workers(2)
        .option("--rings", "2");
    setup.dir().write("version", "1");
    setup
}

/// Waits until only the new generation answers.
fn wait_version(server: &Server, version: &str) {
    eventually("the new generation", || {
        (server.get("/version").expect(200).text() == version).then_some(())
    });
    eventually("the old host ends", || {
        (server.hosts().len() == 1).then_some(())
    });
    assert_eq!(server.get("/version").expect(200).text(), version);
}

#[test]
fn hup_under_load_loses_nothing() {
    for kind in python::kinds() {
        let server = versioned(kind).start();
        let load = Load::start(server.address(), 16, "/version");
        for generation in 2..2 + RELOADS {
            load.wait_answers(200);
            server.dir().write("version", generation.to_string());
            server.signal(HUP);
            wait_version(&server, &generation.to_string());
        }
        load.wait_answers(200);
        let tally = load.finish();
        assert!(
            tally.refused.is_empty() && tally.broken.is_empty(),
            "{kind}: {tally:?}"
        );
    }
}

#[test]
fn connections_outlive_a_reload() {
    let server = versioned("processes").start();
    let mut client = server.client();
    assert_eq!(client.get("/version").expect(200).text(), "1");
    server.dir().write("version", "2");
    server.signal(HUP);
    eventually("the new generation on the old connection", || {
        (client.get("/version").expect(200).text() == "2").then_some(())
    });
}

#[test]
fn a_running_request_ends_in_its_own_generation() {
    for kind in python::kinds() {
        let server = versioned(kind).start();
        let mut client = server.client();
        client.send("GET /step/across/2 HTTP/1.1\r\nHost: test\r\n\r\n");
        server.dir().write("across.0", "");
        client.wait_text("block 0");
        server.dir().write("version", "2");
        server.signal(HUP);
        eventually("the new generation", || {
            (server.get("/version").expect(200).text() == "2").then_some(())
        });
        server.dir().write("across.1", "");
        assert_eq!(client.response().expect(200).text(), "block 0\nblock 1\n");
        eventually("the old host ends", || {
            (server.hosts().len() == 1).then_some(())
        });
    }
}

#[test]
fn a_bad_new_generation_leaves_the_old_one_serving() {
    for kind in python::kinds() {
        let server = versioned(kind).start();
        server.dir().write("version", "bad");
        server.signal(HUP);
        server.wait_log("this version is bad");
        for _ in 0..10 {
            assert_eq!(server.get("/version").expect(200).text(), "1");
        }
        server.dir().write("version", "3");
        server.signal(HUP);
        wait_version(&server, "3");
    }
}

#[test]
fn several_hups_at_once_end_in_one_generation() {
    let server = versioned("processes").start();
    let load = Load::start(server.address(), 4, "/version");
    server.dir().write("version", "2");
    for _ in 0..5 {
        server.signal(HUP);
        load.wait_answers(5);
    }
    wait_version(&server, "2");
    let tally = load.finish();
    assert!(
        tally.refused.is_empty() && tally.broken.is_empty(),
        "{tally:?}"
    );
}

#[test]
fn every_app_is_reloaded() {
    let server = versioned("processes")
        .also("--mount", "/second=versioned:application")
        .start();
    server.dir().write("version", "2");
    server.signal(HUP);
    for target in ["/version", "/second/version"] {
        eventually(target, || {
            (server.get(target).expect(200).text() == "2").then_some(())
        });
    }
}

#[test]
fn reloads_leave_nothing_behind() {
    let server = versioned("processes").start();
    let mut counts = Vec::new();
    for generation in 2..7 {
        server.dir().write("version", generation.to_string());
        server.signal(HUP);
        wait_version(&server, &generation.to_string());
        let edge = server.edge().unwrap();
        counts.push((
            process::open_descriptors(server.pid()),
            process::open_descriptors(edge),
        ));
    }
    let (first, last) = (counts[0], counts[counts.len() - 1]);
    assert!(last.0 <= first.0 + 2 && last.1 <= first.1 + 8, "{counts:?}");
}
