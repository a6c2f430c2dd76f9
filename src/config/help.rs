//! The clap commands, made from the table, and the texts around them.
//!
//! Owns wording only. `-h` shows one line per option, `--help` everything.

use crate::doors::{self, Takes, Word};
use crate::options::{self, APP, Form, Group, Opt};
use clap::{Arg, ArgAction, Command};

const ABOUT: &str = "Serves Python web applications and their files: HTTP, static files and workers in one program.";

const EXAMPLES: &str = "\
Examples:
  ringgate shop.wsgi:application
      A Django project in the current directory, on http://127.0.0.1:8000.
  ringgate 'shop:create_app()' -b 0.0.0.0:8000 -w 4
      A Flask factory, four workers, on every IPv4 address.
  ringgate shop.wsgi --static /static=./staticfiles --static /media=./media
      Files without Python; the longest prefix wins.
  ringgate --mount /blog=blog:app --mount /api=api:app --access-log -
      Two applications on one port; log requests to stdout.
  ringgate --static /=./public -b unix:/run/site.sock
      Files only, behind another server.
  ringgate --config shop.toml
      What a file says; `ringgate config --sample` prints one, `ringgate check --config shop.toml` judges it.
  ringgate status
      What every process and worker of the running server is doing.
  ringgate reload
      Load the applications' code anew without losing a request.
  ringgate upgrade
      Have a new ringgate take the running one's place without losing a connection.";

const ABOUT_CHECK: &str = "Tells whether ringgate could serve: reads the configuration, looks for what it names and imports the applications. \
No port is taken. The exit code is the one that serving would have.";

const EXAMPLES_CHECK: &str = "\
Examples:
  ringgate check shop.wsgi:application
      Whether the application can be imported, by which Python.
  ringgate check --config shop.toml
      The file as well, with the place of every mistake.";

const DETAILS: &str = "\
Values:
  Times are seconds, or have a unit: 500ms, 30s, 2m, 1h.
  Sizes are bytes, or have a unit: 64k, 100m, 1g (powers of 1024).
  Every option is also read from the environment, e.g. RINGGATE_WORKERS=4, and from the configuration file;
  the command line wins over the environment, the environment over the file.
  --config takes TOML, and the files of gunicorn (gunicorn.conf.py, which is read where it lies) and uWSGI (.ini).
  Where an option is repeatable, its variable holds the values separated by commas.

Signals:
  TERM       stop: no new connections, running requests finish (--graceful-timeout)
  INT, QUIT  stop at once
  HUP        read the configuration again and load the applications' code anew; no request is lost
  TTIN, TTOU one worker more, one fewer, in each application
  USR1       open the log files again
  USR2       start a new ringgate beside this one, on the same sockets; `ringgate upgrade` also ends the old one
  WINCH      beside a new one: finish what runs and rest; HUP wakes

Exit codes:
  0  ended as asked
  1  a mistake in the options, or something they name is missing or taken
  3  the server failed
  4  no application could be loaded

Documentation: docs/options.md, docs/configuration.md, README.md";

/// The serving command line, which is also that of `ringgate check`.
pub fn serve(name: &'static str) -> Command {
    let usage = "ringgate [OPTIONS] MODULE:CALLABLE\n       ringgate check [OPTIONS] MODULE:CALLABLE\n       ringgate status [--json] | reload | upgrade | config --sample";
    let (about, usage, examples) = match name {
        "ringgate check" => (
            ABOUT_CHECK,
            "ringgate check [OPTIONS] MODULE:CALLABLE",
            EXAMPLES_CHECK,
        ),
        _ => (ABOUT, usage, EXAMPLES),
    };
    let mut command = base(name)
        .about(about)
        .override_usage(usage)
        .after_help(format!(
            "{examples}\n\n--help tells more: what each option means, units, signals, exit codes."
        ))
        .after_long_help(format!("{examples}\n\n{DETAILS}"))
        .arg(
            Arg::new("app")
                .value_name(APP.value)
                .help(APP.help)
                .long_help(format!("{}\n{}", APP.help, APP.more)),
        )
        .arg(
            Arg::new("help-reference")
                .long("help-reference")
                .action(ArgAction::SetTrue)
                .hide(true),
        )
        .arg(
            Arg::new("help-migrating")
                .long("help-migrating")
                .action(ArgAction::SetTrue)
                .hide(true),
        )
        .args(doors::on_the_command_line().map(foreign));
    for group in Group::ALL {
        for option in options::all().filter(|option| option.group == group) {
            command = command.args(arguments(option));
        }
    }
    let version = Arg::new("version")
        .short('V')
        // gunicorn's.
        .short_alias('v')
        .long("version")
        .action(ArgAction::SetTrue)
        .help("Print the version");
    let heading = Group::Operation.title();
    command
        .arg(version.help_heading(heading))
        .arg(help_flag().help_heading(heading))
}

pub fn status() -> Command {
    base("ringgate status")
        .about("Asks the running ringgate what it is doing: processes, workers, queues, connections, requests.")
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("The whole document as JSON"),
        )
        .arg(valued(options::option("control-socket")).help_heading(None))
        .arg(valued(options::option("config")).help_heading(None))
        .arg(help_flag())
}

pub fn reload() -> Command {
    base("ringgate reload")
        .about("Has the running ringgate load its applications' code anew, as HUP does, and waits until that serves or has failed.")
        .arg(valued(options::option("control-socket")).help_heading(None))
        .arg(valued(options::option("config")).help_heading(None))
        .arg(help_flag())
}

pub fn upgrade() -> Command {
    base("ringgate upgrade")
        .about("Has a new ringgate, of the executable and the configuration as they are now, take the place of the running one without losing a connection. Waits until the new one serves and the old one has answered its last request; if the new one does not come up, the old one goes on and the exit code is 1.")
        .arg(valued(options::option("control-socket")).help_heading(None))
        .arg(valued(options::option("config")).help_heading(None))
        .arg(help_flag())
}

pub fn config() -> Command {
    base("ringgate config")
        .about("Prints a configuration file with every key, its default and what it means.")
        .arg(
            Arg::new("sample")
                .long("sample")
                .action(ArgAction::SetTrue)
                .help("Print the sample (also without this flag)"),
        )
        .arg(
            Arg::new("reference")
                .long("reference")
                .action(ArgAction::SetTrue)
                .hide(true),
        )
        .arg(help_flag())
}

fn base(name: &'static str) -> Command {
    Command::new(name)
        .bin_name(name)
        .no_binary_name(true)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .max_term_width(110)
}

fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("Print help (-h: short)")
}

/// The option; a flag also as its opposite. The one that the default already is stays out of the help.
fn arguments(option: &'static Opt) -> Vec<Arg> {
    if !option.is_bare() {
        return vec![valued(option)];
    }
    let is_on = option.default == Some("true");
    let yes = Arg::new(option.name)
        .long(option.name)
        .aliases(option.aliases.to_vec())
        .short(option.short)
        .hide(option.hidden || is_on);
    let no = Arg::new(format!("no-{}", option.name))
        .long(format!("no-{}", option.name))
        .hide(option.hidden || !is_on);
    [yes, no]
        .into_iter()
        .map(|argument| {
            argument
                .action(ArgAction::Count)
                .help_heading(option.group.title())
                .help(option.help)
                .long_help(long_help(option))
        })
        .collect()
}

/// A word of another server: known, but not shown.
fn foreign(word: &'static Word) -> Arg {
    let mut flags = word.flags.iter().copied();
    let argument = Arg::new(foreign_id(word))
        .long(flags.next().unwrap_or(word.name))
        .aliases(flags.collect::<Vec<_>>())
        .short(word.short)
        .hide(true);
    match word.takes {
        Takes::Nothing => argument.action(ArgAction::Count),
        Takes::Value => argument.action(ArgAction::Append),
    }
}

/// Apart from the names of our options.
pub fn foreign_id(word: &Word) -> String {
    format!("foreign:{}", word.name)
}

fn valued(option: &'static Opt) -> Arg {
    let mut argument = Arg::new(option.name)
        .long(option.name)
        .value_name(option.value)
        .help_heading(option.group.title())
        .hide(option.hidden)
        .aliases(option.aliases.to_vec())
        .action(ArgAction::Append)
        // To be refused as this option's value, not as an option.
        .allow_negative_numbers(true)
        .help(with_default(option, option.help));
    if let Some(short) = option.short {
        argument = argument.short(short);
    }
    // As uvicorn and gunicorn have them: alone they mean this.
    let alone = match option.name {
        "access-log" => Some("-"),
        "server-header" => option.default,
        "proxy-protocol" => Some("auto"),
        _ => None,
    };
    if let Some(alone) = alone {
        argument = argument.num_args(0..=1).default_missing_value(alone);
    }
    argument.long_help(with_default(option, &long_help(option)))
}

fn long_help(option: &Opt) -> String {
    match option.more {
        "" => option.help.to_owned(),
        more => format!("{}\n{more}", option.help),
    }
}

/// ` [default: 30 seconds]` behind a text.
fn with_default(option: &Opt, text: &str) -> String {
    match default_text(option) {
        Some(default) => format!("{text} [default: {default}]"),
        None => text.to_owned(),
    }
}

/// The default in words, with its unit.
pub fn default_text(option: &Opt) -> Option<String> {
    let unit = match option.value {
        "" if option.default == Some("true") => return Some("on".into()),
        "" if option.form == Form::Flag => return Some("off".into()),
        "SECONDS" => " s",
        _ => "",
    };
    match (option.default, option.default_words) {
        (Some(default), _) => Some(format!("{default}{unit}")),
        (None, words) => words.map(str::to_owned),
    }
}
