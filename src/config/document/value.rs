//! TOML's values into what a key expects, or a finding at the value's place.
//!
//! Owns the words for what was expected. Must not know any key by name.

use super::findings::Findings;
use crate::options::{Form, Opt};
use crate::value;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value where it stands.
pub type Value<'a> = &'a Spanned<DeValue<'a>>;

/// What was met instead, in words.
pub fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

impl Findings<'_> {
    fn unexpected(&mut self, key: &str, expected: &str, value: Value<'_>) {
        let message = format!(
            "{key}: expected {expected}, not {}",
            described(value.get_ref())
        );
        self.add(value.span(), message);
    }

    pub fn text<'a>(&mut self, key: &str, value: Value<'a>) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => {
                self.unexpected(key, "a text in quotes", value);
                None
            }
        }
    }

    pub fn flag(&mut self, key: &str, value: Value<'_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.unexpected(key, "true or false", value);
                None
            }
        }
    }

    pub fn table<'a>(&mut self, key: &str, value: Value<'a>) -> Option<&'a DeTable<'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.unexpected(key, "a table", value);
                None
            }
        }
    }

    /// The elements of a list; a single value counts as a list of one.
    pub fn list<'a>(&mut self, value: Value<'a>) -> Vec<Value<'a>> {
        match value.get_ref() {
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        }
    }

    pub fn texts<'a>(&mut self, key: &str, value: Value<'a>) -> Vec<(&'a str, Range<usize>)> {
        let values = self.list(value);
        let texts = values
            .into_iter()
            .map(|each| Some((self.text(key, each)?, each.span())));
        texts.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// One of the words; its place in the list.
    pub fn word(&mut self, key: &str, words: &[&str], value: Value<'_>) -> Option<usize> {
        let text = value.get_ref().as_str();
        let found = text.and_then(|text| words.iter().position(|word| *word == text));
        if found.is_none() {
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            self.unexpected(key, &quoted.join(", "), value);
        }
        found
    }

    /// A table of texts, in the order of their keys.
    pub fn pairs<'a>(&mut self, key: &str, value: Value<'a>) -> Vec<Pair<'a>> {
        let Some(table) = self.table(key, value) else {
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in table {
            let label = format!("{key}.{}", name.get_ref());
            if let Some(text) = self.text(&label, value) {
                pairs.push(Pair {
                    name: name.get_ref(),
                    name_at: name.span(),
                    text,
                    text_at: value.span(),
                });
            }
        }
        pairs
    }

    /// Whole seconds.
    pub fn seconds(&mut self, key: &str, value: Value<'_>) -> Option<u64> {
        const FORM: Form = Form::Duration {
            min_ms: 0,
            max_ms: 10 * 365 * 24 * 3600 * 1000,
        };
        let text = self.scalar(
            key,
            "seconds, or a time with a unit (\"30s\", \"2m\", \"1h\", \"7d\", \"1y\")",
            value,
        )?;
        match value::number(FORM, &text) {
            Ok(ms) => Some(ms / 1000),
            Err(why) => {
                self.add(value.span(), format!("{key}: {why}"));
                None
            }
        }
    }

    fn scalar(&mut self, key: &str, expected: &str, value: Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Some(number.to_string()),
                    Err(_) => Some(number.to_string()),
                }
            }
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => {
                self.unexpected(key, expected, value);
                None
            }
        }
    }

    /// The value of an option as it would be typed on the command line, judged as far as its form goes.
    pub fn option(&mut self, option: &Opt, key: &str, value: Value<'_>) -> Vec<String> {
        match (option.form, value.get_ref()) {
            (_, DeValue::Array(_)) if option.many => self
                .texts(key, value)
                .into_iter()
                .map(|(text, _)| text.to_owned())
                .collect(),
            (_, DeValue::Table(_)) if option.value == "NAME=VALUE" => {
                let pairs = self.pairs(key, value);
                pairs
                    .iter()
                    .map(|pair| format!("{}={}", pair.name, pair.text))
                    .collect()
            }
            (Form::Path, DeValue::Boolean(false)) if option.name.ends_with("-log") => {
                vec!["off".to_owned()]
            }
            (Form::Text | Form::Path, _) => self
                .text(key, value)
                .map(str::to_owned)
                .into_iter()
                .collect(),
            (Form::Choice(_), DeValue::String(text)) if option.synonym(text).is_some() => {
                vec![text.clone().into_owned()]
            }
            (Form::Choice(words), _) => self
                .word(key, words, value)
                .map(|at| words[at].to_owned())
                .into_iter()
                .collect(),
            (Form::Flag, _) => self
                .flag(key, value)
                .map(|on| on.to_string())
                .into_iter()
                .collect(),
            (Form::Integer { .. } | Form::Duration { .. } | Form::Bytes { .. }, _) => self
                .number_text(option.form, key, value)
                .into_iter()
                .collect::<Vec<_>>(),
        }
    }

    /// Judged, in milliseconds, bytes or as it is.
    pub fn number(&mut self, form: Form, key: &str, value: Value<'_>) -> Option<u64> {
        let text = self.number_text(form, key, value)?;
        value::number(form, &text).ok()
    }

    fn number_text(&mut self, form: Form, key: &str, value: Value<'_>) -> Option<String> {
        let expected = match form {
            Form::Duration { .. } => {
                "seconds, or a time with a unit (\"500ms\", \"30s\", \"2m\", \"1h\")"
            }
            Form::Bytes { .. } => "bytes, or a size with a unit (\"64k\", \"100m\", \"1g\")",
            _ => "a whole number",
        };
        let text = self.scalar(key, expected, value)?;
        match value::number(form, &text) {
            Ok(_) => Some(text),
            Err(why) => {
                self.add(value.span(), format!("{key}: {why}"));
                None
            }
        }
    }
}

/// A key with a text.
pub struct Pair<'a> {
    pub name: &'a str,
    pub name_at: Range<usize>,
    pub text: &'a str,
    pub text_at: Range<usize>,
}
