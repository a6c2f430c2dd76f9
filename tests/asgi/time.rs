//! Requests over their time, and loops that are blocked.

use crate::harness::python;
use crate::setup;

// What else is promised.

#[test]
fn a_request_over_its_time_is_cancelled() {
    for kind in python::kinds() {
        let server = setup(kind).option("--timeout", "1").start();
        assert_eq!(server.get("/sleeps").status, 504);
        assert_eq!(server.dir().wait("sleeps"), "cancelled");
        server.wait_log("ran over its time and is cancelled");
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
    }
}

#[test]
fn a_blocked_loop_is_given_nothing_while_another_is_free() {
    for kind in python::kinds() {
        let server = setup(kind).workers(2).start();
        let mut client = server.client();
        client.send("GET /blocks HTTP/1.1\r\nHost: test\r\n\r\n");
        server.dir().wait("blocks");
        for _ in 0..20 {
            assert_eq!(server.get("/a01").expect(200).text(), "ok");
        }
        server.dir().write("gate", "");
        assert_eq!(client.response().expect(200).text(), "released");
    }
}

/// Looking at its stack must not touch the other loops of the process (`sys._current_frames` does, and the process aborts).
#[test]
fn a_loop_blocked_over_its_time_is_shown_and_freed_or_replaced_and_the_others_live() {
    for kind in python::kinds() {
        let server = setup(kind).workers(2).option("--timeout", "1").start();
        assert_eq!(server.get("/blocks").status, 504);
        server.wait_log("a request ran over its time and is interrupted; it was here:");
        if *kind == "interpreters" {
            server.wait_log("its interpreter is left behind");
        } else {
            // A signal ends what waits: the loop and its other requests go on.
            server.wait_log("_ringgate.RequestTimeout");
            let hosts = &server.status()["processes"]["apps"][0];
            assert_eq!(hosts["recycled"], 0, "{}", server.log());
        }
        server.wait_log("in blocks");
        for _ in 0..20 {
            assert_eq!(server.get("/a01").expect(200).text(), "ok");
        }
        assert!(!server.log().contains("SIGABRT"), "{}", server.log());
    }
}
