//! HTTP: messages of every kind, those that are wrong, applications that fail, and what is left of all that.

use super::{SEVERAL, accepted, host};
use crate::driver::{Setup, get, websocket};
use crate::harness::eventually;
use crate::kinds;
use config::Kind;
use shm::EventKind;
use shm::event::{CODE_TIMEOUT, disconnect};
use shm::request::FLAG_TE_TRAILERS;

const HELLO: &str = "
async def app(scope, receive, send):
    assert scope['type'] == 'http', scope
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain')]})
    await send({'type': 'http.response.body', 'body': b'Hello ' + scope['path'].encode()})
";

#[test]
fn both_kinds_serve() {
    for kind in kinds() {
        let (setup, _dir) = Setup::source(HELLO, kind, 2);
        let mut host = setup.ready();
        for _ in 0..300 {
            let answer = host.call(&get("/there"));
            assert_eq!(
                (answer.status, answer.text()),
                (200, "Hello /there"),
                "{kind:?}"
            );
            assert_eq!(answer.header("content-length"), Some("12"));
        }
        assert_eq!(host.log(), "");
    }
}

#[test]
fn applications_that_fail_get_500_or_a_cut() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        for (target, reported) in [
            ("/fails", "ValueError: of the app"),
            (
                "/silent",
                "GET /silent: the application returned and started no response",
            ),
        ] {
            let answer = host.call(&get(target));
            assert_eq!((answer.status, answer.aborted), (500, false));
            host.logged(reported);
        }
        for (target, reported) in [
            ("/fails-late", "ValueError: of the app, late"),
            ("/unfinished", "did not finish its response"),
            ("/short", "shorter than its content-length: 2 of 4 bytes"),
        ] {
            let answer = host.call(&get(target));
            assert_eq!((answer.status, answer.aborted), (200, true), "{target}");
            host.logged(reported);
        }
        let answer = host.call(&get("/lengths"));
        assert_eq!((answer.text(), answer.aborted), ("1234", false));
        host.logged("long: the response is longer than its content-length");
    }
}

#[test]
fn wrong_messages_raise_and_further_keys_do_not() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let answer = host.call(&get("/wrong"));
        assert_eq!(
            answer.text(),
            "array['RuntimeError', 'ValueError', 'ValueError', 'TypeError', 'ValueError', 'TypeError', 'ValueError', 'TypeError', \
             'ValueError', 'TypeError', 'TypeError', 'ok', 'RuntimeError', 'ok', 'TypeError', 'ok']"
        );
        assert_eq!(host.log(), "");
    }
}

#[test]
fn receive_and_send_are_awaited_in_everybodys_way() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let answer = host.call(&get("/tasks"));
        assert_eq!(answer.text(), "fine", "{}", host.log());
        assert_eq!(host.log(), "");
    }
}

#[test]
fn trailers_follow_where_the_client_takes_them() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let mut call = get("/trailers?te");
        call.request.flags = FLAG_TE_TRAILERS;
        let answer = host.call(&call);
        assert_eq!(answer.text(), "body");
        assert_eq!(answer.flags, shm::response::HEAD_TRAILERS_FOLLOW);
        assert_eq!(answer.header("content-length"), None);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(answer.trailers, [pair("x-sum", "1"), pair("x-rest", "2")]);
        let answer = host.call(&get("/trailers"));
        assert_eq!((answer.text(), answer.flags), ("body", 0));
        assert_eq!(answer.trailers, []);
        assert_eq!(host.log(), "");
    }
}

#[test]
fn hints_go_before_the_head() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let answer = host.call(&get("/hints"));
        assert_eq!(answer.text(), "x");
        let [(103, first), (103, second)] = &answer.interim[..] else {
            panic!("{answer:?}")
        };
        assert_eq!((first.len(), second.len()), (2, 1));
        assert_eq!(first[1].1, "</b.js>; rel=preload");
    }
}

#[test]
fn files_are_handed_over() {
    for kind in kinds() {
        let (mut host, dir) = host(SEVERAL, kind);
        let source = std::fs::read(dir.path().join("app.py")).expect("the app");
        let answer = host.call(&get("/pathsend"));
        assert_eq!(answer.body, source);
        assert_eq!(answer.file_bytes, source.len() as u64);
        assert_eq!(
            answer.header("content-length"),
            Some(source.len().to_string().as_str())
        );
        let answer = host.call(&get("/zerocopy"));
        let expected = [b"[", &source[3..8], &source[1..3], b"]"].concat();
        assert_eq!(answer.body, expected);
        assert_eq!(host.log(), "");
    }
}

#[test]
fn the_kinds_of_applications_are_told_apart() {
    const SHAPES: [(&str, &str); 7] = [
        (
            "an ASGI 2 class",
            "
class app:
    def __init__(self, scope):
        self.scope = scope
    async def __call__(self, receive, send):
        await answer(send)
",
        ),
        (
            "an ASGI 2 function",
            "
def app(scope):
    async def instance(receive, send):
        await answer(send)
    return instance
",
        ),
        (
            "a class whose instances are awaited",
            "
class app:
    def __init__(self, scope, receive, send):
        self.send = send
    def __await__(self):
        return answer(self.send).__await__()
",
        ),
        (
            "an instance",
            "
class App:
    async def __call__(self, scope, receive, send):
        await answer(send)
app = App()
",
        ),
        (
            "a plain function that returns a coroutine",
            "
def app(scope, receive, send):
    return answer(send)
",
        ),
        (
            "a partial",
            "
import functools
async def with_more(more, scope, receive, send):
    await answer(send)
app = functools.partial(with_more, 7)
",
        ),
        (
            "a WSGI class",
            "
class app:
    def __init__(self, environ, start_response):
        start_response('200 OK', [])
    def __iter__(self):
        yield b'fine'
",
        ),
    ];
    for (name, shape) in SHAPES {
        let source = format!(
            "
async def answer(send):
    await send({{'type': 'http.response.start', 'status': 200}})
    await send({{'type': 'http.response.body', 'body': b'fine'}})
{shape}"
        );
        let (mut host, _dir) = host(&source, Kind::Processes);
        assert_eq!(host.call(&get("/")).text(), "fine", "{name}");
    }
}

/// Objects alive after many requests of every sort: no more than before.
#[test]
fn nothing_is_left_of_ten_thousand_requests() {
    let source = format!(
        "{SEVERAL}
import gc, types
async def count(scope, receive, send):
    gc.collect()
    await text(send, str(len(gc.get_objects())) + ' ' + str(len(asyncio.all_tasks())) + ' ' + str(sys.getallocatedblocks()))

async def quick(scope, receive, send):
    await receive()
    later = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    await text(send, 'x')
    await later

async def cancels(scope, receive, send):
    await receive()
    task = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    await text(send, 'x')
"
    );
    for kind in kinds() {
        let (mut host, _dir) = host(&source, kind);
        let mut counts = Vec::new();
        for round in 0..3 {
            for _ in 0..400 {
                for path in [
                    "/wrong",
                    "/quick",
                    "/cancels",
                    "/tasks",
                    "/hints",
                    "/zerocopy",
                    "/pathsend",
                ] {
                    assert_eq!(host.call(&get(path)).status, 200);
                }
                assert_eq!(host.call(&websocket("/denies")).status, 429);
                let slot = host.submit(&get("/slow"));
                eventually("claimed", || host.ring.worker_of(slot));
                host.event(slot, EventKind::Disconnect, &disconnect(CODE_TIMEOUT, ""));
                host.ring.cancel(slot);
                let (slot, mut answer) = accepted(&mut host, &websocket("/"));
                host.event(slot, EventKind::WsTextEnd, b"hello");
                host.take_until(slot, &mut answer, |answer| !answer.messages.is_empty());
                host.ring.cancel(slot);
            }
            eventually("all slots are free", || {
                host.pause();
                (host.ring.in_use() == 0).then_some(())
            });
            let text = host.call(&get("/count")).text().to_owned();
            let numbers: Vec<i64> = text
                .split(' ')
                .map(|word| word.parse().expect("a number"))
                .collect();
            if round > 0 {
                counts.push(numbers);
            }
        }
        let grown: Vec<i64> = counts[1]
            .iter()
            .zip(&counts[0])
            .map(|(after, before)| after - before)
            .collect();
        assert!(
            grown[0] < 100 && counts[1][1] <= 3 && grown[2] < 400,
            "{kind:?}: objects, tasks, blocks: {counts:?}"
        );
    }
}
