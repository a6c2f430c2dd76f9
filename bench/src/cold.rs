//! What downloads do to others: the latency of small hot requests, quiet, beside one client that fetches a hot file at full speed, and beside
//! clients that fetch files that no memory holds, on the same start of the same server.
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
/// The hot file.
const HOT: &str = "hot";
const HOT_BYTES: usize = 64 << 20;
const HOT_SECONDS: f64 = 3.0;
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
        "{REQUESTS_PER_SECOND:.0} requests/s for 100 bytes beside one reader of a hot file of {} MiB, and beside {READERS} readers of cold files of 1 MiB; latency, ms\n{:<12}{:>11}{:>11}{:>11}{:>11}{:>8}{:>11}{:>11}{:>11}{:>8}{:>11}\n",
        HOT_BYTES >> 20,
        "",
        "quiet p50",
        "quiet p99",
        "hot p50",
        "hot p99",
        "p99 x",
        "hot MiB/s",
        "cold p50",
        "cold p99",
        "p99 x",
        "cold MiB/s"
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
            let [quiet, hot, cold] = measured?;
            text.push_str(&format!(
                "{server:<12}{:>11.3}{:>11.3}",
                quiet.latencies.p50_ms, quiet.latencies.p99_ms
            ));
            for beside in [hot, cold] {
                text.push_str(&format!(
                    "{:>11.3}{:>11.3}{:>7.1}x{:>11.0}",
                    beside.latencies.p50_ms,
                    beside.latencies.p99_ms,
                    beside.latencies.p99_ms / quiet.latencies.p99_ms,
                    beside.mib_per_second
                ));
            }
            text.push('\n');
        }
    }
    Ok(text)
}

fn name(index: usize) -> String {
    format!("file-{index}")
}

fn write_set(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join(HOT), vec![b'h'; HOT_BYTES])?;
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

/// What the small requests met, and what the others got.
struct Phase {
    latencies: Latencies,
    mib_per_second: f64,
}

/// Quiet, beside a hot file, beside the cold ones.
fn measure(port: u16) -> Result<[Phase; 3], String> {
    let probe = Probe {
        port,
        path: "/file-100",
        connections: ASKERS,
        requests_per_second: REQUESTS_PER_SECOND,
        cpus: LOAD_CPUS,
    };
    let again = || Some((format!("/cold/{HOT}"), HOT_BYTES));
    let next = AtomicUsize::new(0);
    let one_by_one = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        (index < SET_BYTES / FILE_BYTES).then(|| (format!("/cold/{}", name(index)), FILE_BYTES))
    };
    beside(&probe, 1.0, 0, &again)?;
    let quiet = beside(&probe, QUIET_SECONDS, 0, &again)?;
    let hot = beside(&probe, HOT_SECONDS, 1, &again)?;
    let cold = beside(&probe, COLD_SECONDS_MAX, READERS, &one_by_one)?;
    Ok([quiet, hot, cold])
}

/// A path, and the bytes of its file; none when there is nothing more to be fetched.
type Next<'a> = &'a (dyn Fn() -> Option<(String, usize)> + Sync);

/// Asks for `seconds` while `readers` fetch what comes next; ends when there is nothing left for them.
fn beside(probe: &Probe, seconds: f64, readers: usize, next: Next) -> Result<Phase, String> {
    let (over, got) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let latencies = std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let read = fetch(probe.port, next, &got, &over);
                over.store(true, Ordering::Relaxed);
                read
            });
        }
        let latencies = probe.ask(seconds, &over);
        over.store(true, Ordering::Relaxed);
        latencies
    })?;
    let mib = got.load(Ordering::Relaxed) as f64 / 1048576.0;
    Ok(Phase {
        latencies,
        mib_per_second: mib / started.elapsed().as_secs_f64(),
    })
}

/// Fetches what comes next, until nothing does or `over` says so.
fn fetch(port: u16, next: Next, got: &AtomicU64, over: &AtomicBool) -> std::io::Result<()> {
    process::pin(LOAD_CPUS)?;
    process::go_last();
    let mut stream = connect(port)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let Some((path, bytes)) = next().filter(|_| !over.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
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
                        .map(|end| (bytes + end + 4).saturating_sub(head.len()))
                }
            };
            got.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}
