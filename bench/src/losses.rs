//! What a client loses when a part of ringgate is killed, recycled or reloaded, counted request by request under an open load: requests
//! come at their times whether the earlier ones have been answered or not, and every one of them is in the tally.
//!
//! Kills only processes of the ringgate that it started itself, by id.

use crate::process::Group;
use crate::stacks::Tools;
use crate::tree;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections; more requests than that are never outstanding.
const CLIENTS: usize = 64;
/// Between two requests.
const INTERVAL: Duration = Duration::from_micros(1250);
const WORKERS: usize = 4;
/// An answer that takes longer counts as lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Between two events: long enough for the parts to be back, so that each event finds the whole system.
const BETWEEN: Duration = Duration::from_millis(900);
/// How long recycling may take to reach the number asked for, per time.
const RECYCLE_LIMIT: Duration = Duration::from_secs(5);
/// Requests after which a worker is recycled.
const MAX_REQUESTS: &str = "--max-requests 150 --max-requests-jitter 50";

#[derive(Clone, Copy)]
enum Event {
    Reload,
    /// Workers are recycled by themselves, for their age.
    Recycle,
    /// One worker more, then one fewer.
    Resize,
    KillWorker,
    KillHost,
    KillEdge,
}

const EVENTS: &[(&str, &str, Event)] = &[
    ("HUP (interpreters)", "interpreters", Event::Reload),
    ("HUP (processes)", "processes", Event::Reload),
    (
        "max-requests (interpreters)",
        "interpreters",
        Event::Recycle,
    ),
    ("max-requests (processes)", "processes", Event::Recycle),
    ("TTIN, TTOU (processes)", "processes", Event::Resize),
    ("kill -9 a process worker", "processes", Event::KillWorker),
    ("kill -9 the app host", "interpreters", Event::KillHost),
    ("kill -9 the edge", "interpreters", Event::KillEdge),
];

#[derive(Default)]
struct Tally {
    asked: AtomicU64,
    answered: AtomicU64,
    bad_gateway: AtomicU64,
    other_status: AtomicU64,
    /// The connection ended with a request under way.
    cut: AtomicU64,
    refused: AtomicU64,
}

pub fn run(
    tools: &Tools,
    times: usize,
    only: Option<&str>,
    scratch: &Path,
) -> Result<String, String> {
    let rate = 1.0 / INTERVAL.as_secs_f64();
    let mut text = format!(
        "{times} times each, {rate:.0} requests/s over {CLIENTS} connections, {WORKERS} workers, 2 ms requests\n{:<30}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>14}\n",
        "event", "asked", "answered", "502", "other", "cut", "refused", "worst gap ms"
    );
    for &(name, kind, event) in EVENTS {
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        eprintln!("losses: {name}");
        let control = scratch.join("control.sock");
        let recycle = match event {
            Event::Recycle => MAX_REQUESTS,
            _ => "",
        };
        let port = crate::cases::free_port()?;
        let argv: Vec<String> = format!(
            "{} -b 127.0.0.1:{port} --rings 1 -w {WORKERS} --kind {kind} {recycle} --python {} --control-socket {} losses:app",
            tools.ringgate.display(),
            tools.python.display(),
            control.display()
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect();
        let mut group = Group::start(
            &argv,
            &[0, 1],
            &tools.apps,
            &[],
            &scratch.join("losses.log"),
        )
        .map_err(|error| error.to_string())?;
        let outcome = group
            .wait_for_port(port)
            .and_then(|()| wait_for_app(port))
            .and_then(|()| {
                let recycled = || recycled(tools, &control);
                under_load(&group, port, event, times, &recycled)
            });
        group.stop();
        let (tally, gap) = outcome?;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        writeln!(
            text,
            "{name:<30}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>14.0}",
            count(&tally.asked),
            count(&tally.answered),
            count(&tally.bad_gateway),
            count(&tally.other_status),
            count(&tally.cut),
            count(&tally.refused),
            gap.as_secs_f64() * 1000.0
        )
        .expect("a String takes everything");
    }
    Ok(text)
}

fn wait_for_app(port: u16) -> Result<(), String> {
    let started = Instant::now();
    while started.elapsed() < ANSWER_LIMIT {
        if connect(port).and_then(|mut stream| exchange(&mut stream)) == Some(200) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err("the app did not answer".to_owned())
}

/// Clients ask while the event happens `times` times; the tally, and the longest time in which nobody got an answer.
fn under_load(
    group: &Group,
    port: u16,
    event: Event,
    times: usize,
    recycled: &dyn Fn() -> Result<usize, String>,
) -> Result<(Arc<Tally>, Duration), String> {
    let tally = Arc::new(Tally::default());
    let stop = Arc::new(AtomicBool::new(false));
    let epoch = Instant::now();
    let last = Arc::new(AtomicU64::new(0));
    let worst = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (tally, stop, last, worst) =
                (tally.clone(), stop.clone(), last.clone(), worst.clone());
            thread::spawn(move || {
                client(port, epoch, &tally, &stop, || {
                    let now = epoch.elapsed().as_nanos() as u64;
                    let before = last.swap(now, Ordering::Relaxed);
                    worst.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
                })
            })
        })
        .collect();
    let mut missed = 0;
    match event {
        Event::Recycle => {
            let limit = RECYCLE_LIMIT * times as u32;
            while recycled()? < times && epoch.elapsed() < limit {
                thread::sleep(BETWEEN);
            }
            missed = times.saturating_sub(recycled()?);
        }
        _ => {
            for _ in 0..times {
                thread::sleep(BETWEEN);
                happen(group.id(), event);
            }
        }
    }
    thread::sleep(BETWEEN);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        if client.join().is_err() {
            eprintln!("ringgate-bench: a client thread panicked");
        }
    }
    if missed > 0 {
        return Err(format!("{missed} of {times} recycles did not happen"));
    }
    Ok((tally, Duration::from_nanos(worst.load(Ordering::Relaxed))))
}

/// How many workers (interpreters: hosts) were replaced because of their age so far.
fn recycled(tools: &Tools, control: &Path) -> Result<usize, String> {
    let mut command = std::process::Command::new(&tools.ringgate);
    command
        .args(["status", "--json", "--control-socket"])
        .arg(control);
    let output = command.output().map_err(|error| error.to_string())?;
    let status: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("status: {error}"))?;
    let recycled = status.pointer("/processes/apps/0/recycled");
    Ok(recycled.and_then(serde_json::Value::as_u64).unwrap_or(0) as usize)
}

fn happen(supervisor: i32, event: Event) {
    let tree = tree::read(supervisor);
    let (target, signal) = match event {
        Event::Recycle => return,
        Event::Reload => (Some(supervisor), libc::SIGHUP),
        Event::Resize => {
            // SAFETY: as below.
            unsafe { libc::kill(supervisor, libc::SIGTTIN) };
            thread::sleep(BETWEEN / 2);
            (Some(supervisor), libc::SIGTTOU)
        }
        Event::KillWorker => (tree.workers.first().copied(), libc::SIGKILL),
        Event::KillHost => (tree.hosts.first().copied(), libc::SIGKILL),
        Event::KillEdge => (tree.edge, libc::SIGKILL),
    };
    match target {
        // SAFETY: kill has no memory effects; the target descends from the supervisor that this run started.
        Some(pid) => unsafe {
            libc::kill(pid, signal);
        },
        None => eprintln!("ringgate-bench: nothing to signal: {tree:?}"),
    }
}

/// Takes the next request of the common timetable whenever it is through with the one before.
fn client(port: u16, epoch: Instant, tally: &Tally, stop: &AtomicBool, mut answered: impl FnMut()) {
    let mut stream = None;
    while !stop.load(Ordering::Relaxed) {
        if stream.is_some() {
            let number = tally.asked.fetch_add(1, Ordering::Relaxed);
            let due = epoch + INTERVAL * u32::try_from(number).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let Some(open) = stream.as_mut() else {
            stream = connect(port);
            if stream.is_none() {
                tally.refused.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
            continue;
        };
        let counter = match exchange(open) {
            Some(200) => {
                answered();
                &tally.answered
            }
            Some(502) => &tally.bad_gateway,
            Some(_) => &tally.other_status,
            None => {
                stream = None;
                &tally.cut
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// One request and its whole answer; the status. None: the connection ended.
fn exchange(stream: &mut TcpStream) -> Option<u16> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
        .ok()?;
    let mut bytes = Vec::with_capacity(512);
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse::<usize>()
                .ok()
        })?;
        if bytes.len() >= end + 4 + length {
            return head.get(9..12)?.parse().ok();
        }
    }
}
