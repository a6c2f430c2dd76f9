//! uWSGI's files.

use super::*;

fn ini(text: &'static str) -> World {
    World {
        files: vec![("/etc/shop/uwsgi.ini", text)],
        variables: vec![("ROOT", "/opt/shop")],
        ..world()
    }
}

#[test]
fn an_ini_file_of_uwsgis_serves() {
    let world = ini(
        "[other]\nprocesses = 9\n[uwsgi]\n; comment\nproject = shop\nmodule = %(project).wsgi\ncallable = app\n\
         http = :8080\nhttp-socket = /run/%n.sock\nprocesses = 6\ncheaper = 2\nthreads = 3\nmaster = true\nvacuum = true\n\
         die-on-term = true\nstatic-map = /static=$(ROOT)/static\nstatic-map = /media=media\nharakiri = 40\nmax-requests = 5000\n\
         buffer-size = 32768\ntouch-reload = %dreload.txt\nenv = A=b\nenv = C=d\nchdir = $(ROOT)\nvirtualenv = %d../venv\n\
         reload-on-rss = 256\ndisable-logging = false\nuid = www-data\nunheard-of = 1\nother_thing = 2\n",
    );
    let config = world.config("/etc/shop/uwsgi.ini");
    let own = options(&config);
    assert_eq!(config.apps[0].target, "shop.wsgi:app");
    assert_eq!(
        config.binds,
        [
            Address::Unix("/run/uwsgi.sock".into()),
            Address::Tcp("0.0.0.0:8080".parse().expect("address")),
        ]
    );
    assert_eq!((own.workers, own.workers_max, own.threads), (2, 6, 3));
    assert!(own.tolerate_hop_by_hop);
    assert_eq!(
        (own.timeout_ms, own.max_requests, own.max_rss_bytes),
        (40_000, 5000, 256 << 20)
    );
    assert_eq!(own.touch_reload, [PathBuf::from("/etc/shop/reload.txt")]);
    let dirs: Vec<(&str, &Path)> = config
        .statics
        .iter()
        .map(|files| (files.url.as_str(), files.dir.as_path()))
        .collect();
    assert_eq!(
        dirs,
        [
            ("/static", Path::new("/opt/shop/static")),
            ("/media", Path::new("/opt/shop/media")),
        ]
    );
    assert_eq!(config.limits.header_bytes, 32 << 10);
    assert_eq!(config.env.len(), 2);
    assert_eq!(config.chdir, PathBuf::from("/opt/shop"));
    assert_eq!(config.python, Some("/etc/shop/../venv/bin/python".into()));
    assert_eq!(config.identity.user.as_deref(), Some("www-data"));
    let [note] = &config.notes[..] else {
        panic!("{:?}", config.notes)
    };
    assert!(
        note.contains("unknown here: unheard-of, other-thing;"),
        "{note}"
    );
    // Also by its flag, and the command line wins.
    let config = world.config("--ini /etc/shop/uwsgi.ini -w 4 other");
    assert_eq!(options(&config).workers, 4);
    assert_eq!(config.apps[0].target, "other:application");
}

#[test]
fn a_wsgi_file_is_a_module_of_its_directory() {
    let config = ini("[uwsgi]\nwsgi-file = src/wsgi.py\nsocket = 127.0.0.1:3031\n")
        .config("/etc/shop/uwsgi.ini");
    assert_eq!(config.apps[0].target, "wsgi:application");
    assert_eq!(config.pythonpath, [PathBuf::from("/srv/src")]);
    assert_eq!(
        config.binds,
        [Address::Tcp("127.0.0.1:3031".parse().expect("address"))]
    );
    assert!(config.notes[0].contains("proxy_pass where it said uwsgi_pass"));
}

#[test]
fn what_an_ini_file_cannot_say_here_is_told_with_its_line() {
    for (text, expected) in [
        (
            "[uwsgi]\nif-env = X\n",
            "/etc/shop/uwsgi.ini:2: if-env: conditions, loops",
        ),
        (
            "[uwsgi]\nmodule = %(nothing)\n",
            "/etc/shop/uwsgi.ini:2: module: %(nothing) is not set",
        ),
        (
            "[uwsgi]\nmodule = a\ngevent = 100\n",
            "/etc/shop/uwsgi.ini:3: gevent: greenlets are not here",
        ),
        (
            "[uwsgi]\nhttps = :443,a,b\n",
            "/etc/shop/uwsgi.ini:2: https: TLS is not there yet",
        ),
        (
            "[uwsgi]\nmodule = a\nprocesses = x\n",
            "/etc/shop/uwsgi.ini:3: processes: expected a whole number",
        ),
        ("[uwsgi\n", "/etc/shop/uwsgi.ini:1: a section has no ']'"),
    ] {
        let refused = ini(text).refused("/etc/shop/uwsgi.ini");
        assert!(refused.starts_with(expected), "{refused}");
    }
}
