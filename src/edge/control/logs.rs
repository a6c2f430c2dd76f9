//! The access log and the error log of this edge, and what feeds the error log from app hosts.
//!
//! Owns the writers, the ways to syslog and statsd, and the host pipes' tasks. Invariants: two logs with one target share one writer, so their
//! lines never mix; lines that were made for a log go there, and to its syslog, also when another has taken its place meanwhile. Must not know
//! what is worth saying.

use super::log_writer::LogWriter;
use super::statsd::Statsd;
use super::syslog::Syslog;
use crate::error_log::{Line, Origin};
use crate::mailbox::Recycler;
use crate::timestamp::Timestamp;
use config::{Config, LogLevel, LogTarget};
use control::host_log::{Cutter, Entry, HOLD_NS};
use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes taken from a host's pipe at once: the pipe's usual capacity.
const PIPE_BYTES: usize = 64 * 1024;
/// Reads from a pipe at the stop, at most: an app that never stops printing must not stop the stop.
const LAST_READS_MAX: usize = 64;

/// How long a syslog or statsd may hold up the exit.
const OTHERS_PATIENCE: Duration = Duration::from_secs(1);

/// No timer is that long; it only has to be there.
const FOREVER: Duration = Duration::from_secs(86_400);

pub struct Logs {
    /// The present one last, before it those that ring threads may still write to.
    access: RefCell<Vec<Access>>,
    error: ErrorLog,
    recycler: Recycler,
    /// True: read what is left and end.
    stopping: watch::Sender<bool>,
    hosts: RefCell<Vec<JoinHandle<()>>>,
}

/// Where lines of one number go.
#[derive(Clone)]
struct Access {
    number: u32,
    writer: Option<LogWriter>,
    syslog: Option<Rc<Syslog>>,
}

#[derive(Clone)]
struct ErrorLog {
    own: Rc<OwnLog>,
    told: Rc<Told>,
}

/// Who is told beside the error log.
#[derive(Default)]
struct Told {
    syslog: RefCell<Option<Rc<Syslog>>>,
    statsd: RefCell<Option<Rc<Statsd>>>,
    /// As they were made.
    wanted: RefCell<(Option<config::Syslog>, Option<config::Statsd>)>,
}

/// The error log alone, without who is told beside it.
struct OwnLog {
    writer: RefCell<LogWriter>,
    level: Cell<LogLevel>,
    stamp: RefCell<Timestamp>,
}

impl Logs {
    /// Opens both; the message is for the user.
    pub fn open(config: &Config, recycler: Recycler) -> Result<Logs, String> {
        let writer = LogWriter::start(&config.error_log, drop)
            .map_err(|error| cannot_open("error", &config.error_log, &error))?;
        let own = Rc::new(OwnLog {
            writer: RefCell::new(writer),
            level: Cell::new(config.log_level),
            stamp: RefCell::default(),
        });
        let logs = Logs {
            access: RefCell::default(),
            error: ErrorLog {
                own,
                told: Rc::default(),
            },
            recycler,
            stopping: watch::Sender::new(false),
            hosts: RefCell::default(),
        };
        logs.error.tell_as(config);
        let writer = logs.access_writer(config.access_log.as_ref())?;
        logs.access.borrow_mut().push(Access {
            number: 0,
            writer,
            syslog: logs.error.told.syslog.borrow().clone(),
        });
        Ok(logs)
    }

    /// The writer of that target, if it has one already, or a new one.
    fn access_writer(&self, target: Option<&LogTarget>) -> Result<Option<LogWriter>, String> {
        let Some(target) = target else {
            return Ok(None);
        };
        let known = self.writers().into_iter();
        let mut known = known.filter(|writer| writer.target() == target);
        if let Some(writer) = known.next() {
            return Ok(Some(writer));
        }
        let recycler = self.recycler.clone();
        LogWriter::start(target, move |buffer| recycler.recycle(buffer))
            .map(Some)
            .map_err(|error| cannot_open("access", target, &error))
    }

    /// Each once.
    fn writers(&self) -> Vec<LogWriter> {
        let mut writers = vec![self.error.own.writer.borrow().clone()];
        for access in &*self.access.borrow() {
            if let Some(writer) = &access.writer
                && !writers
                    .iter()
                    .any(|known| known.target() == writer.target())
            {
                writers.push(writer.clone());
            }
        }
        writers
    }

    /// Logs as the configuration says from now on; the access log has this number. One that cannot be opened stays where it was, and that is
    /// said.
    pub fn turn_to(&self, config: &Config, number: u32) {
        self.error.own.level.set(config.log_level);
        let before = self.writers();
        let of = |target: &LogTarget| {
            let known = before.iter().find(|writer| writer.target() == target);
            known.map_or_else(|| LogWriter::start(target, drop), |known| Ok(known.clone()))
        };
        match of(&config.error_log) {
            Ok(writer) => drop(self.error.own.writer.replace(writer)),
            Err(error) => self.say(
                LogLevel::Error,
                cannot_open("error", &config.error_log, &error),
            ),
        }
        let before_syslogs = self.syslogs();
        if let Some(statsd) = self.error.tell_as(config) {
            tokio_uring::spawn(async move { statsd.stop().await });
        }
        let current = self.access.borrow().last().map_or(0, |log| log.number);
        if number != current {
            let writer = match self.access_writer(config.access_log.as_ref()) {
                Ok(writer) => writer,
                Err(message) => {
                    self.say(LogLevel::Error, message);
                    self.present_access()
                }
            };
            self.access.borrow_mut().push(Access {
                number,
                writer,
                syslog: self.error.told.syslog.borrow().clone(),
            });
        }
        self.end_those_of(before, before_syslogs);
    }

    /// No ring thread writes to an access log before this one any more.
    pub fn retire(&self, oldest: u32) {
        let (before, before_syslogs) = (self.writers(), self.syslogs());
        self.access.borrow_mut().retain(|log| log.number >= oldest);
        self.end_those_of(before, before_syslogs);
    }

    /// Each once.
    fn syslogs(&self) -> Vec<Rc<Syslog>> {
        let mut syslogs: Vec<Rc<Syslog>> =
            self.error.told.syslog.borrow().iter().cloned().collect();
        for access in &*self.access.borrow() {
            if let Some(syslog) = &access.syslog
                && !syslogs.iter().any(|known| Rc::ptr_eq(known, syslog))
            {
                syslogs.push(Rc::clone(syslog));
            }
        }
        syslogs
    }

    /// Ends those among `before` that nobody has any more, once they have written everything.
    fn end_those_of(&self, before: Vec<LogWriter>, before_syslogs: Vec<Rc<Syslog>>) {
        let now = self.syslogs();
        for syslog in before_syslogs {
            if !now.iter().any(|known| Rc::ptr_eq(known, &syslog)) {
                tokio_uring::spawn(async move { syslog.stop().await });
            }
        }
        let now = self.writers();
        for writer in before {
            if !now.iter().any(|known| known.target() == writer.target()) {
                tokio_uring::spawn(async move { writer.stop().await });
            }
        }
    }

    fn present_access(&self) -> Option<LogWriter> {
        self.access.borrow().last()?.writer.clone()
    }

    /// Whole lines of the `number`th access log.
    pub fn access(&self, lines: Vec<u8>, number: u32) {
        let access = self.access.borrow();
        let Some(log) = access.iter().find(|log| log.number == number) else {
            return;
        };
        if let Some(syslog) = &log.syslog {
            syslog.access(&lines);
        }
        if let Some(writer) = &log.writer {
            writer.write(lines);
        }
    }

    /// Where numbers go besides the status, if anywhere.
    pub fn statsd(&self) -> Option<Rc<Statsd>> {
        self.error.told.statsd.borrow().clone()
    }

    /// A line of this thread's own.
    pub fn say(&self, level: LogLevel, message: String) {
        self.write(&Line::of_edge(level, message));
    }

    /// A line that somebody else has written into the error log.
    pub fn tell(&self, level: LogLevel, origin: String, message: String) {
        let line = Line {
            origin: Origin::Other(origin),
            ..Line::of_edge(level, message)
        };
        self.error.tell(&line);
    }

    /// A line that somebody else has made.
    pub fn write(&self, line: &Line) {
        if line.level >= self.error.own.level.get() {
            self.error.write(line);
        }
    }

    pub fn take_lost_lines(&self) -> u64 {
        self.writers().iter().map(LogWriter::take_lost_lines).sum()
    }

    /// Which log could not be written, and why.
    pub fn take_failure(&self) -> Option<String> {
        let said = |writer: LogWriter| {
            let error = writer.take_failure()?;
            let which = match writer.target() {
                LogTarget::File(path) => path.display().to_string(),
                LogTarget::Stdout => "stdout".into(),
                LogTarget::Stderr => "stderr".into(),
            };
            let why = config::world::plain(&error);
            Some(format!("{which} cannot be written ({why})"))
        };
        self.writers().into_iter().filter_map(said).last()
    }

    /// Opens both again; whichever cannot be opened goes on as it was, and that is said.
    pub async fn reopen(&self) {
        let error_log = self.error.own.writer.borrow().clone();
        if let Err(error) = error_log.reopen().await {
            self.say(
                LogLevel::Error,
                cannot_open("error", error_log.target(), &error),
            );
        }
        let own = self.present_access();
        let own = own.filter(|access| access.target() != error_log.target());
        if let Some(access) = own
            && let Err(error) = access.reopen().await
        {
            self.say(
                LogLevel::Error,
                cannot_open("access", access.target(), &error),
            );
        }
        self.say(LogLevel::Info, "logs reopened".into());
    }

    /// Reads a host's pipe from now on.
    pub fn read_host(&self, app: String, generation: u32, pipe: OwnedFd) {
        match Receiver::from_owned_fd(pipe) {
            Ok(pipe) => {
                let host = Host {
                    app,
                    generation,
                    log: self.error.clone(),
                };
                let task = tokio_uring::spawn(host.read(pipe, self.stopping.subscribe()));
                let mut hosts = self.hosts.borrow_mut();
                hosts.retain(|task| !task.is_finished());
                hosts.push(task);
            }
            Err(error) => self.say(
                LogLevel::Error,
                format!("app {app}: its output cannot be read: {error}"),
            ),
        }
    }

    /// Takes what is still in the hosts' pipes, and writes both logs to their end.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let hosts = self.hosts.take();
        for task in hosts {
            // A task that panicked has said so on stderr.
            drop(task.await);
        }
        let statsd = self.statsd();
        let others = async {
            for syslog in self.syslogs() {
                syslog.stop().await;
            }
            if let Some(statsd) = statsd {
                statsd.stop().await;
            }
        };
        // What they do not take in that time is lost.
        drop(tokio::time::timeout(OTHERS_PATIENCE, others).await);
        for writer in self.writers() {
            writer.stop().await;
        }
    }
}

impl ErrorLog {
    fn write(&self, line: &Line) {
        self.own.write(line);
        self.tell(line);
    }

    /// Those beside the log.
    fn tell(&self, line: &Line) {
        if let Some(syslog) = &*self.told.syslog.borrow() {
            syslog.error(line);
        }
        if let Some(statsd) = &*self.told.statsd.borrow() {
            statsd.logged(line);
        }
    }

    /// Tells those whom the configuration names from now on. Returns the statsd whose place another took, which is to be stopped; a syslog that
    /// lost its place may have access lines to come.
    fn tell_as(&self, config: &Config) -> Option<Rc<Statsd>> {
        // What becomes of them is said in the log only: they could not be told of their own absence.
        let voice = || {
            let own = Rc::clone(&self.own);
            move |level, message| own.write(&Line::of_edge(level, message))
        };
        let mut wanted = self.told.wanted.borrow_mut();
        if wanted.0 != config.syslog {
            wanted.0.clone_from(&config.syslog);
            let syslog = config.syslog.as_ref();
            let syslog = syslog.map(|syslog| Rc::new(Syslog::start(syslog, voice())));
            self.told.syslog.replace(syslog);
        }
        if wanted.1 == config.statsd {
            return None;
        }
        wanted.1.clone_from(&config.statsd);
        let statsd = config.statsd.as_ref();
        let statsd = statsd.map(|statsd| Rc::new(Statsd::start(statsd, voice())));
        self.told.statsd.replace(statsd)
    }
}

impl OwnLog {
    fn write(&self, line: &Line) {
        let mut bytes = Vec::with_capacity(line.message.len() + 64);
        line.format(&mut self.stamp.borrow_mut(), &mut bytes);
        self.writer.borrow().write(bytes);
    }
}

/// One app host's output.
struct Host {
    app: String,
    generation: u32,
    log: ErrorLog,
}

impl Host {
    async fn read(self, pipe: Receiver, mut stopping: watch::Receiver<bool>) {
        let mut cutter = Cutter::new(&self.app);
        let mut entries = Vec::new();
        let mut buffer = vec![0; PIPE_BYTES];
        loop {
            let patience = if cutter.is_waiting() {
                Duration::from_nanos(HOLD_NS)
            } else {
                FOREVER
            };
            tokio::select! {
                ready = pipe.readable() => if ready.is_err() { break },
                // An error means that the sender is gone, which is a stop as well.
                _ = stopping.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(patience) => {}
            }
            let now_ns = sys::clock::monotonic_ns();
            match pipe.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => cutter.feed(&buffer[..n], now_ns, &mut entries),
                Err(error) if is_passing(&error) => {}
                Err(_) => break,
            }
            cutter.expire(now_ns, &mut entries);
            self.write(&mut entries);
            // Another pipe, another message: an app that prints all the time must not keep this thread.
            tokio::task::yield_now().await;
        }
        // Read directly: the reactor's own `try_read` asks the pipe only after it has been told that there is something, and what was
        // written just before the stop may not have been told yet.
        if let Ok(pipe) = pipe.into_nonblocking_fd() {
            let mut pipe = std::fs::File::from(pipe);
            for _ in 0..LAST_READS_MAX {
                match pipe.read(&mut buffer) {
                    Ok(n) if n > 0 => cutter.feed(&buffer[..n], 0, &mut entries),
                    _ => break,
                }
            }
        }
        cutter.finish(&mut entries);
        self.write(&mut entries);
    }

    /// An app's own words are never filtered by our level.
    fn write(&self, entries: &mut Vec<Entry>) {
        let wall_ns = sys::clock::wall_ns();
        for Entry {
            level,
            worker,
            message,
        } in entries.drain(..)
        {
            let origin = Origin::App {
                name: self.app.clone(),
                generation: self.generation,
                worker,
            };
            self.log.write(&Line {
                wall_ns,
                level,
                origin,
                message,
            });
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn cannot_open(which: &str, target: &LogTarget, error: &io::Error) -> String {
    let why = config::world::plain(error);
    match target {
        LogTarget::File(path) => format!("cannot open the {which} log {} ({why})", path.display()),
        LogTarget::Stdout => format!("cannot write the {which} log to stdout ({why})"),
        LogTarget::Stderr => format!("cannot write the {which} log to stderr ({why})"),
    }
}
