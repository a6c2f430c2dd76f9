//! What holds, as a configuration file: for those who come from other servers, and for those who wonder.
//!
//! Invariant (tested): the reader of files takes it.

use crate::app::InterfaceChoice;
use crate::document::{AppDraft, key_of, own_options};
use crate::doors::gunicorn::interface_of;
use crate::files::StaticMount;
use crate::options::{self, Form, Opt};
use crate::raw::Raw;
use std::fmt::Write;

/// Every option that is given, with where it comes from.
pub fn file(raw: &Raw) -> String {
    let mut text = String::new();
    for option in options::all().filter(|option| option.file) {
        let values = raw.many(option.name);
        if !values.is_empty() {
            let from = raw.label(option.name);
            line(
                &mut text,
                format_args!("{} = {}  # {from}", key_of(option), shown(option, values)),
            );
        }
    }
    if let Some(class) = raw
        .one("worker-class")
        .filter(|_| !raw.is_given("interface"))
    {
        let interface = match interface_of(class) {
            Ok(InterfaceChoice::Asgi) => "asgi",
            _ => "wsgi",
        };
        let from = raw.label("worker-class");
        line(
            &mut text,
            format_args!("interface = \"{interface}\"  # {from}"),
        );
    }
    for note in &raw.notes {
        line(&mut text, format_args!("# {note}"));
    }
    applications(&mut text, raw);
    for name in ["static", "spa"] {
        for pair in raw.many(name) {
            let (url, dir) = pair.split_once('=').unwrap_or((pair, ""));
            location(&mut text, url, dir, name == "spa");
        }
    }
    for files in &raw.file_statics {
        kept(&mut text, files);
    }
    text
}

fn applications(text: &mut String, raw: &Raw) {
    if let Some((target, _)) = &raw.app {
        let name = target.split([':', '.']).next().unwrap_or("app");
        application(text, name, target, None);
    }
    for pair in raw.many("mount") {
        let (prefix, target) = pair.split_once('=').unwrap_or(("/", pair));
        let name = prefix.trim_matches('/').replace('/', "-");
        application(text, &name, target, Some(prefix));
    }
    for draft in &raw.file_apps {
        of_file(text, draft);
    }
}

fn application(text: &mut String, name: &str, target: &str, mount: Option<&str>) {
    line(
        text,
        format_args!("\n[app.{}]\ntarget = {}", key(name), quoted(target)),
    );
    if let Some(mount) = mount {
        line(text, format_args!("mount = {}", quoted(mount)));
    }
}

fn of_file(text: &mut String, draft: &AppDraft) {
    let mount = if draft.mount.is_empty() {
        "/"
    } else {
        &draft.mount
    };
    application(text, &draft.name, &draft.target, Some(mount));
    for option in own_options() {
        if let Some(given) = draft.options.get(option.name) {
            line(
                text,
                format_args!("{} = {}", key_of(option), shown(option, &given.values)),
            );
        }
    }
    for route in &draft.routes {
        line(
            text,
            format_args!(
                "[[app.{}.route]]\npath = {}",
                key(&draft.name),
                quoted(&route.path)
            ),
        );
        if let Some(ms) = route.timeout_ms {
            line(text, format_args!("timeout = \"{ms}ms\""));
        }
        line(
            text,
            format_args!(
                "concurrency = {}\nhealth = {}",
                route.concurrency, route.health
            ),
        );
    }
}

fn location(text: &mut String, url: &str, dir: &str, spa: bool) {
    line(
        text,
        format_args!(
            "\n[[server.location]]\npath = {}\ndir = {}",
            quoted(url),
            quoted(dir)
        ),
    );
    if spa {
        line(text, format_args!("spa = true"));
    }
}

/// A location of a file is written there, with more than fits here.
fn kept(text: &mut String, files: &StaticMount) {
    line(
        text,
        format_args!(
            "# {}/ is served from {}, as the file says",
            files.url,
            files.dir.display()
        ),
    );
}

fn shown(option: &Opt, values: &[String]) -> String {
    let one = |text: &String| match option.form {
        Form::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => "true".to_owned(),
            _ => "false".to_owned(),
        },
        Form::Integer { .. } | Form::Duration { .. } | Form::Bytes { .. }
            if text.parse::<u64>().is_ok() =>
        {
            text.clone()
        }
        Form::Choice(_) => quoted(&text.to_ascii_lowercase()),
        _ => quoted(text),
    };
    if option.value == "NAME=VALUE" {
        let pairs = values.iter().filter_map(|pair| pair.split_once('='));
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{} = {}", key(name), quoted(value)))
            .collect();
        return format!("{{ {} }}", pairs.join(", "));
    }
    match values {
        [value] if !option.many => one(value),
        _ => {
            let each: Vec<String> = values.iter().map(one).collect();
            format!("[{}]", each.join(", "))
        }
    }
}

/// A bare key, or one in quotes.
fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for each in text.chars() {
        match each {
            '"' | '\\' => quoted.extend(['\\', each]),
            each if each.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(each))),
            each => quoted.push(each),
        }
    }
    quoted.push('"');
    quoted
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a String takes any text");
}
