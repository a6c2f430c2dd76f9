//! The part of `uwsgi.ini` that people use.
//!
//! Pure: the file's text comes in. Keys that are not in the table have one warning together.

mod ini;
mod make;
mod words;

pub use words::WORDS;

use super::enter;
use crate::raw::{Raw, Source};
use crate::{Mistake, value};
use ini::Reader;
use std::path::Path;

/// Fills what is open from a file. `environment` is for `$(NAME)`.
pub fn read_file(
    raw: &mut Raw,
    text: &str,
    name: &str,
    path: &Path,
    cwd: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Mistake> {
    let lines = Reader {
        path,
        name,
        environment,
    }
    .read(text)?;
    // Relative paths start from where uWSGI was started, or from its chdir.
    let chdir = lines.iter().rev().find(|line| line.key == "chdir");
    let base = chdir.map_or_else(|| cwd.to_owned(), |line| value::absolute(&line.value, cwd));
    let mut strangers: Vec<&str> = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for line in &lines {
        let key = line.key.as_str();
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let Some(word) = WORDS.iter().find(|word| word.name == key) else {
            strangers.push(key);
            continue;
        };
        // The same key again adds to it, as far as it may.
        let values: Vec<String> = lines
            .iter()
            .filter(|other| other.key == line.key && !is_off(&other.value))
            .map(|other| other.value.clone())
            .collect();
        if !values.is_empty() {
            let start = if key == "chdir" { cwd } else { &base };
            enter(raw, word, &values, &line.label(name), start.to_owned())?;
        }
    }
    if !strangers.is_empty() {
        raw.notes.push(format!(
            "{name}: without effect, being unknown here: {}; docs/migrating.md lists what is known, and `ringgate --help` what else there is",
            strangers.join(", ")
        ));
    }
    finish(raw);
    super::tolerate(raw, name, cwd);
    Ok(())
}

fn is_off(value: &str) -> bool {
    matches!(value, "false" | "False" | "no" | "off")
}

/// What only makes sense once all keys are known.
fn finish(raw: &mut Raw) {
    let callable = raw.callable.take();
    if let (Some((target, Source::Door { .. })), Some(callable)) = (&mut raw.app, callable)
        && !target.contains(':')
    {
        *target = format!("{target}:{callable}");
    }
    if let Some((fewest, source)) = raw.cheaper.take() {
        match raw.source("workers") {
            None => raw.fill("workers", vec![fewest], source),
            Some(Source::Door { .. }) => {
                let most = raw.many("workers").to_vec();
                raw.fill("workers-max", most, source.clone());
                raw.set("workers", vec![fewest], source);
            }
            // Who says the number of workers elsewhere means it.
            Some(_) => {}
        }
    }
}
