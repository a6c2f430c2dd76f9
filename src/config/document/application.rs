//! `[app.NAME]`: a table into an [`App`].

use super::findings::Findings;
use super::keys::{APPLICATION, SHARED};
use super::{entries_but, required};
use crate::model::App;
use crate::value;
use std::ops::Range;
use toml::de::DeTable;

pub fn read(
    name: &str,
    table: &DeTable<'_>,
    at: Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<App> {
    let (mut target, mut mount) = (None, Some(String::new()));
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        findings.add(
            at.clone(),
            format!(
                "'{name}' is no name for an application: letters, digits, '-', '_' and '.' are"
            ),
        );
    }
    for (key, _, value) in entries_but(table, APPLICATION, SHARED, "an application", findings) {
        let Some(text) = (match key {
            "target" | "mount" => findings.text(key, value),
            _ => continue,
        }) else {
            if key == "mount" {
                mount = None;
            }
            continue;
        };
        let read = if key == "target" {
            value::target(text)
        } else {
            value::prefix(text)
        };
        if let Err(why) = &read {
            findings.add(value.span(), format!("{key}: {why}"));
        }
        if key == "target" {
            target = read.ok()
        } else {
            mount = read.ok()
        }
    }
    for (key, _) in table
        .iter()
        .filter(|(key, _)| SHARED.contains(&key.get_ref().as_ref()))
    {
        let key_name = key.get_ref();
        findings.add(
            key.span(),
            format!("{key_name} is the same for all applications so far; write it at the top of the file, or under [server]"),
        );
    }
    required(table, &["target"], &at, "an application", findings);
    Some(App {
        name: name.to_owned(),
        mount: mount?,
        target: target?,
        options: crate::AppOptions::default(),
    })
}
