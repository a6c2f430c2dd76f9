//! `Replace`: what happens to a request that runs over its time.

use crate::driver::{Answer, Setup, get};
use crate::harness::eventually;
use crate::interpreters;
use config::Kind;
use control::message::{FromHost, ToHost};

const STUCK: &str = "
import os
import time
from pathlib import Path
here = Path(__file__).parent
def app(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/spin':
        (here / 'started').touch()
        try:
            deep_in_a_loop()
        except Exception:
            pass
    if path == '/sleep':
        (here / 'started').touch()
        while not (here / 'go').exists():
            try:
                time.sleep(0.01)
            except BaseException:
                pass
        start_response('200 OK', [])
        (here / 'woke').touch()
        return [b'too late']
    if path == '/wait':
        (here / 'started').touch()
        asleep()
    if path == '/hold':
        (here / 'started').touch()
        in_c_code()
    start_response('200 OK', [])
    return [f'ok {os.getpid()}'.encode()]
def in_c_code():
    # Nobody gets the GIL before this is done.
    sum(range(1 << 60))
def asleep():
    time.sleep(1000)
def deep_in_a_loop():
    while True:
        pass
";

#[test]
fn a_worker_is_interrupted_and_goes_on() {
    for kind in crate::kinds() {
        for (path, place) in [("/spin", "in deep_in_a_loop"), ("/wait", "in asleep")] {
            if path == "/wait" && kind == Kind::Interpreters {
                // An asynchronous exception waits for the end of a sleep.
                continue;
            }
            let (setup, dir) = Setup::source(STUCK, kind, 1);
            let mut host = setup.ready();
            let before = host.call(&get("/")).text().to_owned();
            let slot = host.submit(&get(path));
            eventually("it runs", || {
                dir.path().join("started").exists().then_some(())
            });
            host.ring.cancel(slot);
            host.order(&ToHost::Replace { index: 0 });
            for _ in 0..100 {
                assert_eq!(host.call(&get("/")).text(), before, "{kind:?} {path}");
            }
            host.logged("[app w0] a request ran over its time and is interrupted; it was here:");
            host.logged(place);
            host.logged(&format!("[app w0] error in GET {path}"));
            host.logged("_ringgate.RequestTimeout");
        }
    }
}

#[test]
fn an_interpreter_that_does_not_yield_loses_its_seat() {
    if !interpreters() {
        return;
    }
    let (setup, dir) = Setup::source(STUCK, Kind::Interpreters, 1);
    let mut host = setup.ready();
    let slot = host.submit(&get("/sleep"));
    eventually("it runs", || {
        dir.path().join("started").exists().then_some(())
    });
    host.order(&ToHost::Replace { index: 0 });
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(
        matches!(&gone, FromHost::WorkerGone { incarnation: 1, reason, .. } if reason.contains("left behind")),
        "{gone:?}"
    );
    let mut answer = Answer::default();
    assert!(host.take(slot, &mut answer) && answer.aborted);
    host.ring.release(slot);
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    // The old one comes back; it writes nothing into anybody's answer.
    std::fs::write(dir.path().join("go"), "").expect("a file can be written");
    eventually("it woke", || dir.path().join("woke").exists().then_some(()));
    for _ in 0..100 {
        assert!(host.call(&get("/")).text().starts_with("ok"));
    }
    host.order(&ToHost::Drain);
    host.until(|message| matches!(message, FromHost::Drained));
}

#[test]
fn an_interpreter_in_c_code_shows_its_stack_all_the_same() {
    if !interpreters() {
        return;
    }
    let (setup, dir) = Setup::source(STUCK, Kind::Interpreters, 1);
    let mut host = setup.ready();
    let slot = host.submit(&get("/hold"));
    eventually("it runs", || {
        dir.path().join("started").exists().then_some(())
    });
    host.order(&ToHost::Replace { index: 0 });
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(
        matches!(&gone, FromHost::WorkerGone { reason, .. } if reason.contains("left behind")),
        "{gone:?}"
    );
    host.logged("worker 0 is in C code that lets nobody into its interpreter");
    host.logged("in in_c_code");
    let mut answer = Answer::default();
    assert!(host.take(slot, &mut answer) && answer.aborted);
    host.ring.release(slot);
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    assert!(host.call(&get("/")).text().starts_with("ok"));
}

#[test]
fn a_process_that_does_not_yield_is_killed_after_its_stack_is_logged() {
    let (setup, dir) = Setup::source(STUCK, Kind::Processes, 1);
    let mut host = setup.ready();
    let slot = host.submit(&get("/sleep"));
    eventually("it runs", || {
        dir.path().join("started").exists().then_some(())
    });
    host.order(&ToHost::Replace { index: 0 });
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(
        matches!(&gone, FromHost::WorkerGone { reason, .. } if reason.contains("ran over its time")),
        "{gone:?}"
    );
    host.logged("in app");
    let mut answer = Answer::default();
    assert!(host.take(slot, &mut answer) && answer.aborted);
    host.ring.release(slot);
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    assert!(host.call(&get("/")).text().starts_with("ok"));
}

#[test]
fn a_worker_between_requests_is_left_alone() {
    if !interpreters() {
        return;
    }
    let (setup, _dir) = Setup::source(STUCK, Kind::Interpreters, 1);
    let mut host = setup.ready();
    host.order(&ToHost::Replace { index: 0 });
    assert!(host.call(&get("/")).text().starts_with("ok"));
    assert_eq!(host.log(), "");
}

/// The first request holds the signal back until it has come, the second lets it through.
const LATE: &str = "
import signal
from pathlib import Path
number = signal.SIGRTMIN + 8
def app(environ, start_response):
    if environ['PATH_INFO'] == '/first':
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
        (Path(__file__).parent / 'started').touch()
        while number not in signal.sigpending():
            pass
    else:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    start_response('200 OK', [])
    return [environ['PATH_INFO'].encode()]
";

#[test]
fn a_request_is_not_interrupted_for_the_one_before_it() {
    let (setup, dir) = Setup::source(LATE, Kind::Processes, 1);
    let mut host = setup.ready();
    let first = host.submit(&get("/first"));
    eventually("it runs", || {
        dir.path().join("started").exists().then_some(())
    });
    host.order(&ToHost::Replace { index: 0 });
    let mut answer = Answer::default();
    eventually("the first has ended", || {
        host.take(first, &mut answer).then_some(())
    });
    host.ring.release(first);
    assert_eq!(host.call(&get("/second")).text(), "/second");
    assert_eq!(host.call(&get("/third")).text(), "/third");
    assert_eq!(host.log(), "");
}

/// The client has its answer, and then the application does not come back.
const TAIL: &str = "
import time
from pathlib import Path
class Tail:
    def __iter__(self):
        return iter([b'answer'])
    def close(self):
        (Path(__file__).parent / 'closing').touch()
        while not (Path(__file__).parent / 'quick').exists():
            try:
                time.sleep(0.01)
            except BaseException:
                pass
def app(environ, start_response):
    start_response('200 OK', [('Content-Length', '6')])
    return Tail()
";

#[test]
fn a_worker_stuck_behind_its_answer_is_replaced() {
    for kind in crate::kinds() {
        let (mut setup, dir) = Setup::source(TAIL, kind, 1);
        setup.spec.timeout_ms = 300;
        let mut host = setup.ready();
        assert_eq!(host.call(&get("/")).text(), "answer");
        let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
        assert!(matches!(&gone, FromHost::WorkerGone { incarnation: 1, .. }));
        host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
        std::fs::write(dir.path().join("quick"), "").expect("a file can be written");
        for _ in 0..100 {
            assert_eq!(host.call(&get("/")).text(), "answer", "{kind:?}");
        }
    }
}
