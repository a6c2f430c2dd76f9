//! What a directory of very many files does to requests beside it: small hot files, while nobody else asks, while the directory is
//! listed all the time, and while files of it are asked for at random.

use crate::process::Group;
use crate::stacks::Tools;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const PHASE: Duration = Duration::from_secs(2);
/// Clients of the directory.
const CLIENTS: u64 = 4;
/// Between two small requests, as a client that has other things to do.
const PAUSE: Duration = Duration::from_micros(200);

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
    let mut group = Group::start(&argv, &[0], scratch, &[], &scratch.join("crowd.log"))
        .map_err(|error| error.to_string())?;
    let result = group
        .wait_for_port(port)
        .and_then(|()| measure(port, files));
    group.stop();
    result
}

fn measure(port: u16, files: u64) -> Result<String, String> {
    let mut samples: [Vec<Duration>; PHASES.len()] = Default::default();
    let mut beside = [0; PHASES.len()];
    for _ in 0..ROUNDS {
        for (index, (_, what)) in PHASES.iter().enumerate() {
            let (latencies, others) = phase(port, *what, files)?;
            samples[index].extend(latencies);
            beside[index] += others;
        }
    }
    let seconds = PHASE.as_secs_f64() * ROUNDS as f64;
    let mut text = format!(
        "a directory of {files} files, one ring, requests for a file of 100 bytes elsewhere\n{:<28}{:>9}{:>9}{:>9}{:>12}\n",
        "", "p50 us", "p99 us", "p99.9 us", "others / s"
    );
    for (index, (name, _)) in PHASES.iter().enumerate() {
        let samples = &mut samples[index];
        samples.sort_unstable();
        let at = |share: f64| {
            let place = ((samples.len() as f64 * share) as usize).min(samples.len() - 1);
            samples[place].as_secs_f64() * 1e6
        };
        writeln!(
            text,
            "{name:<28}{:>9.0}{:>9.0}{:>9.0}{:>12.1}",
            at(0.5),
            at(0.99),
            at(0.999),
            beside[index] as f64 / seconds
        )
        .map_err(|error| error.to_string())?;
    }
    Ok(text)
}

/// Latencies of the small requests, and how many answers the others had.
fn phase(port: u16, beside: Beside, files: u64) -> Result<(Vec<Duration>, u64), String> {
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
                crate::process::yield_to_others();
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
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let (start, mut latencies) = (Instant::now(), Vec::new());
    while start.elapsed() < PHASE {
        let asked = Instant::now();
        ask(&mut stream, "/small/file").map_err(|error| error.to_string())?;
        latencies.push(asked.elapsed());
        thread::sleep(PAUSE);
    }
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other
            .join()
            .map_err(|_| "a client panicked".to_owned())?
            .map_err(|error| format!("beside: {error}"))?;
    }
    Ok((latencies, answered.load(Ordering::Relaxed)))
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

/// Head and body, once the head is there and says 200 and a length.
fn whole_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let length = head.split("\r\nContent-Length: ").nth(1)?;
    Some(end + length.split('\r').next()?.parse::<usize>().ok()?)
}
