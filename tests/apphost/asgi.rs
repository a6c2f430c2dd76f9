//! ASGI workers without an edge: events both ways, back-pressure, how applications end, loops that stand still. What a client sees is in tests/asgi.

use crate::driver::{Answer, Call, Host, Setup, get, post, upload, websocket};
use crate::harness::{TempDir, eventually};
use crate::kinds;
use config::Kind;
use control::message::{FromHost, ToHost};
use shm::event::{CODE_TIMEOUT, disconnect};
use shm::request::{FLAG_EXPECT_CONTINUE, FLAG_TE_TRAILERS};
use shm::{Cancel, EventKind};

/// A host with one worker.
fn host(source: &str, kind: Kind) -> (Host, TempDir) {
    let (setup, dir) = Setup::source(source, kind, 1);
    (setup.ready(), dir)
}

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

/// Everything that one small application can be asked to do, by its path.
const SEVERAL: &str = "
import asyncio, os, sys
from urllib.parse import parse_qsl

async def start(send, status=200, headers=(), **more):
    await send({'type': 'http.response.start', 'status': status, 'headers': list(headers), **more})

async def body(send, body=b'', more=False):
    await send({'type': 'http.response.body', 'body': body, 'more_body': more})

async def text(send, text):
    await start(send)
    await body(send, text.encode())

async def echo(scope, receive, send):
    events = []
    while True:
        event = await receive()
        events.append((event['type'], len(event.get('body', b'')), event.get('more_body')))
        if not event.get('more_body'):
            break
    await text(send, repr(events))

async def disconnect(scope, receive, send):
    first = await receive()
    print('waits', flush=True)
    second = await receive()
    try:
        await start(send)
        failed = None
    except OSError as error:
        failed = type(error).__name__
    print('saw', first['type'], second['type'], failed, flush=True)

async def large(scope, receive, send):
    await start(send)
    for number in range(10):
        await body(send, bytes([number]) * 100_000, True)
        print('sent', number, flush=True)
    await body(send)

async def together(scope, receive, send):
    await start(send)
    await asyncio.gather(*[body(send, bytes([65 + number]) * 50_000, True) for number in range(4)])
    await body(send)

async def slow(scope, receive, send):
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        print('cancelled', flush=True)
        raise

async def early(scope, receive, send):
    await start(send)
    await asyncio.sleep(600)

async def fails(scope, receive, send):
    raise ValueError('of the app')

async def fails_late(scope, receive, send):
    await start(send)
    await body(send, b'half', True)
    raise ValueError('of the app, late')

async def silent(scope, receive, send):
    pass

async def unfinished(scope, receive, send):
    await start(send)
    await body(send, b'half', True)

async def blocks(scope, receive, send):
    import time
    deadline = time.monotonic() + 600
    print('blocks', flush=True)
    while time.monotonic() < deadline:
        time.sleep(0.01)

async def deaf(scope, receive, send):
    import time
    print('deaf', flush=True)
    time.sleep(7)

async def trailers(scope, receive, send):
    assert ('http.response.trailers' in scope['extensions']) == (scope['query_string'] == b'te')
    await start(send, 200, trailers=True)
    await body(send, b'body')
    await send({'type': 'http.response.trailers', 'headers': [(b'x-sum', b'1')], 'more_trailers': True})
    await send({'type': 'http.response.trailers', 'headers': [(b'x-rest', b'2')]})

async def hints(scope, receive, send):
    await send({'type': 'http.response.early_hint', 'links': [b'</a.css>; rel=preload', b'</b.js>; rel=preload']})
    await start(send)
    await send({'type': 'http.response.early_hint', 'links': [b'</c.js>; rel=preload']})
    await body(send, b'x')

async def pathsend(scope, receive, send):
    await start(send)
    await send({'type': 'http.response.pathsend', 'path': os.path.abspath(__file__)})

async def zerocopy(scope, receive, send):
    await start(send)
    await body(send, b'[', True)
    with open(__file__, 'rb') as file:
        file.seek(3)
        await send({'type': 'http.response.zerocopysend', 'file': file, 'count': 5, 'more_body': True})
        await send({'type': 'http.response.zerocopysend', 'file': file, 'offset': 1, 'count': 2, 'more_body': True})
    await body(send, b']')

async def wrong(scope, receive, send):
    found = []
    async def tries(message):
        try:
            await send(message)
            found.append('ok')
        except Exception as error:
            found.append(type(error).__name__)
    await tries({'type': 'http.response.body', 'body': b'too early'})
    await tries({'type': 'no.such'})
    await tries({'status': 200})
    await tries(7)
    await tries({'type': 'http.response.start'})
    await tries({'type': 'http.response.start', 'status': '200'})
    await tries({'type': 'http.response.start', 'status': 99})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': [('a', b'b')]})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': [(b'a', b'b\\r\\nc: d')]})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': 7})
    await tries({'type': 'http.response.start', 'status': None})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': None, 'more': 'keys'})
    await tries({'type': 'http.response.start', 'status': 200})
    await tries({'type': 'http.response.body', 'body': None, 'more_body': True})
    await tries({'type': 'http.response.body', 'body': 'text'})
    await tries({'type': 'http.response.body', 'body': bytearray(b'array'), 'more_body': True})
    await tries({'type': 'http.response.body', 'body': repr(found).encode()})
    await tries({'type': 'http.response.body', 'body': b'ignored'})

async def tasks(scope, receive, send):
    # Everybody's ways to await.
    assert asyncio.iscoroutine(receive())
    event = await asyncio.create_task(receive())
    assert event == {'type': 'http.request', 'body': b'', 'more_body': False}, event
    waiting = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    try:
        await asyncio.wait_for(receive(), 0.01)
        assert False
    except (asyncio.TimeoutError, TimeoutError):
        pass
    waiting = asyncio.create_task(receive())
    await asyncio.create_task(send({'type': 'http.response.start', 'status': 200}))
    await asyncio.wait_for(body(send, b'fine'), 5)
    assert (await waiting)['type'] == 'http.disconnect'
    assert asyncio.current_task() is not None

async def lengths(scope, receive, send):
    await start(send, 200, [(b'content-length', b'4')])
    await body(send, b'12', True)
    try:
        await body(send, b'345', True)
    except RuntimeError as error:
        print('long:', error, flush=True)
    await body(send, b'34')

async def short(scope, receive, send):
    await start(send, 200, [(b'content-length', b'4')])
    await body(send, b'12')

async def websocket(scope, receive, send):
    assert await receive() == {'type': 'websocket.connect'}
    path = scope['path']
    if path == '/refuses':
        return await send({'type': 'websocket.close'})
    if path == '/denies':
        await send({'type': 'websocket.http.response.start', 'status': 429, 'headers': [(b'retry-after', b'9')]})
        await send({'type': 'websocket.http.response.body', 'body': b'later', 'more_body': True})
        return await send({'type': 'websocket.http.response.body'})
    if path == '/returns':
        return
    if path == '/fails':
        raise ValueError('before it accepted')
    await send({'type': 'websocket.accept', 'subprotocol': (scope['subprotocols'] or [None])[-1], 'headers': [(b'x-a', b'b')]})
    if path == '/fails-later':
        raise ValueError('after it accepted')
    while True:
        event = await receive()
        if event['type'] == 'websocket.disconnect':
            print('left', event['code'], event['reason'], flush=True)
            try:
                await send({'type': 'websocket.send', 'text': 'x'})
            except OSError as error:
                print('then', type(error).__name__, flush=True)
            again = await receive()
            assert again == event
            return
        assert (event.get('bytes') is None) != (event.get('text') is None)
        if event.get('text') == 'close':
            return await send({'type': 'websocket.close', 'code': 3001, 'reason': 'asked'})
        if event.get('text') == 'end':
            return
        await send({key: value for key, value in event.items() if value is not None} | {'type': 'websocket.send'})

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        raise NotImplementedError
    if scope['type'] == 'websocket':
        return await websocket(scope, receive, send)
    await globals()[scope['path'][1:].replace('-', '_')](scope, receive, send)
";

#[test]
fn a_body_streams_in_as_it_comes() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&upload("/echo"));
        eventually("claimed", || host.ring.worker_of(slot));
        let full = host.ring.inbound_room(slot);
        host.event(slot, EventKind::Body, b"one");
        eventually("read", || {
            (host.ring.inbound_room(slot) >= full).then_some(())
        });
        host.event(slot, EventKind::Body, b"three");
        host.event(slot, EventKind::BodyEnd, b"");
        let text = host.wait(slot);
        // In two events or three, as it happens; the last is marked as such.
        let text = text.text();
        assert!(text.starts_with("[('http.request', 3, True)"), "{text}");
        assert!(text.ends_with(", False)]"), "{text}");
        assert_eq!(text.matches("False").count(), 1);
        // All that has come in one event; nothing at all; and inline.
        let slot = host.ring.reserve().expect("a slot");
        host.ring.abandon(slot);
        for (call, seen) in [
            (
                post("/echo", b"12345".to_vec()),
                "[('http.request', 5, False)]",
            ),
            (get("/echo"), "[('http.request', 0, False)]"),
        ] {
            assert_eq!(host.call(&call).text(), seen);
        }
        let mut spooled = post("/echo", vec![7; 100_000]);
        spooled.spooled = true;
        assert_eq!(
            host.call(&spooled).text(),
            "[('http.request', 65536, True), ('http.request', 34464, False)]"
        );
        assert_eq!(host.log(), "");
    }
}

#[test]
fn a_long_upload_flows_through_the_ring() {
    for kind in kinds() {
        let (mut host, _dir) = host(
            "
async def app(scope, receive, send):
    total, more = 0, True
    while more:
        event = await receive()
        total += sum(event['body'])
        more = event['more_body']
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body', 'body': str(total).encode()})
",
            kind,
        );
        let slot = host.submit(&upload("/"));
        let body: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        let mut sent = 0;
        while sent < body.len() {
            sent += host.ring.push_bytes(
                slot,
                EventKind::Body,
                Some(EventKind::BodyEnd),
                &body[sent..],
            );
            host.ring.commit_events(slot);
            host.pause();
        }
        let total: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(host.wait(slot).text(), total.to_string());
    }
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_at_the_first_receive() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let mut call = upload("/echo");
        call.request.flags |= FLAG_EXPECT_CONTINUE;
        let slot = host.submit(&call);
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.wanted_body);
        host.ring.push_bytes(
            slot,
            EventKind::Body,
            Some(EventKind::BodyEnd),
            b"asked for",
        );
        host.ring.commit_events(slot);
        assert_eq!(host.wait(slot).text(), "[('http.request', 9, False)]");
        call.request.path = b"/silent";
        call.request.target = b"/silent";
        let slot = host.submit(&call);
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.status == 500);
        assert!(!answer.wanted_body);
    }
}

#[test]
fn a_client_that_leaves_is_noticed_at_once() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/disconnect"));
        host.logged("waits");
        assert_eq!(host.ring.cancel(slot), Cancel::Running);
        host.logged("saw http.request http.disconnect ConnectionAbortedError");
        eventually("the slot is free again", || {
            host.pause();
            (host.ring.in_use() == 0).then_some(())
        });
        assert!(!host.log().contains("Traceback"), "{}", host.log());
    }
}

#[test]
fn send_waits_for_the_edge_to_make_room() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/large"));
        eventually("claimed", || host.ring.worker_of(slot));
        // Others are served meanwhile.
        assert_eq!(host.call(&get("/wrong")).status, 200);
        assert!(!host.log().contains("sent 0"), "{}", host.log());
        let answer = host.wait(slot);
        assert_eq!(answer.body.len(), 1_000_000);
        assert!(answer.body.is_sorted());
        host.logged("sent 9");
        let answer = host.call(&get("/together"));
        assert_eq!(answer.body.len(), 200_000);
        assert!(answer.body.is_sorted(), "messages are not torn");
    }
}

#[test]
fn a_head_leaves_before_its_body_when_the_body_takes_time() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/early"));
        let mut answer = Answer::default();
        host.take_until(slot, &mut answer, |answer| answer.status == 200);
        assert_eq!(answer.header("content-length"), None);
        host.ring.cancel(slot);
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

/// Accepted, and what came with it.
pub fn accepted(host: &mut Host, call: &Call) -> (shm::SlotId, Answer) {
    let slot = host.submit(call);
    let mut answer = Answer::default();
    host.take_until(slot, &mut answer, |answer| answer.accepted.is_some());
    (slot, answer)
}

#[test]
fn websockets_echo_whole_messages() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let mut call = websocket("/echo");
        call.headers.push((b"Sec-WebSocket-Protocol", b"one, two"));
        let (slot, mut answer) = accepted(&mut host, &call);
        let headers = answer.accepted.clone().expect("accepted");
        assert_eq!(headers[0].1, "two");
        assert_eq!(headers[1], ("x-a".to_owned(), "b".to_owned()));
        let text = "zwölf".as_bytes();
        host.event(slot, EventKind::WsTextPart, &text[..3]);
        host.event(slot, EventKind::WsTextEnd, &text[3..]);
        host.event(slot, EventKind::WsBinaryEnd, b"");
        host.event(slot, EventKind::WsTextEnd, b"");
        host.take_until(slot, &mut answer, |answer| answer.messages.len() == 3);
        assert_eq!(
            answer.messages,
            [
                (false, text.to_vec()),
                (true, Vec::new()),
                (false, Vec::new())
            ]
        );
        // Larger than both rings.
        let large: Vec<u8> = (0..500_000u32).map(|at| (at % 253) as u8).collect();
        let mut sent = 0;
        while answer.messages.len() < 4 {
            if sent < large.len() {
                sent += host.ring.push_bytes(
                    slot,
                    EventKind::WsBinaryPart,
                    Some(EventKind::WsBinaryEnd),
                    &large[sent..],
                );
                host.ring.commit_events(slot);
            }
            host.take(slot, &mut answer);
            host.pause();
        }
        assert!(answer.messages[3] == (true, large));
        host.event(slot, EventKind::WsTextEnd, b"close");
        host.take_until(slot, &mut answer, |answer| answer.close.is_some());
        assert_eq!(answer.close, Some((3001, "asked".to_owned())));
        assert!(host.take(slot, &mut answer) && !answer.aborted);
        host.ring.release(slot);
        assert_eq!(host.log(), "");
    }
}

#[test]
fn websockets_are_refused_and_closed_as_the_application_says() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        assert_eq!(host.call(&websocket("/refuses")).status, 403);
        let answer = host.call(&websocket("/denies"));
        assert_eq!((answer.status, answer.text()), (429, "later"));
        assert_eq!(answer.header("retry-after"), Some("9"));
        assert_eq!(host.call(&websocket("/returns")).status, 500);
        host.logged("neither accepted nor refused");
        assert_eq!(host.call(&websocket("/fails")).status, 500);
        host.logged("ValueError: before it accepted");
        let answer = host.call(&websocket("/fails-later"));
        assert_eq!(answer.close.expect("closed").0, 1011);
        host.logged("ValueError: after it accepted");
        let (slot, mut answer) = accepted(&mut host, &websocket("/"));
        host.event(slot, EventKind::WsTextEnd, b"end");
        host.take_until(slot, &mut answer, |answer| answer.close.is_some());
        assert_eq!(answer.close, Some((1000, String::new())));
    }
}

#[test]
fn a_websocket_hears_how_its_client_left_after_everything_it_said() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let (slot, mut answer) = accepted(&mut host, &websocket("/"));
        for text in [b"a", b"b", b"c"] {
            host.ring
                .push_event(slot, EventKind::WsTextEnd, text)
                .expect("room");
        }
        host.event(slot, EventKind::Disconnect, &disconnect(1001, "bye"));
        host.logged("left 1001 bye");
        host.logged("then ConnectionAbortedError");
        host.take(slot, &mut answer);
        assert_eq!(answer.messages.len(), 3);
        // One that is cut off.
        let (slot, _) = accepted(&mut host, &websocket("/"));
        host.ring.cancel(slot);
        host.logged("left 1006");
        assert!(!host.log().contains("Traceback"), "{}", host.log());
    }
}

#[test]
fn a_request_over_its_time_is_cancelled_and_its_stack_logged() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/slow"));
        eventually("claimed", || host.ring.worker_of(slot));
        host.event(slot, EventKind::Disconnect, &disconnect(CODE_TIMEOUT, ""));
        host.ring.cancel(slot);
        host.logged("GET /slow ran over its time and is cancelled; it was here:");
        host.logged("await asyncio.sleep(600)");
        host.logged("cancelled");
        eventually("the slot is free again", || {
            host.pause();
            (host.ring.in_use() == 0).then_some(())
        });
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
}

#[test]
fn a_loop_that_stands_still_is_replaced() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/blocks"));
        host.logged("blocks");
        // A live loop is left alone.
        host.order(&ToHost::Replace { index: 0 });
        host.logged("in blocks");
        if kind == Kind::Processes {
            host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
        } else {
            // RequestTimeout is heeded.
            let answer = host.wait(slot);
            assert_eq!(answer.status, 500);
        }
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
}

#[test]
fn a_loop_that_heeds_nothing_loses_its_seat() {
    if !crate::interpreters() {
        return;
    }
    let (mut host, _dir) = host(SEVERAL, Kind::Interpreters);
    let waits = host.submit(&get("/slow"));
    eventually("claimed", || host.ring.worker_of(waits));
    let slot = host.submit(&get("/deaf"));
    host.logged("deaf");
    host.order(&ToHost::Replace { index: 0 });
    let gone = host.until(|message| matches!(message, FromHost::WorkerGone { .. }));
    assert!(matches!(gone, FromHost::WorkerGone { incarnation: 1, .. }));
    for slot in [waits, slot] {
        assert!(host.wait(slot).aborted);
    }
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    for _ in 0..20 {
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
    // When it comes back it finds that nothing is its own any more.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(host.call(&get("/wrong")).status, 200);
}

#[test]
fn a_loop_that_turns_is_not_replaced() {
    for kind in kinds() {
        let (mut host, _dir) = host(SEVERAL, kind);
        let slot = host.submit(&get("/slow"));
        eventually("claimed", || host.ring.worker_of(slot));
        host.order(&ToHost::Replace { index: 0 });
        // Longer than the host's patience with one that stands still.
        let mut watch = [sys::socket::Watch::read(std::os::fd::AsFd::as_fd(
            &host.channel,
        ))];
        sys::socket::poll(&mut watch, Some(2500)).expect("poll");
        assert!(!watch[0].readable, "{:?}", host.message());
        assert_eq!(host.call(&get("/wrong")).status, 200);
        host.ring.cancel(slot);
    }
}

#[test]
fn uvloop_serves_as_well_where_it_loads() {
    if !crate::harness::python::has("uvloop") {
        return crate::harness::skipped("no uvloop");
    }
    let (mut setup, _dir) = Setup::source(SEVERAL, Kind::Processes, 2);
    setup.spec.options.event_loop = config::EventLoop::Uvloop;
    let mut host = setup.ready();
    for _ in 0..200 {
        assert_eq!(host.call(&get("/wrong")).status, 200);
    }
    assert_eq!(host.call(&get("/tasks")).text(), "fine", "{}", host.log());
    let answer = host.call(&get("/large"));
    assert_eq!(answer.body.len(), 1_000_000);
    let slot = host.submit(&get("/early"));
    let mut answer = Answer::default();
    host.take_until(slot, &mut answer, |answer| answer.status == 200);
    host.ring.cancel(slot);
    let mut spooled = post("/echo", vec![7; 100_000]);
    spooled.spooled = true;
    assert_eq!(host.call(&spooled).status, 200);
    let (slot, mut answer) = accepted(&mut host, &websocket("/"));
    host.event(slot, EventKind::WsTextEnd, b"hello");
    host.take_until(slot, &mut answer, |answer| answer.messages.len() == 1);
    host.ring.cancel(slot);
    host.logged("left 1006");
    // Both sleep now: a request wakes one.
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(host.call(&get("/wrong")).status, 200);
    let slot = host.submit(&get("/blocks"));
    host.logged("blocks");
    let index = host.ring.worker_of(slot).expect("claimed").index;
    host.order(&ToHost::Replace { index });
    host.until(|message| matches!(message, FromHost::WorkerUp { incarnation: 2, .. }));
    host.order(&ToHost::Drain);
    host.until(|message| *message == FromHost::Drained);
}

#[test]
fn the_kinds_of_applications_are_told_apart() {
    const SHAPES: [(&str, &str); 6] = [
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
