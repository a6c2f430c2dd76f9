//! uvicorn's flags (0.40 and thereabouts) that are no options of ours.
//!
//! Those that are stand in the options table under their names or as aliases.

use super::{Entry, Fate, Word, enter, variables, word};
use crate::Mistake;
use crate::raw::{Raw, Source};
use Fate::*;
use std::path::Path;

const TLS: &str = "TLS is not there yet; let a server in front end it";
const IMPLEMENTATION: &str = "there is one implementation, which is not Python's";
const DEVELOPMENT: &str = "changes are found without it";

pub const WORDS: &[Word] = &[
    word("host", Made(listen, "part of `--bind`; 127.0.0.1 unless given")).value(&["host"]),
    word("port", Made(listen, "part of `--bind`; 8000 unless given")).value(&["port"]),
    word("uds", Made(unix, "`--bind unix:PATH`")).value(&["uds"]),
    word("fd", Made(descriptor, "`--bind fd://NUMBER`")).value(&["fd"]),
    word("reload-dir", Made(reload_dir, "`--reload-include DIR/**`")).value(&["reload-dir"]),
    word("reload-exclude", Ignored(DEVELOPMENT)).value(&["reload-exclude"]),
    word("reload-delay", Ignored(DEVELOPMENT)).value(&["reload-delay"]),
    word("http", Ignored(IMPLEMENTATION))
        .value(&["http"])
        .harmless(&["auto", "h11", "httptools"]),
    word("http2", Ignored("HTTP/1.1 only, so far")).flag(&["http2"]),
    word("ws", Ignored(IMPLEMENTATION)).value(&["ws"]).harmless(&[
        "auto",
        "websockets",
        "websockets-sansio",
        "wsproto",
    ]),
    word(
        "ws-max-queue",
        Ignored("what an application has not taken yet waits in 64 KiB of its own, and then at the client"),
    )
    .value(&["ws-max-queue"]),
    word("env-file", Made(env_file, "its variables, as with `--env`; those that are set already stay")).value(&["env-file"]),
    word("no-access-log", Says("access-log", "off")).flag(&["no-access-log"]),
    word("use-colors", AsIs("logs have no colours")).flag(&["use-colors", "no-use-colors"]),
    word("no-server-header", Says("server-header", "")).flag(&["no-server-header"]),
    word("date-header", AsIs("there is one")).flag(&["date-header"]),
    word(
        "no-date-header",
        Ignored("RFC 9110 asks for a Date of servers that have a clock"),
    )
    .flag(&["no-date-header"]),
    word(
        "header",
        Refused("headers for every response are the application's to add; those of files are headers = { ... } of their location"),
    )
    .value(&["header"]),
    word("app-dir", Made(app_dir, "`--pythonpath`")).value(&["app-dir"]),
    word(
        "h11-max-incomplete-event-size",
        Ignored("--limit-request-head bounds heads"),
    )
    .value(&["h11-max-incomplete-event-size"]),
    word("reset-contextvars", Ignored("each request has a context of its own")).flag(&["reset-contextvars"]),
    word(
        "timeout-worker-healthcheck",
        Ignored("a worker whose process ends is noticed at once, one that hangs by --timeout"),
    )
    .value(&["timeout-worker-healthcheck"]),
    word("ssl-keyfile", Refused(TLS)).value(&["ssl-keyfile"]),
    word("ssl-certfile", Refused(TLS)).value(&["ssl-certfile"]),
    word("ssl-keyfile-password", Refused(TLS)).value(&["ssl-keyfile-password"]),
    word("ssl-version", Ignored(TLS)),
    word("ssl-cert-reqs", Refused(TLS)).value(&["ssl-cert-reqs"]),
    word("ssl-ca-certs", Refused(TLS)).value(&["ssl-ca-certs"]),
    word("ssl-ciphers", Refused(TLS)).value(&["ssl-ciphers"]),
];

/// Options of ours that uvicorn has under these names, for its variables.
pub const SAME: &[(&str, &str)] = &[
    ("workers", "workers"),
    ("reload", "reload"),
    ("loop", "loop"),
    ("lifespan", "lifespan"),
    ("interface", "interface"),
    ("ws-max-size", "ws-max-size"),
    ("ws-ping-interval", "ws-ping-interval"),
    ("ws-ping-timeout", "ws-ping-timeout"),
    ("ws-per-message-deflate", "ws-per-message-deflate"),
    ("log-config", "log-config"),
    ("log-level", "log-level"),
    ("proxy-headers", "proxy-headers"),
    ("forwarded-allow-ips", "forwarded-allow-ips"),
    ("root-path", "root-path"),
    ("limit-concurrency", "concurrency"),
    ("limit-max-requests", "max-requests"),
    ("limit-max-requests-jitter", "max-requests-jitter"),
    ("backlog", "backlog"),
    ("timeout-keep-alive", "keep-alive"),
    ("timeout-graceful-shutdown", "graceful-timeout"),
    ("factory", "factory"),
    ("reload-include", "reload-include"),
];

/// Fills what is open from `UVICORN_*`.
pub fn fill_from_variables(
    raw: &mut Raw,
    cwd: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Mistake> {
    let variable = |name: &str| {
        let variable = format!("UVICORN_{}", name.to_ascii_uppercase().replace('-', "_"));
        let value = environment(&variable).filter(|value| !value.is_empty());
        value.map(|value| (variable, value))
    };
    for (theirs, ours) in SAME {
        if let Some((variable, value)) = variable(theirs) {
            raw.fill(ours, vec![value], Source::Environment(variable));
        }
    }
    // An address that is given elsewhere is not completed by variables.
    let bound = raw.is_given("bind");
    for word in WORDS {
        let of_address = ["host", "port", "uds", "fd"].contains(&word.name);
        if let Some((variable, value)) = variable(word.name)
            && !(of_address && bound)
            && !matches!(
                value.to_ascii_lowercase().as_str(),
                "0" | "false" | "no" | "off"
            )
        {
            enter(raw, word, &[value], &format!("${variable}"), cwd.to_owned())?;
        }
    }
    Ok(())
}

/// Host and port come one by one and make one address.
fn listen(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let value = values.last().map_or("", String::as_str);
    let is_port = entry.source.label().to_ascii_lowercase().ends_with("port");
    let (mut host, mut port) = match entry.raw.one("bind").map(str::to_owned) {
        Some(earlier) if entry.raw.is_by_parts("bind") => {
            let (host, port) = earlier.rsplit_once(':').unwrap_or((&earlier, "8000"));
            (host.to_owned(), port.to_owned())
        }
        Some(_) => return Err("the address is given already; write --bind HOST:PORT alone".into()),
        None => ("127.0.0.1".to_owned(), "8000".to_owned()),
    };
    match is_port {
        true => port = value.to_owned(),
        // An IPv6 address stands in brackets where a port follows.
        false if value.contains(':') && !value.starts_with('[') => host = format!("[{value}]"),
        false => host = value.to_owned(),
    }
    let source = entry.source.clone();
    entry
        .raw
        .set_by_parts("bind", format!("{host}:{port}"), source);
    Ok(())
}

fn unix(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let path = values.last().map_or("", String::as_str);
    entry.set("bind", format!("unix:{path}"));
    Ok(())
}

fn descriptor(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let number = values.last().map_or("", String::as_str);
    entry.set("bind", format!("fd://{number}"));
    Ok(())
}

fn reload_dir(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let globs = values
        .iter()
        .map(|dir| format!("{}/**", dir.trim_end_matches('/')));
    // Beside what --reload-include names.
    entry.raw.put_before("reload-include", globs.collect());
    Ok(())
}

fn app_dir(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    // "" is uvicorn's default: the current directory, which is looked in anyway.
    let dirs = values.iter().filter(|dir| !dir.is_empty()).cloned();
    let dirs: Vec<String> = dirs.collect();
    if !dirs.is_empty() {
        entry.set_many("pythonpath", dirs);
    }
    Ok(())
}

/// Read by whoever has the file system: see [`variables::fill`].
fn env_file(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    variables::ask_for(entry, values);
    Ok(())
}
