//! `[[server.location]]`: a table into a [`StaticMount`].
//!
//! Owns what the friendly forms mean and upholds the invariants of [`crate::files`]. Touches no file.

use super::findings::Findings;
use super::keys::{CACHE, LOCATION};
use super::value::Value;
use super::{entries, required};
use crate::files::{
    Autoindex, CacheRule, Coding, EntityTag, Pattern, StaticMount, StaticOptions, Symlinks, Try,
    is_own_field,
};
use crate::value;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a page of errors may be for.
const ERRORS: std::ops::RangeInclusive<u16> = 400..=599;

pub fn read(
    table: &DeTable<'_>,
    at: Range<usize>,
    base: &Path,
    findings: &mut Findings<'_>,
) -> Option<StaticMount> {
    let mut options = StaticOptions::default();
    let (mut path, mut dir) = (None, None);
    let (mut try_files_at, mut spa_at) = (None, None);
    for (key, name_at, value) in entries(table, LOCATION, "a location", findings) {
        match key {
            "path" => path = prefix(value, findings),
            "dir" | "alias" if dir.is_some() => {
                findings.add(name_at, "dir and alias are the same; write one of them");
            }
            "dir" | "alias" => {
                dir = findings
                    .text(key, value)
                    .map(|text| value::absolute(text, base));
            }
            "try_files" => {
                try_files_at = Some(name_at);
                options.try_files = try_files(value, findings);
            }
            "spa" if findings.flag(key, value) == Some(true) => spa_at = Some(name_at),
            "spa" => {}
            _ => option(&mut options, key, value, findings),
        }
    }
    if let Some(at) = spa_at {
        if try_files_at.is_some() {
            findings.add(
                at,
                "spa is short for a try_files of its own; write one of them",
            );
        }
        options.try_files = Try::single_page();
    }
    // A value that is there and wrong has its own finding.
    required(table, &["path"], &at, "a location", findings);
    if !table.contains_key("alias") {
        required(table, &["dir"], &at, "a location", findings);
    }
    Some(StaticMount {
        url: path?,
        dir: dir?,
        options,
    })
}

/// The keys that are one field each.
fn option(options: &mut StaticOptions, key: &str, value: Value<'_>, findings: &mut Findings<'_>) {
    match key {
        "index" => options.index = names(value, findings),
        "autoindex" => match value.get_ref() {
            DeValue::Boolean(false) => options.autoindex = Autoindex::Off,
            DeValue::Boolean(true) => options.autoindex = Autoindex::Html,
            _ => {
                if let Some(at) = findings.word(key, &["html", "json"], value) {
                    options.autoindex = [Autoindex::Html, Autoindex::Json][at];
                }
            }
        },
        "precompressed" => options.precompressed = codings(value, findings),
        "symlinks" => {
            let words = ["within-root", "off", "owner", "any"];
            if let Some(at) = findings.word(key, &words, value) {
                use Symlinks::*;
                options.symlinks = [WithinRoot, Off, Owner, Any][at];
            }
        }
        "etag" => match value.get_ref() {
            DeValue::Boolean(true) => options.etag = EntityTag::Strong,
            DeValue::Boolean(false) => options.etag = EntityTag::Off,
            _ => {
                if findings.word(key, &["weak"], value).is_some() {
                    options.etag = EntityTag::Weak;
                }
            }
        },
        "dotfiles" => options.dotfiles = findings.flag(key, value).unwrap_or_default(),
        "internal" => options.internal = findings.flag(key, value).unwrap_or_default(),
        "headers" => options.headers = headers(key, value, &options.headers_always, findings),
        "headers_always" => {
            options.headers_always = headers(key, value, &options.headers, findings);
        }
        "cache" => {
            let rules = findings.list(value);
            options.cache = rules
                .into_iter()
                .filter_map(|rule| cache_rule(rule, findings))
                .collect();
        }
        "types" => options.types = types(value, findings),
        "default_type" => {
            if let Some(text) = header_value(key, value, findings) {
                options.default_type = text;
            }
        }
        "charset" => match value.get_ref() {
            DeValue::Boolean(false) => options.charset = String::new(),
            _ => {
                if let Some(text) = header_value(key, value, findings) {
                    options.charset = text;
                }
            }
        },
        "error_pages" => options.error_pages = error_pages(value, findings),
        _ => {}
    }
}

fn prefix(value: Value<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let text = findings.text("path", value)?;
    let why = match text {
        _ if text.starts_with(['~', '^', '=']) => {
            "path: a prefix without regular expressions or modifiers is meant, e.g. \"/static\""
                .into()
        }
        _ => match value::prefix(text) {
            Ok(prefix) => return Some(prefix),
            Err(why) => format!("path: {why}"),
        },
    };
    findings.add(value.span(), why);
    None
}

fn names(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (text, at) in findings.texts("index", value) {
        if text.is_empty() || text.contains(['/', '\0']) || text == "." || text == ".." {
            findings.add(at, format!("index: '{text}' is no file name"));
        } else if names.iter().any(|name| name == text) {
            findings.add(at, format!("index: '{text}' is given twice"));
        } else {
            names.push(text.to_owned());
        }
    }
    names
}

fn try_files(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<Try> {
    let texts = findings.texts("try_files", value);
    let mut steps: Vec<Try> = Vec::new();
    for (text, at) in texts {
        if let Some(Try::Status(status)) = steps.last() {
            findings.add(
                at,
                format!("try_files: nothing comes after ={status}, which always answers"),
            );
            break;
        }
        match try_step(text) {
            Ok(step) => steps.push(step),
            Err(why) => findings.add(at, format!("try_files: {why}")),
        }
    }
    steps
}

fn try_step(text: &str) -> Result<Try, String> {
    if let Some(code) = text.strip_prefix('=') {
        let status = code.parse().ok().filter(|code| ERRORS.contains(code));
        let status = status.ok_or_else(|| format!("'{text}' is no status from =400 to =599"))?;
        return Ok(Try::Status(status));
    }
    if text.starts_with('@') {
        return Err(format!(
            "'{text}': there are no named locations; a path under no location goes to the application by itself"
        ));
    }
    if let Some(suffix) = text.strip_prefix("$uri") {
        check_inside(suffix).map_err(|why| format!("'{text}' {why}"))?;
        return Ok(Try::Uri(suffix.to_owned()));
    }
    if !text.starts_with('/') {
        return Err(format!(
            "'{text}' is neither $uri with something behind it, nor a path that begins with '/', nor a status such as =404"
        ));
    }
    check_inside(text).map_err(|why| format!("'{text}' {why}"))?;
    Ok(Try::Path(text.to_owned()))
}

/// Paths of a configuration have no variables, and stay where they are.
fn check_inside(path: &str) -> Result<(), &'static str> {
    if path.contains('$') {
        return Err("has a variable; only $uri at its beginning is known");
    }
    if path.contains('\0')
        || path
            .split('/')
            .any(|segment| segment == ".." || segment == ".")
    {
        return Err("has a segment that no path inside the location has");
    }
    Ok(())
}

fn codings(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<Coding> {
    match value.get_ref() {
        DeValue::Boolean(false) => return Vec::new(),
        DeValue::Boolean(true) => return StaticOptions::default().precompressed,
        _ => {}
    }
    let mut codings = Vec::new();
    for each in findings.list(value) {
        let words = ["zstd", "br", "gzip"];
        let Some(at) = findings.word("precompressed", &words, each) else {
            continue;
        };
        let coding = [Coding::Zstd, Coding::Brotli, Coding::Gzip][at];
        if codings.contains(&coding) {
            findings.add(each.span(), "precompressed: given twice");
        } else {
            codings.push(coding);
        }
    }
    codings
}

/// `others` are those that another key has named.
fn headers(
    key: &str,
    value: Value<'_>,
    others: &[(String, String)],
    findings: &mut Findings<'_>,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for pair in findings.pairs(key, value) {
        let name = pair.name;
        let lower = name.to_ascii_lowercase();
        let wrong_name = if !is_token(name) {
            Some(format!("{key}: '{name}' is no header name"))
        } else if lower == "cache-control" || lower == "expires" {
            Some(format!(
                "{key}: {name} is what cache rules are for: cache = [{{ match = \"**\", control = \"...\" }}]"
            ))
        } else if lower == "content-type" {
            Some(format!(
                "{key}: {name} is what types and default_type are for"
            ))
        } else if is_own_field(name) {
            Some(format!("{key}: {name} is written by the server itself"))
        } else if others
            .iter()
            .chain(&headers)
            .any(|(each, _)| each.eq_ignore_ascii_case(name))
        {
            Some(format!("{key}: {name} is given twice"))
        } else {
            None
        };
        if let Some(message) = wrong_name {
            findings.add(pair.name_at, message);
        } else if !is_header_value(pair.text) {
            findings.add(
                pair.text_at,
                format!("{key}.{name}: a character that no header may have"),
            );
        } else {
            headers.push((name.to_owned(), pair.text.trim().to_owned()));
        }
    }
    headers
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_header_value(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

fn header_value(key: &str, value: Value<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let text = findings.text(key, value)?;
    if !is_header_value(text) {
        findings.add(
            value.span(),
            format!("{key}: a character that no header may have"),
        );
        return None;
    }
    Some(text.trim().to_owned())
}

fn types(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<(String, String)> {
    let mut types: Vec<(String, String)> = Vec::new();
    for pair in findings.pairs("types", value) {
        let extension = pair
            .name
            .strip_prefix('.')
            .unwrap_or(pair.name)
            .to_ascii_lowercase();
        if extension.is_empty() || extension.contains(['.', '/']) {
            let message = format!("types: '{}' is no file extension such as .mjs", pair.name);
            findings.add(pair.name_at, message);
        } else if types.iter().any(|(each, _)| *each == extension) {
            findings.add(pair.name_at, format!("types: .{extension} is given twice"));
        } else if !is_media_type(pair.text) {
            let message = format!(
                "types: '{}' is no media type such as text/javascript",
                pair.text
            );
            findings.add(pair.text_at, message);
        } else {
            types.push((extension, pair.text.to_owned()));
        }
    }
    types
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    is_header_value(text)
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn error_pages(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<(u16, String)> {
    let mut pages = Vec::new();
    for pair in findings.pairs("error_pages", value) {
        let status = pair
            .name
            .parse::<u16>()
            .ok()
            .filter(|status| ERRORS.contains(status));
        let Some(status) = status else {
            let message = format!("error_pages: '{}' is no status from 400 to 599", pair.name);
            findings.add(pair.name_at, message);
            continue;
        };
        let inside = if pair.text.starts_with('/') {
            check_inside(pair.text)
        } else {
            Err("does not begin with '/'")
        };
        match inside {
            Ok(()) => pages.push((status, pair.text.to_owned())),
            Err(why) => findings.add(pair.text_at, format!("error_pages: '{}' {why}", pair.text)),
        }
    }
    pages
}

fn cache_rule(value: &Spanned<DeValue<'_>>, findings: &mut Findings<'_>) -> Option<CacheRule> {
    let table = findings.table("cache", value)?;
    let (mut pattern, mut control, mut max_age_s, mut expires) = (None, None, None, None);
    for (key, _, value) in entries(table, CACHE, "a cache rule", findings) {
        match key {
            "match" => {
                pattern = findings.text(key, value).map(|text| match text {
                    "hashed" => Pattern::Hashed,
                    glob => Pattern::Glob(glob.to_owned()),
                });
                if pattern == Some(Pattern::Glob(String::new())) {
                    findings.add(value.span(), "match: an empty pattern is for no file");
                }
            }
            "control" => control = header_value(key, value, findings),
            "max_age" => max_age_s = findings.seconds(key, value),
            "expires" => expires = Some(value),
            _ => {}
        }
    }
    required(table, &["match"], &value.span(), "a cache rule", findings);
    if table.contains_key("control") && table.contains_key("max_age") {
        findings.add(
            value.span(),
            "cache: control says all of it; max_age is for rules without",
        );
    }
    let expires_s = match expires.map(|value| (value, value.get_ref())) {
        None | Some((_, DeValue::Boolean(false))) => None,
        Some((value, DeValue::Boolean(true))) => {
            if !table.contains_key("max_age") {
                findings.add(
                    value.span(),
                    "expires: true is as far ahead as max_age, which is not there",
                );
            }
            max_age_s
        }
        Some((value, _)) => findings.seconds("expires", value),
    };
    let control = control.or(max_age_s.map(|seconds| format!("max-age={seconds}")));
    Some(CacheRule {
        pattern: pattern?,
        control: control.unwrap_or_default(),
        expires_s,
    })
}
