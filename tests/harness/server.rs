//! The real binary, started in a directory of its own, watched through its log, killed with its owner.

use super::keeper;
use super::process;
use super::python;
use super::{Client, PATIENCE, Response, TempDir};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

pub const HUP: i32 = 1;
pub const INT: i32 = 2;
pub const QUIT: i32 = 3;
pub const KILL: i32 = 9;
pub const USR1: i32 = 10;
pub const USR2: i32 = 12;
pub const TERM: i32 = 15;
pub const WINCH: i32 = 28;
pub const TTIN: i32 = 21;
pub const TTOU: i32 = 22;

/// A server to be started: the command line so far.
pub struct Setup {
    /// The command and its first arguments.
    program: Vec<OsString>,
    /// Whether the command is told of the tests' Python and of the extension built for them.
    installed: bool,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    bind: bool,
    dir: TempDir,
}

impl Setup {
    /// Serves this app of tests/apps with one ring and one worker.
    pub fn app(target: &str) -> Setup {
        Setup::bare().arg(target).option("--chdir", python::apps())
    }

    /// No application; the test adds what is to be served.
    pub fn bare() -> Setup {
        let setup = Setup {
            program: vec![env!("CARGO_BIN_EXE_ringgate").into()],
            installed: false,
            arguments: Vec::new(),
            environment: Vec::new(),
            bind: true,
            dir: TempDir::new(),
        };
        setup
            .option("--python", python::python())
            .option("--rings", "1")
    }

    /// As on a machine without any Python.
    pub fn without_python() -> Setup {
        let mut setup = Setup::bare();
        let command = std::mem::take(&mut setup.program);
        setup.program = ["/usr/bin/env", "PATH=/nonexistent"]
            .map(OsString::from)
            .into();
        setup.program.extend(command);
        setup.installed = true;
        setup.arguments.clear();
        setup.option("--rings", "1")
    }

    /// Serves this app of tests/apps with a command that was installed, and so finds everything by itself.
    pub fn installed(program: &[OsString], target: &str) -> Setup {
        let mut setup = Setup::bare();
        setup.program = program.to_vec();
        setup.installed = true;
        setup.arguments.clear();
        setup
            .arg(target)
            .option("--rings", "1")
            .option("--chdir", python::apps())
    }

    pub fn arg(mut self, argument: impl Into<OsString>) -> Setup {
        self.arguments.push(argument.into());
        self
    }

    /// `--name value`; a name that was given before is replaced, so that a test may overrule what the harness chose.
    pub fn option(mut self, name: &str, value: impl Into<OsString>) -> Setup {
        let value = value.into();
        match self.arguments.iter().position(|each| each == name) {
            Some(at) => self.arguments[at + 1] = value,
            None => self.arguments.extend([name.into(), value]),
        }
        self
    }

    /// Takes back `--name value`, for what a file is to say.
    pub fn without(mut self, name: &str) -> Setup {
        if let Some(at) = self.arguments.iter().position(|each| each == name) {
            self.arguments.drain(at..at + 2);
        }
        self
    }

    /// Runs this copy of the command.
    pub fn program(mut self, program: impl Into<OsString>) -> Setup {
        self.program = vec![program.into()];
        self
    }

    /// `--name value` once more.
    pub fn also(mut self, name: &str, value: impl Into<OsString>) -> Setup {
        self.arguments.extend([name.into(), value.into()]);
        self
    }

    pub fn workers(self, count: usize) -> Setup {
        self.option("--workers", count.to_string())
    }

    pub fn kind(self, kind: &str) -> Setup {
        self.option("--kind", kind)
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Setup {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The test binds itself.
    pub fn unbound(mut self) -> Setup {
        self.bind = false;
        self
    }

    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    fn command(&self) -> Command {
        // The shell puts the readiness pipe, which arrives as stdin, where no one else looks for anything.
        let mut command = keeper::mortal("/bin/sh");
        command.args([
            "-c",
            "exec 9>&0 </dev/null; exec \"$0\" \"$@\" --ready-fd 9",
        ]);
        command.args(&self.program).args(&self.arguments);
        if self.bind {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command
            .arg("--control-socket")
            .arg(self.dir.path().join("control.sock"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RINGGATE_"))
        {
            command.env_remove(name);
        }
        if self.installed {
            // What an active environment or a tester's habits would add.
            for name in ["VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"] {
                command.env_remove(name);
            }
        } else {
            command.env("RINGGATE_EXTENSION", python::extension());
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("TEST_DIR", self.dir.path());
        command.current_dir(self.dir.path());
        command
    }

    /// Starts it and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Server {
        let (mut server, ready) = self.launch();
        let mut line = String::new();
        ready
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        let outcome = BufReader::new(ready).read_line(&mut line);
        if !matches!(outcome, Ok(count) if count > 0) {
            panic!(
                "ringgate did not become ready ({outcome:?}):\n{}",
                server.log.end()
            );
        }
        server.addresses = line
            .split_ascii_whitespace()
            .filter_map(|word| {
                word.strip_prefix("http://")?
                    .trim_end_matches('/')
                    .parse()
                    .ok()
            })
            .collect();
        server.ready_line = line;
        server
    }

    /// Starts it; its readiness comes on the returned stream.
    pub fn launch(self) -> (Server, UnixStream) {
        let (ready, theirs) = UnixStream::pair().expect("a socket pair can be made");
        let mut command = self.command();
        command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = keeper::spawn(command).expect("the binary starts");
        let log = Arc::new(Log::default());
        let output = [
            Box::new(child.stdout.take().expect("piped")) as Box<dyn Read + Send>,
            Box::new(child.stderr.take().expect("piped")),
        ];
        for stream in output {
            let log = log.clone();
            std::thread::spawn(move || log.collect(stream));
        }
        (
            Server {
                child,
                addresses: Vec::new(),
                ready_line: String::new(),
                log,
                dir: self.dir,
            },
            ready,
        )
    }

    /// Runs it to its end, for command lines that are refused: exit code and everything it said.
    pub fn run_to_end(self) -> (i32, String) {
        let (mut server, _ready) = self.launch();
        let status = server.wait();
        (status.code().unwrap_or(-1), server.log.end())
    }
}

/// What the server writes to stdout and stderr.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    news: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<String>,
    ended: usize,
}

impl Log {
    fn collect(&self, stream: impl Read) {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches('\n')
                .to_owned();
            self.state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .lines
                .push(text);
            self.news.notify_all();
            line.clear();
        }
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended += 1;
        self.news.notify_all();
    }

    /// Everything, once both streams have ended.
    fn end(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, timeout) = self
            .news
            .wait_timeout_while(state, PATIENCE, |state| state.ended < 2)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "someone still holds the server's output:\n{}",
            state.lines.join("\n")
        );
        state.lines.join("\n")
    }
}

pub struct Server {
    child: Child,
    addresses: Vec<SocketAddr>,
    pub ready_line: String,
    log: Arc<Log>,
    dir: TempDir,
}

impl Server {
    pub fn address(&self) -> SocketAddr {
        *self
            .addresses
            .first()
            .unwrap_or_else(|| panic!("no TCP address in the line {:?}", self.ready_line))
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// `GET target` on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        process::kill(self.pid(), signal);
    }

    /// The edge process.
    pub fn edge(&self) -> Option<u32> {
        process::children(self.pid()).into_iter().find(|pid| {
            process::command_line(*pid)
                .get(1)
                .is_some_and(|word| word == "edge")
        })
    }

    /// The app hosts, oldest first.
    pub fn hosts(&self) -> Vec<u32> {
        let mut hosts = process::children(self.pid());
        hosts.retain(|pid| {
            process::command_line(*pid)
                .iter()
                .any(|word| word.contains("_ringgate"))
        });
        hosts
    }

    /// The process workers, children of the app hosts.
    pub fn process_workers(&self) -> Vec<u32> {
        self.hosts()
            .into_iter()
            .flat_map(process::children)
            .collect()
    }

    /// Everything said so far.
    pub fn log(&self) -> String {
        self.log
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .join("\n")
    }

    /// Waits for a line of the log that contains the text.
    #[track_caller]
    pub fn wait_log(&self, text: &str) -> String {
        let start = Instant::now();
        let mut state = self
            .log
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(
                !left.is_zero(),
                "the log never says {text:?}:\n{}",
                state.lines.join("\n")
            );
            state = self
                .log
                .news
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        super::eventually("the server ends", || child.try_wait().expect("our child"))
    }

    /// TERM, then everything it ever said.
    #[track_caller]
    pub fn stop(self) -> (ExitStatus, String) {
        self.stop_by(TERM)
    }

    /// As `stop`, by another signal.
    pub fn stop_by(mut self, signal: i32) -> (ExitStatus, String) {
        self.signal(signal);
        let status = self.wait();
        let log = self.log.end();
        assert!(!log.contains("could not be written to its end"), "{log}");
        (status, log)
    }

    /// A client command (`status` ...) against this server.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command
            .args(arguments)
            .arg("--control-socket")
            .arg(self.dir.path().join("control.sock"));
        command.output().expect("the binary runs")
    }

    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--json"]);
        assert!(
            output.status.success(),
            "status: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "no JSON ({error}): {}",
                String::from_utf8_lossy(&output.stdout)
            )
        })
    }

    pub fn control_socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}\n---", self.log());
        }
        // Its children go with it, by their parent-death signal.
        if matches!(self.child.try_wait(), Ok(None)) {
            process::kill(self.pid(), KILL);
        }
        if let Err(error) = self.child.wait() {
            eprintln!("the server cannot be waited for: {error}");
        }
    }
}

/// The command line of `setup` must end with a message that contains every word, without a panic or a Rust debug dump.
#[track_caller]
pub fn mistake(setup: Setup, words: &[&str]) -> String {
    let (code, output) = setup.run_to_end();
    assert!(code > 0 && code < 100, "exit code {code}:\n{output}");
    for word in words {
        assert!(output.contains(word), "no {word:?} in:\n{output}");
    }
    for ugly in ["panicked", "Os {", "Err(", "RUST_BACKTRACE"] {
        assert!(!output.contains(ugly), "{ugly:?} in:\n{output}");
    }
    output
}

/// A server that all tests of one file share. It ends with the test binary.
pub fn shared(cell: &'static OnceLock<Server>, setup: impl FnOnce() -> Setup) -> &'static Server {
    cell.get_or_init(|| setup().start())
}

/// A place for a server of each kind of workers.
pub type PerKind = [OnceLock<Server>; 2];

/// A server of each kind that the test's Python can do, shared like [`shared`].
pub fn shared_by_kind(
    cells: &'static PerKind,
    setup: impl Fn(&str) -> Setup,
) -> Vec<&'static Server> {
    let kinds = super::python::kinds().iter().zip(cells);
    kinds
        .map(|(kind, cell)| shared(cell, || setup(kind)))
        .collect()
}
