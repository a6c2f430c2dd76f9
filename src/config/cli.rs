//! Arguments, environment and configuration file into an [`Invocation`].
//!
//! Owns the subcommands' names, the ranking of what is given where, and the wording of refusals. Touches nothing: environment,
//! files and Python come in as functions.

use crate::check::{Surroundings, check, default_control_socket};
use crate::document;
use crate::doors::script::Question;
use crate::doors::{self, gunicorn, uvicorn, uwsgi, variables};
use crate::options;
use crate::raw::{Raw, Source};
use crate::{Config, Mistake, help, printed, reference, value};
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
    /// Have a new server take the running one's place, and wait for it.
    Upgrade {
        socket: PathBuf,
    },
    /// A child of the supervisor (hidden).
    Edge,
    /// Help, version, reference: for stdout.
    Print(String),
}

/// What the parser may ask of the world around it.
pub struct Outside<'o> {
    pub variable: &'o dyn Fn(&str) -> Option<String>,
    pub read: &'o dyn Fn(&Path) -> io::Result<String>,
    /// Has Python execute a configuration file.
    pub ask: &'o dyn Fn(&Question) -> Result<String, Mistake>,
}

/// gunicorn's variable with further arguments.
const CMD_ARGS: &str = "GUNICORN_CMD_ARGS";

/// `arguments` without the program's name.
pub fn parse(
    arguments: &[String],
    outside: &Outside<'_>,
    around: &Surroundings,
) -> Result<Invocation, Mistake> {
    match arguments.split_first() {
        Some((first, [])) if first == "edge" => Ok(Invocation::Edge),
        Some((first, rest)) if first == "status" => {
            ask(help::status(), rest, outside, around, |socket, matches| {
                let json = matches.get_flag("json");
                Invocation::Status { socket, json }
            })
        }
        Some((first, rest)) if first == "reload" => {
            ask(help::reload(), rest, outside, around, |socket, _| {
                Invocation::Reload { socket }
            })
        }
        Some((first, rest)) if first == "upgrade" => {
            ask(help::upgrade(), rest, outside, around, |socket, _| {
                Invocation::Upgrade { socket }
            })
        }
        Some((first, rest)) if first == "check" => {
            let invocation = serve("ringgate check", rest, outside, around)?;
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
        // An application is not called so, and who types it wants this.
        Some((first, [])) if first == "help" => {
            serve("ringgate", &["--help".to_owned()], outside, around)
        }
        _ => serve("ringgate", arguments, outside, around),
    }
}

fn serve(
    name: &'static str,
    arguments: &[String],
    outside: &Outside<'_>,
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
    if matches.get_flag("help-migrating") {
        return Ok(Invocation::Print(doors::page::page()));
    }
    let raw = gather(name, &matches, outside, around)?;
    let is_on = |name: &str| raw.one(name) == Some("true");
    let config = Box::new(check(&raw, around)?);
    Ok(match (is_on("print-config"), is_on("check-config")) {
        (true, _) => Invocation::Print(printed::file(&raw)),
        (_, true) => Invocation::Check(config),
        _ => Invocation::Serve(config),
    })
}

/// Everything that is given, by rank: who comes first wins.
fn gather(
    name: &'static str,
    matches: &ArgMatches,
    outside: &Outside<'_>,
    around: &Surroundings,
) -> Result<Raw, Mistake> {
    let app = matches.get_one::<String>("app").cloned();
    let mut raw = Raw::default();
    // `ringgate uwsgi.ini`, `ringgate shop.toml`: a file of options where an application may stand.
    match app {
        Some(file) if file.ends_with(".ini") || file.ends_with(".toml") => {
            raw.set("config", vec![file], Source::CommandLine);
        }
        app => raw.app = app.map(|app| (app, Source::CommandLine)),
    }
    take(&mut raw, matches, None, around)?;
    if let Some(words) = (outside.variable)(CMD_ARGS).filter(|words| !words.is_empty()) {
        let words = value::words(&words).map_err(|why| Mistake(format!("${CMD_ARGS}: {why}")))?;
        let matches = help::serve(name)
            .try_get_matches_from_mut(words)
            .map_err(|error| Mistake(format!("${CMD_ARGS}: {}", refusal(&error))))?;
        take(&mut raw, &matches, Some(CMD_ARGS), around)?;
    }
    raw.fill_from_own(outside.variable);
    let place = raw.one("config").map(str::to_owned);
    match place.or_else(|| gunicorns_own(&raw, outside, around)) {
        Some(place) if gunicorn::is_location(&place) => {
            gunicorn::read_file(&mut raw, &place, &around.cwd, outside.ask)?;
            raw.fill_from_foreign(outside.variable);
        }
        Some(place) if place.ends_with(".ini") => {
            let (path, text) = file(&raw, &place, outside, around)?;
            uwsgi::read_file(
                &mut raw,
                &text,
                &place,
                &path,
                &around.cwd,
                outside.variable,
            )?;
            raw.fill_from_foreign(outside.variable);
        }
        Some(place) => {
            raw.fill_from_foreign(outside.variable);
            fill_from_file(&mut raw, &place, outside, around)?;
        }
        None => raw.fill_from_foreign(outside.variable),
    }
    gunicorn::look_at_sendfile(&mut raw, &around.cwd, outside.variable)?;
    uvicorn::fill_from_variables(&mut raw, &around.cwd, outside.variable)?;
    variables::fill(&mut raw, &around.cwd, outside.read, outside.variable)?;
    Ok(raw)
}

/// Takes what a command line says as far as it is open yet. `within`: the variable that it stands in.
fn take(
    raw: &mut Raw,
    matches: &ArgMatches,
    within: Option<&str>,
    around: &Surroundings,
) -> Result<(), Mistake> {
    let label = |flag: &str| match within {
        Some(variable) => format!("${variable}: --{flag}"),
        None => format!("--{flag}"),
    };
    let source = |flag: &str| match within {
        Some(_) => Source::Door {
            label: label(flag),
            base: around.cwd.clone(),
        },
        None => Source::CommandLine,
    };
    for option in options::all() {
        if option.is_bare() {
            if let Some(on) = flag(matches, option.name)? {
                raw.fill(option.name, vec![on.to_string()], source(option.name));
            }
        } else if let Some(values) = matches.get_many::<String>(option.name) {
            let values: Vec<String> = values.cloned().collect();
            if values.len() > 1 && !option.many {
                return Err(Mistake(format!(
                    "{} is given {} times; once is right",
                    label(option.name),
                    values.len()
                )));
            }
            raw.fill(option.name, values, source(option.name));
        }
    }
    for word in doors::on_the_command_line() {
        let id = help::foreign_id(word);
        let flag = word.flags.first().copied().unwrap_or(word.name);
        let values = match word.takes {
            doors::Takes::Nothing if matches.get_count(&id) == 0 => continue,
            doors::Takes::Nothing => vec![(!flag.starts_with("no-")).to_string()],
            doors::Takes::Value => match matches.get_many::<String>(&id) {
                Some(values) => values.cloned().collect(),
                None => continue,
            },
        };
        doors::enter(raw, word, &values, &label(flag), around.cwd.clone())?;
    }
    Ok(())
}

/// `./gunicorn.conf.py`, where there is one and a Python application is to be served.
fn gunicorns_own(raw: &Raw, outside: &Outside<'_>, around: &Surroundings) -> Option<String> {
    const NAME: &str = "gunicorn.conf.py";
    let files_only = raw.app.is_none() && (raw.is_given("static") || raw.is_given("spa"));
    let is_there = || match (outside.read)(&around.cwd.join(NAME)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    ((!files_only || raw.is_given("mount")) && is_there()).then(|| NAME.to_owned())
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

/// The configuration file's path and text.
fn file(
    raw: &Raw,
    name: &str,
    outside: &Outside<'_>,
    around: &Surroundings,
) -> Result<(PathBuf, String), Mistake> {
    let path = value::absolute(name, &around.cwd);
    let text = (outside.read)(&path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
            _ => crate::world::plain(&error),
        };
        Mistake(format!(
            "{}: '{name}' cannot be read ({why})",
            raw.label("config")
        ))
    })?;
    Ok((path, text))
}

fn fill_from_file(
    raw: &mut Raw,
    name: &str,
    outside: &Outside<'_>,
    around: &Surroundings,
) -> Result<(), Mistake> {
    let (path, text) = file(raw, name, outside, around)?;
    let base = path.parent().unwrap_or(&around.cwd);
    let document = document::read(&text, name, base)?;
    raw.fill_from_file(path, document);
    Ok(())
}

/// `status`, `reload` and `upgrade`: which server to ask. A configuration file is of interest for its control socket alone.
fn ask(
    command: Command,
    arguments: &[String],
    outside: &Outside<'_>,
    around: &Surroundings,
    invocation: impl Fn(PathBuf, &ArgMatches) -> Invocation,
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
    raw.fill_from_own(outside.variable);
    raw.fill_from_foreign(outside.variable);
    // Other servers' files do not know our socket.
    let file = raw.one("config").filter(|file| file.ends_with(".toml"));
    if let (None, Some(file)) = (raw.one("control-socket"), file.map(str::to_owned)) {
        fill_from_file(&mut raw, &file, outside, around)?;
    }
    let socket = match raw.one("control-socket").filter(|path| !path.is_empty()) {
        Some(path) => value::absolute(path, raw.base("control-socket", &around.cwd)),
        None => default_control_socket(around),
    };
    Ok(invocation(socket, &matches))
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
