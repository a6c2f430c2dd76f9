//! Raw options into the checked [`Config`], or one message.
//!
//! Pure: what it needs to know of the machine comes in as [`Surroundings`]. Existence of files, free ports and Python
//! are other steps' business (`world`, the supervisor).

use crate::Mistake;
use crate::files::{StaticMount, StaticOptions, Try};
use crate::model::*;
use crate::options::{Form, option};
use crate::raw::Raw;
use crate::value;
use std::path::PathBuf;

mod apps;
mod listening;
mod logs;
mod remote;

/// What a check may know about where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    pub cwd: PathBuf,
    pub processors: usize,
    pub user_id: u32,
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `$PORT`, as hosting platforms set it.
    pub port: Option<String>,
    /// `$LISTEN_FDS`, if `$LISTEN_PID` is this process: descriptors from 3 on are to be listened on.
    pub passed_fds: u8,
}

/// Everything right, or the first thing that is not.
pub fn check(raw: &Raw, around: &Surroundings) -> Result<Config, Mistake> {
    let apps = apps::apps(raw, around)?;
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
        let what = if raw.file.is_some() {
            "the location"
        } else {
            "--static"
        };
        return Err(Mistake(format!(
            "{what} {}/ and the application {} are at the same URL; move one of them",
            app.mount, app.target
        )));
    }
    let grace_ms = apps.iter().map(|app| app.options.graceful_ms).max();
    let chdir = raw.one("chdir").map_or_else(
        || around.cwd.clone(),
        |dir| value::absolute(dir, raw.base("chdir", &around.cwd)),
    );
    let path = |name: &str| {
        let base = raw.base(name, &around.cwd);
        raw.one(name).map(|path| value::absolute(path, base))
    };
    let (binds, inherited) = listening::binds(raw, around)?;
    let syslog = remote::syslog(raw, &apps)?;
    let config = Config {
        binds,
        inherited,
        rings: count(raw, "rings", around.processors.clamp(1, RINGS_MAX))?,
        apps,
        statics,
        sendfile_roots: sendfile_roots(raw, around)?,
        python: apps::program(raw, raw.one("python"), &around.cwd),
        limits: limits(raw)?,
        timeouts: timeouts(raw, grace_ms)?,
        access_log: logs::target(raw, "access-log", LogTarget::Stdout, around),
        access_log_format: logs::format(raw)?,
        error_log: logs::target(raw, "error-log", LogTarget::Stderr, around)
            .unwrap_or(LogTarget::Stderr),
        log_level: match choice(raw, "log-level")? {
            "debug" => LogLevel::Debug,
            "warning" => LogLevel::Warning,
            "error" => LogLevel::Error,
            "critical" => LogLevel::Critical,
            _ => LogLevel::Info,
        },
        statsd: remote::statsd(raw)?,
        syslog,
        control_socket: path("control-socket").unwrap_or_else(|| default_control_socket(around)),
        control_socket_chosen: raw.one("control-socket").is_some(),
        env: apps::variables(raw, raw.many("env"))?,
        pythonpath: split_paths(raw.many("pythonpath"))
            .map(|dir| value::absolute(dir, raw.base("pythonpath", &chdir)))
            .collect(),
        chdir,
        server_header: server_header(raw)?,
        backlog: number(raw, "backlog")? as u32,
        pid_file: path("pid"),
        identity: Identity {
            user: raw.one("user").map(str::to_owned),
            group: raw.one("group").map(str::to_owned),
            init_groups: flag(raw, "initgroups")?,
            umask: umask(raw)?,
        },
        daemon: flag(raw, "daemon")?,
        forwarded: listening::forwarded(raw)?,
        odd_headers: listening::odd_headers(raw)?,
        proxy: listening::proxy(raw)?,
        notes: notes(raw),
        extension: path("extension"),
        ready_fd: raw
            .one("ready-fd")
            .map(|_| number(raw, "ready-fd"))
            .transpose()?
            .map(|fd| fd as i32),
        file: raw.file.clone(),
    };
    fits_a_message(&config).map(|()| config)
}

/// The edge gets its configuration in one message.
fn fits_a_message(config: &Config) -> Result<(), Mistake> {
    // Of 16 MiB; more is no configuration but a mistake.
    const BYTES_MAX: usize = 4 * 1024 * 1024;
    let bytes = serde_json::to_vec(config).map_or(usize::MAX, |json| json.len());
    if bytes > BYTES_MAX {
        return Err(Mistake(format!(
            "the configuration is too large ({bytes} bytes inside, {BYTES_MAX} at most); fewer locations or cache rules will do"
        )));
    }
    Ok(())
}

/// Where `ringgate status` looks and a server listens unless told otherwise.
pub fn default_control_socket(around: &Surroundings) -> PathBuf {
    match &around.xdg_runtime_dir {
        Some(dir) => dir.join("ringgate.sock"),
        None if around.user_id == 0 => PathBuf::from("/run/ringgate.sock"),
        None => PathBuf::from(format!("/tmp/ringgate-{}.sock", around.user_id)),
    }
}

fn statics(raw: &Raw, around: &Surroundings) -> Result<Vec<StaticMount>, Mistake> {
    let mut statics: Vec<StaticMount> = Vec::new();
    for name in ["static", "spa"] {
        for text in raw.many(name) {
            let (url, dir) = pair(raw, name, text)?;
            let url = value::prefix(url).map_err(|why| wrong(raw, name, &why))?;
            if statics.iter().any(|files| files.url == url) {
                return Err(wrong(raw, name, &format!("two directories at {url}/")));
            }
            let mut files = StaticMount::new(url, value::absolute(dir, &around.cwd));
            if name == "spa" {
                files.options.try_files = Try::single_page();
            }
            statics.push(files);
        }
    }
    let from_file = raw.file_statics.iter();
    let free: Vec<StaticMount> = from_file
        .filter(|files| statics.iter().all(|each| each.url != files.url))
        .cloned()
        .collect();
    statics.extend(free);
    Ok(statics)
}

/// An app names a file, so nothing stands in for it or is added to it.
fn sendfile_roots(raw: &Raw, around: &Surroundings) -> Result<Vec<StaticMount>, Mistake> {
    let name = "sendfile-roots";
    let base = raw.base(name, &around.cwd);
    let mut roots: Vec<StaticMount> = Vec::new();
    for dir in split_paths(raw.many(name)) {
        let dir = value::absolute(dir, base);
        if dir
            .components()
            .any(|part| part == std::path::Component::ParentDir)
        {
            let why = format!(
                "{} goes through '..'; name the directory itself",
                dir.display()
            );
            return Err(wrong(raw, name, &why));
        }
        if roots.iter().any(|root| root.dir == dir) {
            return Err(wrong(
                raw,
                name,
                &format!("{} is given twice", dir.display()),
            ));
        }
        let options = StaticOptions {
            index: Vec::new(),
            precompressed: Vec::new(),
            internal: true,
            ..StaticOptions::default()
        };
        let url = String::new();
        roots.push(StaticMount { url, dir, options });
    }
    Ok(roots)
}

fn limits(raw: &Raw) -> Result<Limits, Mistake> {
    let limits = Limits {
        request_line: number(raw, "limit-request-line")? as usize,
        header_count: number(raw, "limit-request-fields")? as usize,
        field_bytes: number(raw, "limit-request-field")? as usize,
        header_bytes: number(raw, "limit-request-head")? as usize,
        body_bytes: number(raw, "limit-request-body")?,
        pending: number(raw, "pending")? as usize,
        websockets: number(raw, "websockets")? as usize,
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

/// `grace_ms`: the longest of the applications'.
fn timeouts(raw: &Raw, grace_ms: Option<u64>) -> Result<Timeouts, Mistake> {
    Ok(Timeouts {
        header_ms: number(raw, "header-timeout")?,
        body_ms: number(raw, "body-timeout")?,
        idle_ms: number(raw, "keep-alive")?,
        write_ms: number(raw, "write-timeout")?,
        graceful_ms: match grace_ms {
            Some(longest) => longest,
            None => number(raw, "graceful-timeout")?,
        },
    })
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

fn split_paths(texts: &[String]) -> impl Iterator<Item = &str> {
    texts
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
    if let Some(ours) = option.synonym(&wished) {
        return Ok(ours);
    }
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

/// What is accepted and not carried out whole.
fn notes(raw: &Raw) -> Vec<String> {
    let mut notes = raw.notes.clone();
    let class = raw.one("worker-class").unwrap_or_default();
    if crate::doors::gunicorn::is_own_uvicorn(class) {
        let label = raw.label("worker-class");
        notes.push(format!(
            "{label}: {class} is taken for uvicorn's; what it adds to that (CONFIG_KWARGS, say) has no effect"
        ));
    }
    notes
}

/// As Python reads a number, and with C's leading 0 too: `022`, `0o22`, `0x12`, `18`.
fn umask(raw: &Raw) -> Result<Option<u32>, Mistake> {
    const MOST: u32 = 0o777;
    let Some(text) = raw.one("umask") else {
        return Ok(None);
    };
    let radix = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
    let mask = match text.to_ascii_lowercase() {
        text if text.starts_with("0o") => radix(&text[2..], 8),
        text if text.starts_with("0x") => radix(&text[2..], 16),
        text if text.starts_with('0') => radix(&text, 8),
        text => radix(&text, 10),
    };
    let mask = mask.filter(|mask| *mask <= MOST).ok_or_else(|| {
        let why = format!("expected a mask such as 022, not '{text}'");
        wrong(raw, "umask", &why)
    })?;
    Ok(Some(mask))
}

fn flag(raw: &Raw, name: &str) -> Result<bool, Mistake> {
    let text = raw.one(name).or(option(name).default).unwrap_or_default();
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => {
            let why = format!("expected true or false, not '{text}'");
            Err(wrong(raw, name, &why))
        }
    }
}

fn wrong(raw: &Raw, name: &str, why: &str) -> Mistake {
    Mistake(format!("{}: {why}", raw.label(name)))
}

#[cfg(test)]
mod tests;
