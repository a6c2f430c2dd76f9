//! Command lines as people type them.

use super::*;

fn around() -> Surroundings {
    Surroundings {
        cwd: "/srv".into(),
        processors: 2,
        user_id: 0,
        xdg_runtime_dir: None,
        port: None,
        passed_fds: 0,
    }
}

fn no_file(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

/// In a world with these variables and files, and without Python.
fn parse_in(
    arguments: &[String],
    variable: impl Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Invocation, Mistake> {
    let outside = Outside {
        variable: &variable,
        read: &read,
        ask: &|question| Err(Mistake(format!("{} is asked for", question.name))),
    };
    parse(arguments, &outside, &around())
}

fn run(line: &str) -> Result<Invocation, Mistake> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse_in(&arguments, |_| None, no_file)
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
    assert_eq!(config.apps[0].options.workers, 4);
    assert_eq!(config.apps[0].options.timeout_ms, 60_000);
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
    assert!(refused("a -k gevent").starts_with("--worker-class: gevent workers are not here"));
    assert!(refused("a -k mine.Own").contains("--interface wsgi or asgi"));
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
    let socket = "/srv/x".into();
    assert_eq!(
        run("upgrade --control x"),
        Ok(Invocation::Upgrade { socket })
    );
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
    let refused = parse_in(&[], environment, no_file).expect_err("refused").0;
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
    for option in crate::options::all().filter(|option| !option.hidden) {
        let no = option.is_bare() && option.default == Some("true");
        let no = if no { "no-" } else { "" };
        assert!(
            help.contains(&format!("--{no}{}", option.name)),
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

/// With this file at /etc/ringgate/shop.toml.
fn with_file(line: &str, text: &str) -> Result<Config, String> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let environment = |name: &str| match name {
        "RINGGATE_RINGS" => Some("2".to_owned()),
        _ => None,
    };
    let read = |path: &Path| match path.to_str() {
        Some("/etc/ringgate/shop.toml") => Ok(text.to_owned()),
        _ => Err(io::Error::from_raw_os_error(2)),
    };
    match parse_in(&arguments, environment, read) {
        Ok(Invocation::Serve(config) | Invocation::Check(config)) => Ok(*config),
        Ok(other) => panic!("{other:?}"),
        Err(mistake) => Err(mistake.0),
    }
}

const SHOP: &str = "workers = 5
rings = 3
timeout = '1m'
chdir = 'code'
pythonpath = ['lib']
access_log = 'access.log'
bind = 'unix:shop.sock'
sendfile_roots = 'media'
[app.shop]
target = 'shop.wsgi'
[app.blog]
target = 'blog:app'
mount = '/blog'
[[server.location]]
path = '/static'
dir = 'static'
[[server.location]]
path = '/media'
dir = '/srv/media'
internal = true
";

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let config = with_file("--config /etc/ringgate/shop.toml -w 7", SHOP).expect("good");
    assert_eq!(
        (
            config.apps[0].options.workers,
            config.rings,
            config.apps[0].options.timeout_ms
        ),
        (7, 2, 60_000)
    );
    assert_eq!(config.file, Some("/etc/ringgate/shop.toml".into()));
    let names: Vec<&str> = config.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["blog", "shop"]);
}

#[test]
fn paths_of_a_file_start_from_its_directory() {
    let config = with_file("check -c ../etc/ringgate/shop.toml", SHOP);
    // `..` is kept as it is written: what it leads to is for the kernel to say.
    assert!(config.expect_err("not read").contains("cannot be read"));
    let config = with_file("check -c /etc/ringgate/shop.toml --static /x=x", SHOP).expect("good");
    let at = |name: &str| PathBuf::from("/etc/ringgate").join(name);
    assert_eq!(config.chdir, at("code"));
    assert_eq!(config.pythonpath, [at("lib")]);
    assert_eq!(
        config.access_log,
        Some(crate::LogTarget::File(at("access.log")))
    );
    assert_eq!(config.binds, [crate::Address::Unix(at("shop.sock"))]);
    assert_eq!(config.sendfile_roots[0].dir, at("media"));
    let dirs: Vec<PathBuf> = config
        .statics
        .iter()
        .map(|files| files.dir.clone())
        .collect();
    assert_eq!(dirs, ["/srv/x".into(), at("static"), "/srv/media".into()]);
}

#[test]
fn what_the_command_line_serves_takes_the_files_place_at_the_same_url() {
    let config = with_file(
        "-c /etc/ringgate/shop.toml other:app --static /static=x --mount /api=api",
        SHOP,
    )
    .expect("good");
    let apps: Vec<(&str, &str)> = config
        .apps
        .iter()
        .map(|app| (app.name.as_str(), app.target.as_str()))
        .collect();
    assert_eq!(
        apps,
        [
            ("other", "other:app"),
            ("api", "api:application"),
            ("blog", "blog:app")
        ]
    );
    let statics: Vec<(&str, &str)> = config
        .statics
        .iter()
        .map(|files| (files.url.as_str(), files.dir.to_str().unwrap_or("")))
        .collect();
    assert_eq!(statics, [("/static", "/srv/x"), ("/media", "/srv/media")]);
    let refused =
        with_file("-c /etc/ringgate/shop.toml --mount /static=x", SHOP).expect_err("both");
    assert_eq!(
        refused,
        "the location /static/ and the application x:application are at the same URL; move one of them"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_refused() {
    for (line, text, expected) in [
        (
            "-c nowhere.toml",
            "",
            "--config: 'nowhere.toml' cannot be read (No such file or directory)",
        ),
        ("-c gunicorn.conf.py", "", "gunicorn.conf.py is asked for"),
        (
            "-c /etc/ringgate/shop.toml",
            "workers = 0",
            "/etc/ringgate/shop.toml:1:11: workers: 0 is out of range: from 1 to 128",
        ),
        (
            "a -c /etc/ringgate/shop.toml",
            "bind = ['x:y']",
            "/etc/ringgate/shop.toml:1:1: bind: a port is a number from 0 to 65535: 'x:y' (write 127.0.0.1:8000, [::1]:8000, :8000 or unix:/run/shop.sock)",
        ),
        (
            "-c /etc/ringgate/shop.toml",
            "sendfile_roots = '../x'",
            "nothing to serve: name an application (ringgate shop.wsgi:application) or a directory (--static /=./public); ringgate --help tells more",
        ),
        (
            "a -c /etc/ringgate/shop.toml",
            "sendfile_roots = '../x'",
            "/etc/ringgate/shop.toml:1:1: sendfile_roots: /etc/ringgate/../x goes through '..'; name the directory itself",
        ),
    ] {
        assert_eq!(
            with_file(line, text).expect_err("refused"),
            expected,
            "{line}"
        );
    }
    let pattern = "x".repeat(5_000_000);
    let many = format!(
        "[[server.location]]\npath = '/'\ndir = 'd'\ncache = [{{ match = '{pattern}', control = 'public' }}]"
    );
    let refused = with_file("-c /etc/ringgate/shop.toml", &many).expect_err("too large");
    assert!(
        refused.starts_with("the configuration is too large"),
        "{refused}"
    );
}

#[test]
fn a_single_page_application_on_the_command_line() {
    let config = config("--spa /=dist --static /s=s");
    let spa = config
        .statics
        .iter()
        .find(|files| files.url.is_empty())
        .expect("at the root");
    assert_eq!(spa.options.try_files, crate::Try::single_page());
    assert_eq!(
        refused("--spa /=a --static /=b"),
        "--spa: two directories at /"
    );
}

#[test]
fn status_and_reload_find_the_socket_that_a_file_names() {
    let asked = |line: &str, environment: Option<&str>| {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let variable = |name: &str| {
            environment
                .filter(|_| name == "RINGGATE_CONTROL")
                .map(str::to_owned)
        };
        let read = |_: &Path| Ok("control_socket = 'run/shop.sock'".to_owned());
        match parse_in(&arguments, variable, read) {
            Ok(Invocation::Status { socket, .. } | Invocation::Reload { socket }) => socket,
            other => panic!("{other:?}"),
        }
    };
    for (line, environment, expected) in [
        ("status --config /etc/shop.toml", None, "/etc/run/shop.sock"),
        ("reload -c /etc/shop.toml", None, "/etc/run/shop.sock"),
        ("reload -c /etc/shop.toml", Some("/x"), "/x"),
        (
            "status -c /etc/shop.toml --control-socket y",
            Some("/x"),
            "/srv/y",
        ),
        ("status", None, "/run/ringgate.sock"),
    ] {
        assert_eq!(asked(line, environment), PathBuf::from(expected), "{line}");
    }
}
