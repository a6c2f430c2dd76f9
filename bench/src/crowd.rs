//! What a directory of very many files does to requests beside it: small hot files, while nobody else asks, while the directory is
//! listed all the time, and while files of it are asked for at random. What is measured is the server's part (`probe`), in rounds of all three.

use crate::openloop::Latencies;
use crate::probe::{Probe, whole_length};
use crate::process::{self, Group};
use crate::stacks::Tools;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const ROUNDS: usize = 5;
const PHASE: Duration = Duration::from_secs(2);
/// Clients of the directory.
const CLIENTS: u64 = 4;
/// Connections of the small requests, and what they ask for together.
const ASKERS: usize = 8;
const REQUESTS_PER_SECOND: f64 = 1000.0;
const SERVER_CPUS: &[usize] = &[0];
const LOAD_CPUS: &[usize] = &[1];

/// What goes on in the directory meanwhile.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Listings,
    Files,
}

const PHASES: [(&str, Beside); 3] = [
    ("alone", Beside::Nothing),
    ("beside its listings", Beside::Listings),
    ("beside random files of it", Beside::Files),
];

pub fn run(tools: &Tools, files: u64, scratch: &Path) -> Result<String, String> {
    let fail = |error: std::io::Error| error.to_string();
    let crowd = scratch.join("crowd");
    fs::create_dir_all(&crowd).map_err(fail)?;
    fs::create_dir_all(scratch.join("small")).map_err(fail)?;
    fs::write(scratch.join("small/file"), [b'x'; 100]).map_err(fail)?;
    for number in 0..files {
        fs::File::create(crowd.join(format!("file-{number}"))).map_err(fail)?;
    }
    let config = scratch.join("crowd.toml");
    let locations = format!(
        "[[server.location]]\npath = '/small'\ndir = '{0}/small'\n[[server.location]]\npath = '/crowd'\ndir = '{0}/crowd'\nautoindex = true\n",
        scratch.display()
    );
    fs::write(&config, locations).map_err(fail)?;
    let port = crate::cases::free_port()?;
    let argv: Vec<String> = format!(
        "{} -b 127.0.0.1:{port} --rings 1 --control {} --config {}",
        tools.ringgate.display(),
        scratch.join("control.sock").display(),
        config.display()
    )
    .split_whitespace()
    .map(str::to_owned)
    .collect();
    let mut group = Group::start(&argv, SERVER_CPUS, scratch, &[], &scratch.join("crowd.log"))
        .map_err(|error| error.to_string())?;
    let result = group
        .wait_for_port(port)
        .and_then(|()| measure(port, files));
    group.stop();
    result
}

fn measure(port: u16, files: u64) -> Result<String, String> {
    let mut text = format!(
        "a directory of {files} files, one ring, {REQUESTS_PER_SECOND:.0} requests/s for a file of 100 bytes elsewhere; latency, ms\n{:<8}{:<28}{:>9}{:>9}{:>8}{:>12}\n",
        "round", "", "p50", "p99", "p99 x", "others / s"
    );
    for round in 0..ROUNDS {
        let mut alone_ms = None;
        for (name, what) in PHASES {
            let (latencies, others) = phase(port, what, files)?;
            let alone_ms = *alone_ms.get_or_insert(latencies.p99_ms);
            writeln!(
                text,
                "{:<8}{name:<28}{:>9.3}{:>9.3}{:>7.1}x{:>12.1}",
                round + 1,
                latencies.p50_ms,
                latencies.p99_ms,
                latencies.p99_ms / alone_ms,
                others as f64 / PHASE.as_secs_f64()
            )
            .map_err(|error| error.to_string())?;
        }
    }
    Ok(text)
}

/// Latencies of the small requests, and how many answers the others had.
fn phase(port: u16, beside: Beside, files: u64) -> Result<(Latencies, u64), String> {
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clients = match beside {
        Beside::Nothing => 0,
        Beside::Listings | Beside::Files => CLIENTS,
    };
    let others: Vec<_> = (0..clients)
        .map(|client| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                process::pin(LOAD_CPUS)?;
                process::go_last();
                let mut stream = TcpStream::connect(("127.0.0.1", port))?;
                let mut number = client + 1;
                while !stop.load(Ordering::Relaxed) {
                    number = number
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let name = match beside {
                        Beside::Files => format!("file-{}", (number >> 33) % files),
                        Beside::Nothing | Beside::Listings => String::new(),
                    };
                    ask(&mut stream, &format!("/crowd/{name}"))?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), std::io::Error>(())
            })
        })
        .collect();
    let probe = Probe {
        port,
        path: "/small/file",
        connections: ASKERS,
        requests_per_second: REQUESTS_PER_SECOND,
        cpus: LOAD_CPUS,
    };
    let latencies = probe.ask(PHASE.as_secs_f64(), &stop);
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other
            .join()
            .map_err(|_| "a client panicked".to_owned())?
            .map_err(|error| format!("beside: {error}"))?;
    }
    Ok((latencies?, answered.load(Ordering::Relaxed)))
}

/// One request answered with 200, its body read.
fn ask(stream: &mut TcpStream, path: &str) -> std::io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(length) = whole_length(&bytes) {
            if bytes.len() >= length {
                return Ok(());
            }
        } else if count == 0 || bytes.len() > 8192 {
            return Err(std::io::Error::other(format!(
                "{path}: no answer with a length"
            )));
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
