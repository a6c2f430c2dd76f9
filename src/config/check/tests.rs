//! What is refused, what is defaulted, and in which words.

use super::*;
use crate::raw::Source;
use std::collections::HashSet;
use std::path::Path;

pub fn around() -> Surroundings {
    Surroundings {
        cwd: "/srv".into(),
        processors: 4,
        user_id: 1000,
        xdg_runtime_dir: None,
        port: None,
        passed_fds: 0,
    }
}

fn raw(app: Option<&str>, values: &[(&str, &str)]) -> Raw {
    let mut raw = Raw::new(app.map(str::to_owned));
    let mut names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    names.dedup();
    for name in names {
        let all = values
            .iter()
            .filter(|(each, _)| *each == name)
            .map(|(_, value)| (*value).to_owned());
        raw.set(name, all.collect(), Source::CommandLine);
    }
    raw
}

fn refused(app: Option<&str>, values: &[(&str, &str)]) -> String {
    check(&raw(app, values), &around()).expect_err("refused").0
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let config = check(&raw(Some("shop.wsgi"), &[]), &around()).expect("config");
    assert_eq!(
        config.binds,
        [Address::Tcp("127.0.0.1:8000".parse().expect("address"))]
    );
    assert_eq!((config.rings, config.apps[0].options.workers), (4, 4));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(
        (config.access_log, config.error_log),
        (None, LogTarget::Stderr)
    );
    assert_eq!(config.chdir, PathBuf::from("/srv"));
    assert_eq!(
        config.control_socket,
        PathBuf::from("/tmp/ringgate-1000.sock")
    );
    assert_eq!(
        config.apps[0],
        App {
            name: "shop".into(),
            mount: "".into(),
            target: "shop.wsgi:application".into(),
            options: crate::AppOptions {
                workers: 4,
                workers_max: 4,
                ..crate::AppOptions::default()
            },
        }
    );
}

#[test]
fn one_processor_still_gets_two_workers_so_that_one_slow_request_does_not_stop_all() {
    let config = check(
        &raw(Some("a"), &[]),
        &Surroundings {
            processors: 1,
            ..around()
        },
    )
    .expect("config");
    assert_eq!((config.rings, config.apps[0].options.workers), (1, 2));
}

#[test]
fn the_platforms_port_is_listened_on_everywhere() {
    let hosted = Surroundings {
        port: Some("5000".into()),
        ..around()
    };
    let config = check(&raw(Some("a"), &[]), &hosted).expect("config");
    assert_eq!(
        config.binds,
        [Address::Tcp("0.0.0.0:5000".parse().expect("address"))]
    );
    let config = check(&raw(Some("a"), &[("bind", ":1")]), &hosted).expect("config");
    assert_eq!(
        config.binds,
        [Address::Tcp("0.0.0.0:1".parse().expect("address"))]
    );
    let hosted = Surroundings {
        port: Some("http".into()),
        ..around()
    };
    assert!(
        check(&raw(Some("a"), &[]), &hosted)
            .expect_err("refused")
            .0
            .starts_with("$PORT: ")
    );
}

#[test]
fn mounts_and_statics_are_named_and_apart() {
    let config = check(
        &raw(
            Some("blog.wsgi"),
            &[
                ("mount", "/blog/=other:app"),
                ("mount", "/a/b=x:make()"),
                ("static", "/static/=files"),
            ],
        ),
        &around(),
    )
    .expect("config");
    let names: Vec<&str> = config.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["blog", "blog-2", "a-b"]);
    assert_eq!(config.statics, [StaticMount::new("/static", "/srv/files")]);
}

#[test]
fn refusals_name_the_option_and_say_what_to_do() {
    assert!(refused(None, &[]).starts_with("nothing to serve: name an application"));
    assert_eq!(
        refused(Some("a"), &[("workers", "0")]),
        "--workers: 0 is out of range: from 1 to 128"
    );
    assert_eq!(
        refused(Some("a"), &[("workers", "four")]),
        "--workers: expected a whole number, not 'four'"
    );
    assert_eq!(
        refused(Some("a"), &[("kind", "thread")]),
        "--kind: expected auto, interpreters, processes, not 'thread'"
    );
    assert_eq!(
        refused(Some("a"), &[("static", "files")]),
        "--static: expected URL=DIR, not 'files'"
    );
    assert_eq!(
        refused(Some("a"), &[("mount", "/=b")]),
        "--mount: two applications at /"
    );
    assert_eq!(
        refused(Some("a"), &[("static", "/=x")]),
        "--static / and the application a:application are at the same URL; move one of them"
    );
    assert_eq!(
        refused(Some("a"), &[("env", "X")]),
        "--env: expected NAME=VALUE, not 'X'"
    );
    assert_eq!(
        refused(Some("a"), &[("limit-request-line", "20k")]),
        "--limit-request-line: the request line (20 KiB) is part of the head (16 KiB); raise --limit-request-head too"
    );
    assert_eq!(
        refused(Some("a"), &[("bind", ":1"), ("bind", "0.0.0.0:1")]),
        "--bind: http://0.0.0.0:1 is given twice"
    );
    assert!(refused(Some("app.py"), &[]).contains("name the module: app:application"));
    assert!(refused(Some("a"), &[("server-header", "a\nb")]).starts_with("--server-header: "));
}

#[test]
fn paths_are_absolute_and_belong_to_the_callers_directory() {
    let config = check(
        &raw(
            Some("a"),
            &[
                ("chdir", "demo"),
                ("python", ".venv/bin/python"),
                ("pythonpath", "lib,/x"),
                ("access-log", "a.log"),
            ],
        ),
        &around(),
    )
    .expect("config");
    assert_eq!(config.chdir, PathBuf::from("/srv/demo"));
    assert_eq!(config.python, Some("/srv/.venv/bin/python".into()));
    assert_eq!(
        config.pythonpath,
        [PathBuf::from("/srv/demo/lib"), "/x".into()]
    );
    assert_eq!(
        config.access_log,
        Some(LogTarget::File("/srv/a.log".into()))
    );
    let config = check(
        &raw(Some("a"), &[("python", "python3.13"), ("access-log", "-")]),
        &around(),
    )
    .expect("config");
    assert_eq!(config.python, Some("python3.13".into()));
    assert_eq!(config.access_log, Some(LogTarget::Stdout));
}

#[test]
fn two_free_ports_may_be_asked_for() {
    let config = check(
        &raw(
            Some("a"),
            &[("bind", "127.0.0.1:0"), ("bind", "127.0.0.1:0")],
        ),
        &around(),
    )
    .expect("config");
    assert_eq!(config.binds.len(), 2);
}

#[test]
fn the_table_holds_its_own_promises() {
    let mut names = HashSet::new();
    for option in crate::options::all() {
        let short = option.short.map(|short| short.to_string());
        for name in option
            .aliases
            .iter()
            .map(|alias| alias.to_string())
            .chain([option.name.to_string()])
            .chain(short)
        {
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
        assert!(
            !option.help.is_empty() && !option.help.ends_with('.'),
            "{}",
            option.name
        );
        if let (Some(default), Form::Integer { .. } | Form::Duration { .. } | Form::Bytes { .. }) =
            (option.default, option.form)
        {
            assert!(
                value::number(option.form, default).is_ok(),
                "{}",
                option.name
            );
        }
    }
    // Other servers' words do not get in the way.
    for word in crate::doors::on_the_command_line() {
        let short = word.short.map(|short| short.to_string());
        for name in word.flags.iter().map(|flag| flag.to_string()).chain(short) {
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
    }
}

#[test]
fn an_applications_own_options_win_over_the_files_and_lose_to_the_command_line() {
    let text = "workers = 3\ntimeout = 5\nenv = { A = '1' }\n[app.shop]\ntarget = 'shop'\nworkers = 6\ntimeout = '1m'\n\
                env = { B = '2' }\npythonpath = 'lib'\nchdir = 'code'\n[app.blog]\ntarget = 'blog'\nmount = '/blog'";
    let document = crate::document::read(text, "f.toml", Path::new("/etc/f")).expect("document");
    let mut raw = raw(None, &[("timeout", "7"), ("env", "C=3")]);
    raw.fill_from_file("/etc/f/f.toml".into(), document);
    let config = check(&raw, &around()).expect("config");
    let [blog, shop] = &config.apps[..] else {
        panic!("two")
    };
    let of = |app: &App| (app.options.workers, app.options.timeout_ms);
    assert_eq!((of(shop), of(blog)), ((6, 7_000), (3, 7_000)));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(config.env_of(shop), [pair("C", "3"), pair("B", "2")]);
    assert_eq!(config.env_of(blog), [pair("C", "3")]);
    assert_eq!(config.chdir_of(shop), Path::new("/etc/f/code"));
    assert_eq!(config.chdir_of(blog), Path::new("/srv"));
    assert_eq!(config.pythonpath_of(shop), [PathBuf::from("/etc/f/lib")]);
}

#[test]
fn how_an_application_is_run() {
    use crate::{EventLoop, InterfaceChoice, Lifespan};
    let options = |values: &[(&str, &str)]| {
        let config = check(&raw(Some("a"), values), &around());
        config.map(|mut config| config.apps.remove(0).options)
    };
    let all = options(&[
        ("interface", "asgi3"),
        ("lifespan", "OFF"),
        ("loop", "none"),
        ("workers", "2"),
        ("workers-max", "5"),
        ("warmup", "/a,/b?c=d"),
        ("preload", "false"),
        ("immortal", "false"),
        ("tolerate-hop-by-hop", "true"),
        ("max-rss", "1g"),
        ("root-path", "/shop/"),
        ("ws-ping-interval", "0"),
        ("graceful-timeout", "3"),
    ])
    .expect("options");
    assert_eq!(all.interface, InterfaceChoice::Asgi);
    assert_eq!(
        (all.lifespan, all.event_loop),
        (Lifespan::Off, EventLoop::Asyncio)
    );
    assert_eq!((all.workers, all.workers_max), (2, 5));
    assert_eq!(all.warmup, ["/a", "/b?c=d"]);
    assert_eq!(
        (
            all.preload,
            all.immortal,
            all.tolerate_hop_by_hop,
            all.max_rss_bytes
        ),
        (false, false, true, 1 << 30)
    );
    assert_eq!((all.root_path.as_str(), all.graceful_ms), ("/shop", 3_000));
    assert_eq!(all.websocket.ping_interval_ms, 0);
    for (class, interface) in [
        ("sync", InterfaceChoice::Wsgi),
        ("gthread", InterfaceChoice::Wsgi),
        ("uvicorn.workers.UvicornWorker", InterfaceChoice::Asgi),
        ("uvicorn_worker.UvicornH11Worker", InterfaceChoice::Asgi),
    ] {
        let options = options(&[("worker-class", class)]).expect("options");
        assert_eq!(options.interface, interface, "{class}");
    }
    for (name, value, expected) in [
        (
            "workers-max",
            "2",
            "--workers-max: 2 are fewer than the 4 workers that are always there",
        ),
        (
            "threads",
            "33",
            "--threads: 33 in each of 4 workers are 132 threads, and 128 are possible",
        ),
        (
            "warmup",
            "health",
            "--warmup: expected a path as it stands in a URL, e.g. /health, not 'health'",
        ),
        (
            "factory",
            "maybe",
            "--factory: expected true or false, not 'maybe'",
        ),
        (
            "root-path",
            "x",
            "--root-path: a URL prefix starts with '/', unlike 'x'",
        ),
        (
            "interface",
            "asgi2",
            "--interface: expected auto, wsgi, asgi, not 'asgi2'",
        ),
    ] {
        assert_eq!(options(&[(name, value)]).expect_err("refused").0, expected);
    }
}
