//! The servers that are measured: how each is started for a given work, as its own documentation advises for production.

use crate::process::Group;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a stack may take until its application answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

pub const NAMES: &[&str] = &[
    "ringgate",
    "canned",
    "nginx",
    "nginx-deferred",
    "nginx-buffered",
    "nginx+gunicorn",
    "fastpysgi",
    "peregrine",
    "granian",
    "bjoern",
    "uwsgi",
    "gunicorn",
    "uvicorn",
    "hypercorn",
];

/// What a stack is asked to serve.
#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    /// `file-<bytes>` from the static directory.
    Static { bytes: usize, manner: Manner },
    /// A WSGI callable of bench/apps, `module:attribute`.
    Wsgi { target: &'static str },
    /// Likewise, ASGI.
    Asgi { target: &'static str },
}

/// How a file is asked for, and what the servers do beside.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    /// On a connection that stays open.
    Kept,
    /// On a new connection for every request.
    Once,
    /// By a client that has it already: 304.
    Known,
    /// Kept, and every request is written to the access log.
    Logged,
}

/// When every static file was last modified, and how a client says that it knows.
pub const MODIFIED_S: u64 = 1_767_225_600;
pub const MODIFIED: &str = "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT";

/// Paths to everything that a run needs and did not make.
pub struct Tools {
    pub ringgate: PathBuf,
    pub python: PathBuf,
    pub itself: PathBuf,
    pub apps: PathBuf,
}

impl Tools {
    pub fn find(ringgate: Option<PathBuf>, python: Option<PathBuf>) -> Tools {
        let itself = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ringgate-bench"));
        let ringgate = ringgate.unwrap_or_else(|| itself.with_file_name("ringgate"));
        let python = python
            .or_else(|| std::env::var_os("RINGGATE_BENCH_PYTHON").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("python3"));
        Tools {
            ringgate,
            python,
            itself,
            apps: Path::new(env!("CARGO_MANIFEST_DIR")).join("apps"),
        }
    }

    fn beside_python(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }
}

/// One start of one stack.
pub struct Setting<'a> {
    pub work: Work,
    pub cores: usize,
    pub workers: usize,
    pub cpus: &'a [usize],
    pub port: u16,
    /// A directory of this run: configurations, logs, the static files, the database.
    pub scratch: &'a Path,
    pub tools: &'a Tools,
}

/// A stack that runs: one process group for each of its servers.
pub struct Stack(Vec<Group>);

impl Stack {
    pub fn cpu_seconds(&self) -> f64 {
        self.0.iter().map(Group::cpu_seconds).sum()
    }

    pub fn resident_bytes(&self) -> u64 {
        self.0.iter().map(Group::resident_bytes).sum()
    }

    pub fn stop(self) {
        self.0.into_iter().rev().for_each(Group::stop);
    }
}

/// Whether the server can do the work at all (canned and nginx run no Python).
pub fn fits(name: &str, work: Work) -> bool {
    match work {
        Work::Static { manner, .. } => match name {
            "ringgate" | "nginx" => true,
            "canned" => manner != Manner::Logged,
            "nginx-deferred" => manner == Manner::Once,
            "nginx-buffered" => manner == Manner::Logged,
            _ => false,
        },
        Work::Wsgi { .. } => !matches!(
            name,
            "canned" | "nginx" | "nginx-deferred" | "nginx-buffered" | "uvicorn" | "hypercorn"
        ),
        Work::Asgi { .. } => matches!(
            name,
            "ringgate" | "peregrine" | "granian" | "uvicorn" | "hypercorn"
        ),
    }
}

pub fn start(name: &str, setting: &Setting) -> Result<Stack, String> {
    let mut groups = Vec::new();
    for argv in commands(name, setting)? {
        let log = setting.scratch.join(format!("{name}.log"));
        let env = [
            (
                "BENCH_DATABASE".to_owned(),
                setting.scratch.join("bench.sqlite3").display().to_string(),
            ),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ];
        match Group::start(&argv, setting.cpus, &setting.tools.apps, &env, &log) {
            Ok(group) => groups.push(group),
            Err(error) => {
                Stack(groups).stop();
                return Err(format!("{}: {error}", argv[0]));
            }
        }
    }
    let mut stack = Stack(groups);
    let last = stack.0.last_mut().ok_or("a stack needs a process")?;
    let up = last
        .wait_for_port(setting.port)
        .and_then(|()| wait_for_answer(setting));
    if let Err(message) = up {
        stack.stop();
        let log =
            fs::read_to_string(setting.scratch.join(format!("{name}.log"))).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(3).collect();
        return Err(format!(
            "{message}: {}",
            tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
        ));
    }
    Ok(stack)
}

/// A listening port is not yet an application: nginx is up before the workers behind it are.
fn wait_for_answer(setting: &Setting) -> Result<(), String> {
    let path = match setting.work {
        Work::Static { bytes, .. } => format!("file-{bytes}"),
        Work::Wsgi { .. } | Work::Asgi { .. } => "fast".to_owned(),
    };
    let started = Instant::now();
    let mut last = String::new();
    while started.elapsed() < ANSWER_LIMIT {
        match status_line(setting.port, &path) {
            Ok(line) if !line.contains(" 502 ") && !line.contains(" 503 ") => return Ok(()),
            Ok(line) => last = line,
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("no answer from the application: {last}"))
}

fn status_line(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match line.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(line),
    }
}

fn commands(name: &str, setting: &Setting) -> Result<Vec<Vec<String>>, String> {
    let Setting {
        port,
        workers,
        cores,
        tools,
        scratch,
        ..
    } = setting;
    let python = tools.python.display().to_string();
    let bind = format!("127.0.0.1:{port}");
    let target = match setting.work {
        Work::Wsgi { target } | Work::Asgi { target } => target,
        Work::Static { .. } => "hello:app",
    };
    let protocol = match setting.work {
        Work::Asgi { .. } => "asgi",
        _ => "wsgi",
    };
    let script = |file: &str| {
        vec![
            python.clone(),
            tools.apps.join(file).display().to_string(),
            port.to_string(),
            workers.to_string(),
            target.to_owned(),
            protocol.to_owned(),
        ]
    };
    let installed = |program: &str| {
        let path = tools.beside_python(program);
        if path.exists() {
            Ok(path.display().to_string())
        } else {
            Err(format!("{program} is not installed beside {python}"))
        }
    };
    let words = |line: String| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    Ok(match name {
        "ringgate" => {
            let program = tools.ringgate.display();
            let control = scratch.join("control.sock");
            let common = format!(
                "{program} -b {bind} --rings {cores} --python {python} --control {}",
                control.display()
            );
            vec![words(match setting.work {
                Work::Static { manner, .. } => {
                    let log = match manner {
                        Manner::Logged => {
                            format!(" --access-log {}", scratch.join("access.log").display())
                        }
                        _ => String::new(),
                    };
                    format!(
                        "{common} --static /={}{log}",
                        scratch.join("static").display()
                    )
                }
                Work::Wsgi { target } => {
                    format!("{common} -w {workers} --kind interpreters {target}")
                }
                Work::Asgi { target } => format!("{common} -w {workers} {target}"),
            })]
        }
        "canned" => {
            let Work::Static { bytes, manner } = setting.work else {
                return Err("canned serves no app".to_owned());
            };
            let kind = match manner {
                Manner::Kept | Manner::Logged => "kept",
                Manner::Once => "once",
                Manner::Known => "known",
            };
            vec![words(format!(
                "{} canned {port} {bytes} {kind}",
                tools.itself.display()
            ))]
        }
        "nginx" | "nginx-deferred" | "nginx-buffered" => vec![words(format!(
            "nginx -p {} -c {}",
            scratch.display(),
            nginx(setting, name, None)?.display()
        ))],
        "nginx+gunicorn" => {
            let socket = scratch.join("gunicorn.sock");
            let gunicorn = installed("gunicorn")?;
            vec![
                words(format!(
                    "{gunicorn} --bind unix:{} --workers {workers} --log-level warning {target}",
                    socket.display()
                )),
                words(format!(
                    "nginx -p {} -c {}",
                    scratch.display(),
                    nginx(setting, name, Some(&socket))?.display()
                )),
            ]
        }
        "gunicorn" => vec![words(format!(
            "{} --bind {bind} --workers {workers} --worker-class gthread --threads 4 --log-level warning {target}",
            installed("gunicorn")?
        ))],
        "granian" => {
            let threads = if protocol == "wsgi" {
                " --blocking-threads 1"
            } else {
                " --loop uvloop"
            };
            vec![words(format!(
                "{} --interface {protocol} --http 1 --host 127.0.0.1 --port {port} --workers {workers}{threads} --no-ws --log-level warning {target}",
                installed("granian")?
            ))]
        }
        "peregrine" => vec![words(format!(
            "{} --host 127.0.0.1 --port {port} --workers {workers} --protocol {protocol} {target}",
            installed("peregrine")?
        ))],
        "uwsgi" => vec![words(format!(
            "{} --http11-socket {bind} --master --processes {workers} --enable-threads --single-interpreter --die-on-term --disable-logging --module {target}",
            installed("uwsgi")?
        ))],
        "uvicorn" => vec![words(format!(
            "{} --host 127.0.0.1 --port {port} --workers {workers} --loop uvloop --http httptools --no-access-log --log-level warning {target}",
            installed("uvicorn")?
        ))],
        "hypercorn" => vec![words(format!(
            "{} --bind {bind} --workers {workers} --worker-class uvloop --log-level warning {target}",
            installed("hypercorn")?
        ))],
        "fastpysgi" => vec![script("serve_fastpysgi.py")],
        "bjoern" => vec![script("serve_bjoern.py")],
        other => return Err(format!("there is no server {other:?}; --list names them")),
    })
}

/// nginx as its users tune it for this work: sendfile, open_file_cache, keep-alive without a request limit. With the access log
/// written line by line, as is its default, or buffered; accepting at once, as is its default, or deferred.
fn nginx(setting: &Setting, name: &str, upstream: Option<&Path>) -> Result<PathBuf, String> {
    let scratch = setting.scratch.display();
    let log = match setting.work {
        Work::Static {
            manner: Manner::Logged,
            ..
        } if name == "nginx-buffered" => {
            format!("{scratch}/nginx-access.log combined buffer=64k flush=1s")
        }
        Work::Static {
            manner: Manner::Logged,
            ..
        } => format!("{scratch}/nginx-access.log combined"),
        _ => "off".to_owned(),
    };
    let deferred = if name == "nginx-deferred" {
        " deferred"
    } else {
        ""
    };
    let (pool, location) = match upstream {
        Some(socket) => (
            format!("upstream app {{ server unix:{} fail_timeout=0; }}", socket.display()),
            "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;".to_owned(),
        ),
        None => (String::new(), format!("root {scratch}/static;")),
    };
    let text = format!(
        "daemon off; worker_processes {workers}; pid {scratch}/nginx.pid; error_log {scratch}/nginx.log warn;
events {{ worker_connections 20000; }}
http {{
  access_log {log}; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 75; keepalive_requests 1000000000;
  open_file_cache max=10000 inactive=60s; open_file_cache_valid 30s; client_body_buffer_size 64k; client_max_body_size 100m;
  client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi; uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
  {pool}
  server {{ listen 127.0.0.1:{port} reuseport backlog=2048{deferred}; location / {{ {location} }} }}
}}
",
        workers = setting.cores,
        port = setting.port,
    );
    let path = setting.scratch.join("nginx.conf");
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
