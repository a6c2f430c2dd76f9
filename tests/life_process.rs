//! The process as a whole: whom it runs as, the background, how it ends when nothing can be served.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::TERM;
use harness::{Setup, TempDir, eventually, process, python, skipped};

fn is_root() -> bool {
    let root = sys::process::user_id() == 0;
    if !root {
        skipped("only root may change who processes run as");
    }
    root
}

/// Whether somebody without any rights can run the tests' Python.
fn python_is_public() -> bool {
    let nobody = sys::identity::Identity {
        user: 65534,
        group: 65534,
        groups: vec![65534],
    };
    let (_ours, theirs) = sys::socket::seqpacket_pair().unwrap();
    // By its path: a search along PATH as somebody else would find the next one that he may run.
    let python = python::run(&["-c", "import sys; print(sys.executable)"]);
    let mut command = std::process::Command::new(python.trim());
    command.args(["-c", "import ssl, sqlite3"]);
    let theirs = std::os::fd::AsFd::as_fd(&theirs);
    let child = sys::process::spawn_as(&mut command, theirs, Some(&nobody));
    let public = child.is_ok_and(|mut child| child.wait().is_ok_and(|status| status.success()));
    if !public {
        skipped("the tests' Python is for its owner only");
    }
    public
}

fn user_of(pid: u32) -> String {
    let line = process::status_field(pid, "Uid:").unwrap_or_default();
    line.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn edge_and_workers_run_as_the_user_who_was_named() {
    if !is_root() || !python_is_public() {
        return;
    }
    let setup = Setup::app("basic:application")
        .workers(2)
        .option("--user", "65534")
        .option("--group", "65534")
        .option("--umask", "027");
    let log = setup.dir().path().join("error.log");
    let server = setup.option("--error-log", &log).start();
    server.get("/hello").expect(200);
    let edge = server.edge().unwrap();
    let hosts = server.hosts();
    let children = [edge]
        .into_iter()
        .chain(hosts)
        .chain(server.process_workers());
    for pid in children {
        assert_eq!(user_of(pid), "65534", "{:?}", process::command_line(pid));
        assert_eq!(
            process::status_field(pid, "Groups:").as_deref(),
            Some("65534")
        );
    }
    assert_eq!(user_of(server.pid()), "0");
    let memory = server.status()["apps"][0]["workers"][0]["memory"]["private_bytes"].clone();
    assert!(
        memory.as_u64().is_some_and(|bytes| bytes > 1 << 20),
        "{memory}"
    );
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(log).unwrap());
    assert_eq!(owner, 65534);
    // Children die with their parent all the same.
    process::kill(server.pid(), 9);
    eventually("the edge ends", || (!process::alive(edge)).then_some(()));
}

#[test]
fn a_user_that_does_not_exist_is_named() {
    if !is_root() {
        return;
    }
    let (code, said) = Setup::app("basic:application")
        .option("--user", "nobody-of-this-name")
        .run_to_end();
    assert_eq!(code, 1);
    assert!(
        said.contains("--user: there is no user 'nobody-of-this-name'"),
        "{said}"
    );
}

#[test]
fn the_background_one_serves_when_the_first_one_ends() {
    let setup = Setup::app("basic:application").arg("--daemon");
    // The setup's own directory goes when the first process has ended.
    let dir = TempDir::new();
    let path = |name: &str| dir.path().join(name);
    let (pid_file, log, socket) = (path("pid"), path("error.log"), path("web.sock"));
    let bind = format!("unix:{}", socket.display());
    let setup = setup.unbound().option("--bind", bind);
    let setup = setup.option("--pid", &pid_file).option("--error-log", &log);
    let (code, said) = setup.run_to_end();
    let log = std::fs::read_to_string(log).unwrap_or_default();
    assert_eq!(code, 0, "{said}{log}");
    let pid: u32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(process::alive(pid));
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    process::kill(pid, TERM);
    eventually("it ends", || (!process::alive(pid)).then_some(()));
    assert!(!pid_file.exists());
}

#[test]
fn what_keeps_the_background_one_from_serving_is_told() {
    let (code, said) = Setup::app("basic:application")
        .arg("--daemon")
        .option("--python", "/nonexistent/python")
        .run_to_end();
    assert_eq!(code, 1);
    assert!(said.contains("no Python at /nonexistent/python"), "{said}");
    let setup = Setup::app("misses_module:application").arg("--daemon");
    let dir = TempDir::new();
    let log = dir.path().join("error.log");
    let (code, said) = setup.option("--error-log", &log).run_to_end();
    assert_eq!(code, 4, "{said}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("ModuleNotFoundError"), "{log}");
}

#[test]
fn exit_codes_are_gunicorns() {
    for kind in ["processes", "auto"] {
        let run = |target: &str| Setup::app(target).kind(kind).run_to_end();
        let (code, said) = run("raises_on_import:application");
        assert_eq!(code, 4, "{kind}: {said}");
        assert!(said.contains("Traceback"), "{kind}: {said}");
        let (code, said) = run("dies_on_import:application");
        assert_eq!(code, 3, "{kind}: {said}");
    }
    let (code, said) = Setup::app("basic:application")
        .option("--workers", "0")
        .run_to_end();
    assert_eq!(code, 1, "{said}");
}

#[test]
fn a_program_of_the_app_hears_signals() {
    for kind in python::kinds() {
        let server = Setup::app("basic:application")
            .kind(kind)
            .workers(1)
            .start();
        assert_eq!(
            server.get("/end-a-program").expect(200).text(),
            "-15",
            "{kind}"
        );
    }
}

/// As a service manager or a terminal does it.
#[test]
fn a_signal_to_everybody_costs_no_request() {
    for kind in python::kinds() {
        let mut server = Setup::app("basic:application")
            .kind(kind)
            .workers(1)
            .start();
        let mut running = server.client();
        running.send("GET /block/a HTTP/1.1\r\nHost: test\r\n\r\n");
        let mark = server.dir().path().join("a.started");
        eventually("it runs", || mark.exists().then_some(()));
        let mut waiting = server.client();
        waiting.send("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
        let everybody = [
            server.process_workers(),
            server.hosts(),
            server.edge().into_iter().collect(),
        ];
        for pid in everybody.concat() {
            process::kill(pid, TERM);
        }
        server.signal(TERM);
        server.wait_log("stop");
        server.dir().write("a.go", "");
        running.response().expect(200);
        waiting.response().expect(200);
        assert!(server.wait().success(), "{kind}");
    }
}

#[test]
fn a_directory_that_may_not_be_entered_is_said_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::bare();
    setup.dir().write("private/page.html", "");
    let private = setup.dir().path().join("private");
    let root = sys::process::user_id() == 0;
    let closed = std::fs::Permissions::from_mode(if root { 0o700 } else { 0o600 });
    std::fs::set_permissions(&private, closed).unwrap();
    let setup = setup.option("--static", "/files=private");
    let (code, output) = match root {
        true => setup.option("--user", "nobody").run_to_end(),
        false => setup.run_to_end(),
    };
    assert!(matches!(code, 1 | 3), "exit code {code}: {output}");
    for word in ["/files/", "private", "(Permission denied)"] {
        assert!(output.contains(word), "no {word} in {output}");
    }
    assert!(!output.contains("os error"), "{output}");
}

#[test]
fn processes_are_named_after_what_they_are() {
    let server = Setup::app("basic:application")
        .workers(2)
        .kind("processes")
        .start();
    let name = |pid: u32| process::status_field(pid, "Name:").unwrap_or_default();
    assert_eq!(name(server.pid()), "ringgate");
    assert_eq!(name(server.edge().unwrap()), "ringgate-edge");
    let hosts: Vec<String> = server.hosts().into_iter().map(name).collect();
    assert_eq!(hosts, ["basic[1]"]);
    let mut workers: Vec<String> = server.process_workers().into_iter().map(name).collect();
    workers.sort();
    assert_eq!(workers, ["basic/w0", "basic/w1"]);
}
