//! Coming from gunicorn, uvicorn and uWSGI through the real binary: their files and command lines, and what hooks see.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::{HUP, KILL, TERM};
use harness::{Client, Server, Setup, TempDir, eventually, python};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// Answers with what of the environ the path names.
const APP: &str = "\
import os, time
def application(environ, start_response):
    name = environ['PATH_INFO'].strip('/')
    if name == 'sleep':
        while True:
            time.sleep(0.01)
    body = str(environ.get(name, os.environ.get(name, 'none'))).encode()
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
def make():
    return application
";

/// In the directory of the server, with the application and these files.
fn setup(files: &[(&str, &str)]) -> Setup {
    let setup = Setup::bare();
    setup.dir().write("site_app.py", APP);
    for (name, text) in files {
        setup.dir().write(name, text);
    }
    setup
}

fn events(dir: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(dir.path().join("events")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for_event(server: &Server, event: &str) {
    eventually(event, || {
        events(server.dir())
            .iter()
            .any(|each| each.starts_with(event))
            .then_some(())
    });
}

const HOOKS: &str = r#"
import os
wsgi_app = "site_app"
workers = 1
timeout = 60
accesslog = "-"
access_log_format = '%(h)s %(m)s %(U)s?%(q)s %(s)s %(B)s "%({x-id}i)s" %(p)s end'
raw_env = ["GREETING=from the file"]

def event(*words):
    with open("events", "a") as file:
        print(*words, file=file)

def on_starting(server):
    event("on_starting", server.pid == os.getpid(), server.cfg.workers, server.cfg.timeout)
def nworkers_changed(server, new, old):
    event("nworkers_changed", new, old)
def when_ready(server):
    event("when_ready", len(server.WORKERS))
def pre_fork(server, worker):
    event("pre_fork", worker.age)
def post_fork(server, worker):
    event("post_fork", worker.pid == os.getpid(), worker.ppid == os.getppid(), worker.age)
    server.log.info("forked %s", worker.age)
def post_worker_init(worker):
    event("post_worker_init", callable(worker.wsgi), worker.alive)
    app = worker.app.callable
    def wrapped(environ, start_response):
        environ["WRAPPED"] = "by the hook"
        return app(environ, start_response)
    worker.app.callable = wrapped
def pre_request(worker, req):
    event("pre_request", worker.nr, req.method, req.path, req.query, dict(req.headers).get("X-ID"))
def post_request(worker, req, environ, resp):
    event("post_request", req.path, environ["SERVER_PROTOCOL"], resp.status_code)
def worker_exit(server, worker):
    event("worker_exit", worker.pid == os.getpid())
def child_exit(server, worker):
    event("child_exit", worker.pid != os.getpid(), worker.age)
def on_exit(server):
    event("on_exit")
"#;

#[test]
fn a_gunicorn_file_with_hooks_serves_and_its_hooks_are_called() {
    let setup = setup(&[("gunicorn.conf.py", HOOKS)]);
    let server = setup.start();
    let answer = server
        .client()
        .request("GET", "/WRAPPED?a=b", "X-Id: 7\r\n", b"");
    assert_eq!(answer.expect(200).text(), "by the hook");
    assert_eq!(server.get("/GREETING").text(), "from the file");
    server.wait_log("127.0.0.1 GET /WRAPPED?a=b 200 11 \"7\" <site_app/0> end");
    server.wait_log("forked 1");
    wait_for_event(&server, "post_request /GREETING");
    let worker = server.process_workers()[0];
    // A worker that dies is told of, and so is its successor.
    harness::process::kill(worker, KILL);
    wait_for_event(&server, "child_exit True 1");
    wait_for_event(&server, "post_fork True True 2");
    eventually("the successor serves", || {
        (server.process_workers().len() == 1 && server.get("/WRAPPED").status == 200).then_some(())
    });
    let dir = server.dir().path().join("events");
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    // The directory went with the server, so what stood there was read before.
    assert!(!dir.exists());
}

#[test]
fn hooks_are_called_in_gunicorns_order() {
    let kept = TempDir::new();
    let file = HOOKS.replace(
        "open(\"events\"",
        &format!(
            "open({:?}",
            kept.path().join("events").display().to_string()
        ),
    );
    let server = setup(&[("gunicorn.conf.py", &file)]).start();
    server
        .client()
        .request("POST", "/x?a=b", "X-Id: 7\r\n", b"body")
        .expect(200);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(
        events(&kept),
        [
            "on_starting True 1 60",
            "nworkers_changed 1 None",
            "pre_fork 1",
            "post_fork True True 1",
            "post_worker_init True True",
            "when_ready 1",
            "pre_request 1 POST /x a=b 7",
            "post_request /x HTTP/1.1 200",
            "worker_exit True",
            "child_exit True 1",
            "on_exit",
        ],
        "{log}"
    );
}

/// Fails where the path says so; ASGI 3, and the same as ASGI 2.
const ASGI_APP: &str = "\
async def application(scope, receive, send):
    if scope['type'] != 'http':
        raise RuntimeError('no lifespan')
    if scope['path'] == '/fails':
        raise RuntimeError('as asked')
    headers = iter([(b'content-type', b'text/plain'), (b'x-path', scope['path'].encode())])
    await send({'type': 'http.response.start', 'status': 201, 'headers': headers})
    await send({'type': 'http.response.body', 'body': (await receive())['body']})
def second(scope):
    async def instance(receive, send):
        await application(scope, receive, send)
    return instance
";

const ASGI_HOOKS: &str = r#"
import os
def event(*words):
    with open("events", "a") as file:
        print(*words, file=file)
def pre_request(worker, req):
    event("pre_request", worker.nr, req.method, req.path, req.query, req.uri, req.scheme, req.version, dict(req.headers)["X-ID"], dict(req.headers)["CONTENT-LENGTH"])
    if req.path == "/refused":
        raise RuntimeError("not this one")
def post_request(worker, req, environ, resp):
    event("post_request", req.path, environ["REMOTE_ADDR"], environ["HTTP_X_ID"], resp.status, resp.status_code, dict(resp.headers).get("x-path"))
    if req.path == "/ok":
        raise RuntimeError("too late to matter")
"#;

#[test]
fn hooks_see_the_requests_of_an_asgi_application() {
    for (target, kind) in [
        ("site_app:application", "processes"),
        ("site_app:second", "processes"),
        ("site_app:application", "interpreters"),
    ] {
        if kind == "interpreters" && !python::has_interpreters() {
            continue;
        }
        let setup = setup(&[("gunicorn.conf.py", ASGI_HOOKS)]);
        setup.dir().write("site_app.py", ASGI_APP);
        let server = setup
            .kind(kind)
            .arg(target)
            .option("--workers", "1")
            .start();
        let ask = |path: &str| {
            server
                .client()
                .request("POST", path, "X-Id: 7\r\n", b"body")
        };
        let answer = ask("/%6Fk?a=b");
        assert_eq!(answer.header("x-path"), Some("/ok"));
        assert_eq!(answer.expect(201).text(), "body");
        ask("/fails").expect(500);
        ask("/refused").expect(500);
        server.wait_log("too late to matter");
        server.wait_log("not this one");
        assert_eq!(
            events(server.dir()),
            [
                "pre_request 1 POST /ok a=b /%6Fk?a=b http (1, 1) 7 4",
                "post_request /ok 127.0.0.1 7 201 Created 201 /ok",
                "pre_request 2 POST /fails  /fails http (1, 1) 7 4",
                "post_request /fails 127.0.0.1 7  0 None",
                "pre_request 3 POST /refused  /refused http (1, 1) 7 4",
            ],
            "{target} {kind}"
        );
    }
}

/// It may be what keeps a server from starting, and is not passed over at the next try.
#[test]
fn an_on_starting_that_fails_is_no_start() {
    let file = "def on_starting(server):\n    raise RuntimeError('not today')\n";
    let (code, said) = setup(&[("gunicorn.conf.py", file)])
        .arg("site_app")
        .run_to_end();
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("the hook on_starting failed: RuntimeError: not today"),
        "{said}"
    );
}

#[test]
fn a_reload_is_a_hook_of_its_own() {
    let server = setup(&[("gunicorn.conf.py", HOOKS)]).start();
    server.signal(HUP);
    eventually("two generations of events", || {
        let events = events(server.dir());
        let count = |event: &str| events.iter().filter(|each| each.starts_with(event)).count();
        // on_reload is not in this file; on_starting is for the first generation alone.
        (count("on_starting") == 1 && count("when_ready") == 2 && count("on_exit") == 1)
            .then_some(())
    });
}

#[test]
fn worker_abort_is_called_where_a_request_ran_over_its_time() {
    let file = "import os, sys\ntimeout = 1\nworkers = 1\n\
                def worker_abort(worker):\n    print('aborted', worker.pid == os.getpid(), worker.alive, file=sys.stderr)\n";
    let server = setup(&[("gunicorn.conf.py", file)]).arg("site_app").start();
    assert_eq!(server.get("/sleep").status, 504);
    server.wait_log("aborted True False");
    server.get("/PATH_INFO").expect(200);
}

#[test]
fn interpreters_call_all_hooks_too() {
    if !python::has_interpreters() {
        return;
    }
    let server = setup(&[("gunicorn.conf.py", HOOKS)])
        .kind("interpreters")
        .start();
    assert_eq!(server.get("/WRAPPED").text(), "by the hook");
    let events = events(server.dir());
    assert_eq!(
        events[..6],
        [
            "on_starting True 1 60",
            "nworkers_changed 1 None",
            "pre_fork 1",
            // It has no process of its own.
            "post_fork True False 1",
            "post_worker_init True True",
            "when_ready 1",
        ],
        "{events:?}"
    );
}

#[test]
fn a_gunicorn_file_that_fails_is_shown_with_its_traceback() {
    let (code, said) = setup(&[("bad.py", "import nothing_here\n")])
        .arg("site_app")
        .option("--config", "bad.py")
        .run_to_end();
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("ModuleNotFoundError: No module named 'nothing_here'")
            && said
                .contains("ringgate: bad.py cannot be read: what Python says of it stands above"),
        "{said}"
    );
    let (code, said) = setup(&[("bad.py", "workers = 'many'\n")])
        .arg("site_app")
        .option("--config", "bad.py")
        .run_to_end();
    assert!(
        code == 1 && said.contains("bad.py: workers: expected a whole number, not 'many'"),
        "{said}"
    );
    let (code, said) = setup(&[("bad.py", "certfile = 'a.pem'\n")])
        .arg("site_app")
        .option("--config", "bad.py")
        .run_to_end();
    assert!(
        code == 1 && said.contains("bad.py: certfile: TLS is not there yet"),
        "{said}"
    );
}

#[test]
fn exit_codes_are_gunicorns() {
    let (code, said) = setup(&[]).arg("nothing_here").run_to_end();
    assert_eq!(code, 4, "{said}");
    for (line, why) in [
        (
            "logconfig = 'none.ini'",
            "none.ini cannot be read (No such file",
        ),
        ("import sys; sys.exit(9)", "the file ended by sys.exit(9)"),
    ] {
        let (code, said) = setup(&[("gunicorn.conf.py", line)])
            .arg("site_app")
            .run_to_end();
        assert!(code == 1 && said.contains(why), "{code}: {said}");
    }
    let file = "def post_fork(server, worker):\n    raise RuntimeError('no luck')\n";
    let (code, said) = setup(&[("gunicorn.conf.py", file)])
        .arg("site_app")
        .run_to_end();
    assert!(
        code == 3 && said.contains("the hook post_fork failed: RuntimeError: no luck"),
        "{code}: {said}"
    );
}

#[test]
fn what_has_no_effect_is_one_warning_at_the_start() {
    let file = "spew = True\nworker = 3\nwsgi_app = 'site_app'\n";
    let server = setup(&[("gunicorn.conf.py", file)]).start();
    server.wait_log("gunicorn.conf.py: worker is no setting; did you mean 'workers'?");
    let (_, log) = server.stop();
    let lines = log.lines().filter(|line| line.contains("spew"));
    assert_eq!(lines.count(), 1, "{log}");
}

#[test]
fn logging_is_configured_before_the_application_is_there() {
    let file = "logconfig_dict = {'version': 1, 'disable_existing_loggers': False,\n\
                'formatters': {'f': {'format': 'SET UP %(name)s: %(message)s'}},\n\
                'handlers': {'h': {'class': 'logging.StreamHandler', 'formatter': 'f'}},\n\
                'root': {'level': 'INFO', 'handlers': ['h']}}\n";
    let app = "import logging\nlogging.getLogger('shop').info('imported')\nfrom site_app import application\n";
    let server = setup(&[("gunicorn.conf.py", file), ("logs_app.py", app)])
        .arg("logs_app")
        .start();
    server.wait_log("SET UP shop: imported");
    drop(server);
    // gunicorn's defaults beneath it: no version, and a handler of its own.
    let json = r#"{"root": {"level": "INFO", "handlers": ["error_console"]}}"#;
    let server = setup(&[("log.json", json), ("logs_app.py", app)])
        .arg("logs_app")
        .option("--log-config-json", "log.json")
        .start();
    server.wait_log("[INFO] imported");
    drop(server);
    let ini = "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=f\n[logger_root]\nlevel=INFO\nhandlers=h\n\
               [handler_h]\nclass=StreamHandler\nformatter=f\nargs=(sys.stderr,)\n[formatter_f]\nformat=INI %(name)s: %(message)s\n";
    let server = setup(&[("log.ini", ini), ("logs_app.py", app)])
        .arg("logs_app")
        .option("--log-config", "log.ini")
        .start();
    server.wait_log("INI shop: imported");
}

#[test]
fn who_stands_in_front_is_believed_if_trusted() {
    let headers = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
    let ask = |server: &Server, name: &str| {
        let mut client = server.client();
        client.request("GET", name, headers, b"").expect(200).text()
    };
    let server = setup(&[])
        .arg("site_app")
        .option("--access-log", "-")
        .start();
    assert_eq!(ask(&server, "/REMOTE_ADDR"), "9.9.9.9");
    assert_eq!(ask(&server, "/wsgi.url_scheme"), "https");
    server.wait_log("9.9.9.9 - - [");
    drop(server);
    let server = setup(&[])
        .arg("site_app")
        .option("--forwarded-allow-ips", "10.0.0.1")
        .start();
    assert_eq!(ask(&server, "/REMOTE_ADDR"), "127.0.0.1");
    assert_eq!(ask(&server, "/wsgi.url_scheme"), "http");
    drop(server);
    let server = setup(&[]).arg("site_app").arg("--no-proxy-headers").start();
    assert_eq!(ask(&server, "/REMOTE_ADDR"), "127.0.0.1");
}

#[test]
fn a_prefix_that_was_cut_off_in_front_is_part_of_the_script_name() {
    let server = setup(&[])
        .option("--root-path", "/shop/")
        .option("--mount", "/in=site_app")
        .start();
    assert_eq!(server.get("/in/SCRIPT_NAME").expect(200).text(), "/shop/in");
    assert_eq!(server.get("/in/PATH_INFO").text(), "/PATH_INFO");
}

#[test]
fn uvicorns_line_serves() {
    let setup = setup(&[(".env", "GREETING='from the file'\n")]);
    let socket = setup.dir().path().join("s.sock");
    let server = setup
        .unbound()
        .arg("site_app:make")
        .arg("--factory")
        .option("--uds", &socket)
        .option("--env-file", ".env")
        .option("--interface", "wsgi")
        .option("--timeout-keep-alive", "5")
        .arg("--no-access-log")
        .start();
    assert_eq!(
        Client::connect_unix(&socket)
            .get("/GREETING")
            .expect(200)
            .text(),
        "from the file"
    );
    drop(server);
}

#[test]
fn an_inherited_socket_is_listened_on() {
    let dir = TempDir::new();
    dir.write("site_app.py", APP);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for how in ["--fd 5", "--bind fd://5"] {
        let program = env!("CARGO_BIN_EXE_ringgate");
        let script = format!(
            "exec 5<&0 </dev/null; exec {program} site_app {how} --rings 2 --ready-fd 1 --error-log error.log \
             --control-socket control.sock"
        );
        let mut child = harness::keeper::mortal("/bin/sh");
        child
            .args(["-c", &script])
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
            .stdout(Stdio::piped())
            .env("RINGGATE_EXTENSION", python::extension())
            .env("RINGGATE_PYTHON", python::python())
            .current_dir(dir.path());
        let mut child = harness::keeper::spawn(child).unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert_eq!(line.trim(), format!("ready http://{address}"));
        let mut client = Client::connect(address);
        assert_eq!(
            client.get("/SERVER_PORT").expect(200).text(),
            address.port().to_string()
        );
        harness::process::kill(child.id(), TERM);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn an_ini_file_of_uwsgis_serves() {
    let ini = "[uwsgi]\nwsgi-file = %dsite_app.py\nprocesses = 1\nmaster = true\nstatic-map = /static=%dfiles\n\
               env = GREETING=from the file\ndie-on-term = true\nshiny-new-thing = 1\n";
    let setup = setup(&[("uwsgi.ini", ini), ("files/a.css", "css")]);
    let server = setup.option("--ini", "uwsgi.ini").start();
    assert_eq!(server.get("/GREETING").text(), "from the file");
    assert_eq!(server.get("/static/a.css").expect(200).text(), "css");
    server.wait_log("being unknown here: shiny-new-thing;");
}

#[test]
fn what_holds_can_be_printed_and_served() {
    let dir = TempDir::new();
    dir.write("site_app.py", APP);
    dir.write("gunicorn.conf.py", HOOKS);
    let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .args(["--print-config", "--python"])
        .arg(python::python())
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("workers = 1  # gunicorn.conf.py: workers")
            && text.contains("target = \"site_app\""),
        "{text}"
    );
    let server = setup(&[("site.toml", &text), ("gunicorn.conf.py", HOOKS)])
        .option("--config", "site.toml")
        .start();
    assert_eq!(server.get("/WRAPPED").text(), "by the hook");
}
