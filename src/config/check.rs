//! Raw options into the checked [`Config`], or one message.
//!
//! Pure: what it needs to know of the machine comes in as [`Surroundings`]. Existence of files, free ports and Python
//! are other steps' business (`world`, the supervisor).

use crate::Mistake;
use crate::files::StaticMount;
use crate::model::*;
use crate::options::{Form, option};
use crate::raw::Raw;
use crate::value;
use std::collections::HashSet;
use std::path::PathBuf;

/// What a check may know about where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    pub cwd: PathBuf,
    pub processors: usize,
    pub user_id: u32,
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `$PORT`, as hosting platforms set it.
    pub port: Option<String>,
}

/// Everything right, or the first thing that is not.
pub fn check(raw: &Raw, around: &Surroundings) -> Result<Config, Mistake> {
    let apps = apps(raw)?;
    let statics = statics(raw, around)?;
    if apps.is_empty() && statics.is_empty() {
        return Err(Mistake(
            "nothing to serve: name an application (ringgate shop.wsgi:application) or a directory (--static /=./public); \
             ringgate --help tells more"
                .into(),
        ));
    }
    if let Some(app) = apps
        .iter()
        .find(|app| statics.iter().any(|files| files.url == app.mount))
    {
        return Err(Mistake(format!(
            "--static {}/ and the application {} are at the same URL; move one of them",
            app.mount, app.target
        )));
    }
    let chdir = raw.one("chdir").map_or_else(
        || around.cwd.clone(),
        |dir| value::absolute(dir, &around.cwd),
    );
    let path = |name: &str| raw.one(name).map(|path| value::absolute(path, &around.cwd));
    Ok(Config {
        binds: binds(raw, around)?,
        rings: count(raw, "rings", around.processors.clamp(1, RINGS_MAX))?,
        apps,
        statics,
        workers: count(raw, "workers", around.processors.clamp(2, WORKERS_MAX))?,
        python: raw.one("python").map(|python| program(python, around)),
        kind: match choice(raw, "kind")? {
            "interpreters" => KindChoice::Interpreters,
            "processes" => KindChoice::Processes,
            _ => KindChoice::Auto,
        },
        limits: limits(raw)?,
        timeouts: timeouts(raw)?,
        access_log: log_target(raw, "access-log", LogTarget::Stdout, around),
        access_log_format: match choice(raw, "access-log-format")? {
            "json" => LogFormat::Json,
            _ => LogFormat::Combined,
        },
        error_log: log_target(raw, "error-log", LogTarget::Stderr, around)
            .unwrap_or(LogTarget::Stderr),
        log_level: match choice(raw, "log-level")? {
            "debug" => LogLevel::Debug,
            "warning" => LogLevel::Warning,
            "error" => LogLevel::Error,
            "critical" => LogLevel::Critical,
            _ => LogLevel::Info,
        },
        control_socket: path("control-socket").unwrap_or_else(|| default_control_socket(around)),
        control_socket_chosen: raw.one("control-socket").is_some(),
        env: variables(raw)?,
        pythonpath: split_paths(raw)
            .map(|dir| value::absolute(dir, &chdir))
            .collect(),
        chdir,
        server_header: server_header(raw)?,
        backlog: number(raw, "backlog")? as u32,
        pid_file: path("pid"),
        extension: path("extension"),
        ready_fd: raw
            .one("ready-fd")
            .map(|_| number(raw, "ready-fd"))
            .transpose()?
            .map(|fd| fd as i32),
    })
}

/// Where `ringgate status` looks and a server listens unless told otherwise.
pub fn default_control_socket(around: &Surroundings) -> PathBuf {
    match &around.xdg_runtime_dir {
        Some(dir) => dir.join("ringgate.sock"),
        None if around.user_id == 0 => PathBuf::from("/run/ringgate.sock"),
        None => PathBuf::from(format!("/tmp/ringgate-{}.sock", around.user_id)),
    }
}

fn apps(raw: &Raw) -> Result<Vec<App>, Mistake> {
    let mut apps = Vec::new();
    if let Some((text, _)) = &raw.app {
        let target =
            value::target(text).map_err(|why| Mistake(format!("the application: {why}")))?;
        apps.push(App {
            name: String::new(),
            mount: String::new(),
            target,
        });
    }
    for text in raw.many("mount") {
        let (prefix, target) = pair(raw, "mount", text)?;
        let mount = value::prefix(prefix).map_err(|why| wrong(raw, "mount", &why))?;
        let target = value::target(target).map_err(|why| wrong(raw, "mount", &why))?;
        if apps.iter().any(|app| app.mount == mount) {
            return Err(wrong(
                raw,
                "mount",
                &format!(
                    "two applications at {}",
                    if mount.is_empty() { "/" } else { &mount }
                ),
            ));
        }
        apps.push(App {
            name: String::new(),
            mount,
            target,
        });
    }
    name_apps(&mut apps);
    Ok(apps)
}

/// The first part of the module for the root, the prefix for the others; numbered where two are alike.
fn name_apps(apps: &mut [App]) {
    let mut taken = HashSet::new();
    for app in apps {
        let module = app.target.split([':', '.']).next().unwrap_or_default();
        let stem = match app.mount.trim_start_matches('/') {
            "" => module.to_owned(),
            mount => mount.replace('/', "-"),
        };
        let mut name = stem.clone();
        for number in 2.. {
            if taken.insert(name.clone()) {
                break;
            }
            name = format!("{stem}-{number}");
        }
        app.name = name;
    }
}

fn statics(raw: &Raw, around: &Surroundings) -> Result<Vec<StaticMount>, Mistake> {
    let mut statics: Vec<StaticMount> = Vec::new();
    for text in raw.many("static") {
        let (url, dir) = pair(raw, "static", text)?;
        let url = value::prefix(url).map_err(|why| wrong(raw, "static", &why))?;
        if statics.iter().any(|files| files.url == url) {
            return Err(wrong(raw, "static", &format!("two directories at {url}/")));
        }
        statics.push(StaticMount::new(url, value::absolute(dir, &around.cwd)));
    }
    Ok(statics)
}

fn binds(raw: &Raw, around: &Surroundings) -> Result<Vec<Address>, Mistake> {
    let from_port = around
        .port
        .iter()
        .map(|port| (format!("0.0.0.0:{port}"), "$PORT".to_owned()));
    let given = raw
        .many("bind")
        .iter()
        .map(|text| (text.clone(), raw.label("bind")));
    let default = option("bind")
        .default
        .map(|text| (text.to_owned(), "--bind".to_owned()));
    let texts: Vec<(String, String)> = match (raw.many("bind").is_empty(), &around.port) {
        (false, _) => given.collect(),
        (true, Some(_)) => from_port.collect(),
        (true, None) => default.into_iter().collect(),
    };
    let mut binds = Vec::new();
    for (text, label) in texts {
        let address =
            value::address(&text, &around.cwd).map_err(|why| Mistake(format!("{label}: {why}")))?;
        let any_port = matches!(&address, Address::Tcp(tcp) if tcp.port() == 0);
        if !any_port && binds.contains(&address) {
            return Err(Mistake(format!("{label}: {address} is given twice")));
        }
        binds.push(address);
    }
    Ok(binds)
}

fn limits(raw: &Raw) -> Result<Limits, Mistake> {
    let limits = Limits {
        request_line: number(raw, "limit-request-line")? as usize,
        header_count: number(raw, "limit-request-fields")? as usize,
        header_bytes: number(raw, "limit-request-head")? as usize,
        body_bytes: number(raw, "limit-request-body")?,
        pending: number(raw, "pending")? as usize,
        connections: count(raw, "max-connections", Limits::default().connections)?,
        connections_chosen: raw.one("max-connections").is_some(),
    };
    if limits.request_line > limits.header_bytes {
        let line = raw.one("limit-request-line").is_some();
        let (name, advice) = match line {
            true => ("limit-request-line", "raise --limit-request-head too"),
            false => ("limit-request-head", "lower --limit-request-line too"),
        };
        return Err(wrong(
            raw,
            name,
            &format!(
                "the request line ({}) is part of the head ({}); {advice}",
                value::bytes_text(limits.request_line as u64),
                value::bytes_text(limits.header_bytes as u64)
            ),
        ));
    }
    Ok(limits)
}

fn timeouts(raw: &Raw) -> Result<Timeouts, Mistake> {
    Ok(Timeouts {
        header_ms: number(raw, "header-timeout")?,
        body_ms: number(raw, "body-timeout")?,
        idle_ms: number(raw, "keep-alive")?,
        write_ms: number(raw, "write-timeout")?,
        request_ms: number(raw, "timeout")?,
        graceful_ms: number(raw, "graceful-timeout")?,
    })
}

fn variables(raw: &Raw) -> Result<Vec<(String, String)>, Mistake> {
    let mut variables = Vec::new();
    for text in raw.many("env") {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains('\0'))
            .ok_or_else(|| wrong(raw, "env", &format!("expected NAME=VALUE, not '{text}'")))?;
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

fn server_header(raw: &Raw) -> Result<String, Mistake> {
    let text = raw
        .one("server-header")
        .or(option("server-header").default)
        .unwrap_or_default();
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(wrong(
            raw,
            "server-header",
            "only printable ASCII may stand in a header",
        ));
    }
    Ok(text.trim().to_owned())
}

/// `-`: the given stream; `off`, `none` and nothing: no log.
fn log_target(
    raw: &Raw,
    name: &str,
    stream: LogTarget,
    around: &Surroundings,
) -> Option<LogTarget> {
    match raw.one(name).or(option(name).default) {
        None | Some("" | "off" | "none" | "None") => None,
        Some("-") => Some(stream),
        Some(path) => Some(LogTarget::File(value::absolute(path, &around.cwd))),
    }
}

/// A bare name stays one, to be looked up on PATH.
fn program(text: &str, around: &Surroundings) -> PathBuf {
    if text.contains('/') {
        value::absolute(text, &around.cwd)
    } else {
        PathBuf::from(text)
    }
}

fn split_paths(raw: &Raw) -> impl Iterator<Item = &str> {
    raw.many("pythonpath")
        .iter()
        .flat_map(|text| text.split(','))
        .filter(|path| !path.is_empty())
}

fn pair<'t>(raw: &Raw, name: &str, text: &'t str) -> Result<(&'t str, &'t str), Mistake> {
    text.split_once('=')
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .ok_or_else(|| {
            wrong(
                raw,
                name,
                &format!("expected {}, not '{text}'", option(name).value),
            )
        })
}

fn number(raw: &Raw, name: &str) -> Result<u64, Mistake> {
    let option = option(name);
    let text = raw.one(name).or(option.default).unwrap_or_default();
    value::number(option.form, text).map_err(|why| wrong(raw, name, &why))
}

fn count(raw: &Raw, name: &str, default: usize) -> Result<usize, Mistake> {
    match raw.one(name) {
        Some(_) => number(raw, name).map(|value| value as usize),
        None => Ok(default),
    }
}

fn choice(raw: &Raw, name: &str) -> Result<&'static str, Mistake> {
    let option = option(name);
    let text = raw.one(name).or(option.default).unwrap_or_default();
    let Form::Choice(words) = option.form else {
        return Err(wrong(raw, name, "not a choice"));
    };
    let wished = text.to_ascii_lowercase();
    words
        .iter()
        .copied()
        .find(|word| *word == wished)
        .ok_or_else(|| {
            wrong(
                raw,
                name,
                &format!("expected {}, not '{text}'", words.join(", ")),
            )
        })
}

fn wrong(raw: &Raw, name: &str, why: &str) -> Mistake {
    Mistake(format!("{}: {why}", raw.label(name)))
}

#[cfg(test)]
mod tests;
