//! The lives of ASGI workers: lifespan, state, draining.

use crate::asgi::accepted;
use crate::driver::{Setup, get, websocket};
use crate::harness::{TempDir, eventually};
use crate::kinds;
use config::Kind;
use control::message::{FromHost, ToHost};

const LIFESPAN: &str = "
import asyncio, os, sys
MODE = os.environ.get('MODE', '')

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        assert scope['asgi'] == {'version': '3.0', 'spec_version': '2.0'}
        if MODE == 'raises':
            raise RuntimeError('not for me')
        assert await receive() == {'type': 'lifespan.startup'}
        if MODE == 'fails':
            return await send({'type': 'lifespan.startup.failed', 'message': 'no database'})
        await asyncio.sleep(0.05)
        scope['state']['pool'] = ['shared']
        print('is up', flush=True)
        await send({'type': 'lifespan.startup.complete'})
        assert await receive() == {'type': 'lifespan.shutdown'}
        await asyncio.sleep(0.05)
        print('is down', flush=True)
        return await send({'type': 'lifespan.shutdown.complete'})
    if scope['type'] == 'websocket':
        await receive()
        await send({'type': 'websocket.accept'})
        print('talks', flush=True)
        print('ended with', (await receive())['code'], flush=True)
        return
    if scope['path'] == '/slow':
        print('slow begins', flush=True)
        await asyncio.sleep(0.5)
    if scope['path'] == '/endless':
        print('endless begins', flush=True)
        await asyncio.sleep(600)
    state = scope['state']
    seen = repr(state)
    state['mine'] = 1
    if 'pool' in state:
        state['pool'].append('x') if scope['path'] == '/grow' else None
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body', 'body': seen.encode()})
";

fn with_mode(kind: Kind, workers: u16, mode: &str) -> (Setup, TempDir) {
    let (mut setup, dir) = Setup::source(LIFESPAN, kind, workers);
    setup.spec.env = vec![("MODE".to_owned(), mode.to_owned())];
    (setup, dir)
}

#[test]
fn the_lifespan_runs_once_per_worker_and_leaves_its_state() {
    for kind in kinds() {
        let (setup, _dir) = with_mode(kind, 3, "");
        let mut host = setup.ready();
        eventually("three are up", || {
            (host.log().matches("is up").count() == 3).then_some(())
        });
        for _ in 0..20 {
            let text = host.call(&get("/")).text().to_owned();
            assert_eq!(text, "{'pool': ['shared']}", "a shallow copy each");
        }
        host.order(&ToHost::Drain);
        host.until(|message| *message == FromHost::Drained);
        eventually("three are down", || {
            (host.log().matches("is down").count() == 3).then_some(())
        });
    }
}

#[test]
fn an_application_without_lifespan_is_served_and_one_that_fails_is_not() {
    for kind in kinds() {
        let (setup, _dir) = with_mode(kind, 1, "raises");
        let mut host = setup.ready();
        assert_eq!(host.call(&get("/")).text(), "{}");
        assert_eq!(host.log(), "");
        for (mode, lifespan, said) in [
            (
                "fails",
                config::Lifespan::Auto,
                "the application's startup failed: no database",
            ),
            (
                "raises",
                config::Lifespan::On,
                "the application's startup failed: RuntimeError: not for me",
            ),
        ] {
            let (mut setup, _dir) = with_mode(kind, 1, mode);
            setup.spec.options.lifespan = lifespan;
            let mut host = setup.start();
            let failed = host.until(|message| matches!(message, FromHost::Failed { .. }));
            let FromHost::Failed { message, .. } = failed else {
                unreachable!()
            };
            assert!(message.contains(said), "{message}");
        }
        let (mut setup, _dir) = with_mode(kind, 1, "fails");
        setup.spec.options.lifespan = config::Lifespan::Off;
        assert_eq!(setup.ready().call(&get("/")).text(), "{}");
    }
}

#[test]
fn draining_ends_what_runs_and_sends_websockets_elsewhere() {
    for kind in kinds() {
        let (mut setup, _dir) = with_mode(kind, 1, "");
        setup.spec.options.graceful_ms = 3000;
        let mut host = setup.ready();
        let slow = host.submit(&get("/slow"));
        host.logged("slow begins");
        let (socket, mut answer) = accepted(&mut host, &websocket("/"));
        let endless = host.submit(&get("/endless"));
        host.logged("endless begins");
        host.order(&ToHost::Drain);
        let finished = host.wait(slow);
        assert_eq!(finished.status, 200, "{}", host.log());
        host.take_until(socket, &mut answer, |answer| answer.close.is_some());
        assert_eq!(answer.close.expect("closed").0, 1012);
        host.logged("ended with 1012");
        let answer = host.wait(endless);
        assert_eq!((answer.status, answer.aborted), (500, false));
        host.until(|message| *message == FromHost::Drained);
        host.logged("is down");
    }
}

#[test]
fn a_drained_worker_leaves_requests_to_the_others() {
    for kind in kinds() {
        let (setup, _dir) = with_mode(kind, 2, "");
        let mut host = setup.ready();
        host.order(&ToHost::Drain);
        host.until(|message| *message == FromHost::Drained);
        let slot = host.submit(&get("/"));
        assert!(host.ring.worker_of(slot).is_none());
    }
}
