//! gunicorn's command lines and files.

use super::*;

#[test]
fn gunicorns_flags_mean_the_same() {
    let config = world().config(
        "shop.wsgi -k gthread --threads 4 -w 3 -t 90 --graceful-timeout 20 --keep-alive 5 --max-requests 1000 \
         --max-requests-jitter 50 --preload --limit-request-line 4094 --limit-request-fields 50 -b :8080 -b unix:/run/a.sock \
         --access-logfile - --error-logfile /tmp/e.log --log-level WARNING -u www-data -g www-data -m 022 --initgroups -D -p /run/a.pid \
         --forwarded-allow-ips 10.0.0.0/8 --backlog 64 --chdir code -e A=b --pythonpath lib --reload --reload-extra-file 'x/*.html' \
         --capture-output --reuse-port --worker-tmp-dir /dev/shm",
    );
    let own = options(&config);
    assert_eq!((own.interface, own.threads), (InterfaceChoice::Wsgi, 4));
    assert_eq!(
        (own.workers, own.timeout_ms, own.graceful_ms),
        (3, 90_000, 20_000)
    );
    assert_eq!((own.max_requests, own.max_requests_jitter), (1000, 50));
    assert!(own.preload && own.reload);
    assert_eq!(own.reload_include, ["x/*.html"]);
    assert_eq!(
        (config.limits.request_line, config.limits.header_count),
        (4094, 50)
    );
    assert_eq!(config.binds.len(), 2);
    assert_eq!(config.log_level, LogLevel::Warning);
    let identity = Identity {
        user: Some("www-data".into()),
        group: Some("www-data".into()),
        init_groups: true,
        umask: Some(0o22),
    };
    assert_eq!(config.identity, identity);
    assert!(config.daemon);
    let ten = Network {
        address: [10, 0, 0, 0].into(),
        bits: 8,
    };
    assert_eq!(config.forwarded.trusted, Trusted::Networks(vec![ten]));
    // Nothing here is said to be without effect.
    assert_eq!(config.notes, [""; 0]);
}

/// What gunicorn leaves out of an application's headers, it does without a word.
#[test]
fn with_a_file_of_gunicorns_headers_of_the_connection_are_tolerated() {
    let world = World {
        answer: r#"{"settings": {}, "hooks": [], "others": []}"#,
        ..World::default()
    };
    let tolerates = |line| options(&world.config(line)).tolerate_hop_by_hop;
    assert!(tolerates("shop -c gunicorn.conf.py"));
    assert!(!tolerates(
        "shop -c gunicorn.conf.py --no-tolerate-hop-by-hop"
    ));
    assert!(!tolerates("shop -w 2"));
}

#[test]
fn sendfile_that_is_off_is_said_to_have_no_effect() {
    let said = |variable, answer| {
        let mut world = World {
            answer,
            ..World::default()
        };
        world.variables.extend(variable);
        world.config("shop -c gunicorn.conf.py").notes
    };
    const NOTHING: &str = r#"{"settings": {}, "hooks": [], "others": []}"#;
    const OFF: &str = r#"{"settings": {"sendfile": false}, "hooks": [], "others": []}"#;
    const ON: &str = r#"{"settings": {"sendfile": true}, "hooks": [], "others": []}"#;
    let why = "accepted without effect: files are sent without a copy where that is faster";
    assert_eq!(said(Some(("SENDFILE", "yes")), ON), [""; 0]);
    assert_eq!(
        said(Some(("SENDFILE", "0")), NOTHING),
        [format!("$SENDFILE: {why}")]
    );
    assert_eq!(
        said(None, OFF),
        [format!("gunicorn.conf.py: sendfile: {why}")]
    );
}

#[test]
fn what_has_no_effect_is_said_once_and_what_matters_is_refused() {
    let config = world().config(
        "shop --worker-connections 50 --spew --http-parser auto -n shop --no-control-socket --no-sendfile",
    );
    assert_eq!(config.notes.len(), 5, "{:?}", config.notes);
    assert_eq!(
        config.notes[1],
        "--spew: accepted without effect: no tracing of every line"
    );
    for (line, words) in [
        ("shop --certfile a.pem", "--certfile: TLS is not there yet"),
        (
            "shop --ssl-keyfile a.pem",
            "--ssl-keyfile: TLS is not there yet",
        ),
        (
            "shop --proxy-protocol v3",
            "--proxy-protocol: expected off, v1, v2, auto, not 'v3'",
        ),
        ("shop --protocol uwsgi", "--protocol: HTTP only"),
        (
            "shop -k gevent",
            "--worker-class: gevent workers are not here",
        ),
        (
            "shop --forwarded-allow-ips example.org",
            "--forwarded-allow-ips: 'example.org' is no address",
        ),
        ("shop --umask 999", "--umask: expected a mask"),
    ] {
        let refused = world().refused(line);
        assert!(refused.starts_with(words), "{line}: {refused}");
    }
    let syslog = |line: &str| {
        let config = world().config(&format!("shop.wsgi:app --log-syslog {line}"));
        config.syslog.expect("one").prefix
    };
    assert_eq!(syslog(""), "shop.wsgi.app");
    assert_eq!(syslog("-n 'the shop'"), "the.shop");
    assert_eq!(syslog("-n shop --log-syslog-prefix other"), "other");
    let proxy = |line: &str| {
        world()
            .config(line)
            .proxy
            .map(|it| (it.version_1, it.version_2))
    };
    assert_eq!(proxy("shop --proxy-protocol off"), None);
    assert_eq!(proxy("shop --proxy-protocol"), Some((true, true)));
    let file = r#"{"settings": {"proxy_protocol": true, "proxy_allow_ips": "*", "header_map": "refuse"}, "hooks": [], "others": []}"#;
    let config = World {
        answer: file,
        ..world()
    }
    .config("shop -c g.py");
    assert_eq!(
        config.proxy.map(|proxy| proxy.trusted),
        Some(Trusted::Everybody)
    );
    assert_eq!(config.odd_headers.map, HeaderMap::Refuse);
}

#[test]
fn a_class_of_ones_own_is_taken_for_what_its_name_says() {
    let config = world().config("shop -k shop.workers.OurUvicornWorker");
    assert_eq!(options(&config).interface, InterfaceChoice::Asgi);
    assert!(
        config.notes[0].contains("OurUvicornWorker is taken for uvicorn's"),
        "{:?}",
        config.notes
    );
}

#[test]
fn limits_of_gunicorns_widen_ours_where_they_were_wider() {
    let head = |line: &str| world().config(line).limits.header_bytes;
    assert_eq!(head("shop --limit-request-field_size 8190"), 16 << 10);
    assert_eq!(head("shop --limit-request-field_size 16384"), 24 << 10);
    assert_eq!(head("shop --limit-request-field_size 0"), 32 << 10);
    let field = |line: &str| world().config(line).limits.field_bytes;
    assert_eq!(field("shop --limit-request-field_size 4000"), 4000);
    assert_eq!(field("shop --limit-request-field_size 0"), 32 << 10);
    let answer = r#"{"settings": {"limit_request_line": 0, "limit_request_fields": 1000}, "hooks": [], "others": []}"#;
    let limits = World { answer, ..world() }.config("shop -c g.py").limits;
    assert_eq!((limits.request_line, limits.header_count), (8190, 256));
}

#[test]
fn a_configuration_file_in_python_is_asked_for_and_believed() {
    let answer = r#"{"settings": {"bind": ["127.0.0.1:9000", "unix:run/a.sock"], "workers": 5, "worker_class": "uvicorn.workers.UvicornWorker",
        "timeout": 120, "accesslog": "logs/a.log", "errorlog": "-", "loglevel": "DEBUG", "wsgi_app": "shop.asgi:app", "preload_app": true,
        "raw_env": ["A=b"], "umask": 18, "user": 33, "group": null, "certfile": null, "do_handshake_on_connect": false, "keepalive": 7,
        "chdir": "code", "secure_scheme_headers": {"X-SSL": "1"}, "proc_name": null, "spew": true, "max_requests": "100",
        "access_log_format": "%(h)s %(s)s"},
        "hooks": ["post_fork", "dirty_post_fork"], "others": ["worker", "x", "timeouts"]}"#;
    let world = World { answer, ..world() };
    let config = world.config("-c conf/gunicorn.py");
    let own = options(&config);
    assert_eq!(config.apps[0].target, "shop.asgi:app");
    assert_eq!(
        (own.interface, own.workers, own.timeout_ms, own.max_requests),
        (InterfaceChoice::Asgi, 5, 120_000, 100)
    );
    // gunicorn is in its chdir when it opens them.
    assert_eq!(config.chdir, PathBuf::from("/srv/code"));
    assert_eq!(
        config.binds[1],
        Address::Unix("/srv/code/run/a.sock".into())
    );
    assert_eq!(
        config.access_log,
        Some(LogTarget::File("/srv/code/logs/a.log".into()))
    );
    assert_eq!(
        config.access_log_format,
        LogFormat::Atoms(vec![Piece::Address, Piece::Text(" ".into()), Piece::Status])
    );
    assert_eq!(config.timeouts.idle_ms, 7_000);
    assert_eq!(
        (config.identity.user.as_deref(), config.identity.umask),
        (Some("33"), Some(0o22))
    );
    assert_eq!(
        config.forwarded.secure_headers,
        [("x-ssl".to_owned(), "1".to_owned())]
    );
    assert_eq!(own.hooks, Some("/srv/conf/gunicorn.py".into()));
    assert_eq!(
        config.notes,
        [
            "conf/gunicorn.py: spew: accepted without effect: no tracing of every line",
            "conf/gunicorn.py: dirty_post_fork is never called: there are no dirty workers",
            "conf/gunicorn.py: worker is no setting; did you mean 'workers'?",
            "conf/gunicorn.py: timeouts is no setting; did you mean 'timeout'?",
        ]
    );
}

#[test]
fn mistakes_of_a_file_in_python_name_the_setting() {
    for (settings, expected) in [
        (
            r#""workers": "many""#,
            "g.py: workers: expected a whole number, not 'many'",
        ),
        (
            r#""certfile": "a.pem""#,
            "g.py: certfile: TLS is not there yet",
        ),
        (
            r#""bind": [["a"]]"#,
            "g.py: bind: [\"a\"] is not what belongs there",
        ),
        (
            r#""loglevel": {"unusable": "<x>"}"#,
            "g.py: loglevel: \"<x>\" cannot be read here",
        ),
        (
            r#""bind": "example.org:80""#,
            "g.py: bind: expected an IP address",
        ),
    ] {
        let answer = format!(r#"{{"settings": {{{settings}}}, "hooks": [], "others": []}}"#);
        let world = World {
            answer: Box::leak(answer.into_boxed_str()),
            ..world()
        };
        let refused = world.refused("shop -c g.py");
        assert!(refused.starts_with(expected), "{refused}");
    }
    let refused = World {
        answer: "[]",
        ..world()
    }
    .refused("shop -c g.py");
    assert!(refused.starts_with("g.py: its settings cannot be read back"));
}

#[test]
fn the_ranking_is_gunicorns() {
    let answer = r#"{"settings": {"workers": 2, "timeout": 2, "keepalive": 2, "threads": 2}, "hooks": [], "others": []}"#;
    let world = World {
        variables: vec![
            (
                "GUNICORN_CMD_ARGS",
                "--workers=3 -t 3 --keep-alive '3' -c g.py",
            ),
            ("WEB_CONCURRENCY", "9"),
            ("PORT", "5000"),
            ("FORWARDED_ALLOW_IPS", "*"),
            ("RINGGATE_KEEP_ALIVE", "8"),
        ],
        answer,
        ..world()
    };
    let config = world.config("shop -t 4");
    let own = options(&config);
    // The command line, then the variable with arguments, then the file, then the variables of single settings.
    assert_eq!((own.timeout_ms, own.workers, own.threads), (4_000, 3, 2));
    assert_eq!(config.timeouts.idle_ms, 3_000);
    assert_eq!(config.forwarded.trusted, Trusted::Everybody);
    assert_eq!(
        config.binds,
        [Address::Tcp("0.0.0.0:5000".parse().expect("address"))]
    );
    let file_only = World {
        variables: vec![("WEB_CONCURRENCY", "9")],
        answer,
        ..World::default()
    };
    assert_eq!(options(&file_only.config("shop -c g.py")).workers, 2);
    assert_eq!(options(&file_only.config("shop")).workers, 9);
    let wrong = World {
        variables: vec![("GUNICORN_CMD_ARGS", "--workers 'x")],
        ..World::default()
    };
    assert_eq!(
        wrong.refused("shop"),
        "$GUNICORN_CMD_ARGS: the quote ' is not closed"
    );
    let wrong = World {
        variables: vec![("GUNICORN_CMD_ARGS", "--workers x")],
        ..World::default()
    };
    assert_eq!(
        wrong.refused("shop"),
        "$GUNICORN_CMD_ARGS: --workers: expected a whole number, not 'x'"
    );
}

#[test]
fn gunicorns_file_is_read_where_it_lies() {
    let world = World {
        files: vec![("/srv/gunicorn.conf.py", "")],
        answer: r#"{"settings": {"workers": 7, "wsgi_app": "shop"}, "hooks": [], "others": []}"#,
        ..world()
    };
    assert_eq!(options(&world.config("")).workers, 7);
    assert_eq!(options(&world.config("other")).workers, 7);
    assert_eq!(world.config("other").apps[0].target, "other:application");
    // Files alone need no Python.
    assert!(world.config("--static /=public").apps.is_empty());
    let refused = world.refused("other -c other.toml");
    assert!(refused.contains("other.toml' cannot be read"), "{refused}");
}

#[test]
fn checks_and_prints_instead_of_serving() {
    assert!(matches!(
        world().run("shop --check-config"),
        Ok(Invocation::Check(_))
    ));
    let line = "shop:app --print-config -b :1 -b :2 -w 3 -e A=b --no-preload --access-logfile - --spew --static /s=/x";
    let Ok(Invocation::Print(text)) = world().run(line) else {
        panic!("no print")
    };
    let document = crate::document::read(&text, "p.toml", Path::new("/srv")).expect("a file");
    assert_eq!(document.apps[0].target, "shop:app");
    assert_eq!(document.options["bind"].values, [":1", ":2"]);
    assert_eq!(document.options["preload"].values, ["false"]);
    assert_eq!(document.options["env"].values, ["A=b"]);
    assert_eq!(document.statics[0].url, "/s");
    assert!(text.contains("workers = 3  # --workers\n") && text.contains("# --spew: accepted"));
}

#[test]
fn log_formats_are_cut_into_atoms() {
    let pieces = |format: &str| world().run(&format!("shop --access-logformat '{format}'"));
    let Ok(Invocation::Serve(config)) =
        pieces("100%% %({X-Id}i)s %({x}o)s %(a)s %({HTTP_HOST}e)s %(D)d %(z)s.")
    else {
        panic!("refused")
    };
    let text = |text: &str| Piece::Text(text.into());
    let header = |name: &str| Piece::RequestHeader(name.into());
    let expected = vec![
        text("100% "),
        header("x-id"),
        text(" "),
        Piece::ResponseHeader("x".into()),
        text(" "),
        header("user-agent"),
        text(" "),
        header("host"),
        text(" "),
        Piece::Whole {
            per_second: 1_000_000,
        },
        text(" "),
        Piece::Dash,
        text("."),
    ];
    assert_eq!(config.access_log_format, LogFormat::Atoms(expected));
    for (format, expected) in [
        ("%h %s", "'%h %s' is no atom"),
        ("%(h", "'%(h' is no atom"),
        ("%(h)x", "%(h) has no 's' behind it"),
        ("combind", "expected combined, json"),
    ] {
        let refused = pieces(format).expect_err("refused");
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn an_application_that_is_named_twice_is_refused() {
    assert_eq!(
        world().refused("shop.wsgi --paste shop.ini"),
        "--paste: the application is named twice, shop.wsgi being there too; one of them is right"
    );
    let both = World {
        answer: r#"{"settings": {"paste": "shop.ini", "wsgi_app": "shop"}, "hooks": [], "others": []}"#,
        ..World::default()
    };
    assert!(
        both.refused("-c gunicorn.conf.py")
            .starts_with("gunicorn.conf.py: ")
    );
    // Who is of higher rank wins.
    assert_eq!(both.config("shop.wsgi -c gunicorn.conf.py").apps.len(), 1);
    let config = both.config("--paste other.ini -c gunicorn.conf.py");
    assert_eq!(
        config.apps[0].target,
        "paste.deploy:loadapp('config:/srv/other.ini')"
    );
    let variable = World {
        variables: vec![("RINGGATE_APP", "blog")],
        ..World::default()
    };
    let config = variable.config("--paste shop.ini");
    assert!(config.apps[0].target.starts_with("paste.deploy:"));
}
