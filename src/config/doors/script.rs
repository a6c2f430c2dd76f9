//! The question to Python what a configuration file says, and the answer.

use super::gunicorn::{HOOKS, WORDS};
use crate::raw::Raw;
use crate::value;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// To be executed as `PYTHON -c SCRIPT ARGUMENT`, in `cwd`; what it prints is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub script: &'static str,
    pub argument: String,
    /// `--python`, if it is given.
    pub python: Option<PathBuf>,
    pub cwd: PathBuf,
    /// How the user calls the file, for messages.
    pub name: String,
}

/// What the file says. Nothing about its shape is promised.
#[derive(Debug, Default, Deserialize)]
pub struct Answer {
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Functions by the name of a hook.
    pub hooks: Vec<String>,
    /// Further names that the file has given to texts and numbers.
    pub others: Vec<String>,
}

impl Question {
    pub fn about(raw: &Raw, location: &str, cwd: &Path) -> Question {
        let settings: Vec<&str> = WORDS.iter().map(|word| word.name).collect();
        let hooks: Vec<&str> = HOOKS.iter().map(|hook| hook.name).collect();
        let location = location.strip_prefix("file:").unwrap_or(location);
        let argument = serde_json::json!({
            "location": location,
            "settings": settings,
            "hooks": hooks,
        });
        let python = raw.one("python").map(|text| match text.contains('/') {
            true => value::absolute(text, raw.base("python", cwd)),
            false => PathBuf::from(text),
        });
        Question {
            script: include_str!("settings.py"),
            argument: argument.to_string(),
            python,
            cwd: cwd.to_owned(),
            name: location.to_owned(),
        }
    }
}

impl Answer {
    pub fn parse(text: &str) -> Result<Answer, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}
