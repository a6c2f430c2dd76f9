//! Options as texts, each with where it came from.
//!
//! Owns the ranking: command line over `RINGGATE_*` over the variables of other servers over the configuration file. Knows no
//! meaning of a value.

use crate::document::{AppDraft, Document};
use crate::files::StaticMount;
use crate::options::{self, option};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an application has for itself is added to what all have.
const ADDED: &[&str] = &["env", "pythonpath"];

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    CommandLine,
    Environment(String),
    /// `shop.toml:3:1: workers`, and the directory that relative paths start from.
    File {
        label: String,
        base: PathBuf,
    },
    /// The same, in an application's section.
    OwnOfApp {
        label: String,
        base: PathBuf,
    },
}

impl Source {
    fn outranks_files(&self) -> bool {
        match self {
            Source::CommandLine => true,
            Source::Environment(_) => true,
            Source::File { .. } | Source::OwnOfApp { .. } => false,
        }
    }
}

/// Every option that was given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The positional argument.
    pub app: Option<(String, Source)>,
    values: BTreeMap<&'static str, (Vec<String>, Source)>,
    /// The configuration file, and what it serves.
    pub file: Option<PathBuf>,
    pub file_apps: Vec<AppDraft>,
    pub file_statics: Vec<StaticMount>,
    /// What was accepted and has no effect, or not the whole.
    pub notes: Vec<String>,
}

impl Raw {
    /// Nothing but the positional argument, from the command line.
    pub fn new(app: Option<String>) -> Raw {
        Raw {
            app: app.map(|app| (app, Source::CommandLine)),
            ..Raw::default()
        }
    }

    pub fn set(&mut self, name: &str, values: Vec<String>, source: Source) {
        self.values.insert(option(name).name, (values, source));
    }

    /// Fills what the command line left open from the environment. A variable that is set but empty counts as not set.
    pub fn fill_from(&mut self, environment: impl Fn(&str) -> Option<String>) {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        for option in options::all() {
            if self.values.contains_key(option.name) {
                continue;
            }
            let own = option.env_name();
            let names = own.iter().map(String::as_str).chain(option.foreign_env);
            let Some((name, value)) = names.into_iter().find_map(|name| Some((name, set(name)?)))
            else {
                continue;
            };
            let values = match option.many {
                true => value
                    .split(',')
                    .map(|each| each.trim().to_owned())
                    .filter(|each| !each.is_empty())
                    .collect(),
                false => vec![value.clone()],
            };
            self.values
                .insert(option.name, (values, Source::Environment(name.to_owned())));
        }
        if self.app.is_none() {
            self.app = set("RINGGATE_APP")
                .map(|value| (value, Source::Environment("RINGGATE_APP".into())));
        }
    }

    /// Fills what command line and environment left open from a file.
    pub fn fill_from_file(&mut self, path: PathBuf, document: Document) {
        for (name, given) in document.options {
            let (label, base) = (given.label, document.base.clone());
            self.values
                .entry(name)
                .or_insert((given.values, Source::File { label, base }));
        }
        self.file = Some(path);
        self.file_apps = document.apps;
        self.file_statics = document.statics;
    }

    /// What holds for an application of the file: its own options win over those at the file's top, as parts of the same file.
    pub fn of_app(&self, draft: &AppDraft) -> Raw {
        let mut raw = self.clone();
        let base = self
            .file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(Path::new("/"));
        for (name, given) in &draft.options {
            let added = ADDED.contains(name);
            let outranked = !added
                && matches!(self.values.get(name), Some((_, source)) if source.outranks_files());
            if !outranked {
                let (label, base) = (given.label.clone(), base.to_owned());
                let source = Source::OwnOfApp { label, base };
                raw.values.insert(name, (given.values.clone(), source));
            }
        }
        raw
    }

    /// The values that this application has for itself, which are not those of all.
    pub fn own(&self, name: &str) -> &[String] {
        match self.values.get(option(name).name) {
            Some((values, Source::OwnOfApp { .. })) => values,
            _ => &[],
        }
    }

    /// The directory that a relative path of this option starts from.
    pub fn base<'r>(&'r self, name: &str, cwd: &'r Path) -> &'r Path {
        match self.values.get(option(name).name) {
            Some((_, Source::File { base, .. } | Source::OwnOfApp { base, .. })) => base,
            _ => cwd,
        }
    }

    /// The last value given.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.many(name).last().map(String::as_str)
    }

    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(option(name).name)
    }

    pub fn many(&self, name: &str) -> &[String] {
        self.values
            .get(option(name).name)
            .map_or(&[], |(values, _)| values)
    }

    /// How to call the option in a message: as the user wrote it.
    pub fn label(&self, name: &str) -> String {
        match self.values.get(option(name).name) {
            Some((_, Source::Environment(variable))) => format!("${variable}"),
            Some((_, Source::File { label, .. } | Source::OwnOfApp { label, .. })) => label.clone(),
            _ => format!("--{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_outranks_the_environment_and_ours_the_others() {
        let mut raw = Raw::default();
        raw.set("rings", vec!["3".into()], Source::CommandLine);
        raw.fill_from(|name| match name {
            "RINGGATE_RINGS" => Some("1".into()),
            "RINGGATE_WORKERS" => Some("4".into()),
            "WEB_CONCURRENCY" => Some("9".into()),
            "RINGGATE_BIND" => Some(":1, unix:/x".into()),
            "RINGGATE_KIND" => Some(String::new()),
            "RINGGATE_APP" => Some("a:b".into()),
            _ => None,
        });
        assert_eq!(raw.one("rings"), Some("3"));
        assert_eq!(raw.one("workers"), Some("4"));
        assert_eq!(raw.label("workers"), "$RINGGATE_WORKERS");
        assert_eq!(raw.many("bind"), [":1", "unix:/x"]);
        assert_eq!(raw.one("kind"), None);
        assert_eq!(raw.app.map(|(app, _)| app), Some("a:b".into()));
    }
}
