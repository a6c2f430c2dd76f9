//! The step that looks: do the directories and files that a checked configuration names exist?
//!
//! Reads the file system only; sockets, limits and Python are the supervisor's to try.

use crate::Mistake;
use crate::model::{Address, Config, LogTarget};
use std::path::Path;

/// The first thing that is named and not there.
pub fn check(config: &Config) -> Result<(), Mistake> {
    directory("--chdir", &config.chdir)?;
    for files in &config.statics {
        served(&place(config, &files.url), &files.dir)?;
    }
    for root in &config.sendfile_roots {
        served("sendfile-roots", &root.dir)?;
    }
    // Python passes over directories of its path that are not there, and so do we.
    let logs = [
        ("--access-log", config.access_log.as_ref()),
        ("--error-log", Some(&config.error_log)),
    ];
    for (name, target) in logs {
        if let Some(LogTarget::File(path)) = target {
            appendable(name, path)?;
        }
    }
    for app in &config.apps {
        if let Some(path) = &app.options.log_config {
            readable("--log-config", path)?;
        }
        // A module is found by Python alone.
        let hooks = app.options.hooks.as_ref();
        if let Some(path) = hooks.filter(|path| path.is_absolute()) {
            readable("--hooks", path)?;
        }
    }
    for bind in &config.binds {
        if let Address::Unix(path) = bind {
            parent("--bind", path)?;
        }
    }
    if let Some(path) = &config.pid_file {
        parent("--pid", path)?;
    }
    parent("--control-socket", &config.control_socket)
}

/// How to call a location; where both a file and the command line may have named it, the file's words are the wider ones.
fn place(config: &Config, url: &str) -> String {
    match &config.file {
        Some(file) => format!("location {url}/ ({})", file.display()),
        None => format!("--static {url}/"),
    }
}

/// One whose files are served.
fn served(name: &str, path: &Path) -> Result<(), Mistake> {
    directory(name, path)?;
    // Not normalised: whoever may not enter it may not look at this.
    std::fs::metadata(path.join("."))
        .map(drop)
        .map_err(|error| {
            Mistake(format!(
                "{name}: {} cannot be entered ({}); its files could not be served",
                path.display(),
                plain(&error)
            ))
        })
}

fn directory(name: &str, path: &Path) -> Result<(), Mistake> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(Mistake(format!(
            "{name}: {} is not a directory",
            path.display()
        ))),
        Err(error) => Err(Mistake(format!(
            "{name}: no directory {} ({})",
            path.display(),
            plain(&error)
        ))),
    }
}

fn readable(name: &str, path: &Path) -> Result<(), Mistake> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Mistake(format!(
            "{name}: {} cannot be read ({})",
            path.display(),
            plain(&error)
        ))),
    }
}

/// Opens the log as the edge will; an empty file may be left behind, as any start leaves one.
fn appendable(name: &str, path: &Path) -> Result<(), Mistake> {
    parent(name, path)?;
    match std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) => Err(Mistake(format!(
            "{name}: {} cannot be written ({})",
            path.display(),
            plain(&error)
        ))),
    }
}

fn parent(name: &str, path: &Path) -> Result<(), Mistake> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => directory(name, dir),
        _ => Ok(()),
    }
}

/// `No such file or directory` without `(os error 2)`.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::StaticMount;

    #[test]
    fn what_is_named_must_be_there() {
        let mut config = Config::bare();
        assert_eq!(check(&config), Ok(()));
        config.statics.push(StaticMount::new("/s", "/nonexistent"));
        let message = check(&config).expect_err("missing").0;
        assert_eq!(
            message,
            "--static /s/: no directory /nonexistent (No such file or directory)"
        );
        config.statics[0].dir = "/dev/null".into();
        assert_eq!(
            check(&config).expect_err("a file").0,
            "--static /s/: /dev/null is not a directory"
        );
        config.statics.clear();
        config.error_log = LogTarget::File("/nonexistent/log".into());
        assert!(check(&config).is_err());
    }
}
