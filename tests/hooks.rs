//! gunicorn's hooks over the lives of a server and its workers, in both kinds: what is called where, and in which order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::{QUIT, TERM, TTIN, TTOU};
use harness::{Server, Setup, TempDir, eventually, python};

/// Every hook leaves a line: its name, and for a worker's its age.
const FILE: &str = r#"
import os
wsgi_app = "app"
workers = 1
def event(*words):
    with open("EVENTS", "a") as file:
        print(*words, file=file)
def on_starting(server):
    event("on_starting", server.pid == os.getpid(), server.cfg.workers)
def on_reload(server):
    event("on_reload")
def when_ready(server):
    event("when_ready", len(server.WORKERS))
def nworkers_changed(server, new, old):
    event("nworkers_changed", new, old)
def pre_fork(server, worker):
    event("pre_fork", worker.age)
def post_fork(server, worker):
    event("post_fork", worker.pid == os.getpid())
def post_worker_init(worker):
    event("post_worker_init", worker.alive)
def worker_int(worker):
    event("worker_int", worker.alive)
def worker_abort(worker):
    event("worker_abort")
def worker_exit(server, worker):
    event("worker_exit", worker.alive)
def child_exit(server, worker):
    event("child_exit", worker.age)
def on_exit(server):
    event("on_exit")
"#;

const APP: &str = "\
import time
def application(environ, start_response):
    if environ['PATH_INFO'] == '/stuck':
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except BaseException:
                pass
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
";

/// A server whose hooks write into a directory that outlives it.
fn start(kind: &str, kept: &TempDir, more: &str) -> Server {
    let setup = Setup::bare().kind(kind);
    let events = kept.path().join("events").display().to_string();
    let file = FILE.replace("EVENTS", &events) + more;
    setup.dir().write("gunicorn.conf.py", &file);
    setup.dir().write("app.py", APP);
    setup.start()
}

fn events(kept: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(kept.path().join("events")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for(kept: &TempDir, event: &str) {
    eventually(event, || {
        events(kept).iter().any(|each| each == event).then_some(())
    });
}

#[test]
fn a_quick_stop_lets_the_hooks_speak() {
    for kind in python::kinds() {
        let kept = TempDir::new();
        let server = start(kind, &kept, "");
        server.get("/").expect(200);
        let (status, log) = server.stop_by(QUIT);
        assert_eq!(status.code(), Some(0), "{log}");
        let expected = [
            "on_starting True 1",
            "nworkers_changed 1 None",
            "pre_fork 1",
            "post_fork True",
            "post_worker_init True",
            "when_ready 1",
            "worker_int False",
            "worker_exit False",
            "child_exit 1",
            "on_exit",
        ];
        assert_eq!(events(&kept), expected, "{kind}: {log}");
    }
}

#[test]
fn workers_that_come_and_go_are_counted() {
    for kind in python::kinds() {
        let kept = TempDir::new();
        let server = start(kind, &kept, "");
        server.signal(TTIN);
        wait_for(&kept, "nworkers_changed 2 1");
        wait_for(&kept, "pre_fork 2");
        server.signal(TTOU);
        if *kind == "processes" {
            wait_for(&kept, "nworkers_changed 1 2");
            eventually("a worker's end", || {
                let ends = events(&kept);
                ends.iter()
                    .any(|each| each.starts_with("child_exit"))
                    .then_some(())
            });
        }
        let (status, log) = server.stop_by(TERM);
        assert_eq!(status.code(), Some(0), "{log}");
        let events = events(&kept);
        assert_eq!(
            events.last().map(String::as_str),
            Some("on_exit"),
            "{kind}: {events:?}"
        );
        // A worker that ends of itself was not interrupted.
        assert!(
            !events.iter().any(|each| each.starts_with("worker_int")),
            "{kind}: {events:?}"
        );
    }
}

#[test]
fn a_worker_that_does_not_heed_is_aborted() {
    for kind in python::kinds() {
        let kept = TempDir::new();
        let server = start(kind, &kept, "timeout = 1\n");
        server.get("/stuck").expect(504);
        wait_for(&kept, "worker_abort");
        wait_for(&kept, "worker_exit False");
        wait_for(&kept, "child_exit 1");
        server.get("/").expect(200);
        let successors = |events: &[String]| {
            let begun = events.iter().filter(|each| *each == "post_fork True");
            begun.count() == 2
        };
        eventually("a successor", || successors(&events(&kept)).then_some(()));
    }
}
