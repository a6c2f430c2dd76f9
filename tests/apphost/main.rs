//! The app host alone, an edge played by the test: kinds, start and end, faults, deadlines. What an application sees of WSGI is in tests/wsgi.rs.

#[path = "../harness/mod.rs"]
mod harness;

mod driver;
mod speed;

use config::Kind;
use control::message::{FromHost, ProbeVerdict, ToHost};
use driver::{Answer, Setup, get, post};
use harness::python;

const KINDS: [Kind; 2] = [Kind::Interpreters, Kind::Processes];

/// The kinds that this Python can run.
fn kinds() -> Vec<Kind> {
    KINDS.into_iter().filter(|kind| *kind == Kind::Processes || python::has_interpreters()).collect()
}

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
            assert_eq!((answer.status, answer.text()), (200, "Hello /there"), "{kind:?}");
            assert_eq!(answer.header("content-length"), Some("12"));
        }
    }
}
