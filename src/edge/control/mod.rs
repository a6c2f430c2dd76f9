//! The control thread: the main thread of the edge process, on tokio-uring.
//!
//! It talks to the supervisor, starts the ring threads and passes on what concerns them, writes the logs, reads what app
//! hosts print, and answers `status` and commands on the control socket. Invariants: it never touches a client
//! connection; on a clean stop every log line that a ring thread or host has handed over is written before exit.
//!
//! The control socket speaks one line each way: the client sends `status`, or a command such as `reload`, and a newline;
//! it gets one JSON document and the end of the stream. `GET /status HTTP/1.1` gets the document as an HTTP answer, so that
//! `curl --unix-socket` and a monitoring agent can ask as well.

mod finish;
mod log_writer;
mod logs;
mod memory;
mod outlet;
mod server;
mod slack;
mod statsd;
mod status;
mod supervisor;
mod syslog;
mod world;

use crate::gate::Gates;
use crate::mailbox::{FromRing, Mailbox, OutboxReceiver, outbox};
use crate::stats::RingStats;
use crate::tally::Answer;
use crate::thread;
use config::{Config, LogLevel};
use control::Channel;
use control::message::{FromEdge, ToEdge};
use finish::finish;
use logs::Logs;
use slack::Slack;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use supervisor::Supervisor;
use sys::eventfd::EventFd;
use tokio::sync::oneshot;
use world::{Effect, RingHandle, World};

/// How often it is said what was lost, ring threads are looked after, and idle memory.
const TICK: Duration = Duration::from_secs(1);
/// How much longer than the grace period the ring threads may take to say that they are done.
const DRAIN_SLACK: Duration = Duration::from_secs(2);
/// How long ring threads may take to end after `Quit`.
const QUIT_PATIENCE: Duration = Duration::from_secs(2);
/// Exit status when the edge could not start or has lost a ring thread.
const EXIT_FAILURE: u8 = 1;

/// The edge process: takes descriptor 3 for the supervisor's end and runs until told to stop.
pub fn run() -> ExitCode {
    match Channel::inherited() {
        Ok(channel) => run_on(channel),
        Err(error) => {
            eprintln!("ringgate edge is started by ringgate itself, not by hand: {error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Descriptors that the table has room for from the start: half a MiB of kernel memory.
const DESCRIPTORS: u64 = 65_536;

/// The edge process on a given channel.
pub fn run_on(channel: Channel) -> ExitCode {
    // Now, while there is one thread: later a ring thread would sleep for it (`kernel-notes/descriptor-tables-grow-asleep.md`). Without
    // it all works, less evenly.
    sys::limit::widen_descriptor_table(DESCRIPTORS).ok();
    match start(&channel) {
        Ok(start) => match start.runtime.block_on(serve(channel, start.parts)) {
            Ok(()) => ExitCode::SUCCESS,
            // The reason is in the error log and with the supervisor.
            Err(Stopped) => ExitCode::from(EXIT_FAILURE),
        },
        Err(message) => {
            let told = FromEdge::Failed {
                message: message.clone(),
            };
            // If the supervisor is gone too, nobody else is left to say it.
            if channel.send(&told, &[]).is_err() {
                eprintln!("{message}");
            }
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// The edge ended for another reason than being told to.
struct Stopped;

struct Start {
    runtime: tokio_uring::Runtime,
    parts: Parts,
}

struct Parts {
    config: Arc<Config>,
    epoch: u32,
    doorbells: Vec<OwnedFd>,
    status_listener: OwnedFd,
}

/// Reads the first message, blocking, and builds the runtime.
fn start(channel: &Channel) -> Result<Start, String> {
    let (message, mut descriptors) = channel
        .recv::<ToEdge>()
        .map_err(|error| format!("the supervisor's first message: {error}"))?
        .ok_or("the supervisor left before it said anything")?;
    let ToEdge::Start { config, epoch } = message else {
        return Err("the supervisor's first message is not Start".into());
    };
    if descriptors.len() != config.rings + 1 {
        return Err(format!(
            "Start came with {} descriptors for {} rings",
            descriptors.len(),
            config.rings
        ));
    }
    let status_listener = descriptors.remove(config.rings);
    let runtime =
        tokio_uring::Runtime::new(&tokio_uring::builder()).map_err(|error| refused(&error))?;
    channel
        .set_nonblocking(true)
        .map_err(|error| error.to_string())?;
    let parts = Parts {
        config: Arc::new(*config),
        epoch,
        doorbells: descriptors,
        status_listener,
    };
    Ok(Start { runtime, parts })
}

/// Why there is no ring, in words that say what to do. tokio-uring only passes on the number; our own start knows more.
fn refused(error: &std::io::Error) -> String {
    match uring::Runtime::real(uring::Options::default()) {
        Err(explained) => explained.to_string(),
        Ok(_) => format!("the edge's control thread cannot use io_uring: {error}"),
    }
}

/// Whether the kernel gives a ring to who asks here and now; the message is for the user.
pub fn try_ring() -> Result<(), String> {
    match uring::Runtime::real(uring::Options::default()) {
        Ok(_) => Ok(()),
        Err(explained) => Err(explained.to_string()),
    }
}

/// Everything the tasks of this thread share.
struct Control {
    world: RefCell<World>,
    logs: Logs,
    supervisor: Supervisor,
    commands: RefCell<Commands>,
    slack: RefCell<Slack>,
}

/// Commands that the supervisor is working on.
#[derive(Default)]
struct Commands {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<(bool, String)>>,
    /// Commands whose answers are not written yet.
    unwritten: usize,
    /// Askers who want to know when this process has ended.
    watchers: Vec<tokio::net::UnixStream>,
}

impl Control {
    fn count(&self, answers: &[Answer]) {
        if let Some(statsd) = self.logs.statsd() {
            statsd.answered(answers);
        }
    }
}

async fn serve(channel: Channel, parts: Parts) -> Result<(), Stopped> {
    let (out, mut from_rings) = outbox();
    let supervisor = match Supervisor::new(channel) {
        Ok(supervisor) => supervisor,
        Err(error) => {
            eprintln!("the supervisor's channel: {error}");
            return Err(Stopped);
        }
    };
    let logs = match Logs::open(&parts.config, from_rings.recycler()) {
        Ok(logs) => logs,
        Err(message) => {
            supervisor.send(FromEdge::Failed { message }).await;
            return Err(Stopped);
        }
    };
    let options = parts.config.apps.iter().map(|app| &app.options);
    let gates: Vec<_> = options.map(|app| Arc::new(Gates::new(app))).collect();
    let rings = match start_rings(&parts, &gates, &out) {
        Ok(rings) => rings,
        Err(error) => {
            let message = format!("the edge's threads do not start: {error}");
            supervisor.send(FromEdge::Failed { message }).await;
            return Err(Stopped);
        }
    };
    drop(out); // so that the channel ends with the last ring thread
    let Parts {
        config,
        epoch,
        status_listener,
        ..
    } = parts;
    let world = World::new(config, epoch, sys::clock::monotonic_ns(), rings, gates);
    let control = Rc::new(Control {
        world: RefCell::new(world),
        logs,
        supervisor,
        commands: RefCell::default(),
        slack: RefCell::default(),
    });
    server::start(&control, status_listener);
    let result = turn(&control, &mut from_rings).await;
    finish(&control, &mut from_rings).await;
    if result.is_ok() && control.world.borrow().draining {
        control.supervisor.send(FromEdge::Drained).await;
    }
    result
}

fn start_rings(
    parts: &Parts,
    gates: &[Arc<Gates>],
    out: &crate::mailbox::Outbox,
) -> std::io::Result<Vec<RingHandle>> {
    let cpus = sys::cpu::allowed().unwrap_or_default();
    let mut rings = Vec::with_capacity(parts.config.rings);
    for (ring, doorbell) in parts.doorbells.iter().enumerate() {
        let mailbox = Arc::new(Mailbox::new(EventFd::from_fd(doorbell.try_clone()?)));
        let stats = Arc::new(RingStats::new(parts.config.apps.len()));
        let thread = thread::spawn(thread::Spec {
            ring,
            config: Arc::clone(&parts.config),
            doorbell: doorbell.try_clone()?,
            mailbox: Arc::clone(&mailbox),
            outbox: out.clone(),
            stats: Arc::clone(&stats),
            gates: gates.to_vec(),
            // More rings than CPUs is a wish for sharing; pinning would only make it worse.
            cpu: (parts.config.rings <= cpus.len()).then(|| cpus[ring]),
            recover: parts.epoch > 1,
        })?;
        rings.push(RingHandle {
            mailbox,
            stats,
            thread: Some(thread),
            up: false,
            drained: false,
            log: 0,
        });
    }
    Ok(rings)
}

/// The loop: until told to stop (`Ok`) or until a ring thread or the supervisor is lost.
async fn turn(control: &Rc<Control>, from_rings: &mut OutboxReceiver) -> Result<(), Stopped> {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let forever = tokio::time::Instant::now() + Duration::from_secs(86_400 * 365 * 30);
    let deadline = tokio::time::sleep_until(forever);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            message = control.supervisor.next() => match message {
                Ok(Some((message, descriptors))) => {
                    let effect = control.world.borrow_mut().apply(message, descriptors);
                    if let Some(patience) = obey(control, effect).await {
                        deadline.as_mut().reset(tokio::time::Instant::now() + patience);
                    }
                }
                Ok(None) => {
                    control.logs.say(LogLevel::Critical, "the supervisor is gone; the edge ends".into());
                    control.world.borrow_mut().apply(ToEdge::Quit, Vec::new());
                    return Err(Stopped);
                }
                Err(error) => control.logs.say(LogLevel::Error, format!("the supervisor's message: {error}")),
            },
            message = from_rings.next() => match message {
                Some(message) => hear(control, message).await?,
                None if control.world.borrow().draining => return Ok(()),
                None => {
                    control.logs.say(LogLevel::Critical, "every ring thread has ended; the edge ends".into());
                    return Err(Stopped);
                }
            },
            () = &mut deadline => {
                control.logs.say(LogLevel::Warning, "ring threads did not end in time; what they held is cut".into());
                return Ok(());
            }
            _ = tick.tick() => look_after(control, from_rings).await?,
        }
        let world = control.world.borrow();
        if world.draining && world.rings.iter().all(|ring| ring.drained) {
            return Ok(());
        }
    }
}

/// Does what a message asks of this thread; after an order to stop: how long the ring threads may take.
async fn obey(control: &Rc<Control>, effect: Effect) -> Option<Duration> {
    match effect {
        Effect::None => {}
        Effect::Say(level, text) => control.logs.say(level, text),
        Effect::Tell(level, origin, text) => control.logs.tell(level, origin, text),
        Effect::HostLog {
            app,
            generation,
            pipe,
        } => {
            let name = control
                .world
                .borrow()
                .config
                .apps
                .get(app)
                .map(|app| app.name.clone());
            control
                .logs
                .read_host(name.unwrap_or_default(), generation, pipe);
        }
        Effect::ReopenLogs => control.logs.reopen().await,
        Effect::Turned { log } => {
            let config = Arc::clone(&control.world.borrow().config);
            control.logs.turn_to(&config, log);
        }
        Effect::Drain { grace_ms } => return Some(Duration::from_millis(grace_ms) + DRAIN_SLACK),
        Effect::Quit => return Some(QUIT_PATIENCE),
        Effect::CommandDone { id, ok, message } => {
            if let Some(asker) = control.commands.borrow_mut().waiting.remove(&id) {
                // The asker may have hung up.
                drop(asker.send((ok, message)));
            }
        }
    }
    None
}

/// Takes in what a ring thread says.
async fn hear(control: &Control, message: FromRing) -> Result<(), Stopped> {
    match message {
        FromRing::AccessLog { lines, log } => control.logs.access(lines, log),
        FromRing::Turned { ring, log } => {
            let oldest = {
                let mut world = control.world.borrow_mut();
                if let Some(ring) = world.rings.get_mut(ring) {
                    ring.log = log;
                }
                world.rings.iter().map(|ring| ring.log).min()
            };
            control.logs.retire(oldest.unwrap_or(log));
        }
        FromRing::Answers(answers) => control.count(&answers),
        FromRing::Log(line) => control.logs.write(&line),
        FromRing::Up { ring } => {
            let all_up = {
                let mut world = control.world.borrow_mut();
                if let Some(ring) = world.rings.get_mut(ring) {
                    ring.up = true;
                }
                world.rings.iter().all(|ring| ring.up)
            };
            if all_up {
                control.supervisor.send(FromEdge::Ready {}).await;
            }
        }
        FromRing::Failed { ring, message } => {
            control
                .logs
                .say(LogLevel::Critical, format!("ring {ring}: {message}"));
            control.supervisor.send(FromEdge::Failed { message }).await;
            return Err(Stopped);
        }
        FromRing::WorkerStuck {
            app,
            index,
            incarnation,
            request,
        } => {
            control
                .supervisor
                .send(FromEdge::WorkerStuck {
                    app,
                    index,
                    incarnation,
                    request,
                })
                .await;
        }
        FromRing::Drained { ring } => {
            if let Some(ring) = control.world.borrow_mut().rings.get_mut(ring) {
                ring.drained = true;
            }
        }
    }
    Ok(())
}

/// Once per `TICK`: says what was lost, gives idle memory back, and notices a ring thread that has panicked.
async fn look_after(control: &Rc<Control>, from_rings: &mut OutboxReceiver) -> Result<(), Stopped> {
    note_lost(control, from_rings);
    give_memory_back(control);
    let Some(index) = ended_by_itself(control) else {
        return Ok(());
    };
    // Its last words may still be waiting, and they are the reason.
    while let Some(message) = from_rings.try_next() {
        hear(control, message).await?;
    }
    control.logs.say(
        LogLevel::Critical,
        format!("ring thread {index} has ended by itself; the edge restarts"),
    );
    Err(Stopped)
}

fn give_memory_back(control: &Control) {
    let begun_ns = sys::clock::monotonic_ns();
    let mut slack = control.slack.borrow_mut();
    if !slack.is_due(begun_ns, sys::heap::resident_bytes, sys::heap::usage) {
        return;
    }
    let before = sys::heap::resident_bytes().unwrap_or(0);
    sys::heap::give_back();
    let after = sys::heap::resident_bytes().unwrap_or(before);
    let took_ns = sys::clock::monotonic_ns().saturating_sub(begun_ns);
    control.logs.say(
        LogLevel::Debug,
        format!(
            "gave {} MiB of idle memory back in {} us; {} MiB are left",
            before.saturating_sub(after) >> 20,
            took_ns / 1000,
            after >> 20
        ),
    );
}

/// Says what was lost since the last look.
fn note_lost(control: &Control, from_rings: &OutboxReceiver) {
    let mut lost = from_rings.take_lost();
    lost.lines += control.logs.take_lost_lines();
    let total = {
        let total = &mut control.world.borrow_mut().lost;
        total.lines += lost.lines;
        total.answers += lost.answers;
        *total
    };
    let warn = |message| control.logs.say(LogLevel::Warning, message);
    if lost.lines > 0 {
        let (lost, total) = (lost.lines, total.lines);
        let why = control.logs.take_failure();
        let why = why.unwrap_or_else(|| "the log cannot be written fast enough".into());
        warn(format!(
            "{lost} log lines were lost because {why}; {total} so far"
        ));
    }
    if lost.answers > 0 {
        let (lost, total) = (lost.answers, total.answers);
        warn(format!(
            "{lost} answers were not counted for statsd because the edge's control thread is behind; {total} so far"
        ));
    }
}

/// The first ring thread that is no more although nobody told it to end.
fn ended_by_itself(control: &Control) -> Option<usize> {
    let world = control.world.borrow();
    if let Some(statsd) = control.logs.statsd() {
        statsd.stands(world.workers(), world.waiting());
    }
    if world.draining {
        return None;
    }
    world.rings.iter().position(|ring| {
        ring.thread
            .as_ref()
            .is_some_and(std::thread::JoinHandle::is_finished)
    })
}

#[cfg(test)]
mod tests;
