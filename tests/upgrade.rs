//! A new executable takes a running server's place: with `ringgate upgrade`, and step by step with USR2, WINCH, HUP and TERM.
//!
//! What the clients lose is counted request by request. The servers that come after the first are no children of the test, so each test
//! has them in its hands by their pid files ([`Line`]).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::process::children;
use harness::server::{HUP, KILL, TERM, USR2, WINCH};
use harness::timetable::{Fate, Timetable};
use harness::{Client, Server, Setup, TempDir, eventually, process};
use std::path::{Path, PathBuf};
use std::process::Output;

/// A server and those that came after it.
struct Line {
    server: Server,
}

impl Line {
    fn start(setup: Setup) -> Line {
        let pid = setup.dir().path().join("pid");
        let server = setup.option("--pid", pid).start();
        Line { server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.dir().path().join(name)
    }

    #[track_caller]
    fn upgrade(&self) -> String {
        let (code, said) = told(&self.server.command(&["upgrade"]));
        assert_eq!(code, 0, "{said}");
        said
    }

    /// Starts a new server beside the one that has this pid; once it serves, its own.
    fn beside(&self, pid: u32) -> u32 {
        process::kill(pid, USR2);
        eventually("a second pid file", || pid_in(&self.path("pid.2")));
        let line = self.server.wait_log("serves beside this one");
        let (_, rest) = line.split_once("(pid ").unwrap();
        rest.split_once(')').unwrap().0.parse().unwrap()
    }

    fn stop(&self) {
        let pid = pid_in(&self.path("pid")).unwrap();
        process::kill(pid, TERM);
        gone(pid);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        kill_all(self.server.dir().path());
    }
}

/// Whatever serves still, of the servers whose pid files are there.
fn kill_all(dir: &Path) {
    for pid in ["pid", "pid.2"]
        .iter()
        .filter_map(|name| pid_in(&dir.join(name)))
    {
        process::kill(pid, KILL);
    }
}

fn pid_in(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn gone(pid: u32) {
    eventually("it ends", || (!process::alive(pid)).then_some(()));
}

fn told(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn upgrades_under_load_lose_nothing_whatever_the_number_of_rings() {
    let setup = Setup::app("counted:application")
        .kind("processes")
        .workers(4)
        .without("--rings");
    setup.dir().write("version", "1");
    let file = setup.dir().write("site.toml", "rings = 2\n");
    let mut line = Line::start(setup.option("--config", file));
    let timetable = Timetable::start(line.server.address());
    for rings in [1, 3, 2, 2] {
        timetable.wait_requests(100);
        let content = format!("rings = {rings}\n");
        line.server.dir().write("site.toml", content);
        line.upgrade();
        let status = line.server.status();
        assert_eq!(status["rings"].as_array().unwrap().len(), rings);
    }
    timetable.wait_requests(100);
    let account = timetable.finish();
    let lost: Vec<_> = account
        .iter()
        .filter(|entry| entry.fate != Fate::Right)
        .collect();
    assert!(lost.is_empty(), "of {}: {lost:#?}", account.len());
    assert_eq!(line.server.wait().code(), Some(0), "the first one");
    line.stop();
}

#[test]
fn the_file_that_the_command_leads_to_now_is_what_takes_over() {
    let dir = TempDir::new();
    let program = dir.path().join("ringgate");
    let copy = || {
        let fresh = dir.path().join("fresh");
        std::fs::copy(env!("CARGO_BIN_EXE_ringgate"), &fresh).unwrap();
        std::fs::rename(fresh, &program).unwrap();
    };
    copy();
    let setup = Setup::app("basic:application").program(&program);
    let line = Line::start(setup);
    copy();
    line.upgrade();
    let pid = pid_in(&line.path("pid")).unwrap();
    assert_ne!(pid, line.server.pid());
    let executable = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(executable, std::fs::canonicalize(&program).unwrap());
    line.server.get("/hello").expect(200);
    // What is no program at all does not take over.
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "text").unwrap();
    let (code, said) = told(&line.server.command(&["upgrade"]));
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("cannot be run") && said.contains("this one goes on"),
        "{said}"
    );
    line.server.get("/hello").expect(200);
}

#[test]
fn an_upgrade_to_what_does_not_come_up_says_why_and_changes_nothing() {
    let setup = Setup::bare().without("--rings");
    let dir = setup.dir().path().to_owned();
    setup.dir().write(
        "shop.py",
        "def application(environ, start):\n    start('200 OK', [])\n    return [b'fine']\n",
    );
    let site = |rings: &str| {
        format!(
            "rings = {rings}\n[app.shop]\ntarget = \"shop:application\"\nkind = \"processes\"\n"
        )
    };
    let file = setup.dir().write("site.toml", site("1"));
    let line = Line::start(setup.option("--config", file));
    let pid = line.server.pid();
    let refused = |why: &str| {
        let (code, said) = told(&line.server.command(&["upgrade"]));
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("this one goes on") && said.contains(why),
            "{said}"
        );
        assert_eq!(line.server.get("/").expect(200).text(), "fine");
        assert_eq!(pid_in(&dir.join("pid")), Some(pid));
        eventually("its names go with it", || {
            let names = ["pid.2", "control.sock.2"];
            names
                .iter()
                .all(|name| !dir.join(name).exists())
                .then_some(())
        });
    };
    line.server.dir().write("site.toml", site("\"many\""));
    refused("rings");
    line.server.dir().write("site.toml", site("1"));
    line.server
        .dir()
        .write("shop.py", "import nothing_of_this_name\n");
    refused("nothing_of_this_name");
    line.server
        .dir()
        .write("shop.py", "import os; os._exit(7)\n");
    refused("exit code 7");
    line.server
        .dir()
        .write("site.toml", format!("{}warmup = [\"/\"]\n", site("1")));
    line.server.dir().write(
        "shop.py",
        "def application(environ, start):\n    raise ValueError('it stays cold')\n",
    );
    refused("the warm-up request / failed: ValueError: it stays cold");
}

#[test]
fn what_runs_is_finished_and_connections_at_rest_are_asked_once_more() {
    let line = Line::start(Setup::app("basic:application").workers(2));
    let mut resting = line.server.client();
    resting.get("/hello").expect(200);
    let mut running = line.server.client();
    running.send("GET /block/here HTTP/1.1\r\nHost: test\r\n\r\n");
    let started = line.path("here.started");
    eventually("it runs", || started.exists().then_some(()));
    let pid = line.beside(line.server.pid());
    process::kill(line.server.pid(), TERM);
    eventually("the new one has the names", || {
        (pid_in(&line.path("pid")) == Some(pid)).then_some(())
    });
    let last = resting.get("/hello").expect(200);
    assert!(last.closes(), "{last:?}");
    line.server.get("/hello").expect(200);
    line.server.dir().write("here.go", "");
    assert!(running.response().expect(200).closes());
    gone(line.server.pid());
    assert_eq!(line.server.status()["processes"]["supervisor"]["pid"], pid);
    line.stop();
}

#[test]
fn the_old_server_serves_again_when_the_new_one_dies_while_it_finishes() {
    let setup = Setup::app("basic:application").workers(2);
    let socket = setup.dir().path().join("web.sock");
    let line = Line::start(setup.option("--bind", format!("unix:{}", socket.display())));
    let (old, server) = (line.server.pid(), &line.server);
    let mut resting = Client::connect_unix(&socket);
    resting.get("/hello").expect(200);
    let mut running = server.client();
    running.send("GET /block/here HTTP/1.1\r\nHost: test\r\n\r\n");
    let started = line.path("here.started");
    eventually("it runs", || started.exists().then_some(()));
    std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| told(&server.command(&["upgrade"])));
        let new = eventually("the new one has the names", || {
            pid_in(&line.path("pid")).filter(|pid| *pid != old)
        });
        server.wait_log("stopping; running requests may finish");
        let processes = children(new);
        process::kill(new, KILL);
        // What its edge has accepted is lost with it.
        processes.into_iter().for_each(gone);
        server.wait_log("this one serves again as soon as its running requests are finished");
        // Who comes meanwhile waits, at either address.
        let mut waiting = [server.client(), Client::connect_unix(&socket)];
        for client in &mut waiting {
            client.send("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        server.dir().write("here.go", "");
        running.response().expect(200);
        for client in &mut waiting {
            client.response().expect(200);
        }
        upgrade.join().unwrap();
    });
    assert_eq!(pid_in(&line.path("pid")), Some(old));
    assert_eq!(server.status()["processes"]["supervisor"]["pid"], old);
    Client::connect_unix(&socket).get("/hello").expect(200);
    line.upgrade();
    assert_ne!(pid_in(&line.path("pid")), Some(old));
    server.get("/hello").expect(200);
    line.stop();
    assert!(!socket.exists() && !line.path("control.sock").exists() && !line.path("pid").exists());
}

#[test]
fn a_websocket_stays_until_the_old_server_may_wait_no_longer() {
    let setup = Setup::app("sockets:application").option("--graceful-timeout", "3");
    let line = Line::start(setup);
    let mut client = line.server.client();
    client.send(
        "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(client.take_head().starts_with("HTTP/1.1 101 "));
    let pid = line.beside(line.server.pid());
    process::kill(line.server.pid(), TERM);
    eventually("the new one has the names", || {
        (pid_in(&line.path("pid")) == Some(pid)).then_some(())
    });
    // A masked text of one letter, and its echo.
    client.send([0x81, 0x81, 0, 0, 0, 0, b'x']);
    assert_eq!(client.take_bytes(3), [0x81, 1, b'x']);
    let close = client.take_bytes(4);
    assert_eq!(
        (close[0], u16::from_be_bytes([close[2], close[3]])),
        (0x88, 1012)
    );
    gone(line.server.pid());
}

#[test]
fn both_stand_under_names_of_their_own_until_one_leaves() {
    let setup = Setup::app("basic:application").unbound();
    let socket = setup.dir().path().join("web.sock");
    let setup = setup.option("--bind", format!("unix:{}", socket.display()));
    let line = Line::start(setup);
    let (old, new) = (line.server.pid(), line.beside(line.server.pid()));
    assert_eq!(pid_in(&line.path("pid")), Some(old));
    assert_eq!(pid_in(&line.path("pid.2")), Some(new));
    assert_eq!(
        line.server.status()["processes"]["supervisor"]["successor"],
        new
    );
    assert!(line.path("control.sock.2").exists());
    // The new one has no heir of its own yet.
    process::kill(new, USR2);
    line.server
        .wait_log("it was itself started to take another's place");
    // It goes: nothing has happened.
    process::kill(new, TERM);
    line.server
        .wait_log("has ended, and this one goes on: exit code 0");
    gone(new);
    assert!(socket.exists() && line.path("control.sock").exists());
    assert!(!line.path("control.sock.2").exists() && !line.path("pid.2").exists());
    Client::connect_unix(&socket).get("/hello").expect(200);
    // The old one goes without a word: the next one has everything.
    process::kill(old, USR2);
    let next = eventually("another one", || pid_in(&line.path("pid.2")));
    eventually("it serves", || {
        let said = line.server.log();
        (said.matches("serves beside this one").count() == 2).then_some(())
    });
    let processes = children(old);
    process::kill(old, KILL);
    // What the old edge has accepted is lost with it.
    let rest = processes.into_iter().filter(|pid| *pid != next);
    rest.for_each(gone);
    eventually("the next one has the names", || {
        (pid_in(&line.path("pid")) == Some(next)).then_some(())
    });
    Client::connect_unix(&socket).get("/hello").expect(200);
    assert_eq!(
        line.server.status()["processes"]["supervisor"]["beside"],
        false
    );
    line.stop();
    assert!(!socket.exists() && !line.path("control.sock").exists() && !line.path("pid").exists());
}

#[test]
fn winch_has_the_old_one_rest_and_hup_wakes_it() {
    let setup = Setup::app("basic:application");
    let dir = setup.dir().path().to_owned();
    let path = |name: &str| dir.join(name);
    let (pid_file, socket) = (path("pid"), path("web.sock"));
    // In the background there is no terminal whose resize would be meant.
    let (server, _) = setup
        .arg("--daemon")
        .unbound()
        .option("--bind", format!("unix:{}", socket.display()))
        .option("--pid", &pid_file)
        .option("--error-log", path("log"))
        .launch();
    let mut line = Line { server };
    assert_eq!(line.server.wait().code(), Some(0));
    let hello = || Client::connect_unix(&socket).get("/hello").expect(200);
    let logged = |text: &str| {
        eventually(text, || {
            let log = std::fs::read_to_string(path("log")).unwrap();
            log.contains(text).then_some(())
        });
    };
    let old = pid_in(&pid_file).unwrap();
    process::kill(old, WINCH);
    logged("WINCH: no new server stands beside this one");
    process::kill(old, USR2);
    logged("serves beside this one");
    let new = pid_in(&path("pid.2")).unwrap();
    process::kill(old, WINCH);
    eventually("its processes go", || {
        let rest = children(old);
        rest.iter().all(|pid| *pid == new).then_some(())
    });
    hello();
    process::kill(old, HUP);
    logged("taking up service again");
    eventually("it serves again", || {
        (children(old).len() > 2).then_some(())
    });
    hello();
    // At rest once more: the end of the new one wakes it as well.
    process::kill(old, WINCH);
    eventually("its processes go", || {
        let rest = children(old);
        rest.iter().all(|pid| *pid == new).then_some(())
    });
    process::kill(new, KILL);
    gone(new);
    hello();
    process::kill(old, TERM);
    gone(old);
    assert!(!socket.exists() && !pid_file.exists());
}

#[test]
fn pre_exec_is_called_before_the_new_server_is_started() {
    let setup = Setup::app("basic:application");
    let file = setup.dir().write(
        "gunicorn.conf.py",
        "import os\ndef pre_exec(server):\n    open(os.environ['TEST_DIR'] + '/hooked', 'x').write(str(os.getpid()))\n",
    );
    let line = Line::start(setup.option("--config", file));
    let host = line.server.hosts()[0];
    line.upgrade();
    assert_eq!(line.server.dir().read("hooked"), host.to_string());
    line.server.get("/hello").expect(200);
}

#[test]
fn the_service_manager_is_told_which_process_is_the_main_one() {
    let place = TempDir::new();
    let path = place.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 256];
        let count = manager.recv(&mut buffer).expect("it speaks");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let line = Line::start(Setup::app("basic:application").env("NOTIFY_SOCKET", &path));
    let first = line.server.pid();
    assert_eq!(heard(), format!("READY=1\nMAINPID={first}"));
    line.upgrade();
    let second = pid_in(&line.path("pid")).unwrap();
    assert_eq!(heard(), format!("MAINPID={second}"));
    line.stop();
}
