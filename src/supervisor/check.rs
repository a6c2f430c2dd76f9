//! `ringgate check`: everything that `serve` would look at, short of taking the ports; each app is imported once.

use crate::{find_python, limits, policy, refuse};
use config::{Config, Mistake};
use std::process::{Command, ExitCode, Stdio};

const LOADER: &str = include_str!("check.py");

/// Says what would stand in the way, with the exit code that `serve` would have.
pub fn check(mut config: Config) -> ExitCode {
    let looked = config::world::check(&config).and_then(|()| limits::settle(&mut config));
    let found = looked.and_then(|()| find_python(&config));
    let pythons = match found {
        Ok((pythons, _)) => pythons,
        Err(mistake) => return refuse(&mistake),
    };
    for note in &config.notes {
        eprintln!("ringgate: {note}");
    }
    for (app, python) in config.apps.iter().zip(&pythons) {
        let (major, minor, patch) = python.version;
        let how = format!("{} ({})", python.program.display(), python.how);
        match load(&config, &python.program, app) {
            Ok(()) => println!(
                "{} loads in Python {major}.{minor}.{patch}, {how}",
                app.target
            ),
            Err(mistake) => {
                refuse(&mistake);
                return ExitCode::from(policy::EXIT_APP);
            }
        }
    }
    println!("all well");
    ExitCode::SUCCESS
}

fn load(config: &Config, python: &std::path::Path, app: &config::App) -> Result<(), Mistake> {
    let (target, chdir) = (&app.target, config.chdir_of(app));
    let status = Command::new(python)
        .args(["-c", LOADER, target])
        .arg(chdir)
        .args(config.pythonpath_of(app))
        .current_dir(chdir)
        .envs(config.env_of(app))
        .stdin(Stdio::null())
        .status()
        .map_err(|error| Mistake(format!("{} cannot be run ({error})", python.display())))?;
    match status.success() {
        true => Ok(()),
        false => Err(Mistake(format!(
            "{target} is no application that can be served ({status})"
        ))),
    }
}
