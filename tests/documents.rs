//! What the documents print is true: every configuration is one that `ringgate check` passes, every command line one that it understands, and every
//! option that is named is there.
//!
//! The documents are taken as they stand; only their directories (`/srv`, `/run`, `/var/log`) are moved below a temporary one, where the little that they
//! speak of lies: a project `shop`, a `blog`, files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{TempDir, python};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// One fenced block.
struct Block {
    /// `docs/workers.md:6`
    place: String,
    language: String,
    text: String,
}

/// The pages for users, by their names in the repository.
fn pages() -> Vec<(String, String)> {
    let docs = python::root().join("docs");
    let mut names: Vec<String> = fs::read_dir(docs)
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    names.push("README.md".into());
    names.sort();
    let read = |name: String| {
        let text = fs::read_to_string(python::root().join(&name)).unwrap();
        (name, text)
    };
    names.into_iter().map(read).collect()
}

fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for (name, page) in pages() {
        let mut open: Option<Block> = None;
        for (index, line) in page.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(language), None) => {
                    open = Some(Block {
                        place: format!("{name}:{}", index + 2),
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block is not closed");
    }
    found
}

/// Pieces of code within the lines of a page, those in tables included.
fn spans(page: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let text = page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    text.flat_map(|line| line.split('`').skip(1).step_by(2))
}

const APPLICATION: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'']

app = application

def create_app():
    return application
";

/// What the documents take for given.
fn world() -> TempDir {
    let dir = TempDir::new();
    for file in ["shop/wsgi.py", "shop/asgi.py", "shop/__init__.py"] {
        for base in ["", "srv/shop/"] {
            dir.write(&format!("{base}{file}"), APPLICATION);
        }
    }
    dir.write("blog.py", APPLICATION);
    dir.write("gunicorn.conf.py", "workers = 2\n");
    for place in [
        "staticfiles",
        "static",
        "public",
        "admin/dist",
        "srv/docs",
        "srv/shop/downloads",
        "srv/shop/invoices",
        "srv/shop/static",
        "srv/shop/venv/bin",
        "run",
        "var/log/shop",
    ] {
        fs::create_dir_all(dir.path().join(place)).unwrap();
    }
    let (uwsgi, _) = configurations("ini")
        .find(|(_, text)| text.contains("[uwsgi]"))
        .map(|(place, text)| (moved(&dir, &text), place))
        .unwrap();
    dir.write("uwsgi.ini", uwsgi);
    dir.write("ringgate.toml", "[app.shop]\ntarget = 'shop.wsgi'\n");
    dir.write(
        "srv/shop/ringgate.toml",
        "[app.shop]\ntarget = 'shop.wsgi'\n",
    );
    // The commands of the documents only judge here, since serving takes ports that others may have.
    script(
        &dir,
        "bin/ringgate",
        &format!(
            "case $1 in check|config|*help*|--print-config) exec {0} \"$@\";; status|reload|upgrade) exec {0} \"$@\" --help;; *) exec {0} check \"$@\";; esac",
            env!("CARGO_BIN_EXE_ringgate")
        ),
    );
    let run_python = format!("exec {} \"$@\"", python::python().display());
    script(&dir, "srv/shop/venv/bin/python", &run_python);
    fs::copy(
        dir.path().join("bin/ringgate"),
        dir.path().join("srv/shop/venv/bin/ringgate"),
    )
    .unwrap();
    dir
}

fn script(dir: &TempDir, name: &str, line: &str) {
    let path = dir.write(name, format!("#!/bin/sh\n{line}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// With the system's directories below the temporary one.
fn moved(dir: &TempDir, text: &str) -> String {
    ["/srv/", "/run/", "/var/log/"]
        .iter()
        .fold(text.to_owned(), |text, place| {
            text.replace(place, &format!("{}{place}", dir.path().display()))
        })
}

fn configurations(language: &'static str) -> impl Iterator<Item = (String, String)> {
    let of = move |block: &Block| block.language == language;
    blocks()
        .into_iter()
        .filter(of)
        .map(|block| (block.place, block.text))
}

fn run(dir: &TempDir, line: &str) -> Output {
    let path = format!(
        "{}:{}",
        dir.path().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new("/bin/sh");
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RINGGATE_"))
    {
        command.env_remove(name);
    }
    command
        .args(["-c", line])
        .env("PATH", path)
        .env("RINGGATE_PYTHON", python::python())
        .env("RINGGATE_EXTENSION", python::extension())
        .env("RINGGATE_CONTROL_SOCKET", dir.path().join("control.sock"))
        .current_dir(dir.path())
        .output()
        .unwrap()
}

/// Adds to `faults` what was said, unless all is well.
fn judge(faults: &mut Vec<String>, place: &str, line: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.is_empty() {
        faults.push(format!("{place}: {line}\n    {}: {said}", output.status));
    }
}

#[track_caller]
fn none(faults: &[String], looked_at: usize, least: usize) {
    assert!(looked_at >= least, "only {looked_at} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn configurations_are_judged_well() {
    let dir = world();
    let mut faults = Vec::new();
    let mut count = 0;
    for (place, text) in configurations("toml") {
        count += 1;
        // One that shows a few keys says what to serve elsewhere.
        let serves = text.contains("target =") || text.contains("[[server.location]]");
        dir.write("this.toml", moved(&dir, &text));
        let line = format!(
            "ringgate --config this.toml{}",
            if serves { "" } else { " shop.wsgi" }
        );
        judge(&mut faults, &place, &line, &run(&dir, &line));
    }
    none(&faults, count, 8);
}

#[test]
fn command_lines_are_understood() {
    let dir = world();
    let mut faults = Vec::new();
    let mut lines = Vec::new();
    for block in blocks().into_iter().filter(|block| block.language == "sh") {
        let ours = block
            .text
            .lines()
            .filter(|line| line.starts_with("ringgate "));
        lines.extend(ours.map(|line| (block.place.clone(), line.to_owned())));
    }
    for (place, text) in configurations("ini") {
        let starts = text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart="));
        lines.extend(starts.map(|line| (place.clone(), line.to_owned())));
    }
    for (name, page) in pages() {
        let ours = spans(&page).filter(|span| {
            span.strip_prefix("ringgate ")
                .is_some_and(|rest| !rest.contains(['[', '=']) && !rest.contains("MODULE"))
        });
        lines.extend(ours.map(|line| (name.clone(), line.to_owned())));
    }
    for (place, line) in &lines {
        // Without arguments a subcommand is only being named.
        if line != "ringgate check" {
            judge(&mut faults, place, line, &run(&dir, &moved(&dir, line)));
        }
    }
    none(&faults, lines.len(), 40);
}

#[test]
fn options_that_are_named_are_there() {
    let dir = world();
    let mut named = BTreeMap::new();
    for (name, page) in pages() {
        for span in spans(&page).filter(|span| span.starts_with("--")) {
            let words = span.split([' ', '=', ',']);
            let options = words.filter(|word| word.starts_with("--") && word.len() > 2);
            named.extend(options.map(|option| (option.to_owned(), name.clone())));
        }
    }
    let mut faults = Vec::new();
    for (option, page) in &named {
        let is_unknown = |subcommand: &str| {
            let said = run(&dir, &format!("ringgate {subcommand} {option}"));
            String::from_utf8_lossy(&said.stderr).contains("no option")
        };
        if is_unknown("check") && is_unknown("status") {
            faults.push(format!("{page}: {option}"));
        }
    }
    none(&faults, named.len(), 100);
}
