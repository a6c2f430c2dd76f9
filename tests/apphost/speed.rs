//! What a call costs in a worker: run on demand (`cargo test --release --test apphost -- --ignored --nocapture speed`).
//!
//! The test thread keeps a few requests in the queue of one worker and answers count; the worker's CPU time is read from /proc, so the driver's own cost is not in the figure.

use crate::driver::{Answer, Call, Host, Setup, get};
use crate::harness::python;
use std::time::{Duration, Instant};

const HELLO: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '13')])
    return [b'Hello, World!']
";

const GENERATOR: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '13')])
    yield b'Hello, World!'
";

const FLASK: &str = "
from flask import Flask
app = Flask(__name__)
@app.get('/')
def hello():
    return 'Hello, World!'
";

const DJANGO: &str = "
import django
from django.conf import settings
settings.configure(ALLOWED_HOSTS=['*'], ROOT_URLCONF=__name__, SECRET_KEY='x', MIDDLEWARE=['django.middleware.common.CommonMiddleware'])
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path('', lambda request: HttpResponse('Hello, World!'))]
app = get_wsgi_application()
";

const ASGI: &str = "
async def app(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain'), (b'content-length', b'13')]})
    await send({'type': 'http.response.body', 'body': b'Hello, World!'})
";

const ASGI_LATER: &str = "
import asyncio
async def app(scope, receive, send):
    await asyncio.sleep(0)
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain'), (b'content-length', b'13')]})
    await send({'type': 'http.response.body', 'body': b'Hello, World!'})
";

const FASTAPI: &str = "
from fastapi import FastAPI
app = FastAPI()
@app.get('/')
async def hello():
    return {'hello': 'world'}
";

/// Requests kept in the queue.
const DEPTH: usize = 60;
/// Rounds of each case; the best counts, since other programs only ever make it slower.
const ROUNDS: usize = 20;

#[test]
#[ignore = "a measurement"]
fn speed() {
    let mut apps = vec![
        ("hello", HELLO),
        ("generator", GENERATOR),
        ("asgi hello", ASGI),
        ("asgi hello later", ASGI_LATER),
    ];
    if python::has_frameworks() {
        apps.extend([("flask", FLASK), ("django", DJANGO), ("fastapi", FASTAPI)]);
    }
    for kind in crate::kinds() {
        for (name, source) in &apps {
            if *name == "fastapi" && kind == config::Kind::Interpreters {
                // pydantic-core refuses.
                continue;
            }
            let (setup, _dir) = Setup::source(source, kind, 1);
            let mut host = setup.ready();
            run(&mut host, &get("/"), Duration::from_millis(500));
            let browser = browser();
            for (shape, call) in [("Host only", &get("/")), ("browser", &browser)] {
                let rounds = (0..ROUNDS).map(|_| {
                    let (count, wall, cpu) = run(&mut host, call, Duration::from_millis(100));
                    let per = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
                    (per(cpu), per(wall))
                });
                let (cpu, wall) = rounds
                    .min_by(|a, b| a.0.total_cmp(&b.0))
                    .expect("there are rounds");
                println!(
                    "{kind:?} {name} {shape}: {cpu:.2} us of CPU in the worker, {wall:.2} us on the wall"
                );
            }
        }
    }
}

/// Every way through the gateway, many times: the worker's memory does not grow.
#[test]
#[ignore = "a measurement"]
fn memory() {
    const WAYS: &str = "
import io
from pathlib import Path
kept = []
def app(environ, start_response):
    way = environ['QUERY_STRING']
    if way == 'raise':
        raise ValueError('x' * 100)
    if way == 'bad':
        try:
            start_response('200', [('a b', 'c')])
        except ValueError:
            pass
        try:
            start_response('200 OK', [])
        except AssertionError as error:
            start_response('500 Oops', [], (type(error), error, error.__traceback__))
        return []
    if way == 'keep':
        kept[:] = [start_response, environ]
    write = start_response('200 OK', [('Content-Type', 'text/plain')])
    if way == 'write':
        write(b'written')
    if way == 'read':
        return [environ['wsgi.input'].read(3), environ['wsgi.input'].readline()]
    if way == 'file':
        return environ['wsgi.file_wrapper'](open(__file__, 'rb'))
    if way == 'bytesio':
        return environ['wsgi.file_wrapper'](io.BytesIO(b'abc'))
    if way == 'yield':
        return (block for block in [b'a', b'', b'b'])
    return [b'Hello']
";
    let ways = [
        "/?plain",
        "/?raise",
        "/?bad",
        "/?keep",
        "/?write",
        "/?read",
        "/?file",
        "/?bytesio",
        "/?yield",
    ];
    for kind in crate::kinds() {
        let (setup, _dir) = Setup::source(WAYS, kind, 1);
        let mut host = setup.ready();
        for way in ways {
            let mut call = crate::driver::post(way, b"some body\n".to_vec());
            call.headers.push((b"x-repeated", b"one"));
            call.headers.push((b"x-repeated", b"two"));
            for _ in 0..3000 {
                host.call(&call);
            }
            let before = resident_kb(&host);
            for _ in 0..15_000 {
                host.call(&call);
            }
            println!(
                "{kind:?} {way}: {} KiB more after 15000 requests",
                resident_kb(&host) - before
            );
        }
    }
}

/// Resident memory of the host and its workers.
fn resident_kb(host: &Host) -> i64 {
    let status = pids(host)
        .into_iter()
        .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default());
    status
        .filter_map(|text| {
            text.lines().find_map(|line| {
                line.strip_prefix("VmRSS:")?
                    .trim()
                    .split(' ')
                    .next()?
                    .parse::<i64>()
                    .ok()
            })
        })
        .sum()
}

fn browser() -> Call {
    let mut call = get("/");
    call.headers.extend::<[(&[u8], &[u8]); 10]>([
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"accept-language", b"en-US,en;q=0.5"),
        (b"accept-encoding", b"gzip, deflate, br, zstd"),
        (b"connection", b"keep-alive"),
        (b"cookie", b"sessionid=abcdefghijklmnopqrstuvwxyz012345; csrftoken=zyxwvutsrqponmlkjihgfedcba543210"),
        (b"upgrade-insecure-requests", b"1"),
        (b"sec-fetch-dest", b"document"),
        (b"sec-fetch-mode", b"navigate"),
        (b"sec-fetch-site", b"none"),
    ]);
    call
}

/// Answers within `time`: how many, how long, and the CPU time of the worker.
fn run(host: &mut Host, call: &Call, time: Duration) -> (u64, Duration, Duration) {
    let mut waiting: Vec<_> = (0..DEPTH)
        .map(|_| (host.submit(call), Answer::default()))
        .collect();
    let pids = pids(host);
    let (start, cpu, mut count) = (Instant::now(), cpu(&pids), 0);
    while start.elapsed() < time {
        host.ring.dirty(|_| {});
        for place in &mut waiting {
            if host.take(place.0, &mut place.1) {
                assert_eq!(place.1.status, 200, "{}", host.log());
                host.ring.release(place.0);
                *place = (host.submit(call), Answer::default());
                count += 1;
            }
        }
    }
    let result = (count, start.elapsed(), self::cpu(&pids) - cpu);
    for (slot, mut answer) in waiting {
        while !host.take(slot, &mut answer) {
            host.pause();
        }
        host.ring.release(slot);
    }
    result
}

/// The host and its forked workers.
fn pids(host: &Host) -> Vec<u32> {
    let own = host.child.id();
    let children =
        std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .chain([own])
        .collect()
}

/// Time on a processor of all threads of these processes (nanoseconds in schedstat).
fn cpu(pids: &[u32]) -> Duration {
    let mut total = 0;
    for pid in pids {
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))
            .expect("a live process")
            .flatten()
        {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            total += text
                .split(' ')
                .next()
                .and_then(|ns| ns.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Duration::from_nanos(total)
}
