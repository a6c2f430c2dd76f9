//! Finds the interpreter that the apps run in, and asks it what it is.
//!
//! Owns the order of the search and the version rules. Invariant: a [`Python`] that is handed out can load the extension.

use crate::installation::{self, Installation};
use config::{Config, KindChoice, Mistake};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OLDEST: (u32, u32) = (3, 10);
/// 3.12 aborts as soon as two of them import datetime.
const FIRST_WITH_INTERPRETERS: (u32, u32) = (3, 13);
/// How long an interpreter may take to say its version.
const PATIENCE_MS: u64 = 20_000;
/// Most characters of what it said instead.
const SAID_MAX: usize = 200;

/// The first of the free-threaded builds that the bindings to CPython know.
const FIRST_FREE_THREADED: (u32, u32) = (3, 14);

const QUESTION: &str = "\
import importlib.machinery, importlib.util, json, os, sys, sysconfig
package = importlib.util.find_spec('ringgate')
places = package and package.submodule_search_locations or ()
files = [os.path.join(place, '_ringgate' + suffix) for place in places for suffix in importlib.machinery.EXTENSION_SUFFIXES]
print(json.dumps({
    'implementation': sys.implementation.name,
    'version': list(sys.version_info[:3]),
    'gil_disabled': bool(sysconfig.get_config_var('Py_GIL_DISABLED')),
    'executable': sys.executable or '',
    'extension': next(filter(os.path.isfile, files), None),
}))";

/// An interpreter that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// To be executed: `sys.executable`, so that a pyenv shim cannot choose differently in another directory.
    pub program: PathBuf,
    pub version: (u32, u32, u32),
    /// How it was found, for the banner.
    pub how: String,
    /// Why sub-interpreters cannot be had, if so.
    pub no_interpreters: Option<String>,
    /// A free-threaded build: it takes an extension of its own, and serves with its GIL switched on.
    pub free_threaded: bool,
    /// Our extension, where this interpreter has our package among its own.
    pub extension: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
struct Answer {
    implementation: String,
    version: (u32, u32, u32),
    gil_disabled: bool,
    executable: String,
    extension: Option<PathBuf>,
}

/// One for each app: its own, else `--python`, else that of the virtual environment which the command in `bin` belongs to, else the
/// active one's, else the one that the command was installed for, else `python3`.
pub fn find(
    config: &Config,
    bin: &Path,
    virtual_env: Option<&OsStr>,
) -> Result<Vec<Python>, Mistake> {
    let mut asked: Vec<(PathBuf, Python)> = Vec::new();
    let mut found = Vec::new();
    for app in &config.apps {
        let named = app.options.python.as_ref().or(config.python.as_ref());
        let (program, how) = choose(named.map(PathBuf::as_path), bin, virtual_env);
        let known = asked.iter().find(|(asked, _)| *asked == program);
        let python = match known {
            Some((_, python)) => python.clone(),
            None => {
                let python = judge(program.clone(), how, ask(&program, how)?)?;
                asked.push((program, python.clone()));
                python
            }
        };
        python.can_be(app.options.kind)?;
        found.push(python);
    }
    Ok(found)
}

impl Python {
    fn can_be(&self, kind: KindChoice) -> Result<(), Mistake> {
        match (kind, &self.no_interpreters) {
            (KindChoice::Interpreters, Some(why)) => Err(Mistake(format!(
                "--kind interpreters: {why} ({}); leave --kind out (workers are processes then), or name another --python",
                self.program.display()
            ))),
            _ => Ok(()),
        }
    }
}

pub fn choose(
    named: Option<&Path>,
    bin: &Path,
    virtual_env: Option<&OsStr>,
) -> (PathBuf, &'static str) {
    if let Some(program) = named {
        return (program.to_owned(), "--python");
    }
    if let Some(program) = installation::environment(bin) {
        return (program, "of the environment that ringgate is installed in");
    }
    if let Some(dir) = virtual_env.filter(|dir| !dir.is_empty()) {
        return (Path::new(dir).join("bin/python"), "$VIRTUAL_ENV");
    }
    if let Some(installation) = Installation::around(bin) {
        let beside = bin.join(&installation.interpreter);
        let program = if beside.is_file() {
            beside
        } else {
            PathBuf::from(installation.interpreter)
        };
        return (program, "that ringgate is installed for");
    }
    (PathBuf::from("python3"), "python3 on PATH")
}

fn judge(asked: PathBuf, how: &str, answer: Answer) -> Result<Python, Mistake> {
    let (major, minor, patch) = answer.version;
    let program = if answer.executable.is_empty() {
        asked
    } else {
        PathBuf::from(answer.executable)
    };
    let shown = program.display();
    if answer.implementation != "cpython" {
        return Err(Mistake(format!(
            "{shown} ({how}) is {}, but ringgate needs CPython; name one with --python",
            answer.implementation
        )));
    }
    if (major, minor) < OLDEST {
        return Err(Mistake(format!(
            "{shown} ({how}) is Python {major}.{minor}.{patch}, but ringgate needs {}.{} or newer; name one with --python",
            OLDEST.0, OLDEST.1
        )));
    }
    if answer.gil_disabled && (major, minor) < FIRST_FREE_THREADED {
        return Err(Mistake(format!(
            "{shown} ({how}) is a free-threaded build of Python {major}.{minor}, and ringgate runs on those from {}.{} on; \
             name another with --python (on one with the GIL, --kind interpreters runs in parallel)",
            FIRST_FREE_THREADED.0, FIRST_FREE_THREADED.1
        )));
    }
    let (first_major, first_minor) = FIRST_WITH_INTERPRETERS;
    let no_interpreters = if answer.gil_disabled {
        Some(
            "sub-interpreters take a Python with the GIL, and this is a free-threaded build"
                .to_owned(),
        )
    } else if (major, minor) < FIRST_WITH_INTERPRETERS {
        Some(format!(
            "sub-interpreters take Python {first_major}.{first_minor} or newer, and this is {major}.{minor}"
        ))
    } else {
        None
    };
    Ok(Python {
        program,
        version: answer.version,
        how: how.to_owned(),
        no_interpreters,
        free_threaded: answer.gil_disabled,
        extension: answer.extension,
    })
}

fn ask(program: &Path, how: &str) -> Result<Answer, Mistake> {
    let shown = program.display();
    let mut command = Command::new(program);
    command
        .args(["-I", "-c", QUESTION])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        let advice = "name the interpreter to use with --python, e.g. --python .venv/bin/python";
        match error.kind() {
            std::io::ErrorKind::NotFound if program.components().count() > 1 => {
                Mistake(format!("no Python at {shown} ({how}); {advice}"))
            }
            std::io::ErrorKind::NotFound => Mistake(format!(
                "there is no {shown} on PATH to run the application with; {advice}"
            )),
            _ => Mistake(format!(
                "{shown} ({how}) cannot be run ({}); {advice}",
                config::world::plain(&error)
            )),
        }
    })?;
    let output = child
        .stdout
        .take()
        .map(|pipe| read_in_time(pipe, PATIENCE_MS))
        .transpose();
    let answered = matches!(output, Ok(Some(Some(_))));
    if !answered {
        // It may have ended by itself meanwhile.
        drop(child.kill());
    }
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take().filter(|_| answered) {
        // Only for the message.
        drop(stderr.read_to_string(&mut complaint));
    }
    drop(child.wait());
    let text = match output {
        Ok(Some(Some(text))) => text,
        _ => {
            return Err(Mistake(format!(
                "{shown} ({how}) did not say its version within {} s",
                PATIENCE_MS / 1000
            )));
        }
    };
    serde_json::from_str(&text).map_err(|_| {
        // Python's own errors stand in the last line, those of what stands in its place in the first.
        let mut lines = complaint.trim().lines();
        let said = match complaint.contains("Traceback (most recent call last)") {
            true => lines.next_back(),
            false => lines.next(),
        };
        let said: String = said.unwrap_or("nothing").chars().take(SAID_MAX).collect();
        Mistake(format!(
            "{shown} ({how}) does not work as a Python interpreter; it said: {said}"
        ))
    })
}

/// Everything until the end of the stream; `None` if that does not come in time.
pub fn read_in_time(
    mut pipe: std::process::ChildStdout,
    patience_ms: u64,
) -> std::io::Result<Option<String>> {
    let until = sys::clock::monotonic_ns() / 1_000_000 + patience_ms;
    let mut bytes = Vec::new();
    loop {
        let left = until.saturating_sub(sys::clock::monotonic_ns() / 1_000_000);
        let mut watch = [sys::socket::Watch::read(pipe.as_fd())];
        sys::socket::poll(&mut watch, Some(left))?;
        if !watch[0].readable {
            if left == 0 {
                return Ok(None);
            }
            continue;
        }
        let mut piece = [0; 1024];
        match pipe.read(&mut piece)? {
            0 => return Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that belongs to no installation.
    const NOWHERE: &str = "/nonexistent/bin";

    fn answer(version: (u32, u32, u32)) -> Answer {
        Answer {
            implementation: "cpython".into(),
            version,
            gil_disabled: false,
            executable: "/v/python".into(),
            extension: None,
        }
    }

    fn refused(answer: Answer, kind: KindChoice) -> String {
        judge("python3".into(), "python3 on PATH", answer)
            .and_then(|python| python.can_be(kind))
            .expect_err("refused")
            .0
    }

    #[test]
    fn versions_decide_what_is_possible() {
        let python = judge("python3".into(), "how", answer((3, 13, 1))).expect("python");
        assert_eq!(python.can_be(KindChoice::Interpreters), Ok(()));
        assert_eq!(
            (python.program, python.no_interpreters),
            (PathBuf::from("/v/python"), None)
        );
        let python = judge("python3".into(), "how", answer((3, 12, 1))).expect("python");
        assert_eq!(python.can_be(KindChoice::Auto), Ok(()));
        assert_eq!(
            python.no_interpreters.as_deref(),
            Some("sub-interpreters take Python 3.13 or newer, and this is 3.12")
        );
        let message = refused(answer((3, 12, 1)), KindChoice::Interpreters);
        assert!(
            message.starts_with("--kind interpreters: sub-interpreters take Python 3.13"),
            "{message}"
        );
        let message = refused(answer((3, 9, 2)), KindChoice::Auto);
        assert_eq!(
            message,
            "/v/python (python3 on PATH) is Python 3.9.2, but ringgate needs 3.10 or newer; name one with --python"
        );
        let message = refused(
            Answer {
                implementation: "pypy".into(),
                ..answer((3, 11, 0))
            },
            KindChoice::Auto,
        );
        assert!(message.contains("is pypy, but ringgate needs CPython"));
        let message = refused(
            Answer {
                gil_disabled: true,
                ..answer((3, 13, 5))
            },
            KindChoice::Auto,
        );
        assert!(
            message.contains("a free-threaded build of Python 3.13"),
            "{message}"
        );
        let free_threaded = || Answer {
            gil_disabled: true,
            ..answer((3, 14, 0))
        };
        let python = judge("python3".into(), "how", free_threaded()).expect("python");
        assert_eq!(python.can_be(KindChoice::Auto), Ok(()));
        assert!(python.free_threaded && python.no_interpreters.is_some());
        let message = refused(free_threaded(), KindChoice::Interpreters);
        assert!(
            message.contains("and this is a free-threaded build"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_or_useless_interpreter_is_named() {
        let mut config = Config::bare();
        assert_eq!(find(&config, NOWHERE.as_ref(), None), Ok(Vec::new()));
        config.apps.push(config::App {
            name: "shop".into(),
            mount: String::new(),
            target: "shop:app".into(),
            options: config::AppOptions::default(),
        });
        config.python = Some("/nonexistent/python".into());
        let message = find(&config, NOWHERE.as_ref(), None)
            .expect_err("missing")
            .0;
        assert!(
            message
                .starts_with("no Python at /nonexistent/python (--python); name the interpreter"),
            "{message}"
        );
        config.python = Some("/bin/true".into());
        let message = find(&config, NOWHERE.as_ref(), None)
            .expect_err("no python")
            .0;
        assert!(
            message.contains("does not work as a Python interpreter"),
            "{message}"
        );
        config.python = None;
        config.apps[0].options.python = Some("/nonexistent/own".into());
        let message = find(&config, NOWHERE.as_ref(), None)
            .expect_err("missing")
            .0;
        assert!(
            message.starts_with("no Python at /nonexistent/own"),
            "{message}"
        );
        config.apps[0].options.python = None;
        let message = find(&config, NOWHERE.as_ref(), Some(OsStr::new("/nonexistent")))
            .expect_err("missing")
            .0;
        assert!(
            message.contains("/nonexistent/bin/python ($VIRTUAL_ENV)"),
            "{message}"
        );
    }
}
