//! HUP changes settings under connections that stay: of clients, of applications, of the logs, of the listeners.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::HUP;
use harness::{Client, Server, Setup, eventually, python};
use std::fs;

/// A server whose configuration file is `text`, serving the pages of `basic` and WebSockets of `sockets` at /ws.
fn start(text: &str) -> Server {
    begin(Setup::bare(), text)
}

fn begin(setup: Setup, text: &str) -> Server {
    let config = setup.dir().write("site.toml", whole(text));
    setup.option("--config", config).start()
}

fn whole(text: &str) -> String {
    format!("chdir = '{}'\n{text}", python::apps().display())
}

/// Everything before `[app.basic]`, the keys of that, and its routes.
fn site(keys: &str, app: &str) -> String {
    format!("{keys}\n[app.basic]\ntarget = 'basic'\nkind = 'processes'\n{app}\n")
}

/// The file is another, and the server has read it.
#[track_caller]
fn reconfigure(server: &Server, text: &str) {
    server.dir().write("site.toml", whole(text));
    let output = server.command(&["reload"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// A client that has asked for `path`.
fn asked(server: &Server, path: &str) -> Client {
    let mut client = server.client();
    client.send(get(path));
    client
}

fn has_started(server: &Server, name: &str) -> bool {
    server.dir().has(&format!("{name}.started"))
}

#[track_caller]
fn wait_started(server: &Server, name: &str) {
    eventually(name, || has_started(server, name).then_some(()));
}

#[test]
fn limits_and_the_server_field() {
    let server = start(&site("server_header = 'one'", ""));
    let mut client = server.client();
    let long = format!("/hello?{}", "x".repeat(1000));
    assert_eq!(client.get(&long).expect(200).header("server"), Some("one"));
    client
        .request("POST", "/hello", "", &[b'x'; 1000])
        .expect(200);
    // This body is taken in under the limit of now, and its head under that as well.
    let mut upload = server.client();
    upload.send(format!(
        "POST {long} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nxxx"
    ));
    let narrow = "server_header = 'two'\nlimit_request_line = 200\nlimit_request_fields = 3\nlimit_request_body = 500";
    reconfigure(&server, &site(narrow, ""));
    let answer = eventually("the other header", || {
        let answer = client.get("/hello").expect(200);
        (answer.header("server") == Some("two")).then_some(answer)
    });
    assert!(!answer.closes());
    upload.send([b'x'; 997]).response().expect(200);
    client.get(&long).expect(414);
    let mut client = server.client();
    client
        .request("POST", "/hello", "", &[b'x'; 1000])
        .expect(413);
    let mut client = server.client();
    client
        .request("GET", "/hello", "A: 1\r\nB: 2\r\nC: 3\r\n", b"")
        .expect(431);
}

#[test]
fn a_new_time_limit_is_for_new_requests() {
    let server = start(&site("", "workers = 2"));
    let mut old = asked(&server, "/block/old");
    wait_started(&server, "old");
    let mut client = server.client();
    assert_eq!(
        client.get("/hello").expect(200).header("server-timing"),
        None
    );
    let route = "server_timing = true\n[[app.basic.route]]\npath = '/stuck'\ntimeout = 1";
    reconfigure(&server, &site("", &format!("workers = 2\n{route}")));
    eventually("Server-Timing", || {
        client
            .get("/hello")
            .expect(200)
            .header("server-timing")
            .map(drop)
    });
    client.get("/stuck/stuck").expect(504);
    server.wait_log("GET /stuck/stuck");
    server.dir().write("old.go", "");
    old.response().expect(200);
}

#[test]
fn a_bound_is_raised_and_lowered_under_those_who_wait() {
    let bound = |bound: usize| {
        let route = format!("[[app.basic.route]]\npath = '/block'\nconcurrency = {bound}");
        site("rings = 2", &format!("workers = 3\n{route}"))
    };
    let server = start(&bound(1));
    let mut a = asked(&server, "/block/a");
    wait_started(&server, "a");
    let mut b = asked(&server, "/block/b");
    server.get("/hello").expect(200);
    assert!(!has_started(&server, "b"));
    reconfigure(&server, &bound(2));
    wait_started(&server, "b");
    let mut c = asked(&server, "/block/c");
    reconfigure(&server, &bound(1));
    server.dir().write("a.go", "");
    a.response().expect(200);
    for _ in 0..10 {
        server.get("/hello").expect(200);
    }
    assert!(
        !has_started(&server, "c"),
        "one is inside, as many as may be"
    );
    server.dir().write("b.go", "");
    b.response().expect(200);
    wait_started(&server, "c");
    let mut d = asked(&server, "/block/d");
    // Without a bound nobody waits.
    reconfigure(&server, &site("rings = 2", "workers = 3"));
    wait_started(&server, "d");
    for name in ["c", "d"] {
        server.dir().write(&format!("{name}.go"), "");
    }
    c.response().expect(200);
    d.response().expect(200);
}

#[test]
fn pending_is_lowered_and_raised_again() {
    let pending = |count: usize| site(&format!("rings = 1\npending = {count}"), "workers = 1");
    let server = start(&pending(100));
    let mut first = asked(&server, "/block/first");
    wait_started(&server, "first");
    let mut waiting: Vec<Client> = (0..80).map(|_| asked(&server, "/hello")).collect();
    eventually("they wait", || {
        (server.status()["apps"][0]["in_flight"] == 81).then_some(())
    });
    // The new generation would take them; the one worker stays with its request, and so does the old generation without another.
    server.dir().write(
        "site.toml",
        whole(&pending(64)).replace("'basic'", "'absent'"),
    );
    server.signal(HUP);
    let answer = eventually("no room", || {
        let mut client = asked(&server, "/hello");
        match server.status()["apps"][0]["refused"].as_u64() {
            Some(0) => {
                waiting.push(client);
                None
            }
            _ => Some(client.response().expect(503)),
        }
    });
    assert!(answer.header("retry-after").is_some());
    server.dir().write(
        "site.toml",
        whole(&pending(100)).replace("'basic'", "'absent'"),
    );
    server.signal(HUP);
    eventually("room again", || {
        let refused = server.status()["apps"][0]["refused"].as_u64();
        let client = asked(&server, "/hello");
        let status = server.status();
        (status["apps"][0]["refused"].as_u64() == refused).then(|| waiting.push(client))
    });
    server.dir().write(
        "site.toml",
        whole(&pending(2000)).replace("'basic'", "'absent'"),
    );
    server.signal(HUP);
    let restart = "pending and websockets (together they may be 1124 now) takes a restart";
    server.wait_log(restart);
    server.dir().write("first.go", "");
    first.response().expect(200);
    for client in &mut waiting {
        client.response().expect(200);
    }
    // Who asks for it at the terminal is told as well, and no more once it is as it was.
    let reload = |count: usize| {
        server.dir().write("site.toml", whole(&pending(count)));
        String::from_utf8(server.command(&["reload"]).stdout).unwrap()
    };
    assert!(reload(2000).contains(restart));
    assert_eq!(reload(64), "every application runs its new generation\n");
}

fn open_socket(server: &Server) -> Client {
    let mut client = server.client();
    client.send(
        "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    client
}

/// The client's text of that length comes back.
#[track_caller]
fn echoes(client: &mut Client, length: u8) {
    client.send(
        [
            &[0x81, 0x80 | length, 0, 0, 0, 0][..],
            &vec![b'x'; length.into()],
        ]
        .concat(),
    );
    assert_eq!(
        client.take_bytes(2 + usize::from(length))[..2],
        [0x81, length]
    );
}

#[test]
fn websockets_have_places_of_their_own_and_keep_their_settings() {
    let sockets = |keys: &str| {
        let app = "target = 'sockets'\nkind = 'processes'\nworkers = 1";
        format!("rings = 1\n{keys}\n[app.sockets]\n{app}")
    };
    let server = start(&sockets("pending = 64\nwebsockets = 70\nws_max_size = 100"));
    let mut open: Vec<Client> = (0..70).map(|_| open_socket(&server)).collect();
    for client in &mut open {
        assert!(client.take_head().starts_with("HTTP/1.1 101 "));
    }
    let full = open_socket(&server).response().expect(503);
    assert!(full.header("retry-after").is_some());
    // More than all that is pending at most, and pages have their room.
    for _ in 0..5 {
        server.get("/page").expect(200);
    }
    echoes(&mut open[0], 50);
    assert_eq!(server.status()["apps"][0]["websockets_open"], 70);
    reconfigure(
        &server,
        &sockets("pending = 64\nwebsockets = 3\nws_max_size = 20"),
    );
    // Open ones stay as they are, and take their places with them.
    echoes(&mut open[0], 50);
    open_socket(&server).response().expect(503);
    drop(open);
    let mut open: Vec<Client> = Vec::new();
    let refused = eventually("three, and no more", || {
        let mut client = open_socket(&server);
        let head = client.take_head();
        if head.starts_with("HTTP/1.1 101 ") {
            open.push(client);
            return None;
        }
        (open.len() >= 3).then_some(head)
    });
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && open.len() == 3,
        "{refused}"
    );
    echoes(&mut open[0], 20);
    // Longer than it may be by now.
    open[1].send([&[0x81, 0x80 | 50, 0, 0, 0, 0][..], &[b'x'; 50]].concat());
    assert_eq!(open[1].take_bytes(4)[2..], 1009u16.to_be_bytes());
}

#[test]
fn the_access_log_goes_elsewhere_and_looks_otherwise() {
    let log = |name: &str, format: &str| {
        let dir = "DIR";
        site(
            &format!("access_log = '{dir}/{name}'\naccess_log_format = '{format}'"),
            "workers = 2",
        )
    };
    let setup = Setup::bare();
    let dir = setup.dir().path().display().to_string();
    let server = begin(setup, &log("one.log", "combined").replace("DIR", &dir));
    let read = |name: &str| fs::read_to_string(server.dir().path().join(name)).unwrap_or_default();
    let mut client = server.client();
    client.get("/hello?1").expect(200);
    let mut across = asked(&server, "/block/across");
    wait_started(&server, "across");
    reconfigure(&server, &log("two.log", "json").replace("DIR", &dir));
    eventually("the new log", || {
        client.get("/hello?2").expect(200);
        read("two.log").contains("/hello?2").then_some(())
    });
    server.dir().write("across.go", "");
    across.response().expect(200);
    eventually("the end of what began before", || {
        read("two.log").contains("/block/across").then_some(())
    });
    let (one, two) = (read("one.log"), read("two.log"));
    assert!(
        one.contains("GET /hello?1 HTTP/1.1\" 200") && !one.contains('{'),
        "{one}"
    );
    assert!(two.lines().all(|line| line.starts_with('{')), "{two}");
    // Rotation still works, and off is off.
    reconfigure(&server, &site("", "workers = 2"));
    eventually("no log", || {
        let before = read("two.log").len();
        client.get("/hello?3").expect(200);
        client.get("/hello?4").expect(200);
        (read("two.log").len() == before).then_some(())
    });
}

#[test]
fn the_error_log_goes_elsewhere_and_says_more() {
    let setup = Setup::bare();
    let dir = setup.dir().path().display().to_string();
    let log = |name: &str, level: &str| {
        site(
            &format!("error_log = '{dir}/{name}'\nlog_level = '{level}'"),
            "workers = 1",
        )
    };
    let server = begin(setup, &log("one.log", "error"));
    let read = |name: &str| fs::read_to_string(server.dir().path().join(name)).unwrap_or_default();
    server
        .client()
        .send("nonsense\r\n\r\n")
        .response()
        .expect(400);
    reconfigure(&server, &log("two.log", "debug"));
    eventually("a refusal is worth a line", || {
        server
            .client()
            .send("nonsense\r\n\r\n")
            .response()
            .expect(400);
        read("two.log").contains("refused: ").then_some(())
    });
    let hup = eventually("the supervisor as well", || {
        read("two.log")
            .contains("supervisor: ")
            .then(|| read("two.log"))
    });
    assert!(!read("one.log").contains("refused: "), "{hup}");
}

#[test]
fn listeners_come_and_go() {
    let setup = Setup::bare().unbound().option("--rings", "2");
    let path = setup.dir().path().join("b.sock");
    let binds = |more: &str| site(&format!("bind = ['127.0.0.1:0'{more}]"), "workers = 2");
    let server = begin(setup, &binds(""));
    let mut client = server.client();
    client.get("/hello").expect(200);
    let more = format!(", 'unix:{}', '127.0.0.2:0'", path.display());
    reconfigure(&server, &binds(&more));
    let mut unix = Client::connect_unix(&path);
    unix.get("/hello").expect(200);
    let log = server.wait_log("listening on http://127.0.0.2:");
    let port = log.split("http://127.0.0.2:").nth(1).unwrap();
    let port: u16 = port.lines().next().unwrap().trim().parse().unwrap();
    let second = ([127, 0, 0, 2], port).into();
    for _ in 0..8 {
        // Over both rings.
        Client::connect(second).get("/hello").expect(200);
    }
    let mut stays = Client::connect(second);
    stays.get("/hello").expect(200);
    client.get("/hello").expect(200);
    // An address that is taken changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = format!(", '{}'", taken.local_addr().unwrap());
    server.dir().write("site.toml", whole(&binds(&bad)));
    server.signal(HUP);
    assert!(server.wait_log("is taken by").contains("the old one stays"));
    Client::connect(second).get("/hello").expect(200);
    reconfigure(&server, &binds(""));
    eventually("the others are closed", || {
        let unix = std::os::unix::net::UnixStream::connect(&path).is_err();
        (unix && Client::try_connect(second).is_err()).then_some(())
    });
    assert!(!path.exists());
    for client in [&mut client, &mut stays, &mut unix] {
        client.get("/hello").expect(200);
    }
}

/// More than a packet between our processes takes.
#[test]
fn hundreds_of_locations_are_taken_at_the_start_and_at_hup() {
    let dir = python::apps().display().to_string();
    let locations = |count: usize| {
        let location =
            |index| format!("[[server.location]]\npath = '/files/{index}'\ndir = '{dir}'\n");
        site("", "") + &(0..count).map(location).collect::<String>()
    };
    let server = start(&locations(400));
    server.get("/files/399/basic.py").expect(200);
    server.get("/files/400/basic.py").expect(404);
    reconfigure(&server, &locations(600));
    eventually("the last one", || {
        (server.get("/files/599/basic.py").status == 200).then_some(())
    });
}
