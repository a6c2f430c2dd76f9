//! What a start needs of its machine (addresses, a Python, io_uring, descriptors), what it says that it runs, and the one clear message where
//! something is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Client, Setup, mistake, python, skipped};
use std::net::TcpListener;
use std::process::{Command, ExitStatus};

#[test]
fn a_taken_port_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    mistake(
        Setup::app("basic:application")
            .unbound()
            .option("--bind", &address),
        &[&port, "taken"],
    );
}

#[test]
fn an_address_that_is_not_ours_is_said() {
    mistake(
        Setup::app("basic:application")
            .unbound()
            .option("--bind", "192.0.2.1:8000"),
        &["192.0.2.1"],
    );
}

#[test]
fn port_zero_is_reported() {
    let server = Setup::app("basic:application").start();
    assert_ne!(server.address().port(), 0);
    assert!(
        server.ready_line.starts_with("ready "),
        "{:?}",
        server.ready_line
    );
    server.get("/hello").expect(200);
}

#[test]
fn several_addresses() {
    let setup = Setup::app("basic:application").also("--bind", "[::1]:0");
    let socket = setup.dir().path().join("web.sock");
    let server = setup
        .also("--bind", format!("unix:{}", socket.display()))
        .start();
    assert_eq!(server.addresses().len(), 2, "{:?}", server.ready_line);
    for address in server.addresses() {
        Client::connect(*address).get("/hello").expect(200);
    }
    Client::connect_unix(&socket).get("/hello").expect(200);
    assert!(
        server.ready_line.contains("web.sock"),
        "{:?}",
        server.ready_line
    );
    let environ = Client::connect_unix(&socket)
        .get("/environ")
        .expect(200)
        .json();
    assert!(
        environ["SERVER_NAME"]
            .as_str()
            .is_some_and(|name| !name.is_empty()),
        "{environ}"
    );
    assert!(
        environ["SERVER_PORT"]
            .as_str()
            .is_some_and(|port| !port.is_empty()),
        "{environ}"
    );
    let (status, _) = server.stop();
    assert!(status.success());
    assert!(!socket.exists(), "the socket's file stays behind");
}

#[test]
fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
    let setup = Setup::app("basic:application").unbound();
    let socket = setup.dir().path().join("web.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let server = setup
        .option("--bind", format!("unix:{}", socket.display()))
        .start();
    Client::connect_unix(&socket).get("/hello").expect(200);
    mistake(
        Setup::app("basic:application")
            .unbound()
            .option("--bind", format!("unix:{}", socket.display())),
        &["web.sock", "another server"],
    );
    Client::connect_unix(&socket).get("/hello").expect(200);
    drop(server);
    let setup = Setup::app("basic:application").unbound();
    let file = setup.dir().write("no-socket", "text");
    mistake(
        setup.option("--bind", format!("unix:{}", file.display())),
        &["no-socket"],
    );
}

#[test]
fn the_banner_says_what_runs_where_and_why() {
    let kind = if python::has_interpreters() {
        "interpreters"
    } else {
        "processes"
    };
    let setup = Setup::app("basic:application")
        .workers(3)
        .option("--rings", "2")
        .also("--mount", "/second=basic:application");
    setup.dir().write("files/a.txt", "file");
    let files = setup.dir().path().join("files");
    let server = setup
        .also("--static", format!("/static={}", files.display()))
        .start();
    // The last line of the start, behind the banner.
    server.wait_log("supervisor: ready");
    let log = server.log();
    let (address, version) = (
        server.address().to_string(),
        format!("3.{}", python::minor_version()),
    );
    for word in [
        address.as_str(),
        &version,
        kind,
        "basic:application",
        "/second",
        "/static",
        concat!("ringgate ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(log.contains(word), "no {word:?} in the banner:\n{log}");
    }
    assert!(
        log.contains(&format!("3 {kind}")) && log.contains("2 ring threads"),
        "{log}"
    );
}

#[test]
fn no_such_python() {
    mistake(
        Setup::app("basic:application").option("--python", "/no/such/python"),
        &["/no/such/python"],
    );
    mistake(
        Setup::app("basic:application").option("--python", "/bin/true"),
        &["/bin/true"],
    );
}

/// Stands for an interpreter of another version.
fn fake_python(setup: &Setup, body: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = setup.dir().write("python", format!("#!/bin/sh\n{body}\n"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_python_that_does_not_run_is_said() {
    let setup = Setup::app("basic:application");
    let python = fake_python(
        &setup,
        "echo 'pyenv: version is not installed' >&2; exit 127",
    );
    mistake(setup.option("--python", python), &["python"]);
}

/// A CPython 3.9, from pyenv or from the distribution.
fn python_of_a_past() -> Option<std::path::PathBuf> {
    let pyenv = std::env::var_os("HOME")
        .and_then(|home| {
            std::path::Path::new(&home)
                .join(".pyenv/versions")
                .read_dir()
                .ok()
        })
        .into_iter()
        .flatten()
        .flatten()
        .filter(|version| version.file_name().to_string_lossy().starts_with("3.9."))
        .map(|version| version.path().join("bin/python3"));
    pyenv
        .chain([
            "/usr/bin/python3.9".into(),
            "/usr/local/bin/python3.9".into(),
        ])
        .find(|path| path.exists())
}

#[test]
fn a_python_that_is_too_old_is_said() {
    let Some(old) = python_of_a_past() else {
        return skipped("there is no CPython 3.9 here");
    };
    mistake(
        Setup::app("basic:application").option("--python", old),
        &["3.9", "3.10"],
    );
}

#[test]
fn interpreters_need_3_13_and_a_gil() {
    if python::has_interpreters() {
        return skipped("the test's Python has sub-interpreters");
    }
    mistake(
        Setup::app("basic:application").kind("interpreters"),
        &[
            match python::is_free_threaded() {
                true => "a Python with the GIL",
                false => "3.13",
            },
            "processes",
        ],
    );
}

#[test]
fn auto_falls_back_to_processes_with_the_module_named() {
    if !python::has_interpreters() {
        return skipped("interpreters need CPython 3.13 or newer");
    }
    let server = Setup::app("refuses_interpreters:application").start();
    server.wait_log("stubborn._core");
    assert!(server.log().contains("processes"), "{}", server.log());
    assert_eq!(server.get("/who").expect(200).json()["interpreter"], 0);
    let server = Setup::app("aborts_in_interpreters:application").start();
    assert_eq!(server.get("/who").expect(200).json()["interpreter"], 0);
    assert!(server.log().contains("processes"), "{}", server.log());
}

#[test]
fn forced_interpreters_say_what_refuses() {
    if !python::has_interpreters() {
        return skipped("interpreters need CPython 3.13 or newer");
    }
    mistake(
        Setup::app("refuses_interpreters:application").kind("interpreters"),
        &["stubborn._core"],
    );
}

#[test]
fn an_extension_that_does_not_load_is_said() {
    let setup = Setup::app("basic:application").kind("processes");
    let broken = setup.dir().write("broken.so", "not a library");
    let output = mistake(
        setup.env("RINGGATE_EXTENSION", broken),
        &["broken.so", "install ringgate again"],
    );
    assert!(!output.contains("Traceback"), "{output}");
}

/// Becomes the program that its arguments name, with io_uring_setup (425 on every architecture) answering EPERM, as under a
/// container's default seccomp profile. Four steps of classic BPF: load the number, compare, refuse, allow.
const REFUSE_IO_URING: &str = r#"
import ctypes, os, struct, sys
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = b"".join(struct.pack("HBBI", *step) for step in steps)
buffer = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(buffer))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS"
assert prctl(22, 2, program, 0, 0) == 0, "PR_SET_SECCOMP"
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn io_uring_that_a_seccomp_filter_refuses_is_explained() {
    for serve_or_check in ["--no-reload", "check"] {
        without_io_uring(serve_or_check);
    }
}

/// What a ringgate that `command` starts says, and how it ends.
fn run_to_end(mut command: Command) -> (ExitStatus, String) {
    let output = command
        .args(["basic:application", "--bind", "127.0.0.1:0", "--chdir"])
        .arg(python::apps())
        .arg("--python")
        .arg(python::python())
        .env("RINGGATE_EXTENSION", python::extension())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status, error)
}

fn without_io_uring(first: &str) {
    let mut command = Command::new(python::python());
    command.args(["-c", REFUSE_IO_URING, env!("CARGO_BIN_EXE_ringgate"), first]);
    let (status, error) = run_to_end(command);
    assert_eq!(status.code(), Some(3), "{error}");
    assert!(
        error.contains("io_uring") && error.contains("seccomp"),
        "{error}"
    );
}

#[test]
fn a_descriptor_limit_that_is_too_low_is_explained() {
    let script = "ulimit -n 20; exec \"$0\" \"$@\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_ringgate")]);
    let (status, error) = run_to_end(command);
    assert!(!status.success(), "{error}");
    assert!(
        error.contains("ulimit -n") || error.contains("descriptor"),
        "{error}"
    );
    assert!(!error.contains("panicked"), "{error}");
}

#[test]
fn the_pid_file_is_written_and_removed() {
    let setup = Setup::app("basic:application");
    let path = setup.dir().path().join("ringgate.pid");
    let server = setup.option("--pid", path.clone()).start();
    let number = server.pid().to_string();
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), number);
    // Another server, at another port, would leave this one without a name.
    mistake(
        Setup::app("basic:application").option("--pid", path.clone()),
        &["is that of a running server", &number],
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), number);
    server.stop();
    assert!(!path.exists());
}
