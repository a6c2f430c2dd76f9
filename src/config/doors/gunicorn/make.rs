//! gunicorn's settings that are worked out.

use super::super::Entry;
use crate::raw::Source;
use crate::value;
use std::path::Path;

pub fn wsgi_app(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let Some(target) = values.last() else {
        return Ok(());
    };
    match &entry.raw.app {
        None => entry.raw.app = Some((target.clone(), entry.source.clone())),
        // Of the same rank: neither is meant to lose, and gunicorn would serve the paste file without a word.
        Some((other, source))
            if place(source).is_some_and(|it| place(&entry.source) == Some(it)) =>
        {
            return Err(format!(
                "the application is named twice, {other} being there too; one of them is right"
            ));
        }
        Some(_) => {}
    }
    Ok(())
}

/// The file or variable that a word stands in, nothing being the command line.
fn place(source: &Source) -> Option<&str> {
    match source {
        Source::CommandLine => Some(""),
        Source::Door { label, .. } => Some(label.rsplit_once(": ").map_or("", |(place, _)| place)),
        _ => None,
    }
}

pub fn proc_name(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    if entry.raw.proc_name.is_none() {
        entry.raw.proc_name = values.last().cloned();
    }
    entry.note("only a syslog is told: processes are named after the application's name");
    Ok(())
}

pub fn paste(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let Some(file) = values.last() else {
        return Ok(());
    };
    let (file, name) = file
        .split_once('#')
        .map_or((file.as_str(), None), |(file, name)| (file, Some(name)));
    let path = value::absolute(file, entry.source.base().unwrap_or(Path::new("/")));
    let path = path.display().to_string();
    if path.contains(['\'', '\\']) {
        return Err(format!("a quote in {path}"));
    }
    let name = name.map_or(String::new(), |name| format!("#{name}"));
    wsgi_app(
        entry,
        &[format!("paste.deploy:loadapp('config:{path}{name}')")],
    )
}

fn number(values: &[String]) -> Result<u64, String> {
    let text = values.last().map_or("", String::as_str);
    text.parse()
        .map_err(|_| format!("expected a whole number, not '{text}'"))
}

pub fn request_line(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    const LARGEST: &str = "8190";
    match number(values)? {
        0 => entry.set("limit-request-line", LARGEST),
        bytes => entry.set("limit-request-line", bytes.to_string()),
    }
    Ok(())
}

pub fn request_fields(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    const MOST: u64 = 256;
    let count = number(values)?;
    if count > MOST {
        entry.note(&format!("{MOST} fields are the most there can be"));
    }
    entry.set("limit-request-fields", count.min(MOST).to_string());
    Ok(())
}

pub fn field_size(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    const DEFAULT: u64 = 16 << 10;
    const LARGEST: u64 = 32 << 10;
    const LEAST: u64 = 64;
    let bytes = match number(values)? {
        0 => LARGEST,
        bytes => bytes,
    };
    // The request line is part of the head.
    let head = (bytes + (8 << 10)).clamp(DEFAULT, LARGEST);
    entry.set("limit-request-head", head.to_string());
    entry.set(
        "limit-request-field",
        bytes.clamp(LEAST, LARGEST).to_string(),
    );
    entry.note(&format!(
        "request line and fields together are bounded too, by {} (--limit-request-head)",
        value::bytes_text(head)
    ));
    Ok(())
}
