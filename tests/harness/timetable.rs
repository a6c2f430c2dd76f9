//! An open-loop client: request number n is due at its time in a timetable, whether or not the earlier ones have been answered,
//! and every one of them has an entry in the account at the end.
//!
//! Speaks to tests/apps/counted.py, whose right answer follows from the number. Latency counts from the planned time, so what a
//! request had to wait for a free client is in it. Half of the clients keep their connection, half make a new one each time.

use super::Client;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients; more requests than that are never outstanding, later ones come late and the lateness counts.
const CLIENTS: usize = 64;
/// Between two requests.
const INTERVAL: Duration = Duration::from_millis(6);
/// More than a slot holds, so it travels through a file (WSGI) or in pieces (ASGI).
const LARGE_BYTES: usize = 300_000;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// 200 and every byte as it must be.
    Right,
    /// 502, which says that the worker died with it.
    BadGateway,
    /// The connection ended before the answer did.
    Cut(String),
    /// Anything else.
    Wrong(String),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub number: u64,
    pub fate: Fate,
    /// From the planned time to the end of the answer.
    pub latency: Duration,
}

/// Clients at work.
pub struct Timetable {
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<Entry>>>,
}

/// What a request asks for.
struct Request {
    bytes: Vec<u8>,
    /// The answer.
    body: Vec<u8>,
}

impl Request {
    /// Short ones mostly, and with them: slow ones, small and large bodies, large answers.
    fn new(number: u64, keeps: bool) -> Request {
        let (wait_ms, repeat, upload_bytes) = match number % 20 {
            3 => (100, 1, 0),
            6 | 16 => (0, 1, 1_000),
            9 => (0, 1, LARGE_BYTES),
            12 => (0, LARGE_BYTES / 8, 0),
            _ => (2, 1, 0),
        };
        let word = format!("{number};");
        let connection = if keeps { "" } else { "Connection: close\r\n" };
        let method = if upload_bytes > 0 { "POST" } else { "GET" };
        let mut bytes = format!(
            "{method} /{number}?wait_ms={wait_ms}&repeat={repeat} HTTP/1.1\r\nHost: test\r\n{connection}"
        )
        .into_bytes();
        let body = if upload_bytes > 0 {
            let body = word.repeat(upload_bytes / word.len()).into_bytes();
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
            bytes.extend(&body);
            body
        } else {
            bytes.extend(b"\r\n");
            word.repeat(repeat).into_bytes()
        };
        Request { bytes, body }
    }
}

impl Timetable {
    pub fn start(address: SocketAddr) -> Timetable {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(0));
        let epoch = Instant::now();
        let clients = (0..CLIENTS).map(|client| {
            let (stop, next) = (stop.clone(), next.clone());
            let keeps = client % 2 == 0;
            std::thread::spawn(move || work(address, epoch, keeps, &stop, &next))
        });
        Timetable {
            clients: clients.collect(),
            stop,
            next,
        }
    }

    /// How many requests a client has taken up so far.
    pub fn begun(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Waits until this many more requests are on their way.
    pub fn wait_requests(&self, count: u64) {
        let aim = self.begun() + count;
        super::eventually("requests come", || (self.begun() >= aim).then_some(()));
    }

    /// The account: an entry for every number from 0 on.
    pub fn finish(mut self) -> Vec<Entry> {
        self.stop.store(true, Ordering::Relaxed);
        let mut account: Vec<Entry> = Vec::new();
        for client in std::mem::take(&mut self.clients) {
            account.extend(client.join().expect("a client does not panic"));
        }
        account.sort_by_key(|entry| entry.number);
        for (number, entry) in account.iter().enumerate() {
            assert_eq!(
                entry.number, number as u64,
                "every request is accounted for"
            );
        }
        account
    }
}

impl Drop for Timetable {
    /// A test that fails leaves no clients behind that ask a server which is gone.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work(
    address: SocketAddr,
    epoch: Instant,
    keeps: bool,
    stop: &AtomicBool,
    next: &AtomicU64,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let planned = epoch + INTERVAL * u32::try_from(number).expect("no test runs that long");
        std::thread::sleep(planned.saturating_duration_since(Instant::now()));
        let fate = ask(address, number, keeps, &mut kept).unwrap_or_else(|error| {
            kept = None;
            Fate::Cut(clip(error.to_string()))
        });
        entries.push(Entry {
            number,
            fate,
            latency: planned.elapsed(),
        });
    }
    entries
}

fn ask(
    address: SocketAddr,
    number: u64,
    keeps: bool,
    kept: &mut Option<Client>,
) -> io::Result<Fate> {
    let request = Request::new(number, keeps);
    let mut client = match kept.take() {
        Some(client) => client,
        None => match Client::try_connect(address) {
            Ok(client) => client,
            Err(error) => return Ok(Fate::Wrong(format!("not let in: {error}"))),
        },
    };
    // Whoever is refused before all was sent is told so.
    let sent = client.try_send(&request.bytes);
    let response = client.try_response("GET")?;
    let fate = match response.status {
        200 if response.body == request.body => Fate::Right,
        502 => Fate::BadGateway,
        status => Fate::Wrong(clip(format!("{status} {:?}", response.text()))),
    };
    if keeps && sent.is_ok() && !response.closes() {
        *kept = Some(client);
    }
    Ok(fate)
}

/// What fits a line.
fn clip(text: String) -> String {
    text.chars().take(120).collect()
}
