//! Kind `processes`: one import, forks of it, what becomes of workers that die.

use crate::driver::{Answer, Host, Setup, get};
use config::{EventLoop, Kind};
use control::message::FromHost;

/// Says who serves, who imported, and how often.
const WHO: &str = "
import os
from pathlib import Path
imported = os.getpid()
with open(Path(__file__).parent / 'imports', 'a') as file:
    file.write('x')
def app(environ, start_response):
    if environ['PATH_INFO'] == '/die':
        os._exit(7)
    start_response('200 OK', [])
    return [f'{imported} {os.getpid()}'.encode()]
";

fn who(host: &mut Host) -> (u32, u32) {
    let answer = host.call(&get("/"));
    let (imported, pid) = answer.text().split_once(' ').expect("two numbers");
    (
        imported.parse().expect("a pid"),
        pid.parse().expect("a pid"),
    )
}

#[test]
fn workers_are_forked_from_one_that_has_imported() {
    let (setup, dir) = Setup::source(WHO, Kind::Processes, 3);
    let mut host = setup.ready();
    let (imported, pid) = who(&mut host);
    assert_eq!(imported, host.child.id());
    assert_ne!(pid, imported);
    assert_eq!(
        std::fs::read_to_string(dir.path().join("imports")).expect("a file"),
        "x"
    );
}

#[test]
fn a_worker_that_dies_is_replaced_and_its_request_aborts() {
    let (setup, _dir) = Setup::source(WHO, Kind::Processes, 1);
    let mut host = setup.ready();
    let (_, first) = who(&mut host);
    for round in 0..3 {
        let slot = host.submit(&get("/die"));
        let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
        let FromHost::WorkerGone {
            incarnation,
            reason,
            ..
        } = gone
        else {
            unreachable!("just matched")
        };
        assert_eq!((incarnation, reason.as_str()), (1 + round, "exit code 7"));
        let mut answer = Answer::default();
        assert!(host.take(slot, &mut answer) && answer.aborted);
        host.ring.release(slot);
        host.until(|message| matches!(message, FromHost::WorkerUp { .. }));
        let (_, now) = who(&mut host);
        assert_ne!(now, first);
    }
}

#[test]
fn a_killed_worker_is_told_by_its_signal() {
    let (setup, _dir) = Setup::source(WHO, Kind::Processes, 1);
    let mut host = setup.ready();
    let (_, pid) = who(&mut host);
    sys::process::kill(pid, sys::process::SIGKILL).expect("a signal can be sent");
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(
        matches!(&gone, FromHost::WorkerGone { reason, .. } if reason == "signal 9"),
        "{gone:?}"
    );
}

#[test]
fn a_terminated_worker_finishes_and_is_replaced() {
    let (setup, _dir) = Setup::source(WHO, Kind::Processes, 1);
    let mut host = setup.ready();
    let (_, pid) = who(&mut host);
    sys::process::kill(pid, sys::process::SIGTERM).expect("a signal can be sent");
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(
        matches!(&gone, FromHost::WorkerGone { reason, .. } if reason == "exit code 0"),
        "{gone:?}"
    );
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    assert_ne!(who(&mut host).1, pid);
}

#[test]
fn an_import_that_starts_threads_is_left_to_the_workers() {
    let source = format!(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n{WHO}"
    );
    let (setup, dir) = Setup::source(&source, Kind::Processes, 2);
    let mut host = setup.ready();
    host.logged("importing the app started threads; each worker imports it by itself");
    let (imported, pid) = who(&mut host);
    assert_eq!(imported, pid, "the worker imported the app itself");
    assert_ne!(pid, host.child.id());
    assert_eq!(
        std::fs::read_to_string(dir.path().join("imports")).expect("a file"),
        "xxx"
    );
    sys::process::kill(pid, sys::process::SIGKILL).expect("a signal can be sent");
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    who(&mut host);
}

#[test]
fn workers_die_with_their_host() {
    let (setup, _dir) = Setup::source(WHO, Kind::Processes, 2);
    let mut host = setup.ready();
    let (_, pid) = who(&mut host);
    host.child.kill().expect("our child");
    host.child.wait().expect("our child");
    crate::harness::eventually("the worker is gone", || {
        (!std::path::Path::new(&format!("/proc/{pid}/stat")).exists()).then_some(())
    });
}

#[test]
fn a_signal_handler_of_the_app_may_end_the_worker() {
    const OWN: &str = "
import os, signal, sys
def leave(number, frame):
    print('leaving')
    sys.exit(0)
def app(environ, start_response):
    signal.signal(signal.SIGTERM, leave)
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";
    let (setup, _dir) = Setup::source(OWN, Kind::Processes, 1);
    let mut host = setup.ready();
    let pid: u32 = host.call(&get("/")).text().parse().expect("a pid");
    sys::process::kill(pid, sys::process::SIGTERM).expect("a signal can be sent");
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(
        matches!(&gone, FromHost::WorkerGone { reason, .. } if reason == "exit code 0"),
        "{gone:?}"
    );
    host.logged("[app w0] leaving");
}

/// Each page forks, and its copy comes back to the server in its own way; the page then tells how the copy ended.
const FORKS: &str = "
import asyncio, os, signal, sys, time
def part(path):
    child = os.fork()
    if child:
        if path == '/terminated':
            os.kill(child, signal.SIGTERM)
        status = os.waitpid(child, 0)[1]
        return f'{os.getpid()} {os.waitstatus_to_exitcode(status)}'.encode()
    if path == '/exits':
        sys.exit(3)
    if path == '/raises':
        raise ValueError('out of a copy')
    if path == '/terminated':
        time.sleep(600)
    return b'from the copy'
def wsgi(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/iterates':
        start_response('200 OK', [])
        return (part(path) for _ in range(1))
    if path == '/writes':
        write = start_response('200 OK', [])
        block = part(path)
        write(block)
        return []
    block = part(path)
    start_response('200 OK', [])
    return [block]
async def asgi(scope, receive, send):
    if scope['type'] != 'http':
        return
    if scope['path'] == '/iterates':
        await asyncio.sleep(0.001)
    block = part(scope['path'])
    if scope['path'] != '/writes' and block.startswith(b'from'):
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': block})
";

#[test]
fn a_copy_that_the_app_forks_answers_and_serves_nobody() {
    const ENDS: &[(&str, &[&str])] = &[
        ("/returns", &["0"]),
        ("/iterates", &["0"]),
        ("/exits", &["3"]),
        ("/raises", &["1"]),
        ("/terminated", &["-15"]),
        // An event loop keeps what its tasks raise.
        ("/writes", &["1", "0"]),
    ];
    for (target, event_loop) in [
        ("app:wsgi", EventLoop::Auto),
        ("app:asgi", EventLoop::Asyncio),
        ("app:asgi", EventLoop::Auto),
    ] {
        let (mut setup, _dir) = Setup::source(FORKS, Kind::Processes, 1);
        setup.spec.target = target.to_owned();
        setup.spec.options.event_loop = event_loop;
        let mut host = setup.ready();
        let mut pids = Vec::new();
        for (page, codes) in ENDS {
            let answer = host.call(&get(page));
            let (pid, code) = answer
                .text()
                .split_once(' ')
                .unwrap_or_else(|| panic!("{target} {page}: {answer:?}"));
            assert!(codes.contains(&code), "{target} {page}: {code}");
            pids.push(pid.to_owned());
        }
        pids.dedup();
        assert_eq!(pids.len(), 1, "{target}: one worker has answered all");
        host.logged("ended with ValueError: out of a copy");
    }
}
