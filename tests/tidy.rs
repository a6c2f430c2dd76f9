//! The house's mechanical rules, so that nobody has to remember them: floors, heads, where unsafe lives, file sizes,
//! documented options, who may call what.
//!
//! A rule that is in the way of something better is changed here, in a commit that says why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines a source file may have. Whoever wants more splits the file.
const LINES_MAX: usize = 500;
/// The ratchet: files that are longer today, and by how much. Numbers only go down; a file that fits again leaves the list.
const LONGER: &[(&str, usize)] = &[];
/// A script has one intent.
const SCRIPT_LINES_MAX: usize = 120;

/// Crates and the floors they stand on. A crate uses those on lower floors; within floor 0 all may stand on `sys`.
const FLOORS: &[(&str, u32)] = &[
    ("sys", 0),
    ("proto", 0),
    ("config", 0),
    ("control", 1),
    ("uring", 1),
    ("shm", 1),
    ("edge", 2),
    ("supervisor", 2),
    ("apphost", 2),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory of the repository, as (path from the root, text).
fn files(directory: &str, extension: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root().join(directory)];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.')
                    && name != "target"
                    && name != "staticfiles"
                    && name != "__pycache__"
                {
                    pending.push(path);
                }
            } else if extension.is_empty() || path.extension().is_some_and(|each| each == extension)
            {
                let from_root = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.insert(
                    from_root,
                    String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
                );
            }
        }
    }
    assert!(!found.is_empty(), "nothing below {directory}");
    found
}

fn rust() -> BTreeMap<String, String> {
    let mut all = files("src", "rs");
    all.extend(files("tests", "rs"));
    all.extend(files("bench", "rs"));
    all
}

/// The lines that are code, by number; comments and what follows `//` are left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

/// Whether the code uses the name as a word of its own.
fn uses(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let part =
            |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
        !part(before) && (name.ends_with("::") || !part(after))
    })
}

fn fail_with(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn crates_stand_on_lower_floors_only() {
    let floor = |name: &str| {
        FLOORS
            .iter()
            .find(|(each, _)| *each == name)
            .map(|(_, floor)| *floor)
    };
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("src"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(own) = floor(&name) else {
            faults.push(format!("src/{name} has no floor"));
            continue;
        };
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap();
        // What only tests need may come from anywhere.
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for line in dependencies
            .lines()
            .filter_map(|line| line.strip_prefix("ringgate-"))
        {
            let used = line.split(['.', ' ', '=']).next().unwrap();
            let below =
                floor(used).is_some_and(|floor| floor < own || (used == "sys" && name != "sys"));
            if !below {
                faults.push(format!("{name} (floor {own}) uses {used}"));
            }
        }
    }
    fail_with(&faults, "walls by crate");
}

#[test]
fn edge_and_apphost_meet_only_in_shm() {
    let manifest =
        |name: &str| fs::read_to_string(root().join("src").join(name).join("Cargo.toml")).unwrap();
    assert!(
        !manifest("apphost").contains("uring"),
        "nothing ring-shaped in the app host"
    );
    for name in [
        "edge",
        "supervisor",
        "shm",
        "uring",
        "proto",
        "config",
        "control",
        "sys",
    ] {
        assert!(
            !manifest(name).contains("pyo3"),
            "nothing Python-shaped in {name}"
        );
    }
}

#[test]
fn every_file_opens_with_its_head() {
    let exempt = |path: &str| {
        // A module's tests speak under their parent's head; fuzz targets are two lines.
        path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs")
            || path.contains("/tests/") && path.starts_with("src/")
            || path.contains("fuzz/targets/")
    };
    let faults: Vec<String> = rust()
        .into_iter()
        .filter(|(path, text)| !exempt(path) && !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    fail_with(
        &faults,
        "a file opens with //!: what it is, owns, promises, must not know",
    );
}

#[test]
fn who_draws_floors_names_every_module() {
    let mut faults = Vec::new();
    for (path, text) in files("src", "rs") {
        let head: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("//!"))
            .collect();
        let head = head.join("\n");
        if !head.contains("loors") {
            continue;
        }
        let modules = text.lines().filter_map(|line| {
            let line = line.trim_start_matches("pub(crate) ");
            let line = line.trim_start_matches("pub ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        let missing = modules.filter(|name| *name != "tests" && !uses(&head, name));
        faults.extend(missing.map(|name| format!("{path} does not say where {name} stands")));
    }
    fail_with(&faults, "floors are drawn whole");
}

#[test]
fn documents_name_what_is_there() {
    let documents: BTreeMap<String, String> = ["ARCHITECTURE.md", "README.md", "CHANGELOG.md"]
        .into_iter()
        .map(|name| {
            (
                name.to_owned(),
                fs::read_to_string(root().join(name)).unwrap(),
            )
        })
        .chain(files("docs", "md"))
        .chain(files("kernel-notes", "md"))
        .collect();
    let sources: Vec<String> = ["src", "tests", "bench"]
        .into_iter()
        .flat_map(|directory| files(directory, "rs").into_keys())
        .collect();
    let mut faults = Vec::new();
    for (path, text) in &documents {
        let beside = root().join(path).parent().unwrap().to_owned();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            if !beside.join(file).exists() {
                faults.push(format!("{path} links to {link}"));
            }
        }
        let quoted = text.split('`').skip(1).step_by(2);
        for name in quoted.filter(|name| name.ends_with(".rs") && !name.contains(' ')) {
            let known = |source: &String| source == name || source.ends_with(&format!("/{name}"));
            if !sources.iter().any(known) {
                faults.push(format!("{path} names {name}"));
            }
        }
        if path.starts_with("kernel-notes/") && !text.contains("**We rely on it in** ") {
            faults.push(format!("{path} does not say who relies on it"));
        }
    }
    fail_with(&faults, "documents name what is there");
}

#[test]
fn unsafe_has_an_address() {
    let allowed = [
        "src/sys/",
        "src/uring/",
        "src/shm/",
        "src/apphost/ffi/",
        "bench/",
    ];
    let mut faults = Vec::new();
    for (path, text) in rust() {
        if path == "tests/tidy.rs" || allowed.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        faults.extend(
            code(&text)
                .filter(|(_, line)| uses(line, "unsafe"))
                .map(|(number, _)| format!("{path}:{number}")),
        );
    }
    fail_with(&faults, "unsafe lives in sys, uring, shm and apphost/ffi");
    for name in [
        "proto/lib.rs",
        "config/lib.rs",
        "control/lib.rs",
        "edge/lib.rs",
        "supervisor/lib.rs",
        "main.rs",
    ] {
        let text = fs::read_to_string(root().join("src").join(name)).unwrap();
        assert!(
            text.contains("#![forbid(unsafe_code)]"),
            "src/{name} does not forbid unsafe code"
        );
    }
}

#[test]
fn system_libraries_have_one_caller_each() {
    let mut faults = Vec::new();
    for (path, text) in files("src", "rs") {
        // What measures the kernel talks to it directly.
        if path.contains("/benches/") || path.contains("/examples/") || path.contains("/tests/") {
            continue;
        }
        for (number, line) in code(&text) {
            for (library, home) in [
                ("libc::", "src/sys/"),
                ("socket2::", "src/sys/"),
                ("io_uring::", "src/uring/"),
                ("pyo3::", "src/apphost/ffi"),
            ] {
                if uses(line, library) && !path.starts_with(home) {
                    faults.push(format!("{path}:{number} calls {library}"));
                }
            }
        }
    }
    fail_with(
        &faults,
        "libc stays in sys, io_uring in uring, the C API in apphost/ffi",
    );
}

#[test]
fn files_fit_in_the_head() {
    let mut faults = Vec::new();
    for (path, text) in rust() {
        let lines = text.lines().count();
        // A table of cases is read line by line; tests may be longer than code.
        let usual =
            if path.starts_with("tests/") || path.ends_with("tests.rs") || path.contains("/tests/")
            {
                2 * LINES_MAX
            } else {
                LINES_MAX
            };
        let most = LONGER
            .iter()
            .find(|(each, _)| *each == path)
            .map_or(usual, |(_, lines)| *lines);
        if lines > most {
            faults.push(format!("{path}: {lines} lines, {most} allowed"));
        }
    }
    for (path, most) in LONGER {
        let lines = fs::read_to_string(root().join(path))
            .map(|text| text.lines().count())
            .unwrap_or(0);
        if lines <= LINES_MAX || lines + 20 < *most {
            faults.push(format!(
                "{path} has {lines} lines now: lower its entry in LONGER"
            ));
        }
    }
    fail_with(&faults, "files fit in the head");
}

#[test]
fn no_file_is_named_after_nothing() {
    let forbidden = [
        "utils", "util", "common", "helpers", "helper", "misc", "manager", "stuff",
    ];
    let mut faults = Vec::new();
    for directory in ["src", "tests", "bench", "scripts", "demo"] {
        for path in files(directory, "").into_keys() {
            let stem = Path::new(&path)
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let parts = path
                .split('/')
                .chain([stem.as_str()])
                .any(|part| forbidden.contains(&part));
            if parts {
                faults.push(path);
            }
        }
    }
    fail_with(&faults, "names say what is inside");
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let words = ["todo!", "unimplemented!", "dbg!", "FIXME", "XXX", "TODO"];
    let mut faults = Vec::new();
    for (path, text) in rust() {
        if path == "tests/tidy.rs" {
            continue;
        }
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| words.iter().any(|word| uses(line, word)));
        faults.extend(lines.map(|(index, _)| format!("{path}:{}", index + 1)));
    }
    fail_with(&faults, "what is on main is finished");
}

#[test]
fn every_option_is_documented() {
    let reference = fs::read_to_string(root().join("docs/options.md")).unwrap();
    let missing: Vec<String> = config::options::all()
        .filter(|option| !option.hidden && !reference.contains(&format!("--{}", option.name)))
        .map(|option| option.name.to_owned())
        .collect();
    fail_with(&missing, "docs/options.md misses");
}

#[test]
fn the_reference_is_what_the_program_prints() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .arg("--help-reference")
        .output()
        .unwrap();
    let reference = fs::read_to_string(root().join("docs/options.md")).unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        reference,
        "docs/options.md is stale: ringgate --help-reference > docs/options.md"
    );
}

#[test]
fn scripts_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    let mut all = files("scripts", "");
    all.extend(files(".ci", ""));
    all.retain(|path, _| Path::new(path).extension().is_none());
    for (path, text) in all {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        // scripts/env is sourced, so it has no interpreter of its own.
        let headed = if path == "scripts/env" {
            first.starts_with("# ")
        } else {
            ["#!/usr/bin/env bash", "#!/bin/sh"].contains(&first)
                && lines.next().is_some_and(|line| line.starts_with("# "))
        };
        if !headed {
            faults.push(format!("{path} does not open with what it is for"));
        }
        if text.lines().count() > SCRIPT_LINES_MAX {
            faults.push(format!("{path} is longer than {SCRIPT_LINES_MAX} lines"));
        }
    }
    fail_with(&faults, "scripts");
}

#[test]
fn python_files_say_what_they_are() {
    let mut faults = Vec::new();
    for directory in ["tests", "demo", "bench", "src", "python"] {
        for (path, text) in files(directory, "py") {
            let generated = path.contains("/migrations/");
            if !generated && !text.is_empty() && !text.starts_with("\"\"\"") {
                faults.push(path);
            }
        }
    }
    fail_with(&faults, "a Python file opens with its docstring");
}
