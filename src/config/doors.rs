//! The doors by which users of other servers come in: their words, and what becomes of each here.
//!
//! Owns how a foreign word is carried out. Every word is defined once, in the tables of the modules below; the command line, the
//! files of those servers and the page docs/migrating.md are made from them. Nothing is passed over in silence: a word is carried out,
//! is said to have no effect, or is refused.

pub mod gunicorn;
pub mod page;
pub mod script;
pub mod uvicorn;
pub mod uwsgi;
pub mod variables;

use crate::Mistake;
use crate::raw::{Raw, Source};
use std::path::{Path, PathBuf};

/// One word of another server.
#[derive(Debug)]
pub struct Word {
    /// As it stands in that server's file, or its long flag where there is no file.
    pub name: &'static str,
    /// Long flags that are to be known on our command line; those that are options of ours already do not stand here.
    pub flags: &'static [&'static str],
    pub short: Option<char>,
    pub takes: Takes,
    pub fate: Fate,
    /// Values that ask for nothing beyond what is done anyway. What counts as off (`None`, False, empty) does not stand here.
    pub harmless: &'static [&'static str],
}

/// On the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Value,
}

/// What becomes of a word.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It is this option of ours, with the same meaning.
    Ours(&'static str),
    /// It says this value of an option of ours.
    Says(&'static str, &'static str),
    /// It is worked out: the function, and words for the page.
    Made(Make, &'static str),
    /// What it asks for is so in any case, or is of no concern to users: nothing is said.
    AsIs(&'static str),
    /// It has no effect; said once.
    Ignored(&'static str),
    /// To go on without it would be wrong.
    Refused(&'static str),
}

pub type Make = fn(&mut Entry<'_>, &[String]) -> Result<(), String>;

/// Where a word's consequences go. What is given by somebody of higher rank stays.
pub struct Entry<'r> {
    pub raw: &'r mut Raw,
    pub source: Source,
}

impl Entry<'_> {
    pub fn set(&mut self, option: &str, value: impl Into<String>) {
        self.set_many(option, vec![value.into()]);
    }

    pub fn set_many(&mut self, option: &str, values: Vec<String>) {
        self.raw.fill(option, values, self.source.clone());
    }

    pub fn note(&mut self, words: &str) {
        let note = format!("{}: {words}", self.source.label());
        if !self.raw.notes.contains(&note) {
            self.raw.notes.push(note);
        }
    }
}

/// Carries a word out. `label` is how the user wrote it, `base` where its relative paths start.
pub fn enter(
    raw: &mut Raw,
    word: &Word,
    values: &[String],
    label: &str,
    base: PathBuf,
) -> Result<(), Mistake> {
    let harmless = |value: &String| word.harmless.contains(&value.as_str());
    if !values.is_empty() && values.iter().all(harmless) {
        return Ok(());
    }
    let label = label.to_owned();
    let source = Source::Door {
        label: label.clone(),
        base,
    };
    let mut entry = Entry { raw, source };
    match word.fate {
        Fate::Ours(option) => entry.set_many(option, values.to_vec()),
        Fate::Says(option, value) => entry.set(option, value),
        Fate::Made(make, _) => {
            make(&mut entry, values).map_err(|why| Mistake(format!("{label}: {why}")))?;
        }
        Fate::AsIs(_) => {}
        Fate::Ignored(why) => entry.note(&format!("accepted without effect: {why}")),
        Fate::Refused(why) => return Err(Mistake(format!("{label}: {why}"))),
    }
    Ok(())
}

/// Who has a file of theirs may have an application that knows no server but theirs, which take no offence at headers of the connection.
fn tolerate(raw: &mut Raw, name: &str, cwd: &Path) {
    let source = Source::Door {
        label: name.to_owned(),
        base: cwd.to_owned(),
    };
    raw.fill("tolerate-hop-by-hop", vec!["true".to_owned()], source);
}

const fn word(name: &'static str, fate: Fate) -> Word {
    Word {
        name,
        flags: &[],
        short: None,
        takes: Takes::Value,
        fate,
        harmless: &[],
    }
}

impl Word {
    const fn flag(self, flags: &'static [&'static str]) -> Word {
        Word {
            flags,
            takes: Takes::Nothing,
            ..self
        }
    }

    const fn value(self, flags: &'static [&'static str]) -> Word {
        Word { flags, ..self }
    }

    const fn short(self, short: char) -> Word {
        Word {
            short: Some(short),
            ..self
        }
    }

    const fn harmless(self, harmless: &'static [&'static str]) -> Word {
        Word { harmless, ..self }
    }
}

/// Every word that our command line takes though it is no option of ours.
pub fn on_the_command_line() -> impl Iterator<Item = &'static Word> {
    gunicorn::WORDS
        .iter()
        .chain(uvicorn::WORDS)
        .chain(uwsgi::WORDS)
        .filter(|word| !word.flags.is_empty())
}

#[cfg(test)]
mod tests;
