//! `ringgate check`: what it finds before anything is served, in the words of the server that would not start.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Setup, TempDir, python};
use std::process::{Command, Stdio};

/// Exit code and what was said on stderr.
fn check(dir: &TempDir, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .arg("check")
        .args(words)
        .arg("--python")
        .arg(python::python())
        .env("RINGGATE_EXTENSION", python::extension())
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn check_judges_an_application_as_serving_does_and_in_the_same_words() {
    let dir = TempDir::new();
    dir.write("wrong.py", "def application(:\n");
    dir.write("raises.py", "raise RuntimeError('no database')\n");
    dir.write("leaves.py", "import os\nos._exit(0)\n");
    dir.write("hangs.py", "import threading\napplication = print\nthreading.Thread(target=threading.Event().wait).start()\n");
    dir.write(
        "makes.py",
        "def create_app():\n    return print\n\ndef late():\n    return create_app\n",
    );
    for (target, words) in [
        (
            "makes",
            "module 'makes' has no 'application'; there is makes:create_app()",
        ),
        ("makes:create_app", "say makes:create_app() or --factory"),
        (
            "makes:late()",
            "what the factory 'late()' in module 'makes' returned takes no arguments",
        ),
        ("makes:__name__", "'__name__' in module 'makes' is a str"),
        ("nothing", "no module named 'nothing'"),
        ("wrong", "SyntaxError: invalid syntax (wrong.py, line 1)"),
        (
            "raises",
            "importing 'raises' failed: RuntimeError: no database\n    Traceback (most recent call last):\n      File",
        ),
        ("leaves", "its process ended meanwhile"),
    ] {
        let (code, said) = check(&dir, &[target]);
        assert_eq!(code, 4, "{said}");
        assert!(said.contains(words), "{said}");
        for foreign in ["<string>", "importlib", "panicked"] {
            assert!(!said.contains(foreign), "{foreign} in {said}");
        }
        if target != "leaves" {
            let setup = Setup::bare().arg(target).option("--chdir", dir.path());
            let (code, served) = setup.run_to_end();
            assert!(code == 4 && served.contains(words), "{served}");
        }
    }
    for target in ["makes:create_app()", "hangs"] {
        assert_eq!(check(&dir, &[target]), (0, String::new()), "{target}");
    }
}

#[test]
fn check_looks_for_users_and_files_and_for_places_of_sockets() {
    for (words, complaint) in [
        ("--user no-such-user", "there is no user"),
        ("nothing --hooks nowhere.py", "nowhere.py cannot be read"),
        ("--bind unix:/no/such/place.sock", "no directory /no/such"),
    ] {
        let words: Vec<&str> = words.split(' ').chain(["--static", "/files=/"]).collect();
        let (code, said) = check(&TempDir::new(), &words);
        assert!(code == 1 && said.contains(complaint), "{said}");
    }
}

#[test]
fn what_nobody_can_read_changes_no_exit_code() {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let gone = || std::io::pipe().unwrap().1;
    let ringgate = |words: &[&str], out: Stdio, error: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.args(words).stdout(out).stderr(error);
        command.status().unwrap().code()
    };
    let well = ["check", "--static", "/=/"];
    assert_eq!(ringgate(&well, gone().into(), gone().into()), Some(0));
    assert_eq!(ringgate(&well, full().into(), full().into()), Some(0));
    let wrong = ["check", "--static", "/=/no/such/directory"];
    assert_eq!(ringgate(&wrong, gone().into(), gone().into()), Some(1));
    let unasked = ["reload", "--control-socket", "/no/such/socket"];
    assert_eq!(ringgate(&unasked, full().into(), full().into()), Some(1));
    let server = Setup::app("basic:application").start();
    let socket = server.control_socket();
    let reload = ["reload", "--control-socket", socket.to_str().unwrap()];
    assert_eq!(ringgate(&reload, gone().into(), gone().into()), Some(0));
}
