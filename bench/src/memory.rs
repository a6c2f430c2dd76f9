//! What a further worker of the Django app costs, of both kinds: private memory after many requests to each.
//!
//! `processes`: what each forked worker has for itself, read from the kernel. `interpreters`: by how much a host with several of them is larger than
//! one with one, divided among the further ones.

use crate::process::Group;
use crate::stacks::Tools;
use crate::tree;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const WORKERS: usize = 4;
const CONNECTIONS: usize = 8;
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const MIB: f64 = (1 << 20) as f64;

/// What is measured: a name, the kind, and further options.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("processes", "processes", ""),
    (
        "processes, warm",
        "processes",
        "--warmup / --warmup-before-fork",
    ),
    ("interpreters", "interpreters", ""),
];

pub fn run(tools: &Tools, requests: usize, scratch: &Path) -> Result<String, String> {
    let mut text = format!(
        "Django app, {requests} requests for each worker\n{:<16}{:>10}{:>16}{:>24}{:>20}\n",
        "kind", "workers", "host MiB", "per worker MiB", "further worker MiB"
    );
    for (name, kind, options) in SETTINGS {
        let mut hosts = Vec::new();
        for workers in [1, WORKERS] {
            let measured = measure(tools, kind, options, workers, requests, scratch)?;
            hosts.push(measured.host);
            let each: Vec<String> = measured
                .workers
                .iter()
                .map(|bytes| format!("{:.1}", bytes / MIB))
                .collect();
            let further = match (kind, measured.workers.is_empty()) {
                ("processes", false) => {
                    let sum: f64 = measured.workers.iter().sum();
                    format!("{:.1}", sum / measured.workers.len() as f64 / MIB)
                }
                _ if workers > 1 => {
                    format!("{:.1}", (hosts[1] - hosts[0]) / (WORKERS - 1) as f64 / MIB)
                }
                _ => "-".to_owned(),
            };
            writeln!(
                text,
                "{name:<16}{workers:>10}{:>16.1}{:>24}{further:>20}",
                measured.host / MIB,
                each.join(" ")
            )
            .expect("a String takes everything");
        }
    }
    Ok(text)
}

/// Private bytes.
struct Measured {
    host: f64,
    workers: Vec<f64>,
}

fn measure(
    tools: &Tools,
    kind: &str,
    options: &str,
    workers: usize,
    requests: usize,
    scratch: &Path,
) -> Result<Measured, String> {
    eprintln!("memory: {workers} {kind} {options}");
    let port = crate::cases::free_port()?;
    let argv: Vec<String> = format!(
        "{} -b 127.0.0.1:{port} --rings 1 -w {workers} --kind {kind} {options} --python {} --control-socket {} django_app:app",
        tools.ringgate.display(),
        tools.python.display(),
        scratch.join("control.sock").display()
    )
    .split_whitespace()
    .map(str::to_owned)
    .collect();
    let database = scratch.join("bench.sqlite3").display().to_string();
    let env = [("BENCH_DATABASE".to_owned(), database)];
    let mut group = Group::start(
        &argv,
        &[0, 1],
        &tools.apps,
        &env,
        &scratch.join("memory.log"),
    )
    .map_err(|error| error.to_string())?;
    let result = group
        .wait_for_port(port)
        .and_then(|()| load(port, requests * workers))
        .and_then(|()| {
            let tree = tree::read(group.id());
            let bytes = |pid: &i32| tree::private_bytes(*pid).map(|bytes| bytes as f64);
            let host = tree.hosts.first().and_then(bytes);
            Ok(Measured {
                host: host.ok_or("the host has gone")?,
                workers: tree.workers.iter().filter_map(bytes).collect(),
            })
        });
    group.stop();
    result
}

/// So many requests over a few connections; the queue hands them to whoever is free, so that each worker gets its share.
fn load(port: u16, requests: usize) -> Result<(), String> {
    let left = AtomicUsize::new(requests);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| ask(port, &left)))
            .collect();
        clients.into_iter().try_for_each(|client| {
            let ended = client.join().map_err(|_| "a client panicked".to_owned())?;
            ended.map_err(|error| format!("a request failed: {error}"))
        })
    })
}

fn ask(port: u16, left: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_nodelay(true)?;
    let mut chunk = vec![0; 64 * 1024];
    let take = |count: usize| count.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut bytes = Vec::new();
        loop {
            let count = stream.read(&mut chunk)?;
            bytes.extend_from_slice(&chunk[..count]);
            if count == 0 || !bytes.starts_with(b"HTTP/1.1 200"[..bytes.len().min(12)].as_ref()) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Err(std::io::Error::other(text));
            }
            if is_whole(&bytes) {
                break;
            }
        }
    }
    Ok(())
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| {
        line.strip_prefix("content-length:")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    match length {
        Some(length) => bytes.len() >= end + 4 + length,
        None => bytes.ends_with(b"0\r\n\r\n"),
    }
}
