//! Options as texts, each with where it came from.
//!
//! Whoever fills an option first keeps it; the ranking is the order in which `cli` fills. Knows no meaning of a value.

use crate::document::{AppDraft, Document};
use crate::files::StaticMount;
use crate::options::{self, Opt, option};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What an application has for itself is added to what all have.
const ADDED: &[&str] = &["env", "pythonpath"];
/// What an application is, not how it is run: nobody else says it for all.
const NATURE: &[&str] = &["python", "chdir", "interface", "hooks", "log-config"];

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
    /// Another server's word, on the command line or in a file of that server.
    Door {
        label: String,
        base: PathBuf,
    },
}

impl Source {
    /// A file in other servers' words stands alone, so a word of theirs beside a file of ours is of the command line.
    fn outranks_files(&self) -> bool {
        match self {
            Source::CommandLine | Source::Environment(_) | Source::Door { .. } => true,
            Source::File { .. } | Source::OwnOfApp { .. } => false,
        }
    }

    /// How to call it in a message.
    pub fn label(&self) -> &str {
        match self {
            Source::CommandLine => "the command line",
            Source::Environment(variable) => variable,
            Source::File { label, .. }
            | Source::OwnOfApp { label, .. }
            | Source::Door { label, .. } => label,
        }
    }

    /// Where its relative paths start, if not at the current directory.
    pub fn base(&self) -> Option<&Path> {
        match self {
            Source::CommandLine | Source::Environment(_) => None,
            Source::File { base, .. }
            | Source::OwnOfApp { base, .. }
            | Source::Door { base, .. } => Some(base),
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
    /// Files of variables that are still to be read.
    pub env_files: Vec<String>,
    /// gunicorn's name for the processes, which a syslog is told.
    pub proc_name: Option<String>,
    /// uWSGI's name for what is called, until the module is known.
    pub callable: Option<String>,
    /// uWSGI's least number of workers, until the number is known.
    pub cheaper: Option<(String, Source)>,
    /// Options whose value came together from several words.
    by_parts: BTreeSet<&'static str>,
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

    /// Fills an option that is open.
    pub fn fill(&mut self, name: &str, values: Vec<String>, source: Source) {
        self.values
            .entry(option(name).name)
            .or_insert((values, source));
    }

    /// Sets an option that further words may complete.
    pub fn set_by_parts(&mut self, name: &str, value: String, source: Source) {
        self.by_parts.insert(option(name).name);
        self.set(name, vec![value], source);
    }

    pub fn is_by_parts(&self, name: &str) -> bool {
        self.by_parts.contains(name)
    }

    /// Puts values before those that are there, whose source stays.
    pub fn put_before(&mut self, name: &str, mut values: Vec<String>) {
        if values.is_empty() {
            return;
        }
        let place = self
            .values
            .entry(option(name).name)
            .or_insert((Vec::new(), Source::CommandLine));
        values.append(&mut place.0);
        place.0 = values;
    }

    /// Fills what is open from the variables `RINGGATE_*`. A variable that is set but empty counts as not set.
    pub fn fill_from_own(&mut self, environment: impl Fn(&str) -> Option<String>) {
        self.fill_from(|option| option.env_name(), &environment);
        if self.app.is_none() {
            let set = environment("RINGGATE_APP").filter(|value| !value.is_empty());
            self.app = set.map(|value| (value, Source::Environment("RINGGATE_APP".into())));
        }
    }

    /// Fills what is open from variables that other servers read too.
    pub fn fill_from_foreign(&mut self, environment: impl Fn(&str) -> Option<String>) {
        self.fill_from(|option| option.foreign_env.map(str::to_owned), &environment);
    }

    fn fill_from(
        &mut self,
        name: impl Fn(&Opt) -> Option<String>,
        environment: &impl Fn(&str) -> Option<String>,
    ) {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        for option in options::all() {
            if self.values.contains_key(option.name) {
                continue;
            }
            let Some(name) = name(option) else { continue };
            let Some(value) = set(&name) else { continue };
            let values = match option.many {
                true => value
                    .split(',')
                    .map(|each| each.trim().to_owned())
                    .filter(|each| !each.is_empty())
                    .collect(),
                false => vec![value.clone()],
            };
            self.values
                .insert(option.name, (values, Source::Environment(name)));
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
            let own_first = ADDED.contains(name) || NATURE.contains(name);
            let outranked = !own_first
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
        let given = self.values.get(option(name).name);
        given.and_then(|(_, source)| source.base()).unwrap_or(cwd)
    }

    pub fn source(&self, name: &str) -> Option<&Source> {
        self.values.get(option(name).name).map(|(_, source)| source)
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
            None | Some((_, Source::CommandLine)) => format!("--{name}"),
            Some((_, Source::Environment(variable))) => format!("${variable}"),
            Some((_, source)) => source.label().to_owned(),
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
        let environment = |name: &str| match name {
            "RINGGATE_RINGS" => Some("1".into()),
            "RINGGATE_WORKERS" => Some("4".into()),
            "WEB_CONCURRENCY" => Some("9".into()),
            "RINGGATE_BIND" => Some(":1, unix:/x".into()),
            "RINGGATE_KIND" => Some(String::new()),
            "RINGGATE_APP" => Some("a:b".into()),
            _ => None,
        };
        raw.fill_from_own(environment);
        raw.fill_from_foreign(environment);
        assert_eq!(raw.one("rings"), Some("3"));
        assert_eq!(raw.one("workers"), Some("4"));
        assert_eq!(raw.label("workers"), "$RINGGATE_WORKERS");
        assert_eq!(raw.many("bind"), [":1", "unix:/x"]);
        assert_eq!(raw.one("kind"), None);
        assert_eq!(raw.app.map(|(app, _)| app), Some("a:b".into()));
    }
}
