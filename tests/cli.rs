//! The command line: what it says when all is well, and the one clear message for every mistake.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Setup, mistake};
use std::process::Command;

fn ringgate(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_refusal_that_nobody_reads_keeps_its_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .args(["check", "app:app", "--no-such-option"])
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn version() {
    let (code, output, _) = ringgate(&["--version"]);
    assert_eq!(
        (code, output.trim()),
        (0, concat!("ringgate ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn help_teaches() {
    let (code, output, _) = ringgate(&["--help"]);
    assert_eq!(code, 0);
    for word in [
        "MODULE:CALLABLE",
        "--bind",
        "--workers",
        "--static",
        "--mount",
        "--kind",
        "--timeout",
        "--rings",
        "--access-log",
        "status",
        "shop.wsgi:application",
    ] {
        assert!(output.contains(word), "no {word:?} in the help");
    }
    let (code, short, _) = ringgate(&["-h"]);
    assert_eq!(code, 0);
    assert!(short.len() <= output.len());
    let (code, _, _) = ringgate(&["status", "--help"]);
    assert_eq!(code, 0);
}

#[test]
fn nothing_to_serve() {
    let (code, out, error) = ringgate(&[]);
    assert_ne!(code, 0);
    assert!(
        format!("{out}{error}").contains("ringgate shop.wsgi:application"),
        "{out}{error}"
    );
}

#[test]
fn an_unknown_option_gets_a_suggestion() {
    let (code, _, error) = ringgate(&["basic:application", "--worker", "2"]);
    assert_ne!(code, 0);
    assert!(
        error.contains("--worker") && error.contains("--workers"),
        "{error}"
    );
}

#[test]
fn what_others_servers_have_and_this_one_has_not_is_refused_with_advice() {
    for (option, value, advice) in [
        ("--certfile", "a.pem", "let a server in front end it"),
        ("--ssl-keyfile", "a.pem", "let a server in front end it"),
        ("--worker-class", "gevent", "--threads"),
    ] {
        let (code, _, error) = ringgate(&["basic:application", option, value]);
        assert_eq!(code, 1);
        assert!(error.contains(option) && error.contains(advice), "{error}");
    }
}

#[test]
fn bad_values_name_the_option() {
    mistake(
        Setup::app("basic").arg("--timeout").arg("-1"),
        &["--timeout: expected seconds", "'-1'"],
    );
    for (option, value) in [
        ("--workers", "0"),
        ("--workers", "many"),
        ("--workers", "100000"),
        ("--rings", "0"),
        ("--bind", "nonsense:port"),
        ("--bind", "127.0.0.1:99999"),
        ("--bind", "unix:"),
        ("--kind", "threads"),
        ("--timeout", "-1"),
        ("--timeout", "soon"),
        ("--static", "/static"),
        ("--mount", "/x"),
        ("--mount", "x=basic:application"),
        ("--log-level", "loud"),
        ("--limit-request-line", "1"),
        ("--env", "NOVALUE"),
    ] {
        let (code, _, error) = ringgate(&["basic:application", &format!("{option}={value}")]);
        assert!(code > 0, "{option} {value}");
        assert!(error.contains(option), "{option} {value}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn help_is_of_the_subcommand() {
    let (code, check, _) = ringgate(&["check", "--help"]);
    assert!(code == 0 && check.starts_with("Tells whether"), "{check}");
    assert_eq!(check.matches("ringgate check [OPTIONS]").count(), 1);
    for subcommand in ["status", "reload", "upgrade"] {
        let (_, help, _) = ringgate(&[subcommand, "--help"]);
        assert_eq!(help.matches("Options:\n").count(), 1, "{help}");
    }
    assert_eq!(ringgate(&["help"]), ringgate(&["--help"]));
}

#[test]
fn options_from_the_environment() {
    let server = Setup::app("basic:application")
        .env("RINGGATE_WORKERS", "3")
        .env("RINGGATE_KIND", "processes")
        .start();
    assert_eq!(server.process_workers().len(), 3);
}

#[test]
fn status_without_a_server_is_said() {
    let (code, _, error) = ringgate(&["status", "--control-socket", "/no/such/control.sock"]);
    assert_ne!(code, 0);
    assert!(error.contains("/no/such/control.sock"), "{error}");
}
