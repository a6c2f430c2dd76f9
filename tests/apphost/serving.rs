//! Requests and answers, draining, what lives beside requests.

use crate::driver::{Answer, Setup, get, post, upload};
use crate::harness::eventually;
use crate::{interpreters, kinds};
use config::Kind;
use control::message::{FromHost, ToHost};
use shm::EventKind;

const HELLO: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'Hello ', environ['PATH_INFO'].encode('latin-1')]
";

#[test]
fn both_kinds_serve() {
    for kind in kinds() {
        let (setup, _dir) = Setup::source(HELLO, kind, 2);
        let mut host = setup.ready();
        for _ in 0..100 {
            let answer = host.call(&get("/there"));
            assert_eq!(
                (answer.status, answer.text()),
                (200, "Hello /there"),
                "{kind:?}"
            );
            assert_eq!(answer.header("content-length"), Some("12"));
        }
    }
}

#[test]
fn bodies_come_inline_or_by_file() {
    const ECHO: &str = "
import hashlib
def app(environ, start_response):
    body = environ['wsgi.input']
    how = environ['QUERY_STRING']
    data = {'read': body.read, 'lines': lambda: b''.join(body), 'pieces': lambda: b''.join(iter(lambda: body.read(1000), b'')),
            'readline': lambda: b''.join(iter(lambda: body.readline(70), b'')), 'readlines': lambda: b''.join(body.readlines(5))}[how]()
    rest = body.read()
    start_response('200 OK', [])
    return [data, rest]
";
    let body: Vec<u8> = (0..40_000u32)
        .flat_map(|number| [number as u8, (number >> 8) as u8])
        .collect();
    for kind in kinds() {
        let (setup, _dir) = Setup::source(ECHO, kind, 1);
        let mut host = setup.ready();
        for target in ["/?read", "/?lines", "/?pieces", "/?readline", "/?readlines"] {
            let mut call = post(target, &body[..40_000]);
            assert_eq!(host.call(&call).body, &body[..40_000], "{target} inline");
            call = post(target, body.clone());
            call.spooled = true;
            assert_eq!(host.call(&call).body, body, "{target} from a file");
        }
        let log = host.log();
        assert_eq!(log, "", "nothing went wrong");
    }
}

#[test]
fn a_body_that_streams_is_read_as_it_comes() {
    const ECHO: &str = "
def app(environ, start_response):
    body = environ['wsgi.input']
    first = body.readline()
    print('line', len(first), flush=True)
    start_response('200 OK', [])
    return [first, body.read(5), body.read(), body.read()]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(ECHO, kind, 1);
        let mut host = setup.ready();
        let mut call = upload("/");
        call.request.flags = shm::request::FLAG_EXPECT_CONTINUE;
        let slot = host.submit(&call);
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.wanted_body);
        host.event(slot, EventKind::Body, b"a li");
        host.event(slot, EventKind::Body, b"ne\nand ");
        host.logged("line 7");
        let rest = vec![b'x'; 200_000];
        let mut sent = 0;
        while sent < rest.len() {
            let end = Some(EventKind::BodyEnd);
            sent += host
                .ring
                .push_bytes(slot, EventKind::Body, end, &rest[sent..]);
            host.ring.commit_events(slot);
            host.take(slot, &mut answer);
            host.pause();
        }
        let start = std::time::Instant::now();
        while !host.take(slot, &mut answer) {
            assert!(start.elapsed() < crate::harness::PATIENCE, "{}", host.log());
            host.pause();
        }
        host.ring.release(slot);
        assert_eq!(answer.body, [&b"a line\nand "[..], &rest].concat());
        // A client that leaves in the middle.
        let slot = host.submit(&upload("/"));
        eventually("a worker has it", || host.ring.worker_of(slot));
        host.ring.cancel(slot);
        assert_eq!(host.call(&post("/", b"x\ny".to_vec())).text(), "x\ny");
    }
}

#[test]
fn a_cancelled_request_leaves_its_spool_file_to_nobody() {
    const ODD: &str = "
def app(environ, start_response):
    start_response('200 OK', [])
    return [environ['wsgi.input'].read()]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(ODD, kind, 1);
        let mut host = setup.ready();
        let mut first = post("/", b"first".to_vec());
        first.spooled = true;
        let slot = host.submit(&first);
        // The worker has asked for its file when the client leaves; the file comes all the same.
        let mut answer = Answer::default();
        eventually("a worker has it", || host.ring.worker_of(slot));
        while host.ring.next_frame(slot).expect("no garbage").is_none() {
            host.pause();
        }
        host.send_spool(slot);
        host.ring.cancel(slot);
        let mut second = post("/", b"second".to_vec());
        second.spooled = true;
        let slot = host.submit(&second);
        while !host.take(slot, &mut answer) {
            host.pause();
        }
        assert_eq!(answer.text(), "second", "{kind:?}");
    }
}

#[test]
fn objects_kept_beyond_their_request_do_nothing_to_the_next() {
    const KEEPER: &str = "
kept = []
def attempt(function, *arguments):
    try:
        return repr(function(*arguments))
    except Exception as error:
        return f'{type(error).__name__}: {error}'
def app(environ, start_response):
    write = None
    if environ['PATH_INFO'] == '/keep':
        kept.append((environ['wsgi.input'], start_response))
        write = start_response('200 OK', [])
        kept.append(write)
        return [b'kept']
    body, start = kept[0]
    tried = [attempt(body.read), attempt(start, '500 Oops', []), attempt(kept[1], b'intruder')]
    start_response('200 OK', [])
    return ['|'.join(tried).encode(), b'|', environ['wsgi.input'].read()]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(KEEPER, kind, 1);
        let mut host = setup.ready();
        assert_eq!(host.call(&post("/keep", b"old".to_vec())).text(), "kept");
        let over = "RuntimeError: the request is over";
        assert_eq!(
            host.call(&post("/", b"new".to_vec())).text(),
            format!("{over}|{over}|{over}|new"),
            "{kind:?}"
        );
    }
}

#[test]
fn another_thread_of_the_app_may_write() {
    const THREADED: &str = "
import threading
def app(environ, start_response):
    write = start_response('200 OK', [])
    def work():
        for _ in range(100):
            write(b'x' * 5000)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return [b'end']
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(THREADED, kind, 1);
        let answer = setup.ready().call(&get("/"));
        assert_eq!(answer.body.len(), 500_003, "{kind:?}");
        assert!(answer.body.ends_with(b"xend"));
    }
}

#[test]
fn exceptions_that_would_end_a_process_do_not() {
    const LEAVERS: &str = "
import sys
def app(environ, start_response):
    raise {'exit': SystemExit(3), 'interrupt': KeyboardInterrupt(), 'generator': GeneratorExit(), 'memory': MemoryError(), 'stop': StopIteration()}[environ['QUERY_STRING']]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(LEAVERS, kind, 1);
        let mut host = setup.ready();
        for (target, name) in [
            ("/?exit", "SystemExit: 3"),
            ("/?interrupt", "KeyboardInterrupt"),
            ("/?generator", "GeneratorExit"),
            ("/?memory", "MemoryError"),
            ("/?stop", "StopIteration"),
        ] {
            let answer = host.call(&get(target));
            assert_eq!(
                (answer.status, answer.aborted),
                (500, false),
                "{kind:?} {target}"
            );
            host.logged(&format!("[app w0] error in GET {target}"));
            host.logged(&format!("[app w0] {name}"));
        }
    }
}

#[test]
fn a_drained_host_finishes_what_runs_and_says_so() {
    const SLOW: &str = "
import atexit, time
from pathlib import Path
atexit.register(lambda: print('exit handler ran'))
def app(environ, start_response):
    here = Path(__file__).parent
    if environ['PATH_INFO'] == '/wait':
        (here / 'started').touch()
        while not (here / 'go').exists():
            time.sleep(0.005)
    start_response('200 OK', [])
    return [b'done']
";
    for kind in kinds() {
        let (setup, dir) = Setup::source(SLOW, kind, 2);
        let mut host = setup.ready();
        let slot = host.submit(&get("/wait"));
        eventually("it runs", || {
            dir.path().join("started").exists().then_some(())
        });
        host.order(&ToHost::Drain);
        // The idle worker leaves at once.
        host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
        let late = host.submit(&get("/late"));
        std::fs::write(dir.path().join("go"), "").expect("a file can be written");
        assert_eq!(host.wait(slot).text(), "done", "{kind:?}");
        host.until(|message| matches!(message, FromHost::Drained));
        assert!(host.child.wait().expect("our child").success());
        host.logged("exit handler ran");
        assert!(
            !host.take(late, &mut Answer::default()),
            "a drained host takes no more"
        );
    }
}

#[test]
fn a_host_leaves_signals_to_the_supervisor() {
    for kind in kinds() {
        let (setup, _dir) = Setup::source(HELLO, kind, 2);
        let mut host = setup.ready();
        for signal in [1, 2, 3, sys::process::SIGTERM, 10, 12, 21, 22, 28] {
            sys::process::kill(host.child.id(), signal).expect("a signal can be sent");
            assert_eq!(
                host.call(&get("/")).status,
                200,
                "{kind:?}, signal {signal}"
            );
        }
    }
}

#[test]
fn programs_started_by_the_app_have_plain_signals() {
    const PARENT: &str = "
import signal, subprocess, sys
def app(environ, start_response):
    code = 'import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGINT) == signal.default_int_handler, not signal.pthread_sigmask(0, []))'
    out = subprocess.run([sys.executable, '-c', code], capture_output=True).stdout
    start_response('200 OK', [])
    return [out]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(PARENT, kind, 1);
        assert_eq!(
            setup.ready().call(&get("/")).text(),
            "True True True\n",
            "{kind:?}"
        );
    }
}

#[test]
fn deep_recursion_is_an_exception() {
    const DEEP: &str = "
import json
def down(n):
    return down(n + 1)
class Nested:
    def __init__(self, inner):
        self.inner = inner
    def __eq__(self, other):
        return self.inner == other.inner
def app(environ, start_response):
    seen = []
    value = other = None
    for _ in range(100_000):
        value, other = Nested(value), Nested(other)
    nested = []
    # From 3.14 on it is the stack that counts, and a worker's is large.
    for _ in range(500_000):
        nested = [nested]
    for attempt in (lambda: down(0), lambda: value == other, lambda: repr(nested), lambda: json.dumps(nested)):
        try:
            attempt()
            seen.append('nothing')
        except RecursionError:
            seen.append('deep')
    while value is not None:
        value, other = value.inner, other.inner
    start_response('200 OK', [])
    return [' '.join(seen).encode()]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(DEEP, kind, 1);
        assert_eq!(
            setup.ready().call(&get("/")).text(),
            "deep deep deep deep",
            "{kind:?}"
        );
    }
}

#[test]
fn a_module_that_refuses_late_is_reported() {
    if !interpreters() || !crate::probe::has_single_phase() {
        return;
    }
    const LATE: &str = "
def app(environ, start_response):
    try:
        import _testsinglephase
    except ImportError as error:
        start_response('200 OK', [])
        return [str(error).encode()]
";
    let (setup, _dir) = Setup::source(LATE, Kind::Interpreters, 1);
    let mut host = setup.ready();
    let text = "module _testsinglephase does not support loading in subinterpreters";
    for _ in 0..2 {
        assert_eq!(host.call(&get("/")).text(), text);
    }
    let late = host.until(|message| matches!(message, FromHost::LateRefusal { .. }));
    assert_eq!(
        late,
        FromHost::LateRefusal {
            module: "_testsinglephase".to_owned()
        }
    );
}

#[test]
fn threads_of_the_app_are_not_daemons_by_inheritance() {
    const THREADS: &str = "
import threading
def app(environ, start_response):
    seen = []
    def work():
        seen.append(threading.current_thread().daemon)
        inner = threading.Thread(target=lambda: None)
        seen.append(inner.daemon)
    for daemon in (None, True):
        thread = threading.Thread(target=work, daemon=daemon)
        thread.start()
        thread.join()
    timer = threading.Timer(0, lambda: None)
    seen += [threading.current_thread().daemon, timer.daemon]
    start_response('200 OK', [])
    return [repr(seen).encode()]
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(THREADS, kind, 1);
        assert_eq!(
            setup.ready().call(&get("/")).text(),
            "[False, False, True, True, False, False]",
            "{kind:?}"
        );
    }
}

#[test]
fn workers_know_where_they_are() {
    const WHERE: &str = "
import os, sys
def app(environ, start_response):
    start_response('200 OK', [])
    return [repr((sys.path[0] == os.getcwd(), '' in sys.path, sys.argv, os.environ.get('OWN'), environ['ringgate.worker'], environ['wsgi.multithread'], environ['wsgi.multiprocess'])).encode()]
";
    for kind in kinds() {
        let (mut setup, _dir) = Setup::source(WHERE, kind, 1);
        setup.spec.env.push(("OWN".to_owned(), "a b".to_owned()));
        let text = "(True, False, ['ringgate'], 'a b', 0, False, True)";
        assert_eq!(setup.ready().call(&get("/")).text(), text, "{kind:?}");
    }
}

#[test]
fn lines_of_the_log_carry_the_worker() {
    const TALKER: &str = "
import logging, sys
handler = logging.StreamHandler()
logging.getLogger().addHandler(handler)
def app(environ, start_response):
    print('printed')
    print('half', end='')
    print(' whole', flush=True)
    logging.error('logged\\nin two lines')
    environ['wsgi.errors'].write('unicode \\u2603 \\ud800\\n')
    start_response('200 OK', [])
    return []
";
    for kind in kinds() {
        let (setup, _dir) = Setup::source(TALKER, kind, 1);
        let mut host = setup.ready();
        host.call(&get("/"));
        for line in [
            "printed",
            "half whole",
            "logged",
            "in two lines",
            "unicode \u{2603} \\ud800",
        ] {
            host.logged(&format!("[app w0] {line}\n"));
        }
    }
}

#[test]
fn interpreters_share_no_state_and_run_side_by_side() {
    if !interpreters() {
        return;
    }
    const MEETING: &str = "
import os, time
from pathlib import Path
count = 0
def app(environ, start_response):
    global count
    count += 1
    here = Path(__file__).parent
    (here / environ['QUERY_STRING']).touch()
    # Both must be in here at once to get out.
    while len(list(here.glob('both-*'))) < 2:
        time.sleep(0.002)
    start_response('200 OK', [])
    return [f'{count} {os.getpid()}'.encode()]
";
    let (setup, _dir) = Setup::source(MEETING, Kind::Interpreters, 2);
    let mut host = setup.ready();
    let slots = [host.submit(&get("/?both-1")), host.submit(&get("/?both-2"))];
    let texts = slots.map(|slot| host.wait(slot).text().to_owned());
    assert_eq!(
        texts[0], texts[1],
        "one process, and each interpreter counted to one"
    );
    assert!(texts[0].starts_with("1 "));
}
