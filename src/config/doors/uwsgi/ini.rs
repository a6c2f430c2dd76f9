//! How `uwsgi.ini` is written: sections, keys, variables.

use super::WORDS;
use crate::Mistake;
use std::path::Path;

/// A key with its value, variables replaced.
pub struct Line {
    number: usize,
    pub key: String,
    pub value: String,
}

impl Line {
    /// How to call it in a message.
    pub fn label(&self, name: &str) -> String {
        format!("{name}:{}: {}", self.number, self.key)
    }
}

pub struct Reader<'r> {
    pub path: &'r Path,
    pub name: &'r str,
    pub environment: &'r dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// The keys of the section `[uwsgi]` in their order, variables replaced.
    pub fn read(&self, text: &str) -> Result<Vec<Line>, Mistake> {
        let mut lines: Vec<Line> = Vec::new();
        let mut ours = false;
        for (index, text) in text.lines().enumerate() {
            let (text, number) = (text.trim(), index + 1);
            let wrong = |why: &str| Mistake(format!("{}:{number}: {why}", self.name));
            if text.is_empty() || text.starts_with([';', '#']) {
                continue;
            }
            if let Some(section) = text.strip_prefix('[') {
                let section = section
                    .strip_suffix(']')
                    .ok_or_else(|| wrong("a section has no ']'"))?;
                ours = section == "uwsgi";
                continue;
            }
            if !ours {
                continue;
            }
            let (key, value) = text.split_once('=').unwrap_or((text, "true"));
            let (key, value) = (key.trim(), value.trim());
            if ["for", "if-", "ini", "include", "end"].iter().any(|word| {
                key == word.trim_end_matches('-') || (word.ends_with('-') && key.starts_with(word))
            }) {
                return Err(wrong(&format!(
                    "{key}: conditions, loops and further files are not read; write the lines out"
                )));
            }
            let value = self
                .replaced(value, &lines)
                .map_err(|why| wrong(&format!("{key}: {why}")))?;
            // `set-placeholder = name=value` and keys of one's own are variables.
            lines.push(Line {
                number,
                key: key.replace('_', "-"),
                value,
            });
        }
        // What was only there to be used in others is no key.
        let used: Vec<String> = lines.iter().map(|line| line.key.clone()).collect();
        let is_variable = |key: &str| {
            !WORDS.iter().any(|word| word.name == key)
                && used.iter().any(|each| each == key)
                && text.replace('_', "-").contains(&format!("%({key})"))
        };
        lines.retain(|line| !is_variable(&line.key));
        Ok(lines)
    }

    /// `%(key)`, `$(VARIABLE)`, `%d` the file's directory, `%n` its name without ending, `%p` its path, `%%`.
    fn replaced(&self, text: &str, earlier: &[Line]) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            out.push_str(&rest[..at]);
            let sign = &rest[at..at + 1];
            let behind = &rest[at + 1..];
            if let Some((name, after)) = behind
                .strip_prefix('(')
                .and_then(|name| name.split_once(')'))
            {
                let found = match sign {
                    "$" => (self.environment)(name),
                    _ => {
                        let name = name.replace('_', "-");
                        let line = earlier.iter().rev().find(|line| line.key == name);
                        line.map(|line| line.value.clone())
                    }
                };
                out.push_str(&found.ok_or_else(|| format!("{sign}({name}) is not set"))?);
                rest = after;
                continue;
            }
            let magic = match (sign, behind.chars().next()) {
                ("%", Some('d')) => self.path.parent().map(|dir| format!("{}/", dir.display())),
                ("%", Some('n')) => self
                    .path
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
                ("%", Some('p')) => Some(self.path.display().to_string()),
                ("%", Some('%')) => Some("%".to_owned()),
                _ => None,
            };
            match magic {
                Some(magic) => {
                    out.push_str(&magic);
                    rest = &behind[1..];
                }
                None => {
                    out.push_str(sign);
                    rest = behind;
                }
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}
