//! The parent process: opens the sockets, starts and watches edge and app hosts, takes signals. Never parses traffic.
//!
//! Floors inside: `policy` (pure: what to do), `terminal`, `log`, `holder`, `names`, `notify` | `installation`, `python`, `extension`, `limits`, `estate`, `listen`,
//! `identity` (what is needed, or one message) | `resources`, `watch`, `child`, `heir`, `banner` | `run` (the loop). `check` and `status` are the
//! client commands, `settings` reads configuration files that are Python, `daemon` is the way into the background.
#![forbid(unsafe_code)]

mod banner;
mod check;
mod child;
mod daemon;
mod estate;
mod extension;
mod heir;
mod holder;
mod identity;
mod installation;
mod limits;
mod listen;
mod log;
mod names;
mod notify;
mod policy;
mod python;
mod resources;
mod run;
mod settings;
mod status;
mod terminal;
mod watch;

pub use check::check;
pub use estate::{is_heir, tell_of};
pub use settings::settings;
pub use status::{reload, status, upgrade};

use config::{Config, LogLevel, Mistake};
use control::heir::FromHeir;
use daemon::Waiting;
use estate::{Estate, Predecessor};
use heir::Launch;
use log::Log;
use names::Names;
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
    let predecessor = Predecessor::find();
    if config.daemon && waiting.is_none() && predecessor.is_none() {
        return daemon::start(&config);
    }
    match prepare(config, read_config, predecessor.as_ref()) {
        Ok(mut supervisor) => {
            supervisor.waiting = waiting;
            supervisor.predecessor = predecessor;
            let code = supervisor.run().unwrap_or_else(|error| {
                terminal::complain(format_args!("the supervisor cannot go on: {error}"));
                policy::EXIT_SERVER
            });
            ExitCode::from(code)
        }
        Err(mistake) => {
            if let Some(waiting) = waiting {
                waiting.say(&mistake.0);
            }
            if let Some(predecessor) = predecessor {
                let message = control::message::clip(&mistake.0);
                predecessor.say(&FromHeir::Failed { message });
            }
            refuse(&mistake)
        }
    }
}

fn refuse(mistake: &Mistake) -> ExitCode {
    terminal::complain(mistake);
    ExitCode::from(EXIT_MISTAKE)
}

/// Everything that can go wrong before the first child: in the order in which the user can do something about it.
fn prepare(
    mut config: Config,
    read_config: ReadConfig,
    predecessor: Option<&Predecessor>,
) -> Result<Supervisor, Mistake> {
    let launch = Launch::note();
    // First of all, before the number can mean anything else. Whoever waited on it has the first server's word.
    let ready_fd = config.ready_fd.filter(|_| predecessor.is_none());
    let ready = ready_fd.map(ready).transpose()?;
    let mut estate = predecessor.map(Predecessor::estate).transpose()?;
    let passed = match estate {
        Some(_) => Vec::new(),
        None => listen::take_inherited(&config)?,
    };
    // Signals wait from here on, so that none is lost and no child starts with ours.
    let signals = Signals::watch(&[
        Signal::Term,
        Signal::Int,
        Signal::Quit,
        Signal::Hup,
        Signal::Usr1,
        Signal::Usr2,
        Signal::Winch,
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
    let (pythons, extensions) = find_python(&config)?;
    let listeners = match &mut estate {
        Some(estate) => listen::take_over(&config, estate)?,
        None => listen::open(&config, passed)?,
    };
    config.binds = listeners
        .iter()
        .map(|listener| listener.address.clone())
        .collect();
    let (control, status, control_name) = match &estate {
        Some(Estate { control, .. }) => listen::control_beside(&config, control)?,
        None => listen::control(&config)?,
    };
    if let Some(identity) = &identity {
        identity::hand_over(&config, identity)?;
    }
    let mut log = Log::open(&config)
        .map_err(|error| Mistake(format!("--error-log: {}", config::world::plain(&error))))?;
    for note in &config.notes {
        log.say(LogLevel::Warning, note);
    }
    let names = Names::new(
        config.pid_file.clone(),
        (control, control_name),
        estate.is_some(),
    )?;
    let setup = Setup {
        listeners: listeners
            .iter()
            .map(|listener| listener.address.clone())
            .collect(),
        no_interpreters: pythons
            .iter()
            .map(|python| python.no_interpreters.clone())
            .collect(),
        seats: resources::seats(&config),
        slots: config.limits.pending + config.limits.websockets,
        heir: estate.is_some(),
        supervisor_pid: std::process::id(),
        seed: sys::clock::monotonic_ns(),
        config: config.clone(),
    };
    let resources = Resources::create(&config, listeners, status)?;
    Ok(Supervisor {
        policy: Policy::new(setup),
        config,
        read_config,
        pythons,
        extensions,
        names,
        launch,
        heir: None,
        predecessor: None,
        troubles: Vec::new(),
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
    })
}

/// Each app's interpreter and the extension for it; none is needed to serve files alone.
fn find_python(config: &Config) -> Result<(Vec<Python>, Vec<PathBuf>), Mistake> {
    if config.apps.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let executable = std::env::current_exe().map_err(|error| {
        Mistake(format!(
            "the path of this executable cannot be found out ({error})"
        ))
    })?;
    let bin = executable.parent().unwrap_or(Path::new("/"));
    let pythons = python::find(config, bin, std::env::var_os("VIRTUAL_ENV").as_deref())?;
    let extensions = extension::find(config, bin, &pythons)?;
    Ok((pythons, extensions))
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
