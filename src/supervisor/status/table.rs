//! The status document as a few tables for people.

use serde_json::Value;
use std::fmt::Write;

/// Everything that `--json` has and a person wants at a glance.
pub fn text(document: &Value) -> String {
    let mut out = String::new();
    head(&mut out, document);
    for app in list(document, "/apps") {
        app_section(&mut out, app, document);
    }
    traffic(&mut out, document);
    out
}

fn head(out: &mut String, document: &Value) {
    let edge = |name: &str| {
        document
            .pointer(&format!("/edge/{name}"))
            .map_or("-".into(), show)
    };
    line(
        out,
        format_args!(
            "ringgate {}, {}, up {}",
            document.get("version").map_or("-".into(), show),
            edge("state"),
            document
                .pointer("/edge/uptime_s")
                .and_then(Value::as_f64)
                .map_or("-".into(), duration)
        ),
    );
    for address in list(document, "/listeners") {
        line(out, format_args!("  listening   {}", show(address)));
    }
    let supervisor = document
        .pointer("/processes/supervisor/pid")
        .map_or("-".into(), show);
    line(out, format_args!("  supervisor  pid {supervisor}"));
    line(
        out,
        format_args!("  edge        pid {}, start {}", edge("pid"), edge("epoch")),
    );
}

fn app_section(out: &mut String, app: &Value, document: &Value) {
    let field = |name: &str| app.get(name).map_or("-".into(), show);
    let mount = field("mount");
    line(
        out,
        format_args!(
            "\napp {} at {mount}/: {}, {}",
            field("name"),
            field("target"),
            field("state")
        ),
    );
    if app.get("state").and_then(Value::as_str) != Some("ready") {
        line(out, format_args!("  {}", field("message")));
    }
    let known = list(document, "/processes/apps")
        .iter()
        .find(|each| each.get("name") == app.get("name"));
    if let Some(known) = known {
        hosts(out, known);
    }
    let reason = app.pointer("/replacement/reason").map(show);
    if let Some(reason) = reason {
        let ago = app.pointer("/replacement/ago_s").and_then(Value::as_f64);
        let ago = ago.map_or("-".into(), duration);
        line(out, format_args!("  last replacement {ago} ago: {reason}"));
    }
    let sockets = match app.get("websockets_open").and_then(Value::as_u64) {
        Some(open) if open > 0 => format!(", {open} of them open WebSockets"),
        _ => String::new(),
    };
    line(
        out,
        format_args!(
            "  now         {} waiting for a worker, {} in all{sockets}",
            field("queue_length"),
            field("in_flight"),
        ),
    );
    line(
        out,
        format_args!(
            "  so far      {} taken; refused {}, timed out {}, broken {}, abandoned {}",
            field("requests"),
            field("refused"),
            field("timed_out"),
            field("broken"),
            field("abandoned"),
        ),
    );
    for (name, label) in [("queue_time", "queue time"), ("app_time", "app time")] {
        if let Some(times) = app.get(name) {
            line(out, format_args!("  {label:10}  {}", times_text(times)));
        }
    }
    workers(out, app);
}

fn hosts(out: &mut String, app: &Value) {
    if let Some(why) = app
        .get("why")
        .and_then(Value::as_str)
        .filter(|why| !why.is_empty())
    {
        line(
            out,
            format_args!(
                "  workers are {}: {why}",
                app.get("kind").map_or("-".into(), show)
            ),
        );
    }
    for (name, label) in [
        ("refuses", "does not load in a sub-interpreter"),
        ("degraded", "without their C part in a sub-interpreter"),
    ] {
        let modules: Vec<String> = list(app, &format!("/probe/{name}"))
            .iter()
            .map(show)
            .collect();
        if !modules.is_empty() {
            line(out, format_args!("  {label}: {}", modules.join(", ")));
        }
    }
    let number = |path: &str| app.pointer(path).map_or("-".into(), show);
    line(
        out,
        format_args!(
            "  {} workers wanted ({} to {}); hosts started again {}, workers recycled {}",
            number("/workers/wanted"),
            number("/workers/min"),
            number("/workers/max"),
            number("/restarts"),
            number("/recycled"),
        ),
    );
    for host in list(app, "/generations") {
        let field = |name: &str| host.get(name).map_or("-".into(), show);
        line(
            out,
            format_args!(
                "  generation {}: {}, host pid {}, {} of {} workers up",
                field("generation"),
                field("state"),
                field("pid"),
                field("workers_up"),
                field("workers"),
            ),
        );
    }
}

/// How many, and how long they took, as far as it is there.
fn times_text(times: &Value) -> String {
    let Some(fields) = times.as_object() else {
        return show(times);
    };
    if fields.get("count").and_then(Value::as_u64) == Some(0) {
        return "nothing yet".into();
    }
    let known = ["count", "mean_s", "p50_s", "p95_s", "p99_s", "max_s"];
    let shown = known.iter().filter_map(|name| {
        let value = fields.get(*name)?.as_f64()?;
        match name.strip_suffix("_s") {
            Some(label) => Some(format!("{label} {}", duration(value))),
            None => Some(format!("{name} {value}")),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn workers(out: &mut String, app: &Value) {
    let workers = list(app, "/workers");
    if workers.is_empty() {
        return;
    }
    line(
        out,
        format_args!("\n  {:44}  {:^19}  {:>15}", "", "memory", "queue time"),
    );
    line(
        out,
        format_args!(
            "  {:>6} {:>4} {:>4} {:>8} {:>8} {:>9}  {:>9} {:>9}  {:>7} {:>7} {:>7}  doing",
            "worker", "gen", "life", "pid", "age", "served", "private", "PSS", "p50", "p95", "max"
        ),
    );
    for worker in workers {
        let field = |name: &str| worker.get(name).map_or("-".into(), show);
        let time = |path: &str| {
            let seconds = worker.pointer(path).and_then(Value::as_f64);
            seconds.map_or("-".into(), duration)
        };
        let waited = worker.pointer("/queue_time/count").and_then(Value::as_u64) > Some(0);
        let queue = |name: &str| match waited {
            true => time(&format!("/queue_time/{name}")),
            false => "-".into(),
        };
        line(
            out,
            format_args!(
                "  {:>6} {:>4} {:>4} {:>8} {:>8} {:>9}  {:>9} {:>9}  {:>7} {:>7} {:>7}  {}",
                field("index"),
                field("generation"),
                field("incarnation"),
                field("pid"),
                time("/age_s"),
                field("served"),
                memory(worker, "/memory/private_bytes"),
                memory(worker, "/memory/proportional_bytes"),
                queue("p50_s"),
                queue("p95_s"),
                queue("max_s"),
                doing(worker),
            ),
        );
    }
    shared_memory(out, workers);
}

/// What a worker is at, and since when.
fn doing(worker: &Value) -> String {
    let field = |name: &str| worker.get(name).map_or("-".into(), show);
    let since = worker.get("since_s").and_then(Value::as_f64);
    let since = since.map(duration);
    let running = worker.get("running").and_then(Value::as_u64);
    let is_request = worker.get("request").is_some_and(Value::is_string);
    match (is_request, since, running) {
        (true, Some(since), _) => format!("{} for {since}", field("request")),
        // An event loop: its requests are many, and none of them is it.
        (false, _, Some(running)) if running > 0 => format!("{running} running"),
        (_, Some(since), _) => format!("{} for {since}", field("state")),
        (_, None, _) => field("state"),
    }
}

/// Workers of one process cannot be told apart, so each is shown with its share.
fn shared_memory(out: &mut String, workers: &[Value]) {
    let most = workers.iter().filter_map(|worker| {
        let count = worker.pointer("/memory/workers")?;
        count.as_u64()
    });
    if let Some(count) = most.max().filter(|count| *count > 1) {
        line(
            out,
            format_args!(
                "  memory: {count} workers have a process in common, and each is shown with an even share of it"
            ),
        );
    }
}

/// 12.3 MiB
fn memory(worker: &Value, path: &str) -> String {
    let bytes = worker.pointer(path).and_then(Value::as_f64);
    bytes.map_or("-".into(), |bytes| {
        format!("{:.1} MiB", bytes / 1_048_576.0)
    })
}

fn traffic(out: &mut String, document: &Value) {
    let number = |path: &str| document.pointer(path).map_or("-".into(), show);
    line(
        out,
        format_args!(
            "\nconnections {} open, {} active, {} accepted, {} refused",
            number("/connections/open"),
            number("/connections/active"),
            number("/connections/accepted"),
            number("/connections/refused"),
        ),
    );
    let statuses = document
        .pointer("/requests/by_status")
        .and_then(Value::as_object);
    let statuses: Vec<String> = statuses
        .into_iter()
        .flatten()
        .map(|(code, count)| format!("{code}: {}", show(count)))
        .collect();
    line(
        out,
        format_args!(
            "requests    {} in all, {} for files; {}",
            number("/requests/total"),
            number("/requests/static"),
            if statuses.is_empty() {
                "none answered yet".to_owned()
            } else {
                statuses.join(", ")
            },
        ),
    );
    line(
        out,
        format_args!(
            "bytes       {} in, {} out",
            number("/requests/bytes_in"),
            number("/requests/bytes_out")
        ),
    );
    for (path, label, what) in [
        ("/log/lost_lines", "log", "lines lost"),
        ("/statsd/lost_answers", "statsd", "answers not counted"),
    ] {
        let lost = document.pointer(path).and_then(Value::as_u64);
        if let Some(lost) = lost.filter(|lost| *lost > 0) {
            line(out, format_args!("{label:<12}{lost} {what}"));
        }
    }
}

fn list<'d>(document: &'d Value, path: &str) -> &'d [Value] {
    document
        .pointer(path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A value without quotes; nothing that could move a terminal's cursor.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text
            .chars()
            .map(|each| if each.is_control() { '?' } else { each })
            .collect(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// 85 us, 12.3 ms, 4.5 s, 3 min, 2 h
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_table_and_a_strange_one_does_no_harm() {
        let document = serde_json::json!({
            "version": "0.1.0",
            "edge": { "pid": 7, "epoch": 1, "uptime_s": 75.0, "state": "accepting" },
            "listeners": ["http://127.0.0.1:8000"],
            "processes": { "supervisor": { "pid": 6 }, "apps": [{ "name": "shop", "kind": "interpreters", "why": "as --kind says",
                "probe": { "degraded": ["yaml", "msgpack"] }, "workers": { "wanted": 4, "min": 2, "max": 8 }, "restarts": 1, "recycled": 7,
                "generations": [{ "generation": 2, "state": "serving", "pid": 9, "workers_up": 4, "workers": 4 }] }] },
            "apps": [{ "name": "shop", "mount": "", "target": "shop:app", "state": "ready", "message": "ready", "queue_length": 3,
                "queue_time": { "p50_s": 0.000085, "p99_s": 0.0123 },
                "in_flight": 5, "websockets_open": 2, "replacement": { "reason": "worker 1 (pid 8) ended: killed by SIGKILL", "ago_s": 240.0 },
                "workers": [{ "index": 0, "generation": 2, "incarnation": 3, "age_s": 300.0, "pid": 9, "served": 11,
                    "queue_time": { "count": 11, "p50_s": 0.000085, "p95_s": 0.001, "max_s": 0.0123 },
                    "memory": { "private_bytes": 2621440 }, "state": "running", "request": "GET /slow", "since_s": 4.5 },
                    { "index": 1, "generation": 2, "incarnation": 1, "pid": 9, "served": 0, "queue_time": { "count": 0, "p50_s": 0.0 }, "running": 0, "state": "idle", "since_s": 2.0 },
                    { "index": 2, "generation": 2, "incarnation": 1, "pid": 9, "served": 7, "running": 12, "state": "idle", "since_s": 2.0 }] }],
            "connections": { "open": 5 },
            "requests": { "total": 20, "by_status": { "200": 19, "404": 1 } },
            "log": { "lost_lines": 0 }, "statsd": { "lost_answers": 1024 },
        });
        let text = text(&document);
        for expected in [
            "ringgate 0.1.0, accepting, up 75.0 s",
            "  supervisor  pid 6",
            "app shop at /: shop:app, ready",
            "  generation 2: serving, host pid 9, 4 of 4 workers up",
            "  last replacement 4 min ago: worker 1 (pid 8) ended: killed by SIGKILL",
            "  now         3 waiting for a worker, 5 in all, 2 of them open WebSockets",
            "  without their C part in a sub-interpreter: yaml, msgpack",
            "  4 workers wanted (2 to 8); hosts started again 1, workers recycled 7",
            "       0    2    3        9    5 min        11    2.5 MiB         -    85 us  1.0 ms 12.3 ms  GET /slow for 4.5 s",
            "       1    2    1        9        -         0          -         -        -       -       -  idle for 2.0 s",
            "       2    2    1        9        -         7          -         -        -       -       -  12 running",
            "p50 85 us, p99 12.3 ms",
            "GET /slow for 4.5 s",
            "200: 19, 404: 1",
            "statsd      1024 answers not counted",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("lines lost"), "{text}");
        super::text(&serde_json::json!({ "apps": 3, "listeners": [null] }));
        assert_eq!(show(&Value::String("a\u{1b}[2J".into())), "a?[2J");
    }
}
