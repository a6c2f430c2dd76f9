//! `[app.NAME]`: a table into an [`AppDraft`]; and its `[[app.NAME.route]]`.

use super::findings::Findings;
use super::keys::{APPLICATION, ROUTE};
use super::value::Value;
use super::{AppDraft, Given, entries, key_of, own_options, required, unknown};
use crate::app::Route;
use crate::options::option;
use crate::value;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

pub fn read(
    name: &str,
    table: &DeTable<'_>,
    at: Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<AppDraft> {
    if !is_name(name) {
        findings.add(
            at.clone(),
            format!(
                "'{name}' is no name for an application: letters, digits, '-', '_' and '.' are"
            ),
        );
    }
    let (mut target, mut mount, mut routes) = (None, Some(String::new()), Vec::new());
    let mut options = BTreeMap::new();
    for (key, name_at, value) in in_order(table) {
        match key {
            "target" => target = judged(key, value, value::target, findings),
            "mount" => mount = judged(key, value, value::prefix, findings),
            "route" => routes = read_routes(value, findings),
            _ => match own_options().find(|option| key_of(option) == key) {
                Some(option) => {
                    let label = format!("{}: {key}", findings.place(name_at.start));
                    let values = findings.option(option, key, value);
                    options.insert(option.name, Given { values, label });
                }
                None => findings.add(name_at, stranger(key)),
            },
        }
    }
    required(table, &["target"], &at, "an application", findings);
    let (mount, target) = (mount?, target?);
    for (route, at) in &routes {
        if !lies_below(&route.path, &mount) {
            let message = format!("path: {} is not below the mount {mount}", route.path);
            findings.add(at.clone(), message);
        }
    }
    Some(AppDraft {
        name: name.to_owned(),
        mount,
        target,
        options,
        routes: routes.into_iter().map(|(route, _)| route).collect(),
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// In the file's order, which is not the table's.
fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(&'a str, Range<usize>, Value<'a>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(name, value)| (name.get_ref().as_ref(), name.span(), value))
        .collect();
    entries.sort_by_key(|(_, at, _)| at.start);
    entries
}

fn stranger(key: &str) -> String {
    let elsewhere = super::options().find(|option| key_of(option) == key);
    if elsewhere.is_some() {
        return format!(
            "{key} is the same for all applications; write it at the top of the file, or under [server]"
        );
    }
    let own = own_options().map(key_of).collect::<Vec<_>>();
    let known = APPLICATION
        .iter()
        .map(|key| key.name)
        .chain(own.iter().map(String::as_str));
    unknown(key, "an application", known)
}

fn judged(
    key: &str,
    value: Value<'_>,
    judge: impl Fn(&str) -> Result<String, String>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let read = judge(findings.text(key, value)?);
    if let Err(why) = &read {
        findings.add(value.span(), format!("{key}: {why}"));
    }
    read.ok()
}

fn read_routes(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<(Route, Range<usize>)> {
    let DeValue::Array(tables) = value.get_ref() else {
        findings.add(
            value.span(),
            "a route has two brackets on either side: [[app.NAME.route]]",
        );
        return Vec::new();
    };
    let mut routes: Vec<(Route, Range<usize>)> = Vec::new();
    for each in tables.iter() {
        let Some(table) = findings.table("route", each) else {
            continue;
        };
        let Some(route) = read_route(table, each.span(), findings) else {
            continue;
        };
        match routes.iter().find(|(other, _)| other.path == route.path) {
            Some((_, earlier)) => {
                let line = findings.line(earlier.start);
                findings.add(
                    each.span(),
                    format!("two routes {}: here and in line {line}", route.path),
                );
            }
            None => routes.push((route, each.span())),
        }
    }
    routes
}

fn read_route(table: &DeTable<'_>, at: Range<usize>, findings: &mut Findings<'_>) -> Option<Route> {
    let mut path = None;
    let (mut timeout_ms, mut concurrency, mut health) = (None, 0, false);
    for (key, _, value) in entries(table, ROUTE, "a route", findings) {
        match key {
            "path" => path = judged(key, value, value::prefix, findings),
            "timeout" => timeout_ms = findings.number(option("timeout").form, key, value),
            "concurrency" => {
                let number = findings.number(option("concurrency").form, key, value);
                concurrency = number.unwrap_or_default() as usize;
            }
            "health" => health = findings.flag(key, value).unwrap_or_default(),
            _ => {}
        }
    }
    required(table, &["path"], &at, "a route", findings);
    Some(Route {
        path: path?,
        timeout_ms,
        concurrency,
        health,
    })
}

/// At a segment boundary.
fn lies_below(path: &str, mount: &str) -> bool {
    path.strip_prefix(mount)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
