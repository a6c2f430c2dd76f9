//! The control thread with real ring threads, and the test in the supervisor's place.

use super::*;
use config::{Address, LogTarget, StaticMount};
use control::message::Patience;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const RINGS: usize = 2;

/// An edge on a thread of this process.
struct Edge {
    channel: Channel,
    thread: std::thread::JoinHandle<ExitCode>,
    scratch: PathBuf,
    address: Option<std::net::SocketAddr>,
}

impl Edge {
    /// Starts it and waits until it is ready.
    fn start(name: &str, adapt: impl FnOnce(&mut Config)) -> Edge {
        let edge = Edge::launch(name, adapt);
        assert_eq!(edge.hear(), Some(FromEdge::Ready {}));
        edge
    }

    fn launch(name: &str, adapt: impl FnOnce(&mut Config)) -> Edge {
        let scratch =
            std::env::temp_dir().join(format!("ringgate-control-{name}-{}", std::process::id()));
        std::fs::create_dir_all(scratch.join("www")).expect("scratch directory");
        std::fs::write(scratch.join("www/a.txt"), "hello").expect("write");
        let mut config = Config::bare();
        config.rings = RINGS;
        config.statics = vec![StaticMount::new("/s", scratch.join("www"))];
        config.access_log = Some(LogTarget::File(scratch.join("access.log")));
        config.error_log = LogTarget::File(scratch.join("error.log"));
        adapt(&mut config);
        let (ours, theirs) = Channel::pair().expect("pair");
        let thread = std::thread::spawn(move || run_on(theirs));
        let listener = sys::socket::unix_listen(&scratch.join("control"), 8).expect("listen");
        let bells: Vec<EventFd> = (0..RINGS)
            .map(|_| EventFd::new().expect("eventfd"))
            .collect();
        let mut descriptors: Vec<_> = bells.iter().map(AsFd::as_fd).collect();
        descriptors.push(listener.as_fd());
        let start = ToEdge::Start {
            config: Box::new(config),
            epoch: 1,
        };
        ours.send(&start, &descriptors).expect("sent");
        Edge {
            channel: ours,
            thread,
            scratch,
            address: None,
        }
    }

    fn hear(&self) -> Option<FromEdge> {
        self.channel
            .recv()
            .expect("a message")
            .map(|(message, _)| message)
    }

    fn tell(&self, message: &ToEdge) {
        self.channel.send(message, &[]).expect("sent");
    }

    /// Opens a listener per ring and lets it accept.
    fn listen(&mut self) {
        let first =
            sys::socket::tcp_bind("127.0.0.1:0".parse().expect("address"), true).expect("bind");
        let address = sys::socket::local_address(first.as_fd()).expect("bound");
        let second = sys::socket::tcp_bind(address, true).expect("bind");
        for socket in [&first, &second] {
            sys::socket::tcp_listen(socket.as_fd(), 16).expect("listen");
        }
        let message = ToEdge::Listener {
            address: Address::Tcp(address),
        };
        self.channel
            .send(&message, &[first.as_fd(), second.as_fd()])
            .expect("sent");
        self.tell(&ToEdge::Go);
        self.address = Some(address);
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address.expect("listening")).expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.scratch.join("control")).expect("connect");
        stream.write_all(request.as_bytes()).expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("status\n")).expect("JSON")
    }

    /// Drains it and waits for its end.
    fn drain(self) -> PathBuf {
        self.tell(&ToEdge::Drain {
            grace_ms: 10_000,
            patience: Patience::default(),
        });
        assert_eq!(self.hear(), Some(FromEdge::Drained));
        assert_eq!(self.hear(), None);
        assert_eq!(self.thread.join().expect("no panic"), ExitCode::SUCCESS);
        self.scratch
    }
}

fn remove(scratch: &std::path::Path) {
    std::fs::remove_dir_all(scratch).expect("it is ours");
}

#[test]
fn requests_are_counted_and_logged_and_nothing_is_lost_at_the_stop() {
    let mut edge = Edge::start("serve", |_| {});
    edge.listen();
    assert_eq!(edge.status()["edge"]["pid"], std::process::id());
    for _ in 0..20 {
        assert!(edge.get("/s/a.txt").ends_with("\r\n\r\nhello"));
    }
    assert!(edge.get("/s/absent").starts_with("HTTP/1.1 404 "));
    let status = edge.status();
    assert_eq!(status["edge"]["state"], "accepting");
    assert_eq!(
        status["requests"]["by_status"],
        serde_json::json!({ "200": 20, "404": 1 })
    );
    assert_eq!(status["rings"].as_array().map(Vec::len), Some(RINGS));
    assert_eq!(
        status["listeners"][0],
        format!("http://{}", edge.address.expect("listening"))
    );
    let scratch = edge.drain();
    let log = std::fs::read_to_string(scratch.join("access.log")).expect("a log");
    assert_eq!(log.lines().count(), 21, "{log}");
    assert_eq!(log.matches("\"GET /s/a.txt HTTP/1.1\" 200 5 ").count(), 20);
    assert_eq!(log.matches("\"GET /s/absent HTTP/1.1\" 404 ").count(), 1);
    remove(&scratch);
}

#[test]
fn what_hosts_print_is_in_the_error_log_by_name() {
    let edge = Edge::start("hosts", |config| {
        config.apps = vec![config::App {
            name: "shop".into(),
            mount: String::new(),
            target: "shop:app".into(),
            options: config::AppOptions::default(),
        }];
    });
    let (read_end, write_end) = sys::socket::pipe().expect("pipe");
    edge.channel
        .send(
            &ToEdge::HostLog {
                app: 0,
                generation: 3,
            },
            &[read_end.as_fd()],
        )
        .expect("sent");
    drop(read_end);
    let mut host = std::fs::File::from(write_end);
    host.write_all(
        b"[shop w2] hello\nTraceback (most recent call last):\n  File x\nE: y\nlast words",
    )
    .expect("write");
    let scratch = edge.drain();
    let log = std::fs::read_to_string(scratch.join("error.log")).expect("a log");
    assert!(log.contains("Z info app shop[3] w2: hello\n"), "{log}");
    let traceback =
        "Z error app shop[3]: Traceback (most recent call last):\n      File x\n    E: y\n";
    assert!(log.contains(traceback), "{log}");
    assert!(log.contains("Z info app shop[3]: last words\n"), "{log}");
    remove(&scratch);
}

#[test]
fn logs_are_reopened_after_a_rotation() {
    let mut edge = Edge::start("rotate", |_| {});
    edge.listen();
    edge.get("/s/a.txt");
    for name in ["access.log", "error.log"] {
        std::fs::rename(
            edge.scratch.join(name),
            edge.scratch.join(format!("{name}.1")),
        )
        .expect("rename");
    }
    edge.tell(&ToEdge::ReopenLogs);
    // Messages are taken in order, so the answer to a command that follows means that the logs are new.
    let asked = std::thread::scope(|scope| {
        let asker = scope.spawn(|| edge.ask("reload\n"));
        let Some(FromEdge::Command { id, name }) = edge.hear() else {
            panic!("a command")
        };
        assert_eq!(name, "reload");
        edge.tell(&ToEdge::CommandDone {
            id,
            ok: true,
            message: "done".into(),
        });
        asker.join().expect("no panic")
    });
    assert_eq!(asked, "{\"message\":\"done\",\"ok\":true}\n");
    edge.get("/s/absent");
    let scratch = edge.drain();
    let read = |name: &str| std::fs::read_to_string(scratch.join(name)).expect("a log");
    assert!(read("access.log").contains(" 404 "));
    assert!(read("error.log").contains("logs reopened"));
    let all = read("access.log.1") + &read("access.log");
    assert_eq!(all.lines().count(), 2, "{all}");
    remove(&scratch);
}

#[test]
fn status_speaks_http_too_and_changes_nothing() {
    let edge = Edge::start("http", |_| {});
    let text = edge.ask("GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    serde_json::from_str::<serde_json::Value>(body).expect("JSON");
    assert!(
        edge.ask("GET /reload HTTP/1.1\r\n\r\n")
            .starts_with("HTTP/1.1 404 ")
    );
    remove(&edge.drain());
}

#[test]
fn quit_is_quick_and_still_writes_the_logs() {
    let mut edge = Edge::start("quit", |_| {});
    edge.listen();
    // A connection that stays: nobody waits for it.
    let idle = TcpStream::connect(edge.address.expect("listening")).expect("connect");
    edge.get("/s/a.txt");
    edge.tell(&ToEdge::Quit);
    while edge.hear().is_some() {}
    assert_eq!(edge.thread.join().expect("no panic"), ExitCode::SUCCESS);
    drop(idle);
    let log = std::fs::read_to_string(edge.scratch.join("access.log")).expect("a log");
    assert_eq!(log.lines().count(), 1);
    remove(&edge.scratch);
}

#[test]
fn a_supervisor_that_dies_takes_the_edge_along() {
    let edge = Edge::start("orphan", |_| {});
    let Edge {
        channel,
        thread,
        scratch,
        ..
    } = edge;
    drop(channel);
    assert_eq!(
        thread.join().expect("no panic"),
        ExitCode::from(EXIT_FAILURE)
    );
    remove(&scratch);
}

#[test]
fn a_log_that_cannot_be_opened_is_told_before_anything_starts() {
    let edge = Edge::launch("nolog", |config| {
        config.access_log = Some(LogTarget::File("/nonexistent/access.log".into()));
    });
    let Some(FromEdge::Failed { message }) = edge.hear() else {
        panic!("it must fail")
    };
    assert!(
        message.contains("cannot open the access log /nonexistent/access.log"),
        "{message}"
    );
    assert_eq!(
        edge.thread.join().expect("no panic"),
        ExitCode::from(EXIT_FAILURE)
    );
    remove(&edge.scratch);
}

#[test]
fn a_static_directory_that_is_not_there_is_told() {
    let edge = Edge::launch("nodir", |config| {
        config.statics[0].dir = "/nonexistent/www".into()
    });
    let Some(FromEdge::Failed { message }) = edge.hear() else {
        panic!("it must fail")
    };
    assert!(message.contains("/nonexistent/www"), "{message}");
    assert_eq!(
        edge.thread.join().expect("no panic"),
        ExitCode::from(EXIT_FAILURE)
    );
    remove(&edge.scratch);
}
