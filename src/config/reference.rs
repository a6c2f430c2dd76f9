//! The reference page `docs/options.md`, made from the table.

use crate::help::default_text;
use crate::options::{self, APP, Form, Group, Opt};
use crate::value::{bytes_text, duration_text};
use std::fmt::Write;

const HEAD: &str = "\
# Options

`ringgate [OPTIONS] MODULE:CALLABLE` serves, `ringgate check [OPTIONS] MODULE:CALLABLE` only tells whether it could,
`ringgate status [--json]` asks a running server what it is doing, `ringgate reload` has it load the applications' code
anew and waits for the outcome (exit code 4: the new code does not start and the old one keeps serving), `ringgate upgrade` has a new
ringgate take its place without losing a connection ([upgrades](upgrades.md)).

Options stand on the command line, in the environment or in a [configuration file](configuration.md); the command line wins over
the environment, and that over the file. Times are seconds or have a unit
(`500ms`, `30s`, `2m`, `1h`), sizes are bytes or have a unit (`64k`, `100m`, `1g`, powers of 1024). A repeatable option's
variable holds its values separated by commas. The words of gunicorn, uvicorn and uWSGI are understood too, on the command line and
in their files: [migrating](migrating.md). `HUP` reads files and variables again and loads the applications' code
anew; what has changed holds from then on, unless the option says that it takes a restart.

This page is made by `ringgate --help-reference`.
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for group in Group::ALL {
        section(&mut page, group);
    }
    page.push_str("\n## Signals and exit codes\n\n");
    page.push_str("| signal | what happens |\n|---|---|\n");
    page.push_str("| TERM | no new connections; running requests finish within `--graceful-timeout`; exit 0 |\n");
    page.push_str("| INT, QUIT | stop at once; exit 0 |\n");
    page.push_str("| HUP | the configuration is read again and new workers load the applications' code; once they are up the old ones finish and end; no request is lost |\n");
    page.push_str("| TTIN, TTOU | one worker more, one fewer, in each application |\n");
    page.push_str("| USR1 | the log files are opened again |\n");
    page.push_str("| USR2 | a new ringgate starts beside this one, on the same sockets ([upgrades](upgrades.md)) |\n");
    page.push_str(
        "| WINCH | without a terminal: finish what runs and rest, while the new one serves |\n\n",
    );
    page.push_str("| exit code | meaning |\n|---|---|\n");
    page.push_str("| 0 | ended as asked |\n");
    page.push_str("| 1 | a mistake in the options, or something they name is missing or taken |\n");
    page.push_str("| 3 | the server failed: its edge or all its workers would not start |\n");
    page.push_str("| 4 | no application could be loaded |\n");
    page
}

fn section(page: &mut String, group: Group) {
    line(page, format_args!("\n## {}\n", group.title()));
    if group == Group::Application {
        line(
            page,
            format_args!(
                "\n### `{}`\n\n{}. {}\n\nEnvironment: `RINGGATE_APP`.\n",
                APP.value, APP.help, APP.more
            ),
        );
    }
    for option in options::all().filter(|option| option.group == group && !option.hidden) {
        entry(page, option);
    }
}

fn entry(page: &mut String, option: &Opt) {
    let short = option
        .short
        .map(|short| format!("-{short}, "))
        .unwrap_or_default();
    let on = option.default == Some("true");
    let no = if option.is_bare() && on { "no-" } else { "" };
    let value = match option.value {
        "" => String::new(),
        value => format!(" {value}"),
    };
    line(
        page,
        format_args!(
            "\n### `{short}--{no}{}{value}`\n\n{}.",
            option.name, option.help
        ),
    );
    if !option.more.is_empty() {
        line(page, format_args!(" {}", option.more));
    }
    page.push_str("\n\n");
    let mut facts = Vec::new();
    if let Some(default) = default_text(option) {
        facts.push(format!(
            "Default: {}.",
            if option.default.is_some() {
                format!("`{default}`")
            } else {
                default
            }
        ));
    }
    if let Some(bounds) = bounds(option.form) {
        facts.push(format!("{bounds}."));
    }
    let variables: Vec<String> = option
        .env_name()
        .into_iter()
        .chain(option.foreign_env.map(str::to_owned))
        .map(|name| format!("`{name}`"))
        .collect();
    if !variables.is_empty() {
        facts.push(format!("Environment: {}.", variables.join(", else ")));
    }
    if !option.aliases.is_empty() {
        let aliases: Vec<String> = option
            .aliases
            .iter()
            .map(|alias| format!("`--{alias}`"))
            .collect();
        facts.push(format!("Also: {}.", aliases.join(", ")));
    }
    if option.is_bare() {
        let opposite = if on { "" } else { "no-" };
        facts.push(format!("`--{opposite}{}` says the opposite.", option.name));
    }
    if option.takes_restart() {
        facts.push("A change takes a restart.".into());
    }
    if option.app {
        facts.push("Each application may have its own, in `[app.NAME]`.".into());
    }
    line(page, format_args!("{}\n", facts.join(" ")));
}

fn bounds(form: Form) -> Option<String> {
    match form {
        Form::Integer { min, max } => Some(format!("From {min} to {max}")),
        Form::Duration { min_ms, max_ms } => Some(format!(
            "From {} to {}",
            duration_text(min_ms),
            duration_text(max_ms)
        )),
        Form::Bytes { min, max } => {
            Some(format!("From {} to {}", bytes_text(min), bytes_text(max)))
        }
        Form::Choice(words) => Some(format!("One of: {}", words.join(", "))),
        Form::Text | Form::Path | Form::Flag => None,
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/options.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == super::page(),
            "docs/options.md is not what the table says; renew it: ringgate --help-reference > docs/options.md"
        );
    }
}
