//! What is named to be served: applications and where they are mounted, and the one clear message for each that cannot be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Setup, mistake, python};

#[test]
fn no_such_module() {
    for kind in ["auto", "processes"] {
        mistake(
            Setup::app("no_such_module_at_all:application").kind(kind),
            &["no_such_module_at_all"],
        );
    }
    mistake(Setup::app("basic.inner:application"), &["basic"]);
    mistake(
        Setup::app("misses_module:application"),
        &["a_module_nobody_has"],
    );
}

#[test]
fn no_such_callable() {
    for kind in ["auto", "processes"] {
        mistake(
            Setup::app("basic:no_such_callable").kind(kind),
            &["no_such_callable", "basic"],
        );
    }
    mistake(
        Setup::app("broken:not_callable"),
        &["not_callable", "callable"],
    );
    mistake(Setup::app("broken:no_factory()"), &["no_factory"]);
}

#[test]
fn an_app_without_a_target_means_application() {
    Setup::app("basic").start().get("/hello").expect(200);
}

#[test]
fn an_import_that_fails_shows_the_traceback() {
    for kind in ["auto", "processes"] {
        mistake(
            Setup::app("raises_on_import:application").kind(kind),
            &["RuntimeError", "the import refuses", "raises_on_import.py"],
        );
    }
}

#[test]
fn a_factory_that_fails_shows_the_traceback() {
    mistake(
        Setup::app("broken:bad_factory()"),
        &["ValueError", "the factory refuses"],
    );
}

#[test]
fn factories_make_the_app() {
    Setup::app("basic:create_app()")
        .start()
        .get("/hello")
        .expect(200);
    assert_eq!(
        Setup::app("basic:create_named('a', suffix='b')")
            .start()
            .get("/")
            .expect(200)
            .text(),
        "ab"
    );
}

#[test]
fn a_factory_that_was_not_called_is_said() {
    let output = mistake(
        Setup::app("basic:create_app"),
        &["takes no arguments", "basic:create_app()", "--factory"],
    );
    assert!(!output.contains("Traceback"), "{output}");
}

#[test]
fn a_syntax_error_is_shown() {
    let setup = Setup::bare().arg("wrong:application");
    setup.dir().write(
        "wrong.py",
        "def application(environ, start_response)\n    return []\n",
    );
    mistake(setup, &["SyntaxError", "wrong.py"]);
}

#[test]
fn no_such_directory() {
    mistake(
        Setup::app("basic:application").option("--chdir", "/no/such/dir"),
        &["/no/such/dir"],
    );
}

#[test]
fn mounts_split_the_path() {
    let server = Setup::app("basic:application")
        .also("--mount", "/a=basic:application")
        .also("--mount", "/a/b=basic:application")
        .start();
    let mut client = server.client();
    for (target, script, path) in [
        ("/environ/x", "", "/environ/x"),
        ("/a/environ", "/a", "/environ"),
        ("/a/b/environ/y/", "/a/b", "/environ/y/"),
        ("/a/environ/b", "/a", "/environ/b"),
    ] {
        let environ = client.get(target).expect(200).json();
        assert_eq!(
            (
                environ["SCRIPT_NAME"].as_str(),
                environ["PATH_INFO"].as_str()
            ),
            (Some(script), Some(path)),
            "{target}"
        );
    }
    // Prefixes match whole segments.
    assert_eq!(
        client.get("/ax/environ").expect(404).text(),
        "no such page\n"
    );
    client.get("/a").expect(404);
}

#[test]
fn without_a_root_app_other_paths_are_404() {
    let server = Setup::bare()
        .option("--chdir", python::apps())
        .also("--mount", "/only=basic:application")
        .start();
    server.get("/only/hello").expect(200);
    server.get("/hello").expect(404);
    server.get("/onlyhello").expect(404);
}

#[test]
fn two_apps_at_one_place_are_refused() {
    mistake(
        Setup::app("basic:application")
            .also("--mount", "/a=basic:application")
            .also("--mount", "/a/=basic:create_app()"),
        &["/a"],
    );
}

#[test]
fn the_apps_environment() {
    let setup = Setup::app("basic:application")
        .also("--env", "FIRST=one=1")
        .also("--env", "SECOND=");
    let path = setup.dir().path().join("extra");
    std::fs::create_dir(&path).unwrap();
    let server = setup
        .env("INHERITED", "yes")
        .option("--pythonpath", path.clone())
        .start();
    let who = server.get("/who").expect(200).json();
    let environment = &who["environment"];
    assert_eq!(
        (
            environment["FIRST"].as_str(),
            environment["SECOND"].as_str(),
            environment["INHERITED"].as_str()
        ),
        (Some("one=1"), Some(""), Some("yes"))
    );
    let paths: Vec<&str> = who["path"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|path| path.as_str())
        .collect();
    assert_eq!(paths[0], python::apps().to_str().unwrap(), "{paths:?}");
    assert!(paths.contains(&path.to_str().unwrap()), "{paths:?}");
    assert_eq!(who["cwd"].as_str(), python::apps().to_str());
}
