//! Command lines as people type them.

use super::*;

fn around() -> Surroundings {
    Surroundings {
        cwd: "/srv".into(),
        processors: 2,
        user_id: 0,
        xdg_runtime_dir: None,
        port: None,
    }
}

fn run(line: &str) -> Result<Invocation, Mistake> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse(&arguments, |_| None, &around())
}

fn config(line: &str) -> Config {
    match run(line) {
        Ok(Invocation::Serve(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    run(line).expect_err("refused").0
}

#[test]
fn a_gunicorn_users_line_works() {
    let config = config(
        "shop.wsgi:application -b 0.0.0.0:8000 -w 4 --timeout=60 --keep-alive 5 --access-logfile - --log-file - -e A=b",
    );
    assert_eq!(config.workers, 4);
    assert_eq!(config.timeouts.request_ms, 60_000);
    assert_eq!(config.timeouts.idle_ms, 5_000);
    assert_eq!(config.access_log, Some(crate::LogTarget::Stdout));
    assert_eq!(config.env, [("A".to_owned(), "b".to_owned())]);
}

#[test]
fn options_repeat_where_they_may() {
    assert_eq!(config("a -b :1 -b :2").binds.len(), 2);
    assert_eq!(
        refused("a -w 1 -w 2"),
        "--workers is given 2 times; once is right"
    );
}

#[test]
fn unknown_options_get_a_suggestion_or_advice() {
    assert_eq!(
        refused("a --worker 3"),
        "no option --worker; did you mean --workers?"
    );
    assert_eq!(
        refused("a --graceful-timout 3"),
        "no option --graceful-timout; did you mean --graceful-timeout?"
    );
    assert_eq!(
        refused("a --threads 3"),
        "no option --threads here: ringgate's workers have one thread each; raise --workers instead"
    );
    assert!(refused("a -k gevent").starts_with("no option -k here: leave it out"));
    assert!(refused("a --zzz").contains("ringgate --help lists them"));
    assert!(refused("a b").contains("--mount /prefix=b"));
    assert!(
        refused("a --workers").contains("--workers"),
        "{}",
        refused("a --workers")
    );
}

#[test]
fn subcommands() {
    assert_eq!(run("edge"), Ok(Invocation::Edge));
    assert!(matches!(run("check a"), Ok(Invocation::Check(_))));
    assert_eq!(
        run("status --json"),
        Ok(Invocation::Status {
            socket: "/run/ringgate.sock".into(),
            json: true
        })
    );
    assert_eq!(
        run("status --control x"),
        Ok(Invocation::Status {
            socket: "/srv/x".into(),
            json: false
        })
    );
    let socket = "/run/ringgate.sock".into();
    assert_eq!(run("reload"), Ok(Invocation::Reload { socket }));
    assert!(matches!(
        run("status:application"),
        Ok(Invocation::Serve(_))
    ));
}

#[test]
fn the_environment_is_read() {
    let environment = |name: &str| match name {
        "RINGGATE_APP" => Some("a:b".to_owned()),
        "RINGGATE_WORKERS" => Some("many".to_owned()),
        _ => None,
    };
    let refused = parse(&[], environment, &around()).expect_err("refused").0;
    assert_eq!(
        refused,
        "$RINGGATE_WORKERS: expected a whole number, not 'many'"
    );
}

#[test]
fn help_names_every_option_its_default_and_the_exit_codes() {
    let Ok(Invocation::Print(help)) = run("--help") else {
        panic!("no help")
    };
    for option in crate::options::OPTIONS
        .iter()
        .filter(|option| !option.hidden)
    {
        assert!(
            help.contains(&format!("--{}", option.name)),
            "{}",
            option.name
        );
    }
    // Long lines are wrapped.
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "[default: 75 s]",
        "Examples:",
        "Exit codes:",
        "Limits:",
        "MODULE:CALLABLE",
    ] {
        assert!(words.contains(text), "{text}\n{help}");
    }
    let Ok(Invocation::Print(short)) = run("-h") else {
        panic!("no help")
    };
    assert!(short.len() < help.len());
    assert!(
        matches!(run("--version"), Ok(Invocation::Print(text)) if text.starts_with("ringgate "))
    );
}
