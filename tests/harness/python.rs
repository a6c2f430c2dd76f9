//! The interpreter that runs the test apps, and the extension it loads.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `RINGGATE_TEST_PYTHON`, set by scripts/test, else `python3`. The former has the frameworks.
pub fn python() -> PathBuf {
    std::env::var_os("RINGGATE_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// Whether the frameworks are there; tests that need them are skipped, visibly, where not.
pub fn has_frameworks() -> bool {
    std::env::var_os("RINGGATE_TEST_PYTHON").is_some()
}

/// Whether the test's Python can import the module.
pub fn has(module: &str) -> bool {
    let question =
        format!("import importlib.util, sys; sys.exit(not importlib.util.find_spec({module:?}))");
    let status = Command::new(python()).args(["-c", &question]).status();
    status.expect("the test's python runs").success()
}

/// The minor version of that CPython 3.
pub fn minor_version() -> u32 {
    static MINOR: OnceLock<u32> = OnceLock::new();
    *MINOR.get_or_init(|| {
        run(&["-c", "import sys; print(sys.version_info.minor)"])
            .trim()
            .parse()
            .expect("a number")
    })
}

pub fn has_interpreters() -> bool {
    minor_version() >= 13 && !is_free_threaded()
}

/// Whether that CPython is a free-threaded build.
pub fn is_free_threaded() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let question = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)";
        run(&["-c", question]).trim() == "1"
    })
}

/// What it is started with to serve.
pub fn options() -> &'static [&'static str] {
    match is_free_threaded() {
        true => &["-X", "gil=1"],
        false => &[],
    }
}

/// The worker kinds that the tests' Python can do, by the names of `--kind`.
pub fn kinds() -> &'static [&'static str] {
    match has_interpreters() {
        true => &["processes", "interpreters"],
        false => {
            super::skipped("interpreters need CPython 3.13 or newer with a GIL");
            &["processes"]
        }
    }
}

/// The output of a short Python program that must succeed.
pub fn run(arguments: &[&str]) -> String {
    let output = Command::new(python())
        .args(arguments)
        .output()
        .expect("the test's python runs");
    assert!(
        output.status.success(),
        "python {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends every client through the common site (tests/visitors/site.py) that a server shows.
#[track_caller]
pub fn visit(address: std::net::SocketAddr, name: &str, features: &[&str]) {
    let output = Command::new(python())
        .arg(root().join("tests/visitors/site.py"))
        .arg(format!("http://{address}"))
        .arg(name)
        .args(features)
        .output()
        .expect("the test's python runs");
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where the test apps are.
pub fn apps() -> PathBuf {
    root().join("tests/apps")
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The native extension for the tests' Python.
pub fn extension() -> &'static Path {
    static EXTENSION: OnceLock<PathBuf> = OnceLock::new();
    EXTENSION.get_or_init(|| built(is_free_threaded()))
}

/// The one for Pythons with a GIL, whatever the tests' is.
pub fn extension_with_gil() -> PathBuf {
    built(false)
}

/// Built as the executable was: cargo does not build another package's cdylib for a test by itself. That for the tests' free-threaded Python is
/// built in a target directory of its own.
fn built(free_threaded: bool) -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_ringgate"))
        .parent()
        .expect("an executable lies in a directory");
    let profile = directory.file_name().expect("the profile's name");
    let mut target = directory
        .parent()
        .expect("a profile's directory lies in the target directory")
        .to_owned();
    let mut build = Command::new(env!("CARGO"));
    if free_threaded {
        target.push("free-threaded");
        // What pyo3 is told, since it is not to ask an interpreter (.cargo/config.toml).
        let answers = target.join("pyo3.txt");
        let text = format!(
            "implementation=CPython\nversion=3.{}\nshared=true\nbuild_flags=Py_GIL_DISABLED\nsuppress_build_script_link_lines=true\n",
            minor_version()
        );
        // Written anew, it would be built anew.
        if std::fs::read_to_string(&answers).ok().as_ref() != Some(&text) {
            std::fs::create_dir_all(&target).expect("a directory can be made");
            std::fs::write(&answers, text).expect("a file can be written");
        }
        build.env("PYO3_CONFIG_FILE", answers);
    }
    build
        .args([
            "build",
            "--quiet",
            "--package",
            "ringgate-apphost",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(root());
    if profile == "release" {
        build.arg("--release");
    }
    let status = build.status().expect("cargo runs");
    assert!(status.success(), "the extension does not build");
    target.join(profile).join("lib_ringgate.so")
}

/// Another interpreter of this machine.
pub struct Other {
    pub path: PathBuf,
    pub minor: u32,
}

/// One working CPython of each minor version from 3.10 on, but the tests' own: from pyenv and from the distribution.
pub fn others() -> Vec<Other> {
    let root = std::env::var_os("PYENV_ROOT").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".pyenv"),
        PathBuf::from,
    );
    let versions = std::fs::read_dir(root.join("versions"));
    let from_pyenv = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/python3"));
    let from_distribution = (10..=19).flat_map(|minor| {
        ["/usr/bin", "/usr/local/bin"].map(|bin| PathBuf::from(format!("{bin}/python3.{minor}")))
    });
    let mut found: Vec<Other> = Vec::new();
    for path in from_pyenv.chain(from_distribution) {
        // With venv, and with the GIL.
        let question = "import sys, sysconfig, venv; print(0 if sysconfig.get_config_var('Py_GIL_DISABLED') else sys.version_info.minor)";
        let Ok(output) = Command::new(&path).args(["-c", question]).output() else {
            continue;
        };
        let Ok(minor) = String::from_utf8_lossy(&output.stdout).trim().parse() else {
            continue;
        };
        let known = minor == minor_version() || found.iter().any(|other| other.minor == minor);
        if minor >= 10 && !known {
            found.push(Other { path, minor });
        }
    }
    found
}
