//! The probe's verdicts.

use crate::driver::Setup;
use crate::harness::python;
use crate::interpreters;
use config::Kind;
use control::message::{FromHost, ProbeVerdict};

#[track_caller]
fn verdict(source: &str) -> ProbeVerdict {
    verdict_of(source, |_| {})
}

#[track_caller]
fn verdict_of(source: &str, change: impl FnOnce(&mut Setup)) -> ProbeVerdict {
    let (mut setup, _dir) = Setup::source(source, Kind::Interpreters, 1);
    setup.spec.probe = true;
    change(&mut setup);
    let mut host = setup.start();
    let message = host.until(|message| matches!(message, FromHost::Probe { .. }));
    assert!(host.child.wait().expect("our child").success());
    let FromHost::Probe { verdict } = message else {
        unreachable!("just matched")
    };
    verdict
}

const PLAIN: &str = "
import datetime, decimal, sqlite3, json, asyncio, ssl, threading, logging
def app(environ, start_response):
    return []
";

#[test]
fn old_and_free_threaded_pythons_are_refused() {
    if python::has_interpreters() {
        return;
    }
    assert!(matches!(verdict(PLAIN), ProbeVerdict::Refused { module, .. } if module == "python"));
}

#[test]
fn an_app_that_loads_may_have_interpreters() {
    if interpreters() {
        assert_eq!(verdict(PLAIN), ProbeVerdict::Interpreters);
    }
}

/// A module of CPython's own tests that refuses; not every distribution has it.
pub fn has_single_phase() -> bool {
    let there = python::run(&[
        "-c",
        "import importlib.util; print(importlib.util.find_spec('_testsinglephase') is not None)",
    ]);
    if there.trim() != "True" {
        crate::harness::skipped("this Python has no _testsinglephase");
    }
    there.trim() == "True"
}

#[test]
fn a_refusal_names_the_module() {
    if !interpreters() || !has_single_phase() {
        return;
    }
    let found = verdict("import _testsinglephase\ndef app(environ, start_response): return []");
    let ProbeVerdict::Refused { module, message } = found else {
        panic!("{found:?}")
    };
    assert_eq!(module, "_testsinglephase");
    assert!(
        message.contains("does not support loading in subinterpreters"),
        "{message}"
    );
}

#[test]
fn a_swallowed_refusal_is_seen() {
    if !interpreters() || !has_single_phase() {
        return;
    }
    let found = verdict(
        "try:\n    import _testsinglephase\nexcept ImportError:\n    pass\ntry:\n    import readline\nexcept ImportError:\n    pass\ndef app(environ, start_response): return []",
    );
    assert_eq!(
        found,
        ProbeVerdict::Degraded {
            modules: vec!["_testsinglephase".to_owned()]
        }
    );
}

#[test]
fn what_only_fails_in_an_interpreter_is_refused() {
    if !interpreters() {
        return;
    }
    let found = verdict(
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\ndef app(environ, start_response): return []",
    );
    let ProbeVerdict::Refused { module, message } = found else {
        panic!("{found:?}")
    };
    assert_eq!(module, "app:app");
    assert!(
        message.contains("signal only works in main thread of the main interpreter"),
        "{message}"
    );
}

#[test]
fn what_loads_nowhere_has_failed() {
    if !interpreters() {
        return;
    }
    let found = verdict("raise ValueError('broken')");
    let ProbeVerdict::Failed {
        message,
        traceback,
        asgi: false,
    } = found
    else {
        panic!("{found:?}")
    };
    assert!(message.contains("ValueError: broken"), "{message}");
    assert!(traceback.contains("app.py"), "{traceback}");
}

#[test]
fn an_asgi_app_is_as_good_as_any() {
    if !interpreters() {
        return;
    }
    let found = verdict("async def app(scope, receive, send): pass");
    assert!(matches!(found, ProbeVerdict::Interpreters), "{found:?}");
}

#[test]
fn a_loop_that_refuses_counts_as_if_it_were_imported() {
    if !interpreters() || !python::has("uvloop") {
        return;
    }
    const ASGI: &str = "async def app(scope, receive, send): pass";
    let of = |source: &str| {
        verdict_of(source, |setup| {
            setup.spec.options.event_loop = config::EventLoop::Uvloop;
        })
    };
    let found = of(ASGI);
    let ProbeVerdict::Refused { module, .. } = found else {
        panic!("{found:?}")
    };
    assert!(module.starts_with("uvloop"), "{module}");
    assert_eq!(of(PLAIN), ProbeVerdict::Interpreters);
}
