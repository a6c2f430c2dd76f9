//! The commented sample, made from the definitions.
//!
//! Invariant (tested): it parses as it is and says nothing but defaults, and with every `#key = value` uncommented it parses too.

use super::keys::{APPLICATION, CACHE, Key, LOCATION, ROUTE};
use super::{key_of, options};
use crate::options::{Form, Group, Opt};
use std::fmt::Write;

const HEAD: &str = "\
# A configuration of ringgate, with every key there is.
#
#   ringgate --config ringgate.toml          serves
#   ringgate check --config ringgate.toml    tells what is wrong with it, by line and column
#
# What is commented out shows the default, or an example where there is no fixed one. The command line and RINGGATE_* variables
# win over this file. Relative paths are relative to this file's directory. docs/configuration.md tells more.
";

const WIDTH: usize = 120;

/// The text of a file.
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    for group in Group::ALL {
        line(&mut text, format_args!("\n# ---- {} ----\n", group.title()));
        for option in options().filter(|option| option.group == group && !option.hidden) {
            let default = option
                .default_words
                .map(|words| format!(" Default: {words}."));
            prose(
                &mut text,
                &format!("{}.{}", option.help, default.unwrap_or_default()),
            );
            line(
                &mut text,
                format_args!("#{} = {}\n", key_of(option), example(option)),
            );
        }
    }
    section(
        &mut text,
        "An application; several have sections of different names.",
        "[app.shop]",
        APPLICATION,
        &["target", "mount"],
    );
    text.push_str("\n# Whatever stands under Workers, ASGI, and above under Application, may stand here too, for this application alone.\n");
    text.push_str("\n# Rules for a part of its paths.\n#[[app.shop.route]]\n");
    keys(&mut text, ROUTE.iter());
    text.push_str("\n# ---- Files ----\n\n# Further locations are further sections of the same name.\n#[[server.location]]\n");
    keys(
        &mut text,
        LOCATION
            .iter()
            .filter(|key| key.name != "alias" && key.name != "spa"),
    );
    prose(&mut text, "The keys of a cache rule:");
    for key in CACHE {
        prose(
            &mut text,
            &format!("{} ({}): {}", key.name, key.shape, key.help),
        );
    }
    text.push_str("\n# A single-page application.\n#[[server.location]]\n#path = \"/shop\"\n#dir = \"dist\"\n#spa = true\n");
    text
}

fn section(text: &mut String, words: &str, head: &str, all: &'static [Key], shown: &[&str]) {
    line(
        text,
        format_args!("\n# ---- Applications ----\n\n# {words}\n#{head}\n"),
    );
    keys(text, all.iter().filter(|key| shown.contains(&key.name)));
}

fn keys<'k>(text: &mut String, keys: impl Iterator<Item = &'k Key>) {
    for key in keys {
        let default = match key.default {
            "" => String::new(),
            default if default == key.example => String::new(),
            default => format!(" Default: {default}."),
        };
        prose(text, &format!("{}{default}", key.help));
        line(text, format_args!("#{} = {}\n", key.name, key.example));
    }
}

/// The default as TOML has it, or an example.
pub fn example(option: &Opt) -> String {
    const EXAMPLES: &[(&str, &str)] = &[
        ("workers", "4"),
        ("rings", "2"),
        ("log-config", "\"logging.ini\""),
        ("touch-reload", "[\"reload.txt\"]"),
        ("forwarded-allow-ips", "[\"127.0.0.1\", \"::1\"]"),
        ("secure-scheme-headers", "{ X-Forwarded-Proto = \"https\" }"),
        ("user", "\"www-data\""),
        ("group", "\"www-data\""),
        ("umask", "\"022\""),
        ("root-path", "\"/shop\""),
        ("hooks", "\"gunicorn.conf.py\""),
        ("workers-max", "8"),
        ("warmup", "[\"/\"]"),
        ("reload-include", "[\"templates/**\"]"),
        ("python", "\"venv/bin/python\""),
        ("chdir", "\".\""),
        ("pythonpath", "[\"lib\"]"),
        ("env", "{ DJANGO_SETTINGS_MODULE = \"shop.settings\" }"),
        ("sendfile-roots", "[\"/srv/shop/media\"]"),
        ("max-connections", "16384"),
        ("control-socket", "\"/run/shop.sock\""),
        ("pid", "\"/run/shop.pid\""),
    ];
    if let Some((_, example)) = EXAMPLES.iter().find(|(name, _)| *name == option.name) {
        return (*example).to_owned();
    }
    let default = option.default.unwrap_or_default();
    let is_number = default.parse::<u64>().is_ok();
    match option.form {
        _ if option.many => format!("[\"{default}\"]"),
        Form::Flag => default.to_owned(),
        Form::Integer { .. } | Form::Duration { .. } | Form::Bytes { .. } if is_number => {
            default.to_owned()
        }
        _ => format!("\"{default}\""),
    }
}

fn prose(text: &mut String, words: &str) {
    text.push('\n');
    let mut length = 0;
    for word in words.split(' ') {
        if length == 0 || length + 1 + word.chars().count() > WIDTH {
            text.push_str(if length == 0 { "# " } else { "\n# " });
            length = 2;
        } else {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += word.chars().count();
    }
    text.push('\n');
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a String takes any text");
}
