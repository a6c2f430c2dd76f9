//! The parent process: opens the sockets, starts and watches edge and app hosts, takes signals. Never parses traffic.
//!
//! Floors inside: `policy` (pure: what to do), `log`, `holder` | `installation`, `python`, `extension`, `limits`, `listen`, `identity` (what is needed, or
//! one message) | `resources`, `watch`, `child`, `banner` | `run` (the loop). `check` and `status` are the client commands,
//! `settings` reads configuration files that are Python, `daemon` is the way into the background.
#![forbid(unsafe_code)]

mod banner;
mod check;
mod child;
mod daemon;
mod extension;
mod holder;
mod identity;
mod installation;
mod limits;
mod listen;
mod log;
mod policy;
mod python;
mod resources;
mod run;
mod settings;
mod status;
mod watch;

pub use check::check;
pub use settings::settings;
pub use status::{reload, status};

use config::{Config, LogLevel, Mistake};
use daemon::Waiting;
use log::Log;
use policy::{Policy, Setup};
use python::Python;
use resources::Resources;
use run::{Ready, Supervisor};

pub use run::ReadConfig;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use sys::signal::{Signal, Signals};

const EXIT_MISTAKE: u8 = 1;

/// Serves until a signal says otherwise.
pub fn serve(config: Config, read_config: ReadConfig) -> ExitCode {
    let waiting = Waiting::find();
    if config.daemon && waiting.is_none() {
        return daemon::start(&config);
    }
    match prepare(config, read_config) {
        Ok(mut prepared) => {
            prepared.supervisor.waiting = waiting;
            let pid_file = prepared.pid_file;
            let code = prepared.supervisor.run().unwrap_or_else(|error| {
                eprintln!("ringgate: the supervisor cannot go on: {error}");
                policy::EXIT_SERVER
            });
            drop(pid_file);
            ExitCode::from(code)
        }
        Err(mistake) => {
            if let Some(waiting) = waiting {
                waiting.say(&mistake.0);
            }
            refuse(&mistake)
        }
    }
}

fn refuse(mistake: &Mistake) -> ExitCode {
    eprintln!("ringgate: {mistake}");
    ExitCode::from(EXIT_MISTAKE)
}

struct Prepared {
    supervisor: Supervisor,
    pid_file: Option<PidFile>,
    _control: listen::SocketName,
}

/// Everything that can go wrong before the first child: in the order in which the user can do something about it.
fn prepare(mut config: Config, read_config: ReadConfig) -> Result<Prepared, Mistake> {
    // First of all, before the number can mean anything else.
    let ready = config.ready_fd.map(ready).transpose()?;
    let passed = listen::take_inherited(&config)?;
    // Signals wait from here on, so that none is lost and no child starts with ours.
    let signals = Signals::watch(&[
        Signal::Term,
        Signal::Int,
        Signal::Quit,
        Signal::Hup,
        Signal::Usr1,
        Signal::Usr2,
        Signal::MoreWorkers,
        Signal::FewerWorkers,
        Signal::Child,
    ])
    .map_err(|error| Mistake(format!("signals cannot be watched ({error})")))?;
    config::world::check(&config)?;
    limits::settle(&mut config)?;
    let identity = identity::find(&config)?;
    if let Some(mask) = config.identity.umask {
        sys::identity::set_umask(mask);
    }
    let (pythons, extension) = find_python(&config)?;
    let listeners = listen::open(&config, passed)?;
    config.binds = listeners
        .iter()
        .map(|listener| listener.address.clone())
        .collect();
    let (control, status, control_name) = listen::control(&config)?;
    if let Some(identity) = &identity {
        identity::hand_over(&config, identity)?;
    }
    let mut log = Log::open(&config)
        .map_err(|error| Mistake(format!("--error-log: {}", config::world::plain(&error))))?;
    for note in &config.notes {
        log.say(LogLevel::Warning, note);
    }
    let pid_file = config.pid_file.clone().map(PidFile::write).transpose()?;
    let setup = Setup {
        listeners: listeners
            .iter()
            .map(|listener| (listener.address.clone(), listener.per_ring))
            .collect(),
        no_interpreters: pythons
            .iter()
            .map(|python| python.no_interpreters.clone())
            .collect(),
        seats: resources::seats(&config),
        slots: config.limits.pending + config.limits.websockets,
        supervisor_pid: std::process::id(),
        seed: sys::clock::monotonic_ns(),
        config: config.clone(),
    };
    let resources = Resources::create(&config, listeners, status)?;
    let supervisor = Supervisor {
        policy: Policy::new(setup),
        config,
        read_config,
        pythons,
        extension,
        control,
        resources,
        identity,
        waiting: None,
        watch: None,
        signals,
        log,
        ready,
        edge: None,
        hosts: BTreeMap::new(),
        events: VecDeque::new(),
    };
    Ok(Prepared {
        supervisor,
        pid_file,
        _control: control_name,
    })
}

/// Each app's interpreter, and the extension; neither is needed to serve files alone.
fn find_python(config: &Config) -> Result<(Vec<Python>, PathBuf), Mistake> {
    if config.apps.is_empty() {
        return Ok((Vec::new(), PathBuf::new()));
    }
    let executable = std::env::current_exe().map_err(|error| {
        Mistake(format!(
            "the path of this executable cannot be found out ({error})"
        ))
    })?;
    let bin = executable.parent().unwrap_or(Path::new("/"));
    let pythons = python::find(config, bin, std::env::var_os("VIRTUAL_ENV").as_deref())?;
    // One file fits all (abi3).
    let theirs = pythons
        .iter()
        .find_map(|python| python.extension.as_deref());
    let extension = extension::find(config, bin, theirs)?;
    Ok((pythons, extension))
}

fn ready(fd: i32) -> Result<Ready, Mistake> {
    match fd {
        1 => Ok(Ready::Stdout),
        2 => Ok(Ready::Stderr),
        _ => sys::process::inherited(fd)
            .map(Ready::Inherited)
            .map_err(|error| {
                Mistake(format!(
                    "--ready-fd {fd}: it was not inherited ({})",
                    config::world::plain(&error)
                ))
            }),
    }
}

/// `--pid`: removed on drop, if it still is ours.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> Result<PidFile, Mistake> {
        std::fs::write(&path, format!("{}\n", std::process::id())).map_err(|error| {
            Mistake(format!(
                "--pid: {} cannot be written ({})",
                path.display(),
                config::world::plain(&error)
            ))
        })?;
        Ok(PidFile(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = std::fs::read_to_string(&self.0)
            .is_ok_and(|text| text.trim() == std::process::id().to_string());
        if ours {
            // It may have gone meanwhile, which is what we want.
            drop(std::fs::remove_file(&self.0));
        }
    }
}
