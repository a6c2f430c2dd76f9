//! How the running server is asked and stopped, and who it is.

use super::{Form, Group, Opt, PLAIN};

pub const ROWS: &[Opt] = &[
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
        help: "Unix socket on which `ringgate status`, `reload` and `upgrade` ask",
        more: "Only the user who runs ringgate (and root) may connect. Where another ringgate uses the default already, \
               the process id is put into the name; the start-up banner says so.",
        ..PLAIN
    },
    Opt {
        name: "user",
        short: Some('u'),
        value: "USER",
        group: Group::Operation,
        help: "Become this user (name or number) once the sockets are open",
        ..PLAIN
    },
    Opt {
        name: "group",
        short: Some('g'),
        value: "GROUP",
        group: Group::Operation,
        help: "Become this group (name or number) once the sockets are open",
        ..PLAIN
    },
    Opt {
        name: "initgroups",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Operation,
        help: "With --user: take that user's further groups too",
        ..PLAIN
    },
    Opt {
        name: "umask",
        short: Some('m'),
        value: "MASK",
        group: Group::Operation,
        default_words: Some("as it is inherited"),
        help: "File mode mask, octal with a leading 0 (e.g. 022)",
        ..PLAIN
    },
    Opt {
        name: "daemon",
        short: Some('D'),
        form: Form::Flag,
        default: Some("false"),
        group: Group::Operation,
        help: "Go into the background once requests are served",
        more: "Under systemd and in containers this is not wanted. Logs that go to the terminal are lost: name files.",
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
        name: "check-config",
        form: Form::Flag,
        default: Some("false"),
        env: false,
        file: false,
        group: Group::Operation,
        help: "Tell whether it could be served, as `ringgate check` does",
        ..PLAIN
    },
    Opt {
        name: "print-config",
        form: Form::Flag,
        default: Some("false"),
        env: false,
        file: false,
        group: Group::Operation,
        help: "Print what holds, as a configuration file with where each value comes from, and do not serve",
        more: "Turns the words of gunicorn, uvicorn or uWSGI into a file of ringgate's.",
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
