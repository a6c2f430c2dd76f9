//! Who is told beside the logs: a statsd and a syslog, through the real binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::TERM;
use harness::{PATIENCE, Setup, eventually};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;

fn setup() -> Setup {
    Setup::app("basic:application").workers(2).kind("processes")
}

/// Datagrams until `enough` says so of all that came, joined by newlines.
fn gather(mut receive: impl FnMut(&mut [u8]) -> usize, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut buffer = vec![0; 65536];
    while !enough(&text) {
        let length = receive(&mut buffer);
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        text.push('\n');
    }
    text
}

#[test]
fn a_statsd_gets_gunicorns_numbers() {
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap();
    statsd.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = statsd.local_addr().unwrap().to_string();
    let server = setup()
        .option("--statsd-host", address)
        .option("--statsd-prefix", "shop.")
        .option("--dogstatsd-tags", "env:test")
        .arg("--enable-backlog-metric")
        .start();
    let mut client = server.client();
    client.get("/hello").expect(200);
    client.get("/hello").expect(200);
    client.get("/fail").expect(500);
    client.send("GET /%zz HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response().expect(400);
    // Three answers may come in several batches.
    let count = |text: &str, name: &str| {
        let start = format!("shop.gunicorn.{name}:");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
        let values = lines.map(|line| line.split('|').next().unwrap().parse::<u64>().unwrap());
        values.sum::<u64>()
    };
    let text = gather(
        |buffer| statsd.recv(buffer).unwrap(),
        |text| {
            count(text, "requests") >= 4
                && text.contains("gunicorn.workers:2|g|#env:test")
                && text.contains("gunicorn.log.exception:1|c|@1.0|#env:test")
                && text.contains("gunicorn.backlog:0|g|#env:test")
        },
    );
    assert_eq!(count(&text, "requests"), 4, "{text}");
    assert_eq!(count(&text, "request.status.200"), 2, "{text}");
    assert_eq!(count(&text, "request.status.500"), 1, "{text}");
    assert_eq!(count(&text, "request.status.400"), 1, "{text}");
    let times = text.matches("shop.gunicorn.request.duration:").count();
    assert_eq!(times, 4, "{text}");
    assert!(text.contains("|ms|#env:test"), "{text}");
}

#[test]
fn a_statsd_that_is_not_there_disturbs_nobody() {
    let server = setup()
        .option("--statsd-host", "unix:///nowhere/statsd")
        .start();
    server.get("/hello").expect(200);
    server.wait_log("statsd unix:///nowhere/statsd cannot be reached");
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_syslog_gets_both_logs_as_gunicorn_sends_them() {
    let setup = setup();
    let path = setup.dir().path().join("log.sock");
    let syslog = UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = setup
        .arg("--log-syslog")
        .option(
            "--log-syslog-to",
            format!("unix://{}#dgram", path.display()),
        )
        .option("--log-syslog-prefix", "shop")
        .option("--log-syslog-facility", "local3")
        .start();
    server.get("/hello").expect(200);
    server.get("/fail").expect(500);
    server.signal(TERM);
    // local3 is 19: 19 * 8 + 6 and 19 * 8 + 3.
    let text = gather(
        |buffer| syslog.recv(buffer).unwrap(),
        |text| {
            text.contains("<158>gunicorn.shop.access: [")
                && text.contains("<155>gunicorn.shop.error: [")
                && text.contains("supervisor: stopping")
        },
    );
    assert!(text.contains("] supervisor: ready http://"), "{text}");
    assert!(text.contains("\"GET /hello HTTP/1.1\" 200"), "{text}");
    // A traceback is one message.
    let failure = text.split("<155>gunicorn.shop.error: ").nth(1).unwrap();
    let failure = failure.split("\n<").next().unwrap();
    assert!(
        failure.contains("Traceback (most recent call last):")
            && failure.contains("] app basic[1] w"),
        "{failure}"
    );
}

#[test]
fn a_syslog_over_tcp_may_come_late() {
    // A port that nobody listens on yet.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = setup()
        .arg("--log-syslog")
        .arg("--disable-redirect-access-to-syslog")
        .option("--log-syslog-to", format!("tcp://{address}"))
        .start();
    server.wait_log("cannot be reached");
    server.get("/hello").expect(200);
    let syslog = eventually("the port again", || TcpListener::bind(address).ok());
    let (peer, _) = syslog.accept().unwrap();
    server.wait_log("is reached again");
    let (_, log) = server.stop();
    assert_eq!(log.matches("cannot be reached").count(), 1, "{log}");
    let lines: Vec<String> = BufReader::new(peer).lines().map(Result::unwrap).collect();
    let name = "<14>gunicorn.basic.application.error: [";
    assert!(lines.iter().all(|line| line.starts_with('<')), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(name) && line.contains("ready http://")),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains(".access:")),
        "{lines:?}"
    );
}

#[test]
fn what_cannot_be_an_address_is_refused_at_the_start() {
    for (option, value, words) in [
        (
            "--statsd-host",
            "nowhere/",
            "--statsd-host: expected HOST:PORT",
        ),
        (
            "--dogstatsd-tags",
            "a b",
            "--dogstatsd-tags: only printable ASCII",
        ),
    ] {
        let (code, said) = setup()
            .option("--statsd-host", "x")
            .option(option, value)
            .run_to_end();
        assert!(code == 1 && said.contains(words), "{code}: {said}");
    }
    let (code, said) = setup()
        .arg("--log-syslog")
        .option("--log-syslog-to", "here")
        .run_to_end();
    assert!(
        code == 1 && said.contains("--log-syslog-to: expected udp://HOST:PORT"),
        "{code}: {said}"
    );
}

#[test]
fn who_is_told_changes_with_the_configuration() {
    let statsds = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let setup = Setup::bare();
    let paths = ["one.sock", "two.sock"].map(|name| setup.dir().path().join(name));
    let syslogs = [0, 1].map(|which| UnixDatagram::bind(&paths[which]).unwrap());
    for which in [0, 1] {
        statsds[which].set_read_timeout(Some(PATIENCE)).unwrap();
        syslogs[which].set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let file = |told: &str| {
        let chdir = harness::python::apps();
        format!(
            "{told}\nchdir = '{}'\n[app.shop]\ntarget = 'basic'\n",
            chdir.display()
        )
    };
    let told = |which: usize| {
        file(&format!(
            "log_syslog = true\nlog_syslog_to = 'unix://{}#dgram'\nstatsd_host = '{}'\nstatsd_prefix = 'number{which}'",
            paths[which].display(),
            statsds[which].local_addr().unwrap()
        ))
    };
    let config = setup.dir().write("site.toml", file(""));
    let server = setup.option("--config", config).start();
    let reload = |text: String| {
        server.dir().write("site.toml", text);
        let output = server.command(&["reload"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    for which in [0, 1] {
        reload(told(which));
        // A connection that was there before is told of as well.
        let mut client = server.client();
        client.get("/hello").expect(200);
        reload(told(which));
        client.get("/hello?again").expect(200);
        let numbers = gather(
            |buffer| statsds[which].recv(buffer).unwrap(),
            |text| text.matches("gunicorn.request.duration:").count() >= 2,
        );
        assert!(
            numbers
                .lines()
                .all(|line| line.starts_with(&format!("number{which}.gunicorn."))),
            "{numbers}"
        );
        let lines = gather(
            |buffer| syslogs[which].recv(buffer).unwrap(),
            |text| {
                text.contains("\"GET /hello HTTP/1.1\" 200")
                    && text.contains("\"GET /hello?again HTTP/1.1\" 200")
                    && text.contains("supervisor: shop: generation")
            },
        );
        assert!(!lines.contains("takes a restart"), "{lines}");
    }
    reload(file(""));
    server.get("/hello?nobody").expect(200);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("takes a restart"), "{log}");
    // What was sent has arrived by now.
    for syslog in syslogs {
        syslog.set_nonblocking(true).unwrap();
        let mut buffer = [0; 65536];
        while let Ok(length) = syslog.recv(&mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            assert!(!line.contains("nobody"), "{line}");
        }
    }
}
