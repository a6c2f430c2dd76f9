//! The configuration file: TOML with nginx's words, read into texts for the options and checked applications and locations.
//!
//! Owns which sections there are. Every mistake is found in one pass and told with its line and column; an unknown key is
//! one. Relative paths of a file are relative to the file's directory. Must not know ranks (`raw`) or what else is given.
//!
//! Floors inside: `findings`, `keys` | `value` | this file | `location`, `application` | `sample` | `page`.

mod application;
pub mod findings;
pub mod keys;
mod location;
pub mod page;
pub mod sample;
mod value;

use crate::Mistake;
use crate::app::Route;
use crate::files::StaticMount;
use crate::options::{self, Opt};
use findings::{Findings, suggestion};
use keys::{ADVICE, Key};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use value::Value;

/// What a file says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Document {
    /// The directory that relative paths start from.
    pub base: PathBuf,
    /// By the option's name.
    pub options: BTreeMap<&'static str, Given>,
    pub apps: Vec<AppDraft>,
    pub statics: Vec<StaticMount>,
}

/// An application of a file; its options are judged together with those of the other places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDraft {
    pub name: String,
    pub mount: String,
    pub target: String,
    /// By the option's name.
    pub options: BTreeMap<&'static str, Given>,
    pub routes: Vec<Route>,
}

/// An option as the file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As they would be typed on the command line.
    pub values: Vec<String>,
    /// File, line, column and key, for messages.
    pub label: String,
}

/// How an option is called in a file.
pub fn key_of(option: &Opt) -> String {
    option.name.replace('-', "_")
}

/// The options that a file may give.
pub fn options() -> impl Iterator<Item = &'static Opt> {
    options::all().filter(|option| option.file)
}

/// The options that each application may have for itself.
pub fn own_options() -> impl Iterator<Item = &'static Opt> {
    options::all().filter(|option| option.app)
}

/// `name` is how the user called the file, `base` its directory.
pub fn read(text: &str, name: &str, base: &Path) -> Result<Document, Mistake> {
    let mut findings = Findings::new(name, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let message = error.message().lines().next().unwrap_or_default();
        let span = error.span().unwrap_or(0..0);
        let message = match (message, text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("{key} is there twice"),
            _ => message.to_owned(),
        };
        findings.add(span, message);
    }
    // Half a tree would yield findings about the other half.
    findings.into_result()?;
    let mut findings = Findings::new(name, text);
    let mut document = Document {
        base: base.to_owned(),
        ..Document::default()
    };
    Reader {
        document: &mut document,
        findings: &mut findings,
        urls: BTreeMap::new(),
    }
    .root(root.get_ref());
    findings.into_result().map(|()| document)
}

/// Fuzz: a text is read without a panic; a mistake names a place that is there, and what is accepted holds what the edge relies on.
pub fn fuzz_document(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let document = match read(&text, "f", Path::new("/d")) {
        Ok(document) => document,
        Err(Mistake(message)) => {
            let mut places = message.lines().filter_map(|line| line.strip_prefix("f:"));
            let first = places.next().and_then(|line| line.split_once(':'));
            let line = first.and_then(|(line, _)| line.parse::<usize>().ok());
            let line = line.expect("the first mistake has its line");
            assert!((1..=text.matches('\n').count() + 1).contains(&line));
            return;
        }
    };
    let is_value = |text: &str| !text.contains(['\r', '\n', '\0']);
    for files in &document.statics {
        assert!(files.dir.is_absolute());
        assert!(files.url.is_empty() || files.url.starts_with('/') && !files.url.ends_with('/'));
        let options = &files.options;
        for (name, value) in options.headers.iter().chain(&options.headers_always) {
            assert!(!crate::is_own_field(name) && !name.contains([' ', ':']) && is_value(name));
            assert!(is_value(value));
        }
        assert!(options.cache.iter().all(|rule| is_value(&rule.control)));
        assert!(is_value(&options.charset) && is_value(&options.default_type));
        assert!(options.types.iter().all(|(_, essence)| is_value(essence)));
        for (status, page) in &options.error_pages {
            assert!((400..600).contains(status) && page.starts_with('/'));
            assert!(!page.split('/').any(|segment| segment == ".."));
        }
    }
}

struct Reader<'r, 't> {
    document: &'r mut Document,
    findings: &'r mut Findings<'t>,
    /// What hangs at which URL, and where that was written.
    urls: BTreeMap<String, usize>,
}

impl Reader<'_, '_> {
    fn root(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("server", DeValue::Table(server)) => self.server(server),
                ("server", DeValue::Array(servers)) => {
                    for (index, server) in servers.iter().enumerate() {
                        if index > 0 {
                            self.findings.add(
                                server.span(),
                                "a second [[server]]: there is one so far, for all names",
                            );
                        } else if let Some(table) = self.findings.table("server", server) {
                            self.server(table);
                        }
                    }
                }
                ("server", _) => {
                    self.findings.table("server", value);
                }
                ("app", _) => self.apps(value),
                _ => self.option(key.get_ref(), key.span(), value, &["app", "server"]),
            }
        }
    }

    fn server(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("location", DeValue::Array(locations)) => {
                    for location in locations.iter() {
                        self.location(location);
                    }
                }
                ("location", _) => {
                    let message = "a location has two brackets on either side: [[server.location]]";
                    self.findings.add(key.span(), message);
                }
                _ => self.option(key.get_ref(), key.span(), value, &["location"]),
            }
        }
    }

    fn option(&mut self, key: &str, at: Range<usize>, value: Value<'_>, sections: &[&'static str]) {
        let Some(option) = options().find(|option| key_of(option) == key) else {
            let known = options().map(key_of).collect::<Vec<_>>();
            let known = sections
                .iter()
                .copied()
                .chain(known.iter().map(String::as_str));
            self.findings.add(at, unknown(key, "", known));
            return;
        };
        let label = format!("{}: {key}", self.findings.place(at.start));
        let values = self.findings.option(option, key, value);
        let given = Given { values, label };
        if let Some(earlier) = self.document.options.insert(option.name, given) {
            let place = earlier
                .label
                .rsplit_once(": ")
                .map_or("", |(place, _)| place)
                .to_owned();
            self.findings
                .add(at, format!("{key} is given twice; here and at {place}"));
        }
    }

    fn apps(&mut self, value: Value<'_>) {
        let DeValue::Table(apps) = value.get_ref() else {
            let message =
                "an application is a section: [app.shop] with target = \"shop.wsgi:application\"";
            self.findings.add(value.span(), message);
            return;
        };
        for (name, value) in apps {
            let DeValue::Table(table) = value.get_ref() else {
                let message = format!(
                    "[app.NAME] is missing: {} stands where an application's name belongs",
                    name.get_ref()
                );
                self.findings.add(name.span(), message);
                continue;
            };
            if let Some(app) = application::read(name.get_ref(), table, name.span(), self.findings)
                && self.is_free(&app.mount, name.span())
            {
                self.document.apps.push(app);
            }
        }
    }

    fn location(&mut self, value: Value<'_>) {
        let Some(table) = self.findings.table("location", value) else {
            return;
        };
        let base = self.document.base.clone();
        if let Some(files) = location::read(table, value.span(), &base, self.findings)
            && self.is_free(&files.url, value.span())
        {
            self.document.statics.push(files);
        }
    }

    fn is_free(&mut self, url: &str, at: Range<usize>) -> bool {
        let Some(earlier) = self.urls.insert(url.to_owned(), at.start) else {
            return true;
        };
        let (first, second) = (earlier.min(at.start), earlier.max(at.start));
        let line = self.findings.line(first);
        self.findings.add(
            second..second,
            format!("two at {url}/: here and in line {line}"),
        );
        false
    }
}

/// The entries of a section whose keys are known; the others are findings.
fn entries<'a>(
    table: &'a DeTable<'a>,
    keys: &'static [Key],
    what: &str,
    findings: &mut Findings<'_>,
) -> Vec<(&'static str, Range<usize>, Value<'a>)> {
    let mut entries = Vec::new();
    // In the file's order, which is not the table's.
    let mut table: Vec<_> = table.iter().collect();
    table.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in table {
        let word = name.get_ref().as_ref();
        match keys.iter().find(|key| key.name == word) {
            Some(key) => entries.push((key.name, name.span(), value)),
            None => findings.add(
                name.span(),
                unknown(word, what, keys.iter().map(|key| key.name)),
            ),
        }
    }
    entries
}

/// The keys without which a section means nothing.
fn required(
    table: &DeTable<'_>,
    keys: &[&str],
    at: &Range<usize>,
    what: &str,
    findings: &mut Findings<'_>,
) {
    for key in keys.iter().filter(|key| !table.contains_key(**key)) {
        findings.add(at.clone(), format!("{what} without {key}"));
    }
}

fn unknown<'w>(word: &str, what: &str, known: impl Iterator<Item = &'w str>) -> String {
    let of = if what.is_empty() {
        String::new()
    } else {
        format!(" of {what}")
    };
    let known: Vec<&str> = known.collect();
    let alias = options::all()
        .find(|option| option.file && option.aliases.contains(&word.replace('_', "-").as_str()));
    if let Some(option) = alias.filter(|option| known.contains(&key_of(option).as_str())) {
        return format!("no key '{word}'{of}; did you mean '{}'?", key_of(option));
    }
    if let Some((_, advice)) = ADVICE.iter().find(|(each, _)| *each == word) {
        return format!("no key '{word}'{of}: {advice}");
    }
    format!(
        "no key '{word}'{of}{}",
        suggestion(word, known.iter().copied())
    )
}

#[cfg(test)]
mod tests;
