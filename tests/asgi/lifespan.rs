//! Start-up, state and shutdown (A23 to A28).

use crate::harness::Setup;
use crate::harness::python;
use crate::setup;

// The lifespan.

fn with_lifespan(kind: &str, mode: &str) -> Setup {
    setup(kind).env("LIFESPAN", mode)
}

#[test]
fn a23_a28_once_per_loop_with_a_state_that_requests_copy() {
    for kind in python::kinds() {
        let server = setup(kind).start();
        for count in 1..=3 {
            // One list, shared by the copies of one worker's state.
            assert_eq!(server.get("/a28").expect(200).text(), format!("{count} 1"));
        }
    }
}

#[test]
fn a24_an_application_without_lifespan_is_served() {
    for kind in python::kinds() {
        let server = with_lifespan(kind, "raises").start();
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
        assert!(!server.log().contains("NotImplementedError"));
    }
}

#[test]
fn a24_a_startup_that_breaks_is_shown_although_the_application_is_served() {
    for kind in python::kinds() {
        let server = with_lifespan(kind, "breaks").start();
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
        server.wait_log("the application's startup failed");
        server.wait_log("OSError: no database");
    }
}

#[test]
fn a25_nothing_is_accepted_before_the_startup_is_complete() {
    for kind in python::kinds() {
        let server = with_lifespan(kind, "slow").start();
        assert_eq!(server.get("/a01").expect(200).text(), "ok");
        assert!(server.dir().has("slow-startup"));
    }
}

#[test]
fn a26_a_failed_startup_is_said_and_ends_the_server() {
    for kind in python::kinds() {
        let (code, log) = with_lifespan(kind, "fails").run_to_end();
        assert_ne!(code, 0);
        assert!(log.contains("startup failed: no database"), "{log}");
    }
    let (code, log) = with_lifespan("processes", "raises")
        .option("--lifespan", "on")
        .run_to_end();
    assert_ne!(code, 0);
    assert!(log.contains("startup failed: NotImplementedError"), "{log}");
}

#[test]
fn a27_shutdown_comes_after_the_last_request_and_is_waited_for() {
    for kind in python::kinds() {
        let mut server = setup(kind).start();
        let mut client = server.client();
        client.send("GET /a27 HTTP/1.1\r\nHost: test\r\n\r\n");
        server.dir().wait("a27.begun");
        server.signal(crate::harness::server::TERM);
        assert_eq!(client.response().expect(200).text(), "ok");
        assert!(server.wait().success());
        let seen: Vec<_> = std::fs::read_dir(server.dir().path())
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                path.to_string_lossy()
                    .contains("/shutdown.")
                    .then(|| std::fs::read_to_string(path).unwrap())
            })
            .collect();
        assert_eq!(seen, ["request.done"]);
    }
}

#[test]
fn a27_a_shutdown_is_not_waited_for_beyond_the_graceful_timeout() {
    for kind in python::kinds() {
        let mut server = with_lifespan(kind, "endless")
            .option("--graceful-timeout", "1")
            .start();
        server.signal(crate::harness::server::TERM);
        assert!(server.wait().success());
        let log = server.log();
        assert!(
            log.contains("did not end within --graceful-timeout (1 s)"),
            "{log}"
        );
    }
}

/// Said when no edge is left to read what hosts print, and told as it would be before.
#[test]
fn a27_a_shutdown_that_raises_is_told_as_the_workers_error() {
    for kind in python::kinds() {
        let (status, log) = with_lifespan(kind, "ends-badly").start().stop();
        assert!(status.success());
        for text in [
            " error app asgi_duties[1] w0: the application's lifespan failed\n    Traceback",
            "\n    RuntimeError: the shutdown raised \\x1b[31m on purpose",
        ] {
            assert!(log.contains(text), "{text}: {log}");
        }
    }
}
