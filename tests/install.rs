//! The wheel: what is in it, and that it is all one needs. Installed without the network into fresh virtual environments, it
//! serves with the interpreter of the environment that its command stands in.
//!
//! scripts/test builds the wheel first and names it in `RINGGATE_TEST_WHEEL`; without, the first test here builds it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Server, Setup, TempDir, python, skipped};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The wheel, or none where there is no environment with the tools to build one.
fn wheel() -> Option<&'static Path> {
    static WHEEL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let wheel = WHEEL.get_or_init(|| {
        if let Some(wheel) = std::env::var_os("RINGGATE_TEST_WHEEL") {
            return Some(wheel.into());
        }
        python::has_frameworks().then(|| {
            let script = python::root().join("scripts/wheel");
            PathBuf::from(output(&mut Command::new(script)).trim())
        })
    });
    if wheel.is_none() {
        skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
    }
    wheel.as_deref()
}

/// What a program that must succeed prints.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A virtual environment with nothing but ringgate in it.
struct Environment {
    dir: TempDir,
}

impl Environment {
    fn of(interpreter: &Path, wheel: &Path) -> Environment {
        let dir = TempDir::new();
        let environment = Environment { dir };
        output(
            Command::new(interpreter)
                .args(["-m", "venv", "--without-pip"])
                .arg(environment.path("")),
        );
        // The pip of the tests' own environment.
        output(
            Command::new(python::python())
                .args(["-m", "pip", "--disable-pip-version-check", "--python"])
                .arg(environment.path("bin/python"))
                .args(["install", "--quiet", "--no-index", "--no-compile"])
                .arg(wheel),
        );
        environment
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("venv").join(name)
    }

    fn command(&self) -> Vec<OsString> {
        vec![self.path("bin/ringgate").into()]
    }

    fn module(&self) -> Vec<OsString> {
        vec![
            self.path("bin/python").into(),
            "-m".into(),
            "ringgate".into(),
        ]
    }

    /// That the workers are this environment's Python, and know the package.
    #[track_caller]
    fn serves(&self, server: &Server) {
        assert_eq!(server.get("/hello").expect(200).text(), "Hello, world!\n");
        let facts = server.get("/who").expect(200).json();
        let prefix = self.path("").canonicalize().unwrap();
        assert_eq!(
            Path::new(facts["prefix"].as_str().unwrap())
                .canonicalize()
                .unwrap(),
            prefix,
            "{}",
            server.log()
        );
    }
}

#[test]
fn the_wheel_holds_one_command_one_extension_and_its_types() {
    let Some(wheel) = wheel() else { return };
    let name = wheel.file_name().unwrap().to_str().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        name.starts_with(&format!("ringgate-{version}-cp310-abi3-manylinux_2_")),
        "{name}: the version of pyproject.toml is the workspace's"
    );
    let mut listing: Vec<String> = output(
        Command::new(python::python())
            .args(["-m", "zipfile", "--list"])
            .arg(wheel),
    )
    .lines()
    .skip(1)
    .map(|line| line.split_whitespace().next().unwrap().to_owned())
    .filter(|file| !file.ends_with('/') && !file.contains(".dist-info/"))
    .collect();
    listing.sort();
    assert_eq!(
        listing,
        [
            &format!("ringgate-{version}.data/scripts/ringgate"),
            "ringgate/__init__.py",
            "ringgate/__main__.py",
            "ringgate/_ringgate.abi3.so",
            "ringgate/_ringgate.pyi",
            "ringgate/py.typed",
        ]
    );
}

#[test]
fn an_installed_command_serves_with_nothing_else() {
    let Some(wheel) = wheel() else { return };
    let environment = Environment::of(&python::python(), wheel);
    for command in [environment.command(), environment.module()] {
        let server = Setup::installed(&command, "basic").start();
        environment.serves(&server);
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
    }
}

/// What is installed is a release build, which the other tests are not: there every word once asked for the status.
#[test]
fn an_installed_command_reloads_when_it_is_told_to() {
    let Some(wheel) = wheel() else { return };
    let environment = Environment::of(&python::python(), wheel);
    let server = Setup::installed(&environment.command(), "basic").start();
    let socket = server.dir().path().join("control.sock");
    let ask = |word: &str| {
        let mut command = Command::new(environment.path("bin/ringgate"));
        output(command.arg(word).arg("--control-socket").arg(&socket))
    };
    assert!(ask("status").contains("generation 1: serving"));
    assert_eq!(
        ask("reload").trim(),
        "every application runs its new generation"
    );
    assert!(ask("status").contains("generation 2: serving"));
}

#[test]
fn every_python_takes_the_same_wheel() {
    let Some(wheel) = wheel() else { return };
    let mut minors = vec![python::minor_version()];
    for interpreter in python::others() {
        let environment = Environment::of(&interpreter.path, wheel);
        let server = Setup::installed(&environment.command(), "basic")
            .workers(2)
            .start();
        environment.serves(&server);
        minors.push(interpreter.minor);
    }
    if minors.len() == 1 {
        skipped("there is no other CPython here from 3.10 on");
    }
}

#[test]
fn a_link_from_elsewhere_leads_to_the_same_environment() {
    let Some(wheel) = wheel() else { return };
    let environment = Environment::of(&python::python(), wheel);
    let elsewhere = TempDir::new();
    let link = elsewhere.path().join("ringgate");
    std::os::unix::fs::symlink(environment.path("bin/ringgate"), &link).unwrap();
    let server = Setup::installed(&[link.into()], "basic").start();
    environment.serves(&server);
}

#[test]
fn an_application_catches_the_exception_that_is_raised_in_it() {
    let Some(wheel) = wheel() else { return };
    let environment = Environment::of(&python::python(), wheel);
    let kinds: &[&str] = if python::has_interpreters() {
        &["processes", "interpreters"]
    } else {
        &["processes"]
    };
    for kind in kinds {
        let server = Setup::installed(&environment.command(), "within")
            .kind(kind)
            .start();
        assert_eq!(
            server.get("/").expect(200).json(),
            serde_json::json!({"same": true, "version": env!("CARGO_PKG_VERSION")}),
            "{kind}"
        );
    }
}

#[test]
fn an_environment_that_uv_made_is_as_good() {
    let Some(wheel) = wheel() else { return };
    if !python::has("uv") {
        skipped("the tests' Python has no uv");
        return;
    }
    let dir = TempDir::new();
    let environment = Environment { dir };
    let uv = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new(python::python());
        command.args(["-m", "uv", "--offline", "--no-config", "--quiet"]);
        output(command.args(arguments));
    };
    let path = environment.path("");
    let interpreter = python::python();
    uv(&[
        "venv".as_ref(),
        "--python".as_ref(),
        interpreter.as_ref(),
        path.as_ref(),
    ]);
    let own = environment.path("bin/python");
    uv(&[
        "pip".as_ref(),
        "install".as_ref(),
        "--python".as_ref(),
        own.as_ref(),
        wheel.as_ref(),
    ]);
    let server = Setup::installed(&environment.command(), "basic").start();
    environment.serves(&server);
}

#[test]
fn files_need_no_python_and_an_application_says_that_it_does() {
    let setup = Setup::without_python();
    let file = setup.dir().write("files/page.txt", "a page");
    let files = file.parent().unwrap();
    let server = setup
        .option("--static", format!("/={}", files.display()))
        .start();
    assert_eq!(server.get("/page.txt").expect(200).text(), "a page");
    let (code, said) = Setup::without_python().arg("basic").run_to_end();
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("there is no python3 on PATH to run the application with"),
        "{said}"
    );
}

#[test]
fn the_stub_names_what_the_module_has() {
    let Some(wheel) = wheel() else { return };
    let environment = Environment::of(&python::python(), wheel);
    let program = "\
import ast, pathlib
from ringgate import _ringgate
tree = ast.parse(pathlib.Path(_ringgate.__file__).with_name('_ringgate.pyi').read_text())
stub = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
stub |= {node.name for node in tree.body if hasattr(node, 'name')}
own = {name for name in vars(_ringgate) if not name.startswith('__') or name == '__version__'}
assert stub == own, stub ^ own
assert issubclass(_ringgate.RequestTimeout, BaseException) and not issubclass(_ringgate.RequestTimeout, Exception)
";
    output(
        Command::new(environment.path("bin/python"))
            .args(["-c", program])
            .current_dir(environment.path("")),
    );
}
