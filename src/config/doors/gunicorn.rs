//! gunicorn's words, and its configuration file, which is Python.
//!
//! The file is executed by the application's own Python in a process of its own, never in ours; what comes back is JSON and is not
//! trusted to have any shape.

mod make;
mod running;
mod words;

pub use running::running;
pub use words::{HOOKS, WORDS};

use super::script::{Answer, Question};
use super::{Fate, enter};
use crate::app::InterfaceChoice;
use crate::document::findings::suggestion;
use crate::raw::{Raw, Source};
use crate::{Mistake, value};
use serde_json::Value;
use std::path::Path;

/// Whether this is a place of a gunicorn configuration: what to execute.
pub fn is_location(text: &str) -> bool {
    text.starts_with("python:")
        || text.starts_with("file:")
        || text.ends_with(".py")
        || text.ends_with(".pyc")
}

/// Fills what is open from a file. `ask` executes it.
pub fn read_file(
    raw: &mut Raw,
    location: &str,
    cwd: &Path,
    ask: &dyn Fn(&Question) -> Result<String, Mistake>,
) -> Result<(), Mistake> {
    let question = Question::about(raw, location, cwd);
    let name = location.strip_prefix("file:").unwrap_or(location);
    let answer = Answer::parse(&ask(&question)?)
        .map_err(|why| Mistake(format!("{name}: its settings cannot be read back ({why})")))?;
    // gunicorn changes to it before it opens anything.
    let chdir = answer.settings.get("chdir").and_then(Value::as_str);
    let base = chdir.map_or_else(|| cwd.to_owned(), |dir| value::absolute(dir, cwd));
    for (setting, value) in &answer.settings {
        let label = format!("{name}: {setting}");
        let Some(word) = WORDS.iter().find(|word| word.name == setting) else {
            continue;
        };
        let off_says_something =
            matches!(word.fate, Fate::Ours(_)) || word.harmless.contains(&"true");
        if value == &Value::Bool(false) && !off_says_something {
            continue;
        }
        let start = if setting == "chdir" { cwd } else { &base };
        if let Some(values) = texts(value).map_err(|why| Mistake(format!("{label}: {why}")))? {
            enter(raw, word, &values, &label, start.to_owned())?;
        }
    }
    hooks(raw, name, location, cwd, &answer);
    super::tolerate(raw, name, cwd);
    for (theirs, ours) in answer.near_misses() {
        raw.notes
            .push(format!("{name}: {theirs} is no setting{ours}"));
    }
    Ok(())
}

/// The variable that turns `sendfile` on or off, which is no option of ours.
pub fn look_at_sendfile(
    raw: &mut Raw,
    cwd: &Path,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), Mistake> {
    const VARIABLE: &str = "SENDFILE";
    let value = variable(VARIABLE).filter(|value| !value.is_empty());
    let word = WORDS.iter().find(|word| word.name == "sendfile");
    let (Some(value), Some(word)) = (value, word) else {
        return Ok(());
    };
    let on = ["y", "1", "yes", "true"].contains(&value.to_lowercase().as_str());
    let label = format!("${VARIABLE}");
    enter(raw, word, &[on.to_string()], &label, cwd.to_owned())
}

/// The functions of the file, and what only the app's interpreters can carry out.
fn hooks(raw: &mut Raw, name: &str, location: &str, cwd: &Path, answer: &Answer) {
    let mut needed = answer.settings.contains_key("logconfig_dict");
    for found in &answer.hooks {
        match HOOKS.iter().find(|hook| hook.name == found) {
            Some(hook) if hook.when.is_empty() => {
                raw.notes
                    .push(format!("{name}: {found} is never called: {}", hook.why_not));
            }
            Some(_) => needed = true,
            None => {}
        }
    }
    if needed {
        let source = Source::Door {
            label: format!("{name}: hooks"),
            base: cwd.to_owned(),
        };
        let place = location.strip_prefix("file:").unwrap_or(location);
        raw.fill("hooks", vec![place.to_owned()], source);
    }
}

/// A setting as it would be typed; `None`: it is off, which says nothing.
fn texts(value: &Value) -> Result<Option<Vec<String>>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(on) => Ok(on.to_string()),
        Value::Object(unusable) if unusable.contains_key("unusable") => {
            Err(format!("{} cannot be read here", unusable["unusable"]))
        }
        other => Err(format!("{other} is not what belongs there")),
    };
    Ok(match value {
        Value::Null => None,
        Value::Array(values) if values.is_empty() => None,
        Value::Array(values) => Some(values.iter().map(one).collect::<Result<_, _>>()?),
        Value::Object(pairs) if !pairs.contains_key("unusable") => {
            let pair = |(name, value): (&String, &Value)| Ok(format!("{name}={}", one(value)?));
            match pairs.is_empty() {
                true => None,
                false => Some(pairs.iter().map(pair).collect::<Result<_, String>>()?),
            }
        }
        other => Some(vec![one(other)?]),
    })
}

impl Answer {
    /// Names of the file that are nearly a setting; gunicorn passes over them, and many a setting has been lost so.
    fn near_misses(&self) -> impl Iterator<Item = (&String, String)> {
        const VERY_ALIKE: usize = 4;
        self.others.iter().filter_map(|other| {
            let known = WORDS.iter().map(|word| word.name);
            let hint = suggestion(other, known);
            let near = WORDS.iter().any(|word| {
                word.name.len() > VERY_ALIKE && strsim::levenshtein(word.name, other) == 1
            });
            near.then_some((other, hint))
        })
    }
}

/// A project's own class, whose name says that it is one of uvicorn's.
pub fn is_own_uvicorn(class: &str) -> bool {
    let theirs = class.starts_with("uvicorn.") || class.starts_with("uvicorn_worker.");
    !theirs && class.contains('.') && class.contains("Uvicorn")
}

/// What a worker class says about the application.
pub fn interface_of(class: &str) -> Result<InterfaceChoice, String> {
    let is_of = |packages: &[&str]| packages.iter().any(|package| class.starts_with(package));
    match class {
        "sync" | "gthread" => Ok(InterfaceChoice::Wsgi),
        "asgi" => Ok(InterfaceChoice::Asgi),
        _ if is_of(&["gunicorn.workers.sync.", "gunicorn.workers.gthread."]) => {
            Ok(InterfaceChoice::Wsgi)
        }
        _ if is_of(&[
            "uvicorn.workers.",
            "uvicorn_worker.",
            "gunicorn.workers.gasgi.",
        ]) =>
        {
            Ok(InterfaceChoice::Asgi)
        }
        _ if is_own_uvicorn(class) => Ok(InterfaceChoice::Asgi),
        "gevent" | "gevent_wsgi" | "gevent_pywsgi" | "eventlet" | "tornado" => Err(format!(
            "{class} workers are not here: leave the option out, and for applications that wait a lot give --threads \
             (each of gevent's greenlets would have been a thread)"
        )),
        _ if is_of(&[
            "gunicorn.workers.ggevent",
            "gunicorn.workers.gtornado",
            "gunicorn.workers.geventlet",
        ]) =>
        {
            Err(format!(
                "{class} is not here: leave the option out, and for applications that wait a lot give --threads"
            ))
        }
        _ => Err(format!(
            "'{class}' is no worker class that is known here (sync, gthread, asgi, uvicorn.workers.UvicornWorker, \
             uvicorn_worker.UvicornWorker); leave it out, or name what the application speaks: --interface wsgi or asgi"
        )),
    }
}
