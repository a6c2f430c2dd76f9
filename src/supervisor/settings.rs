//! Has Python execute a configuration file that is Python, in a process of its own that ends with it.
//!
//! What it says comes back as text; what goes wrong in it is on stderr before we say so.

use crate::python::{choose, read_in_time};
use config::{Mistake, Question};
use std::path::Path;
use std::process::{Command, Stdio};

/// A file may look up secrets and count processors; it may not serve.
const PATIENCE_MS: u64 = 60_000;

/// The file's settings as the question's script prints them.
pub fn settings(question: &Question) -> Result<String, Mistake> {
    let executable = std::env::current_exe().unwrap_or_default();
    let bin = executable.parent().unwrap_or(Path::new("/"));
    let virtual_env = std::env::var_os("VIRTUAL_ENV");
    let (program, how) = choose(question.python.as_deref(), bin, virtual_env.as_deref());
    let name = &question.name;
    let mut child = Command::new(&program)
        .args(["-c", question.script, &question.argument])
        .current_dir(&question.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Mistake(format!(
                "{name} is Python, and {} ({how}) cannot be run ({}); name the interpreter with --python",
                program.display(),
                config::world::plain(&error)
            ))
        })?;
    let pipe = child.stdout.take();
    let said = pipe.map(|pipe| read_in_time(pipe, PATIENCE_MS)).transpose();
    let in_time = matches!(said, Ok(Some(Some(_))));
    if !in_time {
        // It may have ended by itself meanwhile.
        drop(child.kill());
    }
    let ended = child.wait();
    match (said, ended) {
        (Ok(Some(Some(text))), Ok(status)) if status.success() => Ok(text),
        (Ok(Some(Some(_))), Ok(_)) => Err(Mistake(format!(
            "{name} cannot be read: what Python says of it stands above"
        ))),
        _ => Err(Mistake(format!(
            "{name}: executing it has not ended within {} s",
            PATIENCE_MS / 1000
        ))),
    }
}
