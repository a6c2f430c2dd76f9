//! Arguments, environment and configuration file into an [`Invocation`].
//!
//! Owns the subcommands' names and the wording of refusals. Touches nothing: environment and files come in as functions.

use crate::check::{Surroundings, check, default_control_socket};
use crate::document;
use crate::gunicorn::ADVICE;
use crate::options;
use crate::raw::{Raw, Source};
use crate::{Config, Mistake, help, reference, value};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};
use std::io;
use std::path::{Path, PathBuf};

/// What the user asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    Serve(Box<Config>),
    /// Tell whether `Serve` would work.
    Check(Box<Config>),
    Status {
        socket: PathBuf,
        json: bool,
    },
    /// Have the applications loaded anew, and wait for it.
    Reload {
        socket: PathBuf,
    },
    /// A child of the supervisor (hidden).
    Edge,
    /// Help, version, reference: for stdout.
    Print(String),
}

/// `arguments` without the program's name; `read` is how a configuration file is read.
pub fn parse(
    arguments: &[String],
    environment: impl Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> io::Result<String>,
    around: &Surroundings,
) -> Result<Invocation, Mistake> {
    match arguments.split_first() {
        Some((first, [])) if first == "edge" => Ok(Invocation::Edge),
        Some((first, rest)) if first == "status" => {
            ask(help::status(), rest, environment, read, around)
        }
        Some((first, rest)) if first == "reload" => {
            ask(help::reload(), rest, environment, read, around)
        }
        Some((first, rest)) if first == "check" => {
            let invocation = serve("ringgate check", rest, environment, read, around)?;
            Ok(match invocation {
                Invocation::Serve(config) => Invocation::Check(config),
                other => other,
            })
        }
        Some((first, rest)) if first == "config" => match matches(help::config(), rest)? {
            Ok(matches) if matches.get_flag("reference") => {
                Ok(Invocation::Print(document::page::page()))
            }
            Ok(_) => Ok(Invocation::Print(document::sample::sample())),
            Err(print) => Ok(print),
        },
        _ => serve("ringgate", arguments, environment, read, around),
    }
}

fn serve(
    name: &'static str,
    arguments: &[String],
    environment: impl Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> io::Result<String>,
    around: &Surroundings,
) -> Result<Invocation, Mistake> {
    let matches = match matches(help::serve(name), arguments)? {
        Ok(matches) => matches,
        Err(print) => return Ok(print),
    };
    if matches.get_flag("version") {
        return Ok(Invocation::Print(format!(
            "ringgate {}\n",
            env!("CARGO_PKG_VERSION")
        )));
    }
    if matches.get_flag("help-reference") {
        return Ok(Invocation::Print(reference::page()));
    }
    let mut raw = Raw::new(matches.get_one::<String>("app").cloned());
    for option in options::all() {
        if option.is_bare() {
            if let Some(on) = flag(&matches, option.name)? {
                raw.set(option.name, vec![on.to_string()], Source::CommandLine);
            }
        } else if let Some(values) = matches.get_many::<String>(option.name) {
            let values: Vec<String> = values.cloned().collect();
            if values.len() > 1 && !option.many {
                return Err(Mistake(format!(
                    "--{} is given {} times; once is right",
                    option.name,
                    values.len()
                )));
            }
            raw.set(option.name, values, Source::CommandLine);
        }
    }
    raw.fill_from(environment);
    if let Some(path) = raw.one("config").map(str::to_owned) {
        fill_from_file(&mut raw, &path, read, around)?;
    }
    check(&raw, around).map(|config| Invocation::Serve(Box::new(config)))
}

/// `--name`, `--no-name`, neither.
fn flag(matches: &ArgMatches, name: &str) -> Result<Option<bool>, Mistake> {
    match (
        matches.get_count(name),
        matches.get_count(&format!("no-{name}")),
    ) {
        (0, 0) => Ok(None),
        (_, 0) => Ok(Some(true)),
        (0, _) => Ok(Some(false)),
        _ => Err(Mistake(format!(
            "--{name} and --no-{name} are both there; one of them is right"
        ))),
    }
}

fn fill_from_file(
    raw: &mut Raw,
    name: &str,
    read: impl Fn(&Path) -> io::Result<String>,
    around: &Surroundings,
) -> Result<(), Mistake> {
    let label = raw.label("config");
    if name.ends_with(".py") {
        return Err(Mistake(format!(
            "{label}: '{name}' is Python, as gunicorn has it; ringgate reads TOML, of which `ringgate config --sample` prints an example"
        )));
    }
    let path = value::absolute(name, &around.cwd);
    let text = read(&path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
            _ => crate::world::plain(&error),
        };
        Mistake(format!("{label}: '{name}' cannot be read ({why})"))
    })?;
    let base = path.parent().unwrap_or(&around.cwd);
    let document = document::read(&text, name, base)?;
    raw.fill_from_file(path, document);
    Ok(())
}

/// `status` and `reload`: which server to ask. A configuration file is of interest for its control socket alone.
fn ask(
    command: Command,
    arguments: &[String],
    environment: impl Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> io::Result<String>,
    around: &Surroundings,
) -> Result<Invocation, Mistake> {
    let matches = match matches(command, arguments)? {
        Ok(matches) => matches,
        Err(print) => return Ok(print),
    };
    let mut raw = Raw::default();
    for name in ["control-socket", "config"] {
        let mut values = matches.get_many::<String>(name).into_iter().flatten();
        if let Some(last) = values.next_back() {
            raw.set(name, vec![last.clone()], Source::CommandLine);
        }
    }
    raw.fill_from(environment);
    if let (None, Some(file)) = (
        raw.one("control-socket"),
        raw.one("config").map(str::to_owned),
    ) {
        fill_from_file(&mut raw, &file, read, around)?;
    }
    let socket = match raw.one("control-socket").filter(|path| !path.is_empty()) {
        Some(path) => value::absolute(path, raw.base("control-socket", &around.cwd)),
        None => default_control_socket(around),
    };
    // Only `status` has the flag.
    Ok(match matches.try_get_one::<bool>("json") {
        Ok(json) => Invocation::Status {
            socket,
            json: json == Some(&true),
        },
        Err(_) => Invocation::Reload { socket },
    })
}

/// The matches, or a help page to print.
fn matches(
    mut command: Command,
    arguments: &[String],
) -> Result<Result<ArgMatches, Invocation>, Mistake> {
    match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => Ok(Ok(matches)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp) => {
            Ok(Err(Invocation::Print(error.render().to_string())))
        }
        Err(error) => Err(Mistake(refusal(&error))),
    }
}

/// Clap's finding in our words: one line that says what to do.
fn refusal(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let name = argument
                .trim_start_matches('-')
                .split('=')
                .next()
                .unwrap_or_default();
            if let Some((_, advice)) = ADVICE.iter().find(|(known, _)| *known == name) {
                return format!("no option {argument} here: {advice}");
            }
            let similar = text(ContextKind::SuggestedArg);
            match similar.is_empty() {
                true => format!("no option {argument}; ringgate --help lists them"),
                false => format!(
                    "no option {argument}; did you mean {}?",
                    similar.split(' ').next().unwrap_or_default()
                ),
            }
        }
        ErrorKind::UnknownArgument => {
            format!(
                "one application only stands alone, so what is '{argument}'? Others are mounted: --mount /prefix={argument}"
            )
        }
        ErrorKind::InvalidValue => format!("{argument}: a value is missing"),
        _ => {
            let rendered = error.render().to_string();
            let line = rendered.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
