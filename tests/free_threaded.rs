//! Builds of CPython without a GIL: served in processes with their GIL switched on, by an extension of their own.
//!
//! Where the tests' Python is such a build (`RINGGATE_TEST_PYTHON`), every other test file runs on it as well; here is what differs there.

mod harness;

use harness::{Server, Setup, python, skipped};

fn possible() -> bool {
    let possible = python::is_free_threaded();
    if !possible {
        skipped("the tests' Python has a GIL");
    }
    possible
}

/// What an application there finds.
const TELLS: &str = "\
import sys, sysconfig
def told():
    return repr((sysconfig.get_config_var('Py_GIL_DISABLED'), sys._is_gil_enabled())).encode()
def wsgi(environ, start_response):
    start_response('200 OK', [])
    return [told()]
async def asgi(scope, receive, send):
    assert scope['type'] == 'http'
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': told()})
";

fn tells(target: &str) -> Setup {
    let setup = Setup::app(target);
    setup.dir().write("tells.py", TELLS);
    let dir = setup.dir().path().to_owned();
    setup.option("--chdir", dir)
}

#[track_caller]
fn served(server: &Server) {
    assert_eq!(server.get("/").expect(200).text(), "(1, True)");
    let log = server.log();
    for words in [
        "free-threaded, with its GIL on",
        "and this is a free-threaded build",
    ] {
        assert!(log.contains(words), "no {words:?} in {log}");
    }
    assert!(!log.contains("RuntimeWarning"), "{log}");
}

#[test]
fn auto_serves_in_processes_and_says_why() {
    if possible() {
        served(&tells("tells:wsgi").workers(2).start());
        served(&tells("tells:asgi").workers(2).start());
    }
}

#[test]
fn the_gil_is_on_whatever_the_environment_says() {
    if possible() {
        served(&tells("tells:wsgi").env("PYTHON_GIL", "0").start());
    }
}

#[test]
fn threads_share_the_work_of_a_worker() {
    if possible() {
        let server = tells("tells:wsgi").option("--threads", "4").start();
        for _ in 0..50 {
            assert_eq!(server.get("/").expect(200).text(), "(1, True)");
        }
    }
}

#[test]
fn interpreters_are_refused() {
    if possible() {
        let (code, said) = tells("tells:wsgi").kind("interpreters").run_to_end();
        assert_ne!(code, 0);
        assert!(said.contains("this is a free-threaded build"), "{said}");
        assert!(said.contains("leave --kind out"), "{said}");
    }
}

/// The one for Pythons with a GIL, which lies beside the command.
#[test]
fn the_extension_of_another_build_is_refused_with_what_to_do() {
    if !possible() {
        return;
    }
    let setup = tells("tells:wsgi").env("RINGGATE_EXTENSION", python::extension_with_gil());
    let (code, said) = setup.run_to_end();
    assert_ne!(code, 0);
    assert!(
        said.contains("this ringgate was built for Pythons with a GIL"),
        "{said}"
    );
}

#[test]
fn a_free_threaded_python_without_ringgate_is_named() {
    if !possible() {
        return;
    }
    let command = [env!("CARGO_BIN_EXE_ringgate").into()];
    let setup = Setup::installed(&command, "basic:application");
    let (code, said) = setup.option("--python", python::python()).run_to_end();
    assert_ne!(code, 0);
    assert!(said.contains("has no ringgate of its own"), "{said}");
}
