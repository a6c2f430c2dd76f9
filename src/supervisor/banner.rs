//! The block on stderr that says what runs, and the readiness line.

use crate::python::Python;
use config::value::{bytes_text, duration_text};
use config::{Address, Config, Kind, LogTarget};
use control::message::AppState;
use std::fmt::Write;
use std::path::Path;

/// One app as it came up.
pub struct AppLine<'a> {
    pub kind: Option<Kind>,
    pub why: &'a str,
    pub state: AppState,
    pub message: &'a str,
}

/// What listens where, what serves it, and how to ask it.
pub fn text(
    config: &Config,
    addresses: &[Address],
    pythons: &[Python],
    apps: &[AppLine<'_>],
    control: &Path,
) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for address in addresses {
        rows.push(("listening", address.to_string()));
    }
    let width = prefix_width(config);
    for (app, line) in config.apps.iter().zip(apps) {
        let at = format!("{}/", app.mount);
        let how = match (line.state, line.kind) {
            (AppState::Ready, Some(kind)) => {
                format!("{}: {}", workers_text(app.options.workers, kind), line.why)
            }
            _ => format!("NOT SERVED: {}", line.message),
        };
        rows.push(("app", format!("{at:width$}  {}, {how}", app.target)));
    }
    for files in &config.statics {
        let at = format!("{}/", files.url);
        rows.push(("files", format!("{at:width$}  {}", files.dir.display())));
    }
    for (index, python) in pythons.iter().enumerate() {
        if pythons[..index].contains(python) {
            continue;
        }
        let (major, minor, patch) = python.version;
        rows.push((
            "python",
            format!(
                "CPython {major}.{minor}.{patch}{}, {} ({})",
                if python.free_threaded {
                    ", free-threaded, with its GIL on"
                } else {
                    ""
                },
                python.program.display(),
                python.how
            ),
        ));
    }
    let rings = if config.rings == 1 {
        "ring thread"
    } else {
        "ring threads"
    };
    rows.push((
        "edge",
        format!(
            "{} {rings}, at most {} connections",
            config.rings, config.limits.connections
        ),
    ));
    let mut limits = format!("request body {}", bytes_text(config.limits.body_bytes));
    let timeout = request_time(config);
    if !timeout.is_empty() {
        limits.push_str(&format!(", request time {timeout}"));
    }
    rows.push(("limits", limits));
    let access = config
        .access_log
        .as_ref()
        .map_or("off".to_owned(), target_text);
    rows.push((
        "logs",
        format!(
            "requests: {access}, errors: {}{}",
            target_text(&config.error_log),
            others(config)
        ),
    ));
    rows.push((
        "control",
        format!(
            "{} (ringgate status{})",
            control.display(),
            control_hint(config, control)
        ),
    ));

    let mut text = format!(
        "ringgate {}, pid {}\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    let mut last = "";
    for (name, value) in rows {
        let shown = if name == last { "" } else { name };
        last = name;
        writeln!(text, "  {shown:10} {value}").expect("a String takes any text");
    }
    text
}

/// The applications' timeouts: one where all have the same.
/// `30 s or unlimited`; empty without applications.
fn request_time(config: &Config) -> String {
    let mut texts: Vec<String> = Vec::new();
    for app in &config.apps {
        let text = match app.options.timeout_ms {
            0 => "unlimited".to_owned(),
            ms => duration_text(ms),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(" or ")
}

/// `4 interpreters`, `1 process`
pub fn workers_text(count: usize, kind: Kind) -> String {
    match (count, kind) {
        (1, Kind::Interpreters) => "1 interpreter".into(),
        (1, Kind::Processes) => "1 process".into(),
        _ => format!("{count} {kind}"),
    }
}

/// Width of the column of URL prefixes.
fn prefix_width(config: &Config) -> usize {
    let apps = config.apps.iter().map(|app| app.mount.len());
    let files = config.statics.iter().map(|files| files.url.len());
    apps.chain(files).max().unwrap_or(0) + 1
}

/// What to type beside `ringgate status` so that it finds this server.
fn control_hint(config: &Config, control: &Path) -> String {
    let default = !config.control_socket_chosen && control == config.control_socket;
    if default {
        String::new()
    } else {
        format!(" --control-socket {}", control.display())
    }
}

/// Who is told beside the logs.
fn others(config: &Config) -> String {
    let syslog = config.syslog.as_ref().map(|syslog| ("syslog", &syslog.to));
    let statsd = config.statsd.as_ref().map(|statsd| ("statsd", &statsd.to));
    let others = [syslog, statsd].into_iter().flatten();
    others.map(|(name, to)| format!(", {name}: {to}")).collect()
}

fn target_text(target: &LogTarget) -> String {
    match target {
        LogTarget::Stdout => "stdout".into(),
        LogTarget::Stderr => "stderr".into(),
        LogTarget::File(path) => path.display().to_string(),
    }
}

/// `ready http://127.0.0.1:8000 unix:/run/x.sock`
pub fn ready_line(addresses: &[Address]) -> String {
    let addresses: Vec<String> = addresses.iter().map(Address::to_string).collect();
    format!("ready {}", addresses.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{App, StaticMount};

    #[test]
    fn one_block_says_it_all() {
        let mut config = Config::bare();
        config.apps.push(App {
            name: "shop".into(),
            mount: "".into(),
            target: "shop.wsgi:application".into(),
            options: config::AppOptions::default(),
        });
        config.apps.push(App {
            name: "blog".into(),
            mount: "/blog".into(),
            target: "blog:app".into(),
            options: config::AppOptions::default(),
        });
        config
            .statics
            .push(StaticMount::new("/static", "/srv/static"));
        let address = Address::Tcp("127.0.0.1:8000".parse().expect("address"));
        let python = Python {
            program: "/v/bin/python".into(),
            version: (3, 13, 1),
            how: "--python".into(),
            no_interpreters: None,
            free_threaded: false,
            extension: None,
        };
        let apps = [
            AppLine {
                kind: Some(Kind::Interpreters),
                why: "as --kind says",
                state: AppState::Ready,
                message: "ready",
            },
            AppLine {
                kind: None,
                why: "",
                state: AppState::Failed,
                message: "cannot be loaded: no module",
            },
        ];
        let text = text(
            &config,
            &[address],
            &[python],
            &apps,
            Path::new("/tmp/ringgate.sock"),
        );
        let expected = format!(
            "ringgate {}, pid {}\n  \
             listening  http://127.0.0.1:8000\n  \
             app        /         shop.wsgi:application, 1 interpreter: as --kind says\n             \
             /blog/    blog:app, NOT SERVED: cannot be loaded: no module\n  \
             files      /static/  /srv/static\n  \
             python     CPython 3.13.1, /v/bin/python (--python)\n  \
             edge       1 ring thread, at most 16384 connections\n  \
             limits     request body 100 MiB, request time 30 s\n  \
             logs       requests: off, errors: stderr\n  \
             control    /tmp/ringgate.sock (ringgate status)\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id()
        );
        assert_eq!(text, expected);
    }
}
