//! The open-loop client of the mixed-latency case: Poisson arrivals over keep-alive connections, latency from the scheduled time.
//!
//! A closed loop waits for the slow answer before it asks again and so hides what a queue does to others; this one does not wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long one answer may take before the request counts as failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

pub struct Mix {
    pub port: u16,
    pub connections: usize,
    pub requests_per_second: f64,
    pub seconds: u64,
    /// The share of slow requests, 0..=1.
    pub slow_share: f64,
    pub seed: u64,
}

#[derive(Debug, Default)]
pub struct Latencies {
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub count: usize,
    pub errors: usize,
}

/// One request: when it is due, counted from the start.
pub struct Arrival {
    pub at_seconds: f64,
    pub slow: bool,
}

/// All requests of a mix: the same for every server and for the simulated queue.
pub fn arrivals(mix: &Mix) -> Vec<Arrival> {
    let mut random = Random(mix.seed | 1);
    let mut arrivals = Vec::new();
    let mut at_seconds = 0.0;
    while at_seconds < mix.seconds as f64 {
        let slow = random.unit() < mix.slow_share;
        arrivals.push(Arrival { at_seconds, slow });
        at_seconds += -(1.0 - random.unit()).ln() / mix.requests_per_second;
    }
    arrivals
}

struct Job {
    due: Instant,
    slow: bool,
}

/// One connection's report: whether it was slow, its latency, and itself as free again.
struct Done {
    connection: usize,
    slow: bool,
    latency: Option<Duration>,
}

/// Sends the mix and returns the latencies of the fast requests.
pub fn run(mix: &Mix) -> Result<Latencies, String> {
    let (done, finished) = mpsc::channel();
    let jobs: Vec<mpsc::Sender<Job>> = (0..mix.connections)
        .map(|connection| {
            let (job, queue) = mpsc::channel();
            let done = done.clone();
            let port = mix.port;
            thread::spawn(move || client(connection, port, &queue, &done));
            job
        })
        .collect();
    drop(done);
    let mut random = Random(!mix.seed | 1);
    let mut arrivals = arrivals(mix).into_iter().peekable();
    let mut free: Vec<usize> = (0..mix.connections).collect();
    let mut waiting: std::collections::VecDeque<Job> = std::collections::VecDeque::new();
    let mut fast = Vec::new();
    let mut errors = 0;
    let mut outstanding = 0;
    let started = Instant::now();
    let due = |arrival: &Arrival| started + Duration::from_secs_f64(arrival.at_seconds);
    loop {
        let now = Instant::now();
        while let Some(arrival) = arrivals.next_if(|arrival| due(arrival) <= now) {
            waiting.push_back(Job {
                due: due(&arrival),
                slow: arrival.slow,
            });
        }
        while let Some(job) = waiting.pop_front() {
            if free.is_empty() {
                waiting.push_front(job);
                break;
            }
            // A random free connection: as a browser population would, and blind to how a server binds connections.
            let connection = free.swap_remove((random.unit() * free.len() as f64) as usize);
            outstanding += 1;
            jobs[connection]
                .send(job)
                .map_err(|_| "a client thread ended early".to_owned())?;
        }
        let next = arrivals.peek().map(due);
        if next.is_none() && outstanding == 0 && waiting.is_empty() {
            break;
        }
        let wait = next.map_or(ANSWER_LIMIT * 2, |next| {
            next.saturating_duration_since(Instant::now())
        });
        match finished.recv_timeout(wait) {
            Ok(answer) => {
                outstanding -= 1;
                free.push(answer.connection);
                match answer.latency {
                    Some(latency) if !answer.slow => fast.push(latency.as_secs_f64() * 1000.0),
                    Some(_) => {}
                    None => errors += 1,
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err("every client thread ended".to_owned());
            }
        }
    }
    Ok(summary(fast, errors))
}

pub fn summary(mut fast: Vec<f64>, errors: usize) -> Latencies {
    if fast.is_empty() {
        return Latencies {
            errors,
            ..Latencies::default()
        };
    }
    fast.sort_by(f64::total_cmp);
    let at = |share: f64| fast[((fast.len() - 1) as f64 * share).round() as usize];
    Latencies {
        p50_ms: at(0.5),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        count: fast.len(),
        errors,
    }
}

fn client(connection: usize, port: u16, queue: &mpsc::Receiver<Job>, done: &mpsc::Sender<Done>) {
    let mut stream = connect(port);
    while let Ok(job) = queue.recv() {
        let path = if job.slow { "/slow" } else { "/fast" };
        let mut kept = false;
        let mut answered = false;
        // A server may have closed the idle connection meanwhile: one retry on a fresh one, as browsers do.
        for _ in 0..2 {
            let Some(open) = stream.as_mut() else {
                stream = connect(port);
                continue;
            };
            match exchange(open, path) {
                Some(keep) => {
                    answered = true;
                    kept = keep;
                    break;
                }
                None => stream = connect(port),
            }
        }
        if answered && !kept {
            stream = None;
        }
        let latency = answered.then(|| job.due.elapsed());
        if done
            .send(Done {
                connection,
                slow: job.slow,
                latency,
            })
            .is_err()
        {
            return;
        }
    }
}

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    Some(stream)
}

/// One request, one 200 answer; whether the connection stays open. None: closed, refused or wrong.
fn exchange(stream: &mut TcpStream, path: &str) -> Option<bool> {
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())
        .ok()?;
    let mut bytes = Vec::with_capacity(512);
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some((head, body)) = split(&bytes) {
            if !head.starts_with("HTTP/1.1 200") {
                return None;
            }
            let keep = !head.to_ascii_lowercase().contains("connection: close");
            match header(head, "content-length").and_then(|value| value.parse::<usize>().ok()) {
                Some(length) if body >= length => return Some(keep),
                Some(_) => {}
                None if head
                    .to_ascii_lowercase()
                    .contains("transfer-encoding: chunked")
                    && bytes.ends_with(b"0\r\n\r\n") =>
                {
                    return Some(keep);
                }
                None => {}
            }
        }
    }
}

fn split(bytes: &[u8]) -> Option<(&str, usize)> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((
        std::str::from_utf8(&bytes[..at]).ok()?,
        bytes.len() - at - 4,
    ))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// xorshift64*: the same arrivals for every server of a round.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_known_values() {
        let latencies = summary((1..=100).map(f64::from).collect(), 2);
        assert_eq!(
            (
                latencies.p50_ms,
                latencies.p95_ms,
                latencies.p99_ms,
                latencies.errors
            ),
            (51.0, 95.0, 99.0, 2)
        );
    }

    #[test]
    fn arrivals_repeat_for_a_seed_and_stay_in_range() {
        let draw = |seed| {
            (0..100)
                .map(|_| 0)
                .scan(Random(seed), |random, _| Some(random.unit()))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert!(draw(7).iter().all(|unit| (0.0..1.0).contains(unit)));
    }
}
