//! Every process killed under load, apps that crash, hang and loop: what it may cost, and what must go on.
//!
//! A killed process costs at most the requests it was running, and these are answered; connections stay.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::load::Load;
use harness::server::{KILL, TERM};
use harness::{Client, Server, Setup, eventually, process, python, skipped};

const WORKERS: usize = 3;
const KILLS: usize = 5;

fn processes() -> Setup {
    Setup::app("basic:application")
        .kind("processes")
        .workers(WORKERS)
        .option("--rings", "2")
}

fn interpreters() -> Option<Setup> {
    if !python::has_interpreters() {
        skipped("interpreters need CPython 3.13 or newer");
        return None;
    }
    Some(
        Setup::app("basic:application")
            .kind("interpreters")
            .workers(WORKERS)
            .option("--rings", "2"),
    )
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// Waits for a page's mark and returns its text: the pid of the worker.
fn started(server: &Server, name: &str) -> u32 {
    let mark = server.dir().wait(&format!("{name}.started"));
    mark.parse().unwrap()
}

/// The number of workers that can take requests, counted by requests that block.
#[track_caller]
fn all_workers_serve(server: &Server, round: usize) {
    let mut clients: Vec<Client> = (0..WORKERS).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/block/all-{round}-{number}")));
    }
    for number in 0..WORKERS {
        started(server, &format!("all-{round}-{number}"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        server.dir().write(&format!("all-{round}-{number}.go"), "");
        client.response().expect(200);
    }
}

#[test]
fn a_killed_process_worker_costs_at_most_its_own_requests() {
    let server = processes().start();
    let load = Load::start(server.address(), 16, "/hello");
    for _ in 0..KILLS {
        load.wait_answers(200);
        let workers = eventually("all workers", || {
            Some(server.process_workers()).filter(|workers| workers.len() == WORKERS)
        });
        process::kill(workers[0], KILL);
        eventually("the worker is replaced", || {
            let now = server.process_workers();
            (now.len() == WORKERS && !now.contains(&workers[0])).then_some(())
        });
    }
    load.wait_answers(200);
    let tally = load.finish();
    assert!(tally.broken.is_empty(), "{tally:?}");
    assert!(
        tally.refused.len() <= KILLS && tally.refused.iter().all(|(status, _)| *status == 502),
        "{tally:?}"
    );
    all_workers_serve(&server, 0);
}

#[test]
fn a_worker_that_had_come_up_is_replaced_at_once_however_young() {
    let server = processes().workers(1).start();
    for _ in 0..8 {
        server.get("/hello").expect(200);
        process::kill(server.process_workers()[0], KILL);
    }
    server.get("/hello").expect(200);
    let log = server.log();
    assert!(!log.contains("keeps ending"), "{log}");
}

#[test]
fn the_request_of_a_killed_worker_gets_502_and_its_connection_stays() {
    let server = processes().start();
    let mut client = server.client();
    client.send(get("/block/victim"));
    process::kill(started(&server, "victim"), KILL);
    client.response().expect(502);
    client.get("/hello").expect(200);
}

#[test]
fn a_response_that_had_begun_breaks_off_with_its_worker() {
    let server = processes().start();
    let mut client = server.client();
    client.send(get("/endless/half"));
    client.wait_bytes(1000);
    process::kill(started(&server, "half"), KILL);
    let rest = client.rest();
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "a clean end of half a response"
    );
    server.get("/hello").expect(200);
}

fn a_killed_app_host(setup: Setup) {
    let server = setup.start();
    let load = Load::start(server.address(), 16, "/hello");
    for _ in 0..KILLS {
        load.wait_answers(200);
        let host = eventually("one host", || {
            Some(server.hosts()).filter(|hosts| hosts.len() == 1)
        })[0];
        process::kill(host, KILL);
        eventually("the host is replaced", || {
            (server.hosts().len() == 1 && !server.hosts().contains(&host)).then_some(())
        });
    }
    load.wait_answers(200);
    let tally = load.finish();
    assert!(
        tally.broken.is_empty(),
        "a client's connection broke: {:?}",
        &tally.broken[..tally.broken.len().min(5)]
    );
    // The requests that ran at the moment of each kill; those that waited are served by the next host.
    assert!(
        tally.refused.len() <= KILLS * WORKERS,
        "{}: {:?}",
        tally.refused.len(),
        &tally.refused[..10]
    );
    assert!(
        tally.refused.iter().all(|(status, _)| *status == 502),
        "{:?}",
        tally.refused
    );
    all_workers_serve(&server, 0);
}

#[test]
fn a_killed_host_of_processes_costs_at_most_the_running_requests() {
    a_killed_app_host(processes());
}

#[test]
fn a_killed_host_of_interpreters_costs_at_most_the_running_requests() {
    if let Some(setup) = interpreters() {
        a_killed_app_host(setup);
    }
}

#[test]
fn a_killed_edge_is_back_on_the_same_sockets() {
    let setup = processes();
    setup.dir().write("files/a.txt", "file");
    let files = format!("/static={}", setup.dir().path().join("files").display());
    let server = setup.also("--static", files).start();
    let address = server.address();
    for round in 0..KILLS {
        server.get("/hello").expect(200);
        let edge = server.edge().unwrap();
        process::kill(edge, KILL);
        eventually("a new edge", || server.edge().filter(|now| *now != edge));
        // A connection that found the dead edge's socket is reset; the sockets of the new one are the same.
        eventually("service again", || {
            Client::try_connect(address)
                .ok()?
                .try_exchange("/hello")
                .ok()
                .filter(|response| response.status == 200)
        });
        assert_eq!(server.get("/static/a.txt").expect(200).text(), "file");
        all_workers_serve(&server, round);
    }
}

#[test]
fn requests_that_ran_when_the_edge_died_free_their_workers() {
    let server = processes().start();
    let mut clients: Vec<Client> = (0..WORKERS).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/block/orphan-{number}")));
        started(&server, &format!("orphan-{number}"));
    }
    let edge = server.edge().unwrap();
    process::kill(edge, KILL);
    eventually("a new edge", || server.edge().filter(|now| *now != edge));
    for number in 0..WORKERS {
        server.dir().write(&format!("orphan-{number}.go"), "");
    }
    all_workers_serve(&server, 0);
}

#[test]
fn a_killed_supervisor_takes_everything_with_it() {
    let mut server = processes().start();
    let everyone = process::descendants(server.pid());
    assert!(everyone.len() > WORKERS, "{everyone:?}");
    server.signal(KILL);
    server.wait();
    eventually("nobody is left", || {
        everyone
            .iter()
            .all(|pid| !process::alive(*pid))
            .then_some(())
    });
}

#[test]
fn a_worker_that_exits_costs_its_request() {
    let server = processes().start();
    let mut client = server.client();
    for _ in 0..WORKERS + 1 {
        client.get("/exit/3").expect(502);
        client.get("/hello").expect(200);
    }
    server.wait_log("3");
    client.get("/crash").expect(502);
    client.get("/hello").expect(200);
}

#[test]
fn an_app_that_crashes_its_interpreters_costs_the_running_requests() {
    let Some(setup) = interpreters() else { return };
    let server = setup.start();
    let mut client = server.client();
    client.get("/crash").expect(502);
    serves_again(&mut client);
    client.get("/exit/3").expect(502);
    serves_again(&mut client);
}

#[test]
fn system_exit_is_an_error_of_one_request() {
    for setup in [Some(processes()), interpreters()].into_iter().flatten() {
        let server = setup.start();
        let before = server.hosts();
        server.get("/system-exit").expect(500);
        server.get("/hello").expect(200);
        assert_eq!(server.hosts(), before);
    }
}

/// Waits for 200. While workers come up again, a request may be answered 503, never anything else.
fn serves_again(client: &mut Client) {
    eventually("the app serves again", || {
        match client.get("/hello").status {
            200 => Some(()),
            status => {
                assert_eq!(status, 503);
                None
            }
        }
    });
}

/// A request over --timeout is answered 504, and its worker serves again.
fn a_request_over_the_timeout(setup: Setup, page: &str) {
    let server = setup
        .option("--timeout", "1")
        .option("--workers", "1")
        .start();
    let mut client = server.client();
    client.send(get(&format!("/{page}/late")));
    started(&server, "late");
    client.response().expect(504);
    // While the replacement comes up, a request may wait longer than this short timeout allows: then it is 503.
    serves_again(&mut client);
    assert!(
        server.log().contains("late"),
        "the log does not name the request:\n{}",
        server.log()
    );
}

#[test]
fn a_spinning_process_is_replaced() {
    a_request_over_the_timeout(processes(), "spin");
}

#[test]
fn a_sleeping_process_is_replaced() {
    a_request_over_the_timeout(processes(), "stuck");
}

#[test]
fn a_spinning_interpreter_is_interrupted_or_replaced() {
    if let Some(setup) = interpreters() {
        a_request_over_the_timeout(setup, "spin");
    }
}

#[test]
fn a_sleeping_interpreter_is_replaced() {
    if let Some(setup) = interpreters() {
        a_request_over_the_timeout(setup, "stuck");
    }
}

#[test]
fn a_queued_request_times_out_as_well() {
    let server = processes()
        .option("--workers", "1")
        .option("--timeout", "1")
        .start();
    let mut running = server.client();
    running.send(get("/stuck/first"));
    started(&server, "first");
    let mut waiting = server.client();
    waiting.send(get("/block/second"));
    running.response().expect(504);
    // It waited as long as it might, or the new worker took it in time: it is answered either way.
    server.dir().write("second.go", "");
    let status = waiting.response().status;
    assert!(matches!(status, 200 | 503 | 504), "{status}");
}

#[test]
fn an_app_that_dies_while_imported_is_tried_again_without_a_spin() {
    let setup = Setup::app("dies_on_import:application")
        .kind("processes")
        .workers(1);
    let (server, _ready) = setup.launch();
    server.dir().wait("died");
    // One more death shows that it is tried again; the processor time shows that it does not spin.
    server.dir().forget("died");
    if process::alive(server.pid()) {
        let ended = eventually("it is tried again, or the start is given up", || {
            let again = server.dir().has("died");
            let ended = !process::alive(server.pid());
            (again || ended).then_some(ended)
        });
        if !ended {
            server.dir().write("may-live", "");
            let line = server.wait_log("dies_on_import");
            assert!(!line.is_empty());
        }
    }
}

#[test]
fn an_app_that_cannot_start_again_is_answered_503_with_the_reason() {
    let setup = Setup::app("versioned:application")
        .kind("processes")
        .workers(1);
    setup.dir().write("version", "1");
    let server = setup.start();
    server.get("/version").expect(200);
    server.dir().write("version", "bad");
    let host = server.hosts()[0];
    process::kill(host, KILL);
    let mut client = server.client();
    let response = eventually("503", || {
        Some(client.get("/version")).filter(|response| response.status == 503)
    });
    assert!(response.header("retry-after").is_some(), "{response:?}");
    server.wait_log("this version is bad");
    server.dir().write("version", "2");
    let response = eventually("it comes back by itself", || {
        Some(client.get("/version")).filter(|response| response.status == 200)
    });
    assert_eq!(response.text(), "2");
}

#[test]
fn one_apps_crash_leaves_the_other_alone() {
    let server = processes()
        .also("--mount", "/other=basic:application")
        .start();
    let load = Load::start(server.address(), 4, "/other/hello");
    for _ in 0..3 {
        load.wait_answers(50);
        server.get("/exit/9").expect(502);
    }
    let tally = load.finish();
    assert!(
        tally.refused.is_empty() && tally.broken.is_empty(),
        "{tally:?}"
    );
}

#[test]
fn kills_leave_no_descriptors_behind() {
    let server = processes().start();
    let edge = server.edge().unwrap();
    let count = |round: usize| {
        all_workers_serve(&server, round);
        (
            process::open_descriptors(server.pid()),
            process::open_descriptors(edge),
        )
    };
    let kill_host = || {
        let host = eventually("one host", || {
            Some(server.hosts()).filter(|hosts| hosts.len() == 1)
        })[0];
        let workers = process::children(host);
        process::kill(host, KILL);
        eventually("the host is replaced, and its workers are dead", || {
            let replaced = server.hosts().len() == 1 && !server.hosts().contains(&host);
            (replaced && !workers.iter().any(|pid| process::alive(*pid))).then_some(())
        });
    };
    kill_host();
    let before = count(0);
    for round in 1..5 {
        kill_host();
        count(round);
    }
    let after = count(5);
    assert!(
        after.0 <= before.0 + 2 && after.1 <= before.1 + 8,
        "{before:?} -> {after:?}"
    );
}

#[test]
fn term_finishes_what_runs() {
    for setup in [Some(processes()), interpreters()].into_iter().flatten() {
        let mut server = setup.start();
        let (mut client, mut idle) = (server.client(), server.client());
        idle.get("/hello").expect(200);
        client.send(get("/block/last"));
        started(&server, "last");
        server.signal(TERM);
        idle.expect_close();
        eventually("new connections are refused", || {
            Client::try_connect(server.address())
                .and_then(|mut client| client.try_exchange("/hello"))
                .err()
        });
        server.dir().write("last.go", "");
        let response = client.response().expect(200);
        assert_eq!(response.text(), "released\n");
        client.expect_close();
        assert!(server.wait().success());
    }
}

#[test]
fn term_waits_no_longer_than_the_graceful_timeout() {
    let mut server = processes().option("--graceful-timeout", "1").start();
    let mut client = server.client();
    client.send(get("/stuck/forever"));
    started(&server, "forever");
    server.signal(TERM);
    server.wait();
    client.rest();
}

#[test]
fn int_and_quit_stop_at_once() {
    for signal in [harness::server::INT, harness::server::QUIT] {
        let mut server = processes().start();
        let mut client = server.client();
        client.send(get("/stuck/quick"));
        started(&server, "quick");
        let everyone = process::descendants(server.pid());
        server.signal(signal);
        server.wait();
        eventually("nobody is left", || {
            everyone
                .iter()
                .all(|pid| !process::alive(*pid))
                .then_some(())
        });
    }
}
