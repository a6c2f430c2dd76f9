//! The access log and the error log: what they say, that a stop loses nothing, that nobody can forge a line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::USR1;
use harness::{Setup, eventually, python};

fn setup(format: &str) -> Setup {
    let setup = Setup::app("basic:application")
        .workers(2)
        .option("--access-log", "access.log")
        .option("--access-log-format", format);
    setup.dir().write("files/a.txt", "file");
    let files = format!("/static={}", setup.dir().path().join("files").display());
    setup.also("--static", files)
}

/// The lines of the access log once there are this many.
fn lines(server: &harness::Server, count: usize) -> Vec<String> {
    eventually("the access log", || {
        let lines: Vec<String> = server
            .dir()
            .read("access.log")
            .lines()
            .map(str::to_owned)
            .collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[test]
fn combined_lines() {
    let server = setup("combined").start();
    let mut client = server.client();
    client
        .request(
            "GET",
            "/hello?a=b",
            "User-Agent: test/1.0\r\nReferer: http://x/\r\n",
            b"",
        )
        .expect(200);
    client.request("HEAD", "/static/a.txt", "", b"").expect(200);
    client.get("/none").expect(404);
    client
        .send("GET /%zz HTTP/1.1\r\nHost: test\r\n\r\n")
        .response()
        .expect(400);
    let lines = lines(&server, 4);
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{}", lines[0]);
    assert!(
        lines[0].contains("] \"GET /hello?a=b HTTP/1.1\" 200 14 \"http://x/\" \"test/1.0\""),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("\"HEAD /static/a.txt HTTP/1.1\" 200 0 "),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains("\"GET /none HTTP/1.1\" 404 13 "),
        "{}",
        lines[2]
    );
    assert!(lines[3].contains("\" 400 "), "{}", lines[3]);
}

#[test]
fn json_lines_have_queue_and_app_time() {
    let server = setup("json").start();
    let mut client = server.client();
    client
        .request("GET", "/hello", "User-Agent: a\"b\\cé\r\n", b"")
        .expect(200);
    client.get("/static/a.txt").expect(200);
    let lines = lines(&server, 2);
    let first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(first["status"], 200);
    let text = lines[0].as_str();
    assert!(text.contains("queue") && text.contains("app"), "{text}");
    serde_json::from_str::<serde_json::Value>(&lines[1]).unwrap();
}

#[test]
fn a_stop_loses_no_line() {
    let server = setup("combined").start();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = server.address();
            std::thread::spawn(move || {
                let mut client = harness::Client::connect(address);
                for _ in 0..250 {
                    client.get("/hello").expect(200);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let path = server.dir().path().join("access.log");
    let keep = harness::TempDir::new();
    let copy = keep.path().join("access.log");
    std::fs::hard_link(&path, &copy).unwrap();
    let (status, _) = server.stop();
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(copy).unwrap().lines().count(), 1000);
}

#[test]
fn nobody_can_forge_a_line() {
    let server = setup("combined").start();
    let mut client = server.client();
    client.send(
        b"GET /hello?\"x HTTP/1.1\r\nHost: test\r\nUser-Agent: a\" 200 0 \"\x1b[31m\xff\r\n\r\n",
    );
    client.response();
    drop(client);
    server.get("/hello").expect(200);
    let lines = lines(&server, 2);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        !lines
            .iter()
            .any(|line| line.contains('\x1b') || line.contains("a\" 200")),
        "{lines:?}"
    );
}

#[test]
fn usr1_opens_the_files_anew() {
    let server = setup("combined").option("--error-log", "error.log").start();
    server.get("/hello").expect(200);
    lines(&server, 1);
    let dir = server.dir().path();
    std::fs::rename(dir.join("access.log"), dir.join("access.1")).unwrap();
    std::fs::rename(dir.join("error.log"), dir.join("error.1")).unwrap();
    server.signal(USR1);
    eventually("the new files", || {
        (dir.join("access.log").exists() && dir.join("error.log").exists()).then_some(())
    });
    server.get("/hello?second").expect(200);
    assert!(lines(&server, 1)[0].contains("second"));
    assert_eq!(server.dir().read("access.1").lines().count(), 1);
}

#[test]
fn what_an_app_prints_is_logged_by_app_and_worker() {
    for kind in ["processes", "interpreters"] {
        if kind == "interpreters" && !python::has_interpreters() {
            continue;
        }
        let server = Setup::app("basic:application")
            .kind(kind)
            .also("--mount", "/second=basic:application")
            .start();
        server
            .client()
            .request("POST", "/say", "", "größe".as_bytes())
            .expect(200);
        for channel in ["stdout", "stderr", "errors"] {
            let line = server.wait_log(&format!("{channel}: größe"));
            assert!(line.contains("basic"), "{line}");
        }
        server.get("/second/fail").expect(500);
        // The traceback's lines are indented below the entry that names app and worker.
        let head = server.wait_log("error in GET /second/fail");
        assert!(head.contains(" error app second["), "{head}");
        server.wait_log("    Traceback");
        server.wait_log("raised on purpose");
    }
}

#[test]
fn a_traceback_names_the_request() {
    let server = Setup::app("basic:application").start();
    server.get("/fail?with=query").expect(500);
    server.wait_log("raised on purpose");
    assert!(server.log().contains("/fail"), "{}", server.log());
}

#[test]
fn an_app_that_prints_without_end_stops_nobody() {
    let setup = Setup::bare().arg("talker:application").workers(1);
    setup.dir().write(
        "talker.py",
        "import sys\ndef application(environ, start_response):\n    sys.stderr.write('x' * 3_000_000)\n    sys.stderr.flush()\n    start_response('200 OK', [])\n    return [b'said']\n",
    );
    let server = setup.option("--chdir", ".").start();
    assert_eq!(server.get("/").expect(200).text(), "said");
}

#[test]
fn the_error_log_may_be_a_file() {
    let server = Setup::app("basic:application")
        .option("--error-log", "error.log")
        .start();
    server.get("/fail").expect(500);
    eventually("the traceback", || {
        server
            .dir()
            .read("error.log")
            .contains("raised on purpose")
            .then_some(())
    });
}

#[test]
fn levels_hide_what_is_below() {
    let server = Setup::app("basic:application")
        .option("--log-level", "error")
        .option("--error-log", "error.log")
        .start();
    server.get("/hello").expect(200);
    server.get("/fail").expect(500);
    eventually("the traceback", || {
        server
            .dir()
            .read("error.log")
            .contains("raised on purpose")
            .then_some(())
    });
    let log = server.dir().read("error.log");
    assert!(!log.contains(" info ") && !log.contains(" debug "), "{log}");
}

/// Every atom of gunicorn's, as it shows them for the same requests (27.0), but where docs/migrating.md says otherwise.
#[test]
fn atoms_show_what_gunicorn_shows() {
    let format = "%(h)s %(l)s %(u)s %(r)s %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(b)s %(f)s %(a)s %(T)s %({x-id}i)s %({X-ID}i)s %({x-out}o)s \
                  %({Content-Type}o)s %({x}o)s %({remote_addr}e)s %({RAW_URI}e)s %({path_info}e)s %({wsgi.url_scheme}e)s %({content_length}e)s \
                  %({content_type}e)s %({request_method}e)s %({x.y}e)s %(z)s 100%%";
    let setup = Setup::bare();
    setup.dir().write(
        "atoms_app.py",
        "def application(environ, start_response):\n    \
             body = b'' if environ['PATH_INFO'] == '/empty' else b'body'\n    \
             start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body))), ('X-Out', 'a b')])\n    \
             return [body]\n",
    );
    setup.dir().write("files/a.txt", "file");
    let files = format!("/static={}", setup.dir().path().join("files").display());
    let server = setup
        .arg("atoms_app")
        .option("--static", files)
        .option("--access-logfile", "access.log")
        .option("--access-logformat", format)
        .start();
    let mut client = server.client();
    let headers =
        "X-Id: 7\r\nUser-Agent: ua\r\nReferer: ref\r\nAuthorization: Basic Ym9iOnNlY3JldA==\r\n";
    client
        .request("GET", "/a%20b%C3%A9?x=%20", headers, b"")
        .expect(200);
    let headers = "Content-Type: text/x\r\nAuthorization: Bearer x\r\n";
    client
        .request("POST", "/empty", headers, b"1234")
        .expect(200);
    client.request("GET", "/static/a.txt", "", b"").expect(200);
    client.request("GET", "/static/none", "", b"").expect(404);
    let lines = lines(&server, 4);
    assert_eq!(
        lines[0],
        "127.0.0.1 - bob GET /a%20b%C3%A9?x=%20 HTTP/1.1 GET /a b\\xc3\\xa9 x=%20 HTTP/1.1 200 4 4 ref ua 0 7 7 a b text/plain - \
         127.0.0.1 /a%20b%C3%A9?x=%20 /a b\\xc3\\xa9 http - - GET - - 100%"
    );
    assert_eq!(
        lines[1],
        "127.0.0.1 - - POST /empty HTTP/1.1 POST /empty  HTTP/1.1 200 0 0 - - 0 - - a b text/plain - \
         127.0.0.1 /empty /empty http 4 text/x POST - - 100%"
    );
    assert!(
        lines[2].contains("200 4 4 - - 0 - - - text/plain; charset=utf-8 -"),
        "{}",
        lines[2]
    );
    assert!(
        lines[3].contains("- text/html; charset=utf-8 -"),
        "{}",
        lines[3]
    );
}

#[test]
fn a_failure_without_a_line_of_python_is_an_error_too() {
    let setup = Setup::bare().arg("wrong:application");
    let code = "def application(environ, start_response, more, and_more):\n    return []\n";
    setup.dir().write("wrong.py", code);
    let server = setup.start();
    server.get("/").expect(500);
    server.wait_log("TypeError: application() missing 2 required");
    let log = server.log();
    let entry = log.lines().find(|line| line.contains("error in GET /"));
    assert!(
        entry.is_some_and(|line| line.contains(" error app wrong")),
        "{log}"
    );
}

#[test]
fn a_full_disk_is_named() {
    let server = Setup::app("basic:application")
        .option("--access-log", "/dev/full")
        .start();
    server.get("/hello").expect(200);
    server.wait_log("1 log lines were lost because /dev/full cannot be written (No space left on device); 1 so far");
    server.get("/hello").expect(200);
}
