//! What clients lose when parts of ringgate come and go: nothing, but the requests that were running in a process when it was killed.
//!
//! An open-loop client asks while code is loaded anew, workers are recycled, added, taken away and killed, and hosts are killed; then
//! every single request is accounted for (`Account`). `RINGGATE_TEST_LOSSES=200` makes each of these happen that often; the default
//! is a short run. A long one tells how far it is, and closes an account for each of its servers and one for all of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::server::HUP;
use harness::timetable::{Entry, Fate, Timetable};
use harness::{Client, Server, Setup, eventually, process, python, skipped};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const TTIN: i32 = 21;
const TTOU: i32 = 22;

const WORKERS: usize = 3;
/// How often each event happens.
const EVENTS: usize = 4;
/// Rounds, each with one event of every kind, that one server lives through: then its account is closed, so that a long run has something to
/// show for itself wherever it is cut off.
const ROUNDS_PER_SERVER: usize = 50;
/// Rounds between two lines about them.
const ROUNDS_PER_LINE: usize = 10;
/// Generations that have seats at the same time.
const SIDE_BY_SIDE: usize = 5;
/// A worker is recycled after so many requests.
const MAX_REQUESTS: &str = "60";
/// Every so often a second HUP comes before the generation of the first is up, this many requests later at most.
const DOUBLE: usize = 2;
const GAP_MAX: u64 = 80;
/// A killed host is replaced at once for so long as that is rare: this is rare enough, on the average.
const HOST_PAUSE: Duration = Duration::from_secs(3);
/// Pauses come after so many.
const HOSTS_AT_ONCE: u32 = 15;
/// Requests that an event loop may have taken without having begun them when it is killed; a WSGI worker, one.
const TAKEN_BY_LOOP: usize = 8;

fn events() -> usize {
    std::env::var("RINGGATE_TEST_LOSSES").map_or(EVENTS, |text| {
        text.parse().expect("RINGGATE_TEST_LOSSES is a number")
    })
}

struct Run {
    server: Server,
    timetable: Timetable,
    kind: &'static str,
    /// Processes that were killed; their children died with them.
    killed: RefCell<BTreeSet<u32>>,
    version: usize,
}

impl Run {
    fn start(kind: &'static str, target: &str, max_requests: &str) -> Run {
        let setup = Setup::app(target)
            .kind(kind)
            .workers(WORKERS)
            .option("--max-requests", max_requests)
            .option("--max-requests-jitter", "30")
            .option("--rings", "2");
        setup.dir().write("version", "1");
        let server = setup.start();
        let timetable = Timetable::start(server.address());
        Run {
            server,
            timetable,
            kind,
            killed: RefCell::default(),
            version: 1,
        }
    }

    /// New code, loaded under load: once it is what answers, it is up.
    fn reload(&mut self, second_after: Option<u64>) {
        self.version += 1;
        let version = self.version.to_string();
        self.server.dir().write("version", &version);
        self.server.signal(HUP);
        if let Some(requests) = second_after {
            self.timetable.wait_requests(requests);
            self.server.signal(HUP);
        }
        eventually("the new generation", || {
            (self.server.get("/version").expect(200).text() == version).then_some(())
        });
    }

    /// A request that runs in the newest generation until there is a file of its name and `.go`.
    fn hold(&self, label: usize) -> (String, Client) {
        let mut name = format!("request-{label}");
        loop {
            let mut client = self.server.client();
            client.send(format!("GET /hold/{name} HTTP/1.1\r\nHost: test\r\n\r\n"));
            let mark = self.server.dir().path().join(format!("{name}.held"));
            let version = eventually("it runs", || std::fs::read_to_string(&mark).ok());
            if version == self.version.to_string() {
                return (name, client);
            }
            // The generation before may take requests for a moment after the new one has begun to.
            self.server.dir().write(&format!("{name}.go"), "");
            assert_eq!(client.response().expect(200).text(), name);
            name.push_str("-again");
        }
    }

    fn wanted(&self) -> u64 {
        let app = self.app();
        app["workers"]["min"].as_u64().unwrap()
    }

    fn app(&self) -> serde_json::Value {
        self.server.status()["processes"]["apps"][0].clone()
    }

    /// One worker more, then one fewer.
    fn resize(&self) {
        let before = self.wanted();
        self.server.signal(TTIN);
        eventually("one more", || (self.wanted() == before + 1).then_some(()));
        self.timetable.wait_requests(30);
        self.server.signal(TTOU);
        eventually("one fewer", || (self.wanted() == before).then_some(()));
        self.timetable.wait_requests(30);
    }

    fn kill_worker(&self) {
        let victim = eventually("a worker", || self.server.process_workers().pop());
        self.kill(victim);
        eventually("it is gone", || (!process::alive(victim)).then_some(()));
    }

    /// The oldest host that is there, be it serving or on its way out.
    fn kill_host(&self) {
        let victim = eventually("a host", || self.server.hosts().into_iter().next());
        self.kill(victim);
        eventually("it is gone", || (!process::alive(victim)).then_some(()));
        eventually("another serves", || {
            let workers = self.server.status()["apps"][0]["workers"].clone();
            (!workers.as_array()?.is_empty()).then_some(())
        });
    }

    fn kill(&self, victim: u32) {
        self.killed.borrow_mut().insert(victim);
        process::kill(victim, harness::server::KILL);
    }

    fn recycled(&self) -> usize {
        self.app()["recycled"].as_u64().unwrap() as usize
    }

    fn settle(self) -> Account {
        let Run {
            server,
            timetable,
            killed,
            kind,
            ..
        } = self;
        let entries = timetable.finish();
        Account {
            begun: begun(&server),
            entries,
            killed: killed.into_inner(),
            kind,
        }
    }
}

/// Who began which request: (process, its parent), by number.
fn begun(server: &Server) -> BTreeMap<u64, Vec<(u32, u32)>> {
    let mut begun: BTreeMap<u64, Vec<(u32, u32)>> = BTreeMap::new();
    for entry in std::fs::read_dir(server.dir().path()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(ids) = name.strip_prefix("begun-") else {
            continue;
        };
        let (pid, parent) = ids.split_once('-').unwrap();
        let ids = (pid.parse().unwrap(), parent.parse().unwrap());
        let notes = std::fs::read_to_string(entry.path()).unwrap();
        for number in notes.lines() {
            begun.entry(number.parse().unwrap()).or_default().push(ids);
        }
    }
    begun
}

/// Every request, and where it ran.
struct Account {
    entries: Vec<Entry>,
    begun: BTreeMap<u64, Vec<(u32, u32)>>,
    killed: BTreeSet<u32>,
    kind: &'static str,
}

/// What became of the requests of one server or several. None of them was lost.
#[derive(Default)]
struct Sum {
    events: usize,
    recycles: usize,
    requests: usize,
    right: usize,
    died: usize,
    taken: usize,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.events += other.events;
        self.recycles += other.recycles;
        self.requests += other.requests;
        self.right += other.right;
        self.died += other.died;
        self.taken += other.taken;
    }
}

impl Account {
    /// Panics unless every request was answered right, or ran in a killed process and ended with it; and none ran twice.
    #[track_caller]
    fn balance(&self, name: &str, taken_per_worker: usize, happened: &str) -> Sum {
        let died_with =
            |pid: &(u32, u32)| self.killed.contains(&pid.0) || self.killed.contains(&pid.1);
        let (mut right, mut died, mut taken) = (0, 0, 0);
        let mut lost = Vec::new();
        for entry in &self.entries {
            let runs = self.begun.get(&entry.number).map_or(&[][..], Vec::as_slice);
            match (&entry.fate, runs) {
                (_, [_, _, ..]) => {
                    lost.push(format!("{} ran more than once: {runs:?}", entry.number))
                }
                (Fate::Right, [_]) => right += 1,
                (Fate::Right, []) => lost.push(format!("{} was answered by nobody", entry.number)),
                (Fate::BadGateway | Fate::Cut(_), [run]) if died_with(run) => died += 1,
                // Its worker had taken it, but the application had not come to note it.
                (Fate::BadGateway, []) => taken += 1,
                (fate, runs) => lost.push(format!("{}: {fate:?}, ran in {runs:?}", entry.number)),
            }
        }
        // A worker each; of a host's, all.
        let workers = self.killed.len() * if self.kind == "processes" { 2 } else { 1 } * WORKERS;
        let mut latencies: Vec<Duration> = self.entries.iter().map(|entry| entry.latency).collect();
        latencies.sort();
        let quantile =
            |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_millis();
        let summary = format!(
            "{name}: {happened}; {} requests, {right} right, {died} died with their worker, {taken} as it took them, {} lost; \
             ms from the planned time: p50 {}, p99 {}, worst {}",
            self.entries.len(),
            lost.len(),
            quantile(0.5),
            quantile(0.99),
            quantile(1.0)
        );
        harness::tell(&summary);
        lost.truncate(20);
        assert!(lost.is_empty(), "{summary}\n{}", lost.join("\n"));
        assert!(taken <= workers * taken_per_worker, "{summary}");
        assert!(right > self.entries.len() / 2, "{summary}");
        Sum {
            requests: self.entries.len(),
            right,
            died,
            taken,
            ..Sum::default()
        }
    }
}

fn everything_happens(name: &str, kind: &'static str, target: &str) {
    if kind == "interpreters" && !python::has_interpreters() {
        skipped("interpreters need CPython 3.13 or newer");
        return;
    }
    let events = events();
    let mut sum = Sum::default();
    while sum.events < events {
        let rounds = ROUNDS_PER_SERVER.min(events - sum.events);
        sum += one_server(name, kind, target, rounds);
    }
    if events > ROUNDS_PER_SERVER {
        let worker_kills = if kind == "processes" { events } else { 0 };
        harness::tell(&format!(
            "{name}, all of it: {events} HUP, TTIN, TTOU and host kills, {worker_kills} worker kills, {} recycles; \
             {} requests, {} right, {} died with their worker, {} as it took them, 0 lost",
            sum.recycles, sum.requests, sum.right, sum.died, sum.taken
        ));
    }
}

/// So many rounds of every event.
fn one_server(name: &str, kind: &'static str, target: &str, rounds: usize) -> Sum {
    let mut run = Run::start(kind, target, MAX_REQUESTS);
    let started = Instant::now();
    for round in 0..rounds {
        run.timetable.wait_requests(30);
        run.reload((round % DOUBLE == 1).then(|| round as u64 * 13 % GAP_MAX));
        run.resize();
        if kind == "processes" {
            run.kill_worker();
            run.timetable.wait_requests(20);
        }
        let owed = HOST_PAUSE * (round as u32).saturating_sub(HOSTS_AT_ONCE);
        while started.elapsed() < owed {
            run.timetable.wait_requests(30);
        }
        run.kill_host();
        if round % ROUNDS_PER_LINE == ROUNDS_PER_LINE - 1 {
            harness::tell(&format!(
                "{name}: round {} of {rounds}, {} recycles and {} requests in {} s",
                round + 1,
                run.recycled(),
                run.timetable.begun(),
                started.elapsed().as_secs()
            ));
        }
    }
    // One after another: each has its own patience.
    for count in run.recycled()..rounds {
        eventually("workers are recycled", || {
            (run.recycled() > count).then_some(())
        });
    }
    run.timetable.wait_requests(30);
    let recycles = run.recycled();
    let happened = format!(
        "{rounds} HUP, TTIN, TTOU and host kills, {} worker kills, {recycles} recycles in {} s",
        if kind == "processes" { rounds } else { 0 },
        started.elapsed().as_secs()
    );
    let taken = if target.ends_with("asgi") {
        TAKEN_BY_LOOP
    } else {
        1
    };
    Sum {
        events: rounds,
        recycles,
        ..run.settle().balance(name, taken, &happened)
    }
}

/// More generations than have seats side by side, each with a request that does not end before they are all there.
#[test]
fn requests_that_run_through_any_number_of_reloads_end_well() {
    for (kind, target) in [
        ("processes", "counted:application"),
        ("interpreters", "counted:asgi"),
    ] {
        if kind == "interpreters" && !python::has_interpreters() {
            continue;
        }
        let mut run = Run::start(kind, target, "0");
        let mut held = Vec::new();
        for generation in 1..=SIDE_BY_SIDE + 1 {
            held.push(run.hold(generation));
            if generation < SIDE_BY_SIDE {
                run.reload(None);
            } else {
                // This one waits for the seats of the first.
                run.server.signal(HUP);
                run.server
                    .wait_log("waits until an earlier one has finished its requests");
            }
        }
        for (name, mut client) in held {
            run.server.dir().write(&format!("{name}.go"), "");
            assert_eq!(client.response().expect(200).text(), name);
        }
        run.reload(None);
        let happened = format!("{} HUP", SIDE_BY_SIDE + 2);
        run.settle().balance(&format!("{kind}, held"), 0, &happened);
    }
}

#[test]
fn processes_wsgi() {
    everything_happens("processes, WSGI", "processes", "counted:application");
}

#[test]
fn processes_asgi() {
    everything_happens("processes, ASGI", "processes", "counted:asgi");
}

#[test]
fn interpreters_wsgi() {
    everything_happens("interpreters, WSGI", "interpreters", "counted:application");
}

#[test]
fn interpreters_asgi() {
    everything_happens("interpreters, ASGI", "interpreters", "counted:asgi");
}
