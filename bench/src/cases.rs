//! The work, and the rounds: every server of a case in turn, as often as asked, so that a drift of the machine meets them all.

use crate::ideal;
use crate::load::{self, Load};
use crate::machine::Machine;
use crate::openloop::{self, Mix};
use crate::stacks::{self, Manner, Setting, Tools, Work};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Seconds of load before the counted rounds of one start: caches, JIT-like specialisation, page cache.
const WARM_UP_SECONDS: u64 = 1;
/// The mixed case: requests per second and workers of the field's published comparison.
const MIXED_RATE: f64 = 160.0;
const MIXED_WORKERS: usize = 4;
const MIXED_SECONDS: u64 = 9;
const MIXED_FAST_MS: f64 = 5.0;
const MIXED_SLOW_MS: f64 = 200.0;
/// The simulated queue's row among the servers of the mixed cases.
const IDEAL: &str = "(ideal queue)";

pub struct Case {
    pub name: &'static str,
    work: Work,
    script: Option<&'static str>,
    /// Requests that one turn of the wrk script sends.
    mixed: bool,
    /// Few connections suffice for large answers, and a round's end cuts fewer short.
    connections_max: usize,
}

const fn closed(name: &'static str, work: Work) -> Case {
    Case {
        name,
        work,
        script: None,
        mixed: false,
        connections_max: usize::MAX,
    }
}

const fn file(name: &'static str, bytes: usize, manner: Manner) -> Case {
    closed(name, Work::Static { bytes, manner })
}

pub const ALL: &[Case] = &[
    file("static-100", 100, Manner::Kept),
    file("static-4k", 4096, Manner::Kept),
    file("static-16k", 16 << 10, Manner::Kept),
    file("static-64k", 64 << 10, Manner::Kept),
    Case {
        connections_max: 16,
        ..file("static-1m", 1 << 20, Manner::Kept)
    },
    Case {
        connections_max: 4,
        ..file("static-16m", 16 << 20, Manner::Kept)
    },
    file("static-304", 100, Manner::Known),
    file("static-100-log", 100, Manner::Logged),
    file("static-4k-log", 4096, Manner::Logged),
    file("static-100-close", 100, Manner::Once),
    Case {
        script: Some("pipeline.lua"),
        ..file("static-100-pipelined", 100, Manner::Kept)
    },
    closed(
        "wsgi-hello",
        Work::Wsgi {
            target: "hello:app",
        },
    ),
    closed(
        "flask",
        Work::Wsgi {
            target: "flask_app:app",
        },
    ),
    closed(
        "django",
        Work::Wsgi {
            target: "django_app:app",
        },
    ),
    Case {
        script: Some("post.lua"),
        ..closed(
            "post-10k",
            Work::Wsgi {
                target: "hello:upload",
            },
        )
    },
    Case {
        mixed: true,
        ..closed(
            "mixed",
            Work::Wsgi {
                target: "mixed:app",
            },
        )
    },
    closed(
        "asgi-hello",
        Work::Asgi {
            target: "asgi_apps:hello",
        },
    ),
    closed(
        "starlette",
        Work::Asgi {
            target: "starlette_app:app",
        },
    ),
    closed(
        "fastapi",
        Work::Asgi {
            target: "fastapi_app:app",
        },
    ),
    Case {
        mixed: true,
        ..closed(
            "mixed-asgi",
            Work::Asgi {
                target: "mixed_asgi:app",
            },
        )
    },
];

pub struct Plan {
    pub cases: Option<Vec<String>>,
    pub servers: Option<Vec<String>>,
    pub rounds: usize,
    pub seconds: u64,
    pub cores: usize,
    pub connections: usize,
    pub tools: Tools,
}

/// One server's round.
#[derive(Clone, Default)]
pub struct Round {
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p95_ms: Option<f64>,
    pub p99_ms: f64,
    pub cpu_us: f64,
    pub resident_bytes: u64,
    pub errors: u64,
}

/// A case's servers in the order of the table, each with its rounds.
pub type Rows = Vec<(String, Vec<Round>)>;

pub struct Outcome {
    pub machine: Machine,
    pub cores: usize,
    pub rounds: usize,
    pub seconds: u64,
    pub connections: usize,
    /// case -> server -> its rounds, in the order of the tables.
    pub figures: Vec<(String, Rows)>,
    /// What was left out, and why.
    pub absent: Vec<String>,
}

pub fn run(plan: &Plan) -> Result<Outcome, String> {
    let machine = Machine::read();
    if plan.cores == 0 || plan.cores > machine.cores || machine.cores < 2 {
        return Err(format!(
            "{} cores asked for; this machine has {} and the load needs one",
            plan.cores, machine.cores
        ));
    }
    let scratch = Scratch::new(&plan.tools)?;
    let mut outcome = Outcome {
        machine,
        cores: plan.cores,
        rounds: plan.rounds,
        seconds: plan.seconds,
        connections: plan.connections,
        figures: Vec::new(),
        absent: Vec::new(),
    };
    for name in plan.cases.iter().flatten() {
        if !ALL.iter().any(|case| case.name == name) {
            return Err(format!("there is no case {name:?}; --list names them"));
        }
    }
    for case in ALL {
        if plan
            .cases
            .as_ref()
            .is_some_and(|names| !names.iter().any(|name| name == case.name))
        {
            continue;
        }
        let servers: Vec<&str> = stacks::NAMES
            .iter()
            .copied()
            .filter(|name| stacks::fits(name, case.work))
            .filter(|name| {
                plan.servers
                    .as_ref()
                    .is_none_or(|names| names.iter().any(|wanted| wanted == name))
            })
            .collect();
        let mut figures: BTreeMap<&str, Vec<Round>> = BTreeMap::new();
        for round in 0..plan.rounds {
            for &server in &servers {
                eprintln!(
                    "{} round {}/{}: {server}",
                    case.name,
                    round + 1,
                    plan.rounds
                );
                match measure(plan, case, server, &scratch.0, round) {
                    Ok(figure) => figures.entry(server).or_default().push(figure),
                    Err(message) => outcome
                        .absent
                        .push(format!("{} {server}: {message}", case.name)),
                }
            }
        }
        let mut rows: Rows = servers
            .iter()
            .filter_map(|&server| Some((server.to_owned(), figures.remove(server)?)))
            .collect();
        if case.mixed {
            rows.push((
                IDEAL.to_owned(),
                (0..plan.rounds).map(ideal_round).collect(),
            ));
        }
        outcome.figures.push((case.name.to_owned(), rows));
    }
    outcome.absent.sort();
    outcome.absent.dedup();
    Ok(outcome)
}

fn measure(
    plan: &Plan,
    case: &Case,
    server: &str,
    scratch: &Path,
    round: usize,
) -> Result<Round, String> {
    let port = free_port()?;
    let all: Vec<usize> = (0..plan.cores.max(2)).collect();
    let (server_cpus, load_cpus) = if plan.cores == 1 && !case.mixed {
        (vec![0], vec![1])
    } else {
        (all.clone(), all)
    };
    let workers = if case.mixed {
        MIXED_WORKERS
    } else {
        plan.cores
    };
    let setting = Setting {
        work: case.work,
        cores: plan.cores,
        workers,
        cpus: &server_cpus,
        port,
        scratch,
        tools: &plan.tools,
    };
    let stack = stacks::start(server, &setting)?;
    let result = if case.mixed {
        mixed(&stack, port, plan, round)
    } else {
        closed_loop(&stack, plan, case, port, &load_cpus)
    };
    stack.stop();
    result
}

fn closed_loop(
    stack: &stacks::Stack,
    plan: &Plan,
    case: &Case,
    port: u16,
    cpus: &[usize],
) -> Result<Round, String> {
    let (path, header) = match case.work {
        Work::Static { bytes, manner } => {
            let header = match manner {
                Manner::Kept | Manner::Logged => None,
                Manner::Once => Some("Connection: close"),
                Manner::Known => Some(stacks::MODIFIED),
            };
            (format!("file-{bytes}"), header)
        }
        Work::Wsgi { .. } | Work::Asgi { .. } => (String::new(), None),
    };
    let url = format!("http://127.0.0.1:{port}/{path}");
    let script = case.script.map(|name| plan.tools.apps.join(name));
    let mut load = Load {
        url: &url,
        connections: plan.connections.min(case.connections_max),
        threads: cpus.len(),
        seconds: WARM_UP_SECONDS,
        cpus,
        script,
        header,
    };
    load::run(&load)?;
    load.seconds = plan.seconds;
    let before = stack.cpu_seconds();
    let answer = load::run(&load)?;
    let cpu = stack.cpu_seconds() - before;
    if answer.requests == 0 {
        return Err("answered nothing".to_owned());
    }
    Ok(Round {
        requests_per_second: answer.requests as f64 / answer.seconds,
        p50_ms: answer.p50_ms,
        p95_ms: None,
        p99_ms: answer.p99_ms,
        cpu_us: cpu * 1e6 / answer.requests as f64,
        resident_bytes: stack.resident_bytes(),
        errors: answer.errors,
    })
}

fn mix(port: u16, connections: usize, round: usize) -> Mix {
    Mix {
        port,
        connections,
        requests_per_second: MIXED_RATE,
        seconds: MIXED_SECONDS,
        slow_share: 0.05,
        // Another number for each round, scattered: neighbouring seeds begin alike.
        seed: (round as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}

fn ideal_round(round: usize) -> Round {
    let latencies = ideal::run(
        &mix(0, 1, round),
        MIXED_WORKERS,
        MIXED_FAST_MS,
        MIXED_SLOW_MS,
    );
    Round {
        requests_per_second: latencies.count as f64 / MIXED_SECONDS as f64,
        p50_ms: latencies.p50_ms,
        p95_ms: Some(latencies.p95_ms),
        p99_ms: latencies.p99_ms,
        ..Round::default()
    }
}

fn mixed(stack: &stacks::Stack, port: u16, plan: &Plan, round: usize) -> Result<Round, String> {
    let mix = mix(port, plan.connections, round);
    let before = stack.cpu_seconds();
    let latencies = openloop::run(&mix)?;
    let cpu = stack.cpu_seconds() - before;
    Ok(Round {
        requests_per_second: latencies.count as f64 / MIXED_SECONDS as f64,
        p50_ms: latencies.p50_ms,
        p95_ms: Some(latencies.p95_ms),
        p99_ms: latencies.p99_ms,
        cpu_us: cpu * 1e6 / latencies.count.max(1) as f64,
        resident_bytes: stack.resident_bytes(),
        errors: latencies.errors as u64,
    })
}

pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port())
}

/// Runs something that needs the run's own directory, which is gone afterwards.
pub fn with_scratch(
    tools: &Tools,
    measure: impl FnOnce(&Tools, &Path) -> Result<String, String>,
) -> Result<String, String> {
    measure(tools, &Scratch::new(tools)?.0)
}

/// The run's own directory: static files, the database, configurations, logs. Gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(tools: &Tools) -> Result<Scratch, String> {
        let path = std::env::temp_dir().join(format!("ringgate-bench-{}", std::process::id()));
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(path.join("static")).map_err(failed)?;
        for case in ALL {
            if let Work::Static { bytes, .. } = case.work {
                let file = path.join("static").join(format!("file-{bytes}"));
                fs::write(&file, vec![b'x'; bytes]).map_err(failed)?;
                let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(stacks::MODIFIED_S);
                fs::File::open(&file)
                    .and_then(|file| file.set_modified(modified))
                    .map_err(failed)?;
            }
        }
        let prepared = Command::new(&tools.python)
            .arg(tools.apps.join("django_app.py"))
            .env("BENCH_DATABASE", path.join("bench.sqlite3"))
            .output();
        if !prepared.is_ok_and(|output| output.status.success()) {
            eprintln!(
                "ringgate-bench: the Django database could not be made with {}; the django case will be left out",
                tools.python.display()
            );
        }
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("RINGGATE_BENCH_KEEP").is_some() {
            eprintln!("ringgate-bench: kept {}", self.0.display());
        } else if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!(
                "ringgate-bench: cannot remove {}: {error}",
                self.0.display()
            );
        }
    }
}
