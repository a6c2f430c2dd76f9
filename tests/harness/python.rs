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
    minor_version() >= 13
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

/// Where the test apps are.
pub fn apps() -> PathBuf {
    root().join("tests/apps")
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The native extension, built as the executable was. Cargo does not build another package's cdylib for a test by itself.
pub fn extension() -> &'static Path {
    static EXTENSION: OnceLock<PathBuf> = OnceLock::new();
    EXTENSION.get_or_init(|| {
        let directory = Path::new(env!("CARGO_BIN_EXE_ringgate"))
            .parent()
            .expect("an executable lies in a directory");
        let target = directory
            .parent()
            .expect("a profile's directory lies in the target directory");
        let mut build = Command::new(env!("CARGO"));
        build
            .args([
                "build",
                "--quiet",
                "--package",
                "ringgate-apphost",
                "--target-dir",
            ])
            .arg(target)
            .current_dir(root());
        if directory.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "the extension does not build");
        directory.join("lib_ringgate.so")
    })
}
