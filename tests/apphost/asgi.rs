//! ASGI workers without an edge: events both ways, back-pressure, how applications end, loops that stand still. What a client sees is in tests/asgi.rs.

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
