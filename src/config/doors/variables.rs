//! `--env-file`: variables in a file, `NAME=VALUE` a line.

use super::Entry;
use crate::raw::Raw;
use crate::{Mistake, value};
use std::io;
use std::path::Path;

/// The file is read later, by [`fill`].
pub fn ask_for(entry: &mut Entry<'_>, values: &[String]) {
    entry.raw.env_files.extend_from_slice(values);
}

/// Puts the files' variables before those of `--env`, which win over them; those that the environment has stay as they are.
pub fn fill(
    raw: &mut Raw,
    cwd: &Path,
    read: impl Fn(&Path) -> io::Result<String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(), Mistake> {
    let mut variables = Vec::new();
    for name in std::mem::take(&mut raw.env_files) {
        let text = read(&value::absolute(&name, cwd)).map_err(|error| {
            let why = crate::world::plain(&error);
            Mistake(format!("--env-file: '{name}' cannot be read ({why})"))
        })?;
        for (index, line) in text.lines().enumerate() {
            let read =
                variable(line).map_err(|why| Mistake(format!("{name}:{}: {why}", index + 1)))?;
            if let Some((variable, value)) = read
                && environment(&variable).is_none()
            {
                variables.push(format!("{variable}={value}"));
            }
        }
    }
    raw.put_before("env", variables);
    Ok(())
}

/// One line; `None`: empty, or a comment.
fn variable(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line
        .split_once('=')
        .ok_or_else(|| format!("expected NAME=VALUE, not '{line}'"))?;
    let name = name.trim_end();
    let is_name =
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"');
    if !is_name {
        return Err(format!("'{name}' is no variable's name"));
    }
    let value = value.trim_start();
    let value = match value.chars().next() {
        Some('\'') => quoted(value, '\'')?,
        Some('"') => quoted(value, '"')?,
        // A comment begins behind a space.
        _ => value
            .split(" #")
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    };
    Ok(Some((name.to_owned(), value)))
}

/// Single quotes keep everything, double quotes have `\n`, `\"`, `\\` and the like.
fn quoted(text: &str, mark: char) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = text.chars().skip(1);
    while let Some(each) = rest.next() {
        match each {
            _ if each == mark => return Ok(value),
            '\\' if mark == '"' => match rest.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(other) => value.push(other),
                None => break,
            },
            _ => value.push(each),
        }
    }
    Err(format!("the quote {mark} is not closed"))
}
