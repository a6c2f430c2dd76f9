//! What reading a cold set of files does to others: the latency of small hot requests, quiet and while clients fetch files that no
//! memory holds, on the same start of the same server.
//!
//! The server has the first processor, everything else the second. What is measured is the server's part (`probe`); the readers are on the
//! second processor for what the small requests leave.

use crate::cases::free_port;
use crate::openloop::Latencies;
use crate::probe::{Probe, connect};
use crate::process;
use crate::stacks::{self, Manner, Setting, Tools, Work};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

const FILE_BYTES: usize = 1 << 20;
const SET_BYTES: usize = 4 << 30;
/// Clients that fetch cold files, one after the other.
const READERS: usize = 16;
/// Connections of the small requests, and what they ask for together.
const ASKERS: usize = 16;
const REQUESTS_PER_SECOND: f64 = 2000.0;
const QUIET_SECONDS: f64 = 5.0;
const COLD_SECONDS_MAX: f64 = 10.0;
const SERVER_CPUS: &[usize] = &[0];
const LOAD_CPUS: &[usize] = &[1];
const SERVERS: &[&str] = &["ringgate", "nginx"];

pub fn run(
    tools: &Tools,
    rounds: usize,
    only: Option<&str>,
    scratch: &Path,
) -> Result<String, String> {
    let directory = scratch.join("static").join("cold");
    eprintln!(
        "writing {} MiB below {}",
        SET_BYTES >> 20,
        directory.display()
    );
    write_set(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut text = format!(
        "{REQUESTS_PER_SECOND:.0} requests/s for 100 bytes beside {READERS} readers of cold files of 1 MiB; latency, ms\n{:<12}{:>12}{:>12}{:>12}{:>12}{:>9}{:>12}\n",
        "", "quiet p50", "quiet p99", "cold p50", "cold p99", "p99 x", "cold MiB/s"
    );
    for round in 0..rounds {
        for &server in SERVERS
            .iter()
            .filter(|&&server| only.is_none_or(|only| only == server))
        {
            eprintln!("cold round {}/{rounds}: {server}", round + 1);
            drop_set(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
            let port = free_port()?;
            let setting = Setting {
                work: Work::Static {
                    bytes: 100,
                    manner: Manner::Kept,
                },
                cores: 1,
                workers: 1,
                cpus: SERVER_CPUS,
                port,
                scratch,
                tools,
            };
            let stack = stacks::start(server, &setting)?;
            let measured = measure(port);
            stack.stop();
            let (quiet, cold, rate) = measured?;
            text.push_str(&format!(
                "{server:<12}{:>12.3}{:>12.3}{:>12.3}{:>12.3}{:>8.1}x{:>12.0}\n",
                quiet.p50_ms,
                quiet.p99_ms,
                cold.p50_ms,
                cold.p99_ms,
                cold.p99_ms / quiet.p99_ms,
                rate
            ));
        }
    }
    Ok(text)
}

fn name(index: usize) -> String {
    format!("file-{index}")
}

fn write_set(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut bytes = vec![0_u8; FILE_BYTES];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for index in 0..SET_BYTES / FILE_BYTES {
        // Nothing that a disk below could fold together.
        for word in bytes.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_ne_bytes());
        }
        let mut file = File::create(directory.join(name(index)))?;
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Takes the set out of the page cache.
fn drop_set(directory: &Path) -> std::io::Result<()> {
    for index in 0..SET_BYTES / FILE_BYTES {
        let file = File::open(directory.join(name(index)))?;
        // SAFETY: no memory is passed.
        let error =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        if error != 0 {
            return Err(std::io::Error::from_raw_os_error(error));
        }
    }
    Ok(())
}

/// Latencies quiet, latencies beside the readers, MiB per second that they got.
fn measure(port: u16) -> Result<(Latencies, Latencies, f64), String> {
    let over = AtomicBool::new(false);
    let probe = Probe {
        port,
        path: "/file-100",
        connections: ASKERS,
        requests_per_second: REQUESTS_PER_SECOND,
        cpus: LOAD_CPUS,
    };
    probe.ask(1.0, &over)?;
    let quiet = probe.ask(QUIET_SECONDS, &over)?;
    let next = AtomicUsize::new(0);
    let got = AtomicU64::new(0);
    let started = Instant::now();
    let (cold, elapsed) = std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let read = fetch(port, &next, &got, &over);
                over.store(true, Ordering::Relaxed);
                read
            });
        }
        let cold = probe.ask(COLD_SECONDS_MAX, &over);
        over.store(true, Ordering::Relaxed);
        (cold, started.elapsed())
    });
    let mib = got.load(Ordering::Relaxed) as f64 / 1048576.0;
    Ok((quiet, cold?, mib / elapsed.as_secs_f64()))
}

/// Fetches the files that nobody has fetched yet, until all are or `over` says so.
fn fetch(port: u16, next: &AtomicUsize, got: &AtomicU64, over: &AtomicBool) -> std::io::Result<()> {
    process::pin(LOAD_CPUS)?;
    process::go_last();
    let mut stream = connect(port)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= SET_BYTES / FILE_BYTES || over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let request = format!("GET /cold/{} HTTP/1.1\r\nHost: bench\r\n\r\n", name(index));
        stream.write_all(request.as_bytes())?;
        let mut left = None;
        let mut head = Vec::new();
        while left != Some(0) {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            left = match left {
                Some(left) => Some(usize::saturating_sub(left, count)),
                None => {
                    head.extend_from_slice(&buffer[..count]);
                    head.windows(4)
                        .position(|end| end == b"\r\n\r\n")
                        .map(|end| (FILE_BYTES + end + 4).saturating_sub(head.len()))
                }
            };
        }
        got.fetch_add(FILE_BYTES as u64, Ordering::Relaxed);
    }
}
