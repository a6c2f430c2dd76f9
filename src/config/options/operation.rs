//! Logs, and how the running server is asked and stopped.

use super::{Form, Group, Opt, PLAIN};

pub const ROWS: &[Opt] = &[
    Opt {
        name: "access-log",
        aliases: &["access-logfile"],
        value: "PATH",
        form: Form::Path,
        default: Some("off"),
        group: Group::Logs,
        help: "Log every request to a file; - is stdout; off: none",
        ..PLAIN
    },
    Opt {
        name: "access-log-format",
        value: "FORMAT",
        form: Form::Choice(&["combined", "json"]),
        default: Some("combined"),
        group: Group::Logs,
        help: "combined (as Apache and nginx write it, with times added) or json",
        ..PLAIN
    },
    Opt {
        name: "error-log",
        aliases: &["error-logfile", "log-file"],
        value: "PATH",
        form: Form::Path,
        default: Some("-"),
        group: Group::Logs,
        help: "Log errors and what the applications print to a file; - is stderr",
        ..PLAIN
    },
    Opt {
        name: "log-level",
        value: "LEVEL",
        form: Form::Choice(&["debug", "info", "warning", "error", "critical"]),
        default: Some("info"),
        group: Group::Logs,
        help: "Least severe lines of the error log: debug, info, warning, error or critical",
        ..PLAIN
    },
    Opt {
        name: "control-socket",
        aliases: &["control"],
        value: "PATH",
        form: Form::Path,
        env: true,
        foreign_env: Some("RINGGATE_CONTROL"),
        default_words: Some(
            "$XDG_RUNTIME_DIR/ringgate.sock, else /run/ringgate.sock for root, /tmp/ringgate-UID.sock for others",
        ),
        group: Group::Operation,
        help: "Unix socket on which `ringgate status` and `ringgate reload` ask",
        more: "Only the user who runs ringgate (and root) may connect. Where another ringgate uses the default already, \
               the process id is put into the name; the start-up banner says so.",
        ..PLAIN
    },
    Opt {
        name: "pid",
        short: Some('p'),
        aliases: &["pidfile"],
        value: "PATH",
        form: Form::Path,
        group: Group::Operation,
        help: "Write the process id to this file; removed at the end",
        ..PLAIN
    },
    Opt {
        name: "ready-fd",
        value: "NUMBER",
        form: Form::Integer { min: 1, max: 63 },
        env: false,
        file: false,
        group: Group::Operation,
        help: "Write a line `ready ADDRESS ...` to this inherited descriptor once requests are served",
        more: "For scripts and tests: nothing needs to poll or sleep. 1 is stdout. The descriptor is closed after the line.",
        ..PLAIN
    },
    Opt {
        name: "extension",
        value: "PATH",
        form: Form::Path,
        group: Group::Operation,
        hidden: true,
        help: "The native extension that the app hosts load; normally found beside the executable",
        ..PLAIN
    },
];
