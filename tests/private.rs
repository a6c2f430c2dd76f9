//! `--extensions private`: extension modules that refuse sub-interpreters, each interpreter with a copy of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup, TempDir, process, python, skipped};
use std::collections::BTreeSet;
use std::path::Path;

/// Whether all this can be tried here.
fn possible() -> bool {
    let possible = python::has_frameworks() && python::has_interpreters();
    if !possible {
        skipped("needs the frameworks and CPython 3.13 or newer");
    }
    possible
}

/// pydantic-core in every worker; the copies below a directory of the test's.
fn start(target: &str, kind: &str, place: &Path) -> Server {
    Setup::app(target)
        .workers(2)
        .kind(kind)
        .option("--extensions", "private")
        .env("XDG_RUNTIME_DIR", place)
        .start()
}

fn kinds(server: &Server) -> BTreeSet<String> {
    let status = server.status();
    let workers = status["apps"][0]["workers"].as_array().unwrap();
    workers
        .iter()
        .map(|worker| worker["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn entries(place: &Path) -> Vec<String> {
    let found = std::fs::read_dir(place).unwrap().flatten();
    found
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("ringgate-private-"))
        .collect()
}

#[test]
fn pydantic_runs_in_two_interpreters_of_one_process() {
    if !possible() || !python::has("pydantic") {
        return;
    }
    let place = TempDir::new();
    for kind in ["interpreters", "auto"] {
        let server = start("uses_pydantic", kind, place.path());
        assert_eq!(
            kinds(&server),
            BTreeSet::from(["interpreters".to_owned()]),
            "{}",
            server.log()
        );
        let answers: BTreeSet<String> = (0..200)
            .map(|number| {
                let answer = server.get(&format!("/?x={number}")).expect(200).json();
                assert_eq!(answer["x"], number, "validated");
                assert_eq!(answer["wrong"], "int_parsing", "refused");
                answer["interpreter"].to_string()
            })
            .collect();
        assert!(!answers.contains("0"), "none is the main interpreter");
        if kind == "auto" {
            server.wait_log("private copies of extensions (experimental)");
        }
        // Nothing is left of a copy once it is loaded, and nothing at all after the end.
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
        assert_eq!(entries(place.path()), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn frameworks_that_would_be_processes_run_in_interpreters() {
    if !possible() {
        return;
    }
    let sites = [
        ("fastapi", "site_fastapi:app", "fastapi"),
        ("litestar", "site_litestar:app", "litestar"),
        ("sanic", "site_sanic:app", "sanic"),
        ("falcon", "site_falcon:wsgi", "falcon"),
    ];
    for (name, target, module) in sites {
        if !python::has(module) {
            skipped(&format!("{target}: {module} is not installed"));
            continue;
        }
        let place = TempDir::new();
        let server = Setup::app(target)
            .option("--chdir", python::apps().join("frameworks"))
            .workers(2)
            .option("--extensions", "private")
            .env("XDG_RUNTIME_DIR", place.path())
            .start();
        assert_eq!(
            kinds(&server),
            BTreeSet::from(["interpreters".to_owned()]),
            "{}",
            server.log()
        );
        python::visit(server.address(), name, &[]);
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
    }
}

#[test]
fn without_it_the_same_application_goes_to_processes() {
    if !possible() || !python::has("pydantic") {
        return;
    }
    let server = Setup::app("uses_pydantic").start();
    assert_eq!(kinds(&server), BTreeSet::from(["processes".to_owned()]));
    server.wait_log("pydantic_core");
}

#[test]
fn what_a_crash_leaves_is_swept_by_the_next_start() {
    if !possible() {
        return;
    }
    let place = TempDir::new();
    let server = start("basic", "interpreters", place.path());
    assert_eq!(entries(place.path()).len(), 1);
    let host = server.hosts()[0];
    // A living process's directory is nobody else's to remove.
    let other = start("basic", "interpreters", place.path());
    assert_eq!(entries(place.path()).len(), 2);
    drop(other);
    process::kill(host, 9);
    harness::eventually("its successor has swept", || {
        let next = server.hosts().first().copied()?;
        (next != host && entries(place.path()).len() == 1).then_some(())
    });
    server.get("/hello").expect(200);
}

#[test]
fn a_package_that_is_not_listed_refuses_as_usual() {
    if !possible() || !python::has("pydantic") {
        return;
    }
    let place = TempDir::new();
    let server = start("refuses_interpreters", "auto", place.path());
    assert_eq!(kinds(&server), BTreeSet::from(["processes".to_owned()]));
}

#[test]
fn the_page_lists_what_the_code_allows() {
    let source = std::fs::read_to_string(python::root().join("src/apphost/private.py")).unwrap();
    let page = std::fs::read_to_string(python::root().join("docs/private-extensions.md")).unwrap();
    for (list, end) in [
        ("PACKAGES = frozenset(\n    \"\"\"", "\"\"\""),
        ("HOPELESS = frozenset((", "))"),
    ] {
        let (_, rest) = source.split_once(list).unwrap();
        let names = rest.split_once(end).unwrap().0;
        for name in names
            .split([' ', '\n', ',', '"'])
            .filter(|name| !name.is_empty())
        {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/private-extensions.md misses {name}"
            );
        }
    }
}
