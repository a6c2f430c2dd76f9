//! uWSGI's keys that are worked out.

use super::super::Entry;
use super::words::UWSGI;
use crate::value;
use std::path::Path;

fn last(values: &[String]) -> &str {
    values.last().map_or("", String::as_str)
}

pub fn module(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    if entry.raw.app.is_none() {
        entry.raw.app = Some((last(values).to_owned(), entry.source.clone()));
    }
    Ok(())
}

pub fn callable(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    entry.raw.callable = Some(last(values).to_owned());
    Ok(())
}

pub fn wsgi_file(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let path = value::absolute(last(values), entry.source.base().unwrap_or(Path::new("/")));
    let is_python = path.extension().is_some_and(|extension| extension == "py");
    let (Some(dir), Some(stem), true) = (path.parent(), path.file_stem(), is_python) else {
        return Err(format!("'{}' is no Python file", path.display()));
    };
    entry
        .raw
        .put_before("pythonpath", vec![dir.display().to_string()]);
    module(entry, &[stem.to_string_lossy().into_owned()])
}

pub fn mount(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let mounts = values.iter().map(|text| match text.split_once('=') {
        Some((prefix, file)) if file.ends_with(".py") => Err(format!(
            "'{file}' is a file; name its module: mount = {prefix}=MODULE:CALLABLE"
        )),
        _ => Ok(text.clone()),
    });
    let mounts = mounts.collect::<Result<_, _>>()?;
    entry.set_many("mount", mounts);
    Ok(())
}

/// `:8000`, `127.0.0.1:8000`, `/run/shop.sock`; several keys add up.
pub fn bind(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let addresses: Vec<String> = values.iter().map(|text| address(text)).collect();
    if entry.raw.is_by_parts("bind") {
        entry.raw.put_before("bind", addresses);
    } else if !entry.raw.is_given("bind") {
        let source = entry.source.clone();
        entry
            .raw
            .set_by_parts("bind", String::new(), source.clone());
        entry.raw.set("bind", addresses, source);
    }
    Ok(())
}

fn address(text: &str) -> String {
    // `=0`: the first shared socket. `,` and what follows: options of uWSGI's.
    let text = text.split(',').next().unwrap_or_default();
    match text.contains('/') || !text.contains(':') {
        true => format!("unix:{text}"),
        false => text.to_owned(),
    }
}

pub fn socket(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    entry.note(UWSGI);
    bind(entry, values)
}

pub fn cheaper(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    entry.raw.cheaper = Some((last(values).to_owned(), entry.source.clone()));
    Ok(())
}

pub fn static_map(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    let base = entry.source.base().unwrap_or(Path::new("/")).to_owned();
    let maps = values.iter().map(|text| match text.split_once('=') {
        Some((url, dir)) => Ok(format!("{url}={}", value::absolute(dir, &base).display())),
        None => Err(format!("expected /URL=DIR, not '{text}'")),
    });
    let maps: Vec<String> = maps.collect::<Result<_, _>>()?;
    match entry.raw.is_given("static") {
        true => entry.raw.put_before("static", maps),
        false => entry.set_many("static", maps),
    }
    Ok(())
}

pub fn megabytes(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    entry.set("max-rss", format!("{}m", last(values)));
    Ok(())
}

pub fn buffer_size(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    const LEAST: u64 = 16 << 10;
    const MOST: u64 = 32 << 10;
    let bytes: u64 = last(values)
        .parse()
        .map_err(|_| format!("expected bytes, not '{}'", last(values)))?;
    if bytes > MOST {
        entry.note(&format!(
            "{} is the most there can be (--limit-request-head)",
            value::bytes_text(MOST)
        ));
    }
    entry.set("limit-request-head", bytes.clamp(LEAST, MOST).to_string());
    Ok(())
}

pub fn virtualenv(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    entry.set(
        "python",
        format!("{}/bin/python", last(values).trim_end_matches('/')),
    );
    Ok(())
}

pub fn daemonize(entry: &mut Entry<'_>, values: &[String]) -> Result<(), String> {
    entry.set("daemon", "true");
    entry.set("error-log", last(values));
    Ok(())
}
