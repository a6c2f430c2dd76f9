//! Mistakes in a file, each at its line and column, told together and in the file's order.
//!
//! Owns the wording around a mistake, and how words are suggested. Must not know what the keys mean.

use crate::Mistake;
use std::ops::Range;

/// More than this help nobody: the first explain the rest.
const SHOWN_MAX: usize = 20;
/// How alike a word must be to be suggested (Jaro, 0 to 1); clap's threshold.
const ALIKE: f64 = 0.7;

/// What has been found wrong so far in one text.
pub struct Findings<'t> {
    /// How the user called the file.
    name: &'t str,
    text: &'t str,
    found: Vec<(usize, String)>,
}

impl<'t> Findings<'t> {
    pub fn new(name: &'t str, text: &'t str) -> Findings<'t> {
        Findings {
            name,
            text,
            found: Vec::new(),
        }
    }

    pub fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.found.push((span.start, message.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `shop.toml:3:7`, lines and columns from 1, columns in characters.
    pub fn place(&self, offset: usize) -> String {
        let (line, column) = self.line_and_column(offset);
        format!("{}:{line}:{column}", self.name)
    }

    pub fn line(&self, offset: usize) -> usize {
        self.line_and_column(offset).0
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[start..].chars().count() + 1)
    }

    /// All of them, one a line, first things first.
    pub fn into_result(mut self) -> Result<(), Mistake> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        self.found.dedup();
        let left = self.found.len().saturating_sub(SHOWN_MAX);
        let mut lines: Vec<String> = self
            .found
            .iter()
            .take(SHOWN_MAX)
            .map(|(offset, message)| format!("{}: {message}", self.place(*offset)))
            .collect();
        if left > 0 {
            lines.push(format!("{}: and {left} more", self.name));
        }
        Err(Mistake(lines.join("\n")))
    }
}

/// `; did you mean 'x'?`, or nothing.
pub fn suggestion<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|each| (strsim::jaro(&word, each), each))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map_or(String::new(), |(_, each)| {
            format!("; did you mean '{each}'?")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let findings = Findings::new("f", "ab\nä = 1\n");
        assert_eq!(findings.place(0), "f:1:1");
        assert_eq!(findings.place(3), "f:2:1");
        assert_eq!(findings.place(8), "f:2:5");
        // Beyond the end, or within a character: somewhere, and no panic.
        assert_eq!(findings.line(99), 3);
        assert_eq!(findings.line(4), 3);
    }

    #[test]
    fn mistakes_come_in_the_files_order_and_not_without_end() {
        let mut findings = Findings::new("f", "a\nb\n");
        findings.add(2..3, "second");
        findings.add(0..1, "first");
        let all = findings.into_result().expect_err("two").0;
        assert_eq!(all, "f:1:1: first\nf:2:1: second");
        let mut findings = Findings::new("f", "a\nb\n");
        for index in 0..100 {
            findings.add(0..1, format!("{index}"));
        }
        let all = findings.into_result().expect_err("many").0;
        assert!(all.lines().count() == SHOWN_MAX + 1 && all.ends_with("f: and 80 more"));
    }

    #[test]
    fn a_word_is_suggested_if_it_is_alike() {
        let known = ["keep_alive", "workers"];
        assert_eq!(
            suggestion("keep-alive", known),
            "; did you mean 'keep_alive'?"
        );
        assert_eq!(suggestion("worker", known), "; did you mean 'workers'?");
        assert_eq!(suggestion("zzz", known), "");
    }
}
