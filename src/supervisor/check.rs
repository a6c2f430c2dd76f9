//! `ringgate check`: everything that `serve` would look at, short of taking the ports; each app is imported once.

use crate::terminal::{complain, say};
use crate::{find_python, identity, limits, policy, refuse};
use config::{Config, Mistake};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

const LOADER: &str = include_str!("check.py");
/// The app host's own, so that both judge alike and in the same words.
const PRELUDE: &str = include_str!("../apphost/prelude.py");
const AHEAD: &str = include_str!("../apphost/ahead.py");
/// How the loader ends: the application is there; it is not, which has been said.
const EXIT_WELL: i32 = 90;
const EXIT_TOLD: i32 = 91;

/// Says what would stand in the way, with the exit code that `serve` would have. `try_edge` tells what would stop the edge.
pub fn check(mut config: Config, try_edge: fn() -> Result<(), String>) -> ExitCode {
    let looked = config::world::check(&config).and_then(|()| limits::settle(&mut config));
    let known = looked.and_then(|()| identity::find(&config));
    let found = known.and_then(|_| find_python(&config));
    let pythons = match found {
        Ok((pythons, _)) => pythons,
        Err(mistake) => return refuse(&mistake),
    };
    for note in &config.notes {
        complain(note);
    }
    if let Err(why) = try_edge() {
        complain(why);
        return ExitCode::from(policy::EXIT_SERVER);
    }
    for (app, python) in config.apps.iter().zip(&pythons) {
        let (major, minor, patch) = python.version;
        let how = format!("{} ({})", python.program.display(), python.how);
        match load(&config, &python.program, app) {
            Ok(()) => say(format_args!(
                "{} loads in Python {major}.{minor}.{patch}, {how}",
                app.target
            )),
            Err(mistake) => {
                if let Some(mistake) = mistake {
                    refuse(&mistake);
                }
                return ExitCode::from(policy::EXIT_APP);
            }
        }
    }
    say("all well");
    ExitCode::SUCCESS
}

/// `None`: what is wrong has been said.
fn load(config: &Config, python: &Path, app: &config::App) -> Result<(), Option<Mistake>> {
    let (target, chdir) = (&app.target, config.chdir_of(app));
    let program = format!(
        "__file__ = '<string>'\n{PRELUDE}\n{AHEAD}\nEXIT_WELL, EXIT_TOLD = {EXIT_WELL}, {EXIT_TOLD}\n{LOADER}"
    );
    let status = Command::new(python)
        .args(["-c", &program, target])
        .arg(chdir)
        .args(config.pythonpath_of(app))
        .current_dir(chdir)
        .envs(config.env_of(app))
        .stdin(Stdio::null())
        .status()
        .map_err(|error| Mistake(format!("{} cannot be run ({error})", python.display())))?;
    match status.code() {
        Some(EXIT_WELL) => Ok(()),
        Some(EXIT_TOLD) => Err(None),
        _ => Err(Some(Mistake(format!(
            "{target} cannot be loaded: its process ended meanwhile ({status})"
        )))),
    }
}
