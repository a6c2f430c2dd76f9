//! The applications: where each hangs, what it is called, and how it is run.

use super::{choice, count, flag, number, pair, split_paths, wrong};
use crate::app::*;
use crate::check::Surroundings;
use crate::model::{App, KindChoice, WORKERS_MAX};
use crate::raw::Raw;
use crate::{Mistake, value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Those of the command line, then those of the file whose places are free.
pub fn apps(raw: &Raw, around: &Surroundings) -> Result<Vec<App>, Mistake> {
    let mut apps = Vec::new();
    let app = |mount: String, target: String| -> Result<App, Mistake> {
        Ok(App {
            name: String::new(),
            mount,
            target: made(target, raw)?,
            options: options(raw, around)?,
        })
    };
    if let Some((text, _)) = &raw.app {
        let target =
            value::target(text).map_err(|why| Mistake(format!("the application: {why}")))?;
        apps.push(app(String::new(), target)?);
    }
    for text in raw.many("mount") {
        let (prefix, target) = pair(raw, "mount", text)?;
        let mount = value::prefix(prefix).map_err(|why| wrong(raw, "mount", &why))?;
        let target = value::target(target).map_err(|why| wrong(raw, "mount", &why))?;
        if apps.iter().any(|app| app.mount == mount) {
            let place = if mount.is_empty() { "/" } else { &mount };
            let why = format!("two applications at {place}");
            return Err(wrong(raw, "mount", &why));
        }
        apps.push(app(mount, target)?);
    }
    let given = apps.len();
    for draft in &raw.file_apps {
        if apps[..given].iter().any(|app| app.mount == draft.mount) {
            continue;
        }
        let own = raw.of_app(draft);
        let options = options(&own, around)?;
        apps.push(App {
            name: draft.name.clone(),
            mount: draft.mount.clone(),
            target: made(draft.target.clone(), &own)?,
            options: AppOptions {
                routes: draft.routes.clone(),
                ..options
            },
        });
    }
    name_apps(&mut apps);
    Ok(apps)
}

/// With `--factory` the target is called; that is what parentheses say.
fn made(target: String, raw: &Raw) -> Result<String, Mistake> {
    match flag(raw, "factory")? && !target.ends_with(')') {
        true => Ok(target + "()"),
        false => Ok(target),
    }
}

/// A file's names stay; else the first part of the module for the root, the prefix for the others; numbered where two are alike.
fn name_apps(apps: &mut [App]) {
    let mut taken: HashSet<String> = apps.iter().map(|app| app.name.clone()).collect();
    for app in apps.iter_mut().filter(|app| app.name.is_empty()) {
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

fn options(raw: &Raw, around: &Surroundings) -> Result<AppOptions, Mistake> {
    let workers = count(raw, "workers", around.processors.clamp(2, WORKERS_MAX))?;
    let path = |name: &str| {
        let base = raw.base(name, &around.cwd);
        move |text: &String| value::absolute(text, base)
    };
    let chdir = raw.own("chdir").last().map(path("chdir"));
    let options = AppOptions {
        interface: interface(raw)?,
        kind: match choice(raw, "kind")? {
            "interpreters" => KindChoice::Interpreters,
            "processes" => KindChoice::Processes,
            // Hooks are written for workers that are processes.
            _ if raw.is_given("hooks") => KindChoice::Processes,
            _ => KindChoice::Auto,
        },
        extensions: match choice(raw, "extensions")? {
            "private" => Extensions::Private,
            _ => Extensions::Shared,
        },
        workers,
        workers_max: workers_max(raw, workers)?,
        threads: number(raw, "threads")? as usize,
        timeout_ms: number(raw, "timeout")?,
        graceful_ms: number(raw, "graceful-timeout")?,
        max_requests: number(raw, "max-requests")?,
        max_requests_jitter: number(raw, "max-requests-jitter")?,
        max_rss_bytes: number(raw, "max-rss")?,
        preload: flag(raw, "preload")?,
        immortal: flag(raw, "immortal")?,
        warmup_before_fork: flag(raw, "warmup-before-fork")?,
        warmup: warmup(raw)?,
        reload: flag(raw, "reload")?,
        reload_include: raw.many("reload-include").to_vec(),
        touch_reload: raw
            .many("touch-reload")
            .iter()
            .map(path("touch-reload"))
            .collect(),
        tolerate_hop_by_hop: flag(raw, "tolerate-hop-by-hop")?,
        server_timing: flag(raw, "server-timing")?,
        concurrency: number(raw, "concurrency")? as usize,
        routes: Vec::new(),
        lifespan: match choice(raw, "lifespan")? {
            "on" => Lifespan::On,
            "off" => Lifespan::Off,
            _ => Lifespan::Auto,
        },
        event_loop: match choice(raw, "loop")? {
            "asyncio" => EventLoop::Asyncio,
            "uvloop" => EventLoop::Uvloop,
            _ => EventLoop::Auto,
        },
        root_path: root_path(raw)?,
        websocket: WebSocketOptions {
            max_message_bytes: number(raw, "ws-max-size")? as usize,
            ping_interval_ms: number(raw, "ws-ping-interval")?,
            ping_timeout_ms: number(raw, "ws-ping-timeout")?,
            deflate: flag(raw, "ws-per-message-deflate")?,
        },
        python: program(
            raw,
            raw.own("python").last().map(String::as_str),
            &around.cwd,
        ),
        chdir,
        env: variables(raw, raw.own("env"))?,
        pythonpath: split_paths(raw.own("pythonpath"))
            .map(|dir| value::absolute(dir, raw.base("pythonpath", &around.cwd)))
            .collect(),
        log_config: raw.many("log-config").last().map(path("log-config")),
        hooks: raw
            .many("hooks")
            .last()
            .map(|text| match text.starts_with("python:") {
                true => PathBuf::from(text),
                false => path("hooks")(text),
            }),
    };
    let threads = options.seats_per_worker();
    let all = options.workers_max * threads;
    if all > WORKERS_MAX {
        let why = format!(
            "{threads} in each of {} workers are {all} threads, and {WORKERS_MAX} are possible",
            options.workers_max
        );
        return Err(wrong(raw, "threads", &why));
    }
    Ok(options)
}

/// `--interface`, else what `--worker-class` means.
fn interface(raw: &Raw) -> Result<InterfaceChoice, Mistake> {
    let of_class = worker_class(raw)?;
    Ok(match choice(raw, "interface")? {
        "wsgi" => InterfaceChoice::Wsgi,
        "asgi" => InterfaceChoice::Asgi,
        _ if raw.one("interface").is_some() => InterfaceChoice::Auto,
        _ => of_class.unwrap_or(InterfaceChoice::Auto),
    })
}

/// gunicorn's worker classes.
fn worker_class(raw: &Raw) -> Result<Option<InterfaceChoice>, Mistake> {
    let Some(class) = raw.one("worker-class") else {
        return Ok(None);
    };
    crate::doors::gunicorn::interface_of(class)
        .map(Some)
        .map_err(|why| wrong(raw, "worker-class", &why))
}

fn workers_max(raw: &Raw, workers: usize) -> Result<usize, Mistake> {
    let max = count(raw, "workers-max", workers)?;
    if max < workers {
        let why = format!("{max} are fewer than the {workers} workers that are always there");
        return Err(wrong(raw, "workers-max", &why));
    }
    Ok(max)
}

fn warmup(raw: &Raw) -> Result<Vec<String>, Mistake> {
    let paths: Vec<String> = split_paths(raw.many("warmup"))
        .map(|path| path.trim().to_owned())
        .collect();
    let strange = |path: &&String| {
        !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
    };
    match paths.iter().find(strange) {
        None => Ok(paths),
        Some(path) => {
            let why = format!("expected a path as it stands in a URL, e.g. /health, not '{path}'");
            Err(wrong(raw, "warmup", &why))
        }
    }
}

fn root_path(raw: &Raw) -> Result<String, Mistake> {
    match raw.one("root-path").unwrap_or_default() {
        "" => Ok(String::new()),
        text => value::prefix(text).map_err(|why| wrong(raw, "root-path", &why)),
    }
}

/// `NAME=VALUE` each.
pub fn variables(raw: &Raw, texts: &[String]) -> Result<Vec<(String, String)>, Mistake> {
    let mut variables = Vec::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains('\0'))
            .ok_or_else(|| wrong(raw, "env", &format!("expected NAME=VALUE, not '{text}'")))?;
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

/// A bare name stays one, to be looked up on PATH.
pub fn program(raw: &Raw, text: Option<&str>, cwd: &Path) -> Option<PathBuf> {
    let text = text?;
    Some(if text.contains('/') {
        value::absolute(text, raw.base("python", cwd))
    } else {
        PathBuf::from(text)
    })
}
