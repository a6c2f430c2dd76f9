//! Every option, defined once. Parser, help, environment, bounds and the reference page come from this table.
//!
//! Owns names, defaults, units and texts. Invariants (tested): names and flags are unique, every default lies within
//! its own bounds. Knows nothing of how a value is used.

/// One option.
pub struct Opt {
    /// Long flag without dashes; the environment variable follows from it.
    pub name: &'static str,
    pub short: Option<char>,
    /// Other names that gunicorn's users may type.
    pub aliases: &'static [&'static str],
    /// What stands for the value in the help; "" for a flag.
    pub value: &'static str,
    pub form: Form,
    /// As it would be typed, for options that have a fixed default.
    pub default: Option<&'static str>,
    /// Words for a default that depends on the machine or on other options.
    pub default_words: Option<&'static str>,
    /// May be repeated; in the environment the values are separated by commas.
    pub many: bool,
    /// Whether `RINGGATE_<NAME>` is looked at.
    pub env: bool,
    /// A variable that other servers read too, of lesser rank.
    pub foreign_env: Option<&'static str>,
    pub group: Group,
    pub change: Change,
    pub hidden: bool,
    /// Whether a configuration file may give it.
    pub file: bool,
    /// One line.
    pub help: &'static str,
    /// Further paragraphs for `--help` and the reference.
    pub more: &'static str,
}

/// What a value looks like, with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Path,
    Integer {
        min: u64,
        max: u64,
    },
    /// Seconds, or with a unit (`500ms`, `2m`); bounds in milliseconds.
    Duration {
        min_ms: u64,
        max_ms: u64,
    },
    /// Bytes, or with a unit (`64k`, `100m`, `1g`; powers of 1024).
    Bytes {
        min: u64,
        max: u64,
    },
    Choice(&'static [&'static str]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Application,
    Listening,
    Timeouts,
    Limits,
    Logs,
    Operation,
}

impl Group {
    pub const ALL: [Group; 6] = [
        Group::Application,
        Group::Listening,
        Group::Timeouts,
        Group::Limits,
        Group::Logs,
        Group::Operation,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Group::Application => "Application",
            Group::Listening => "Listening",
            Group::Timeouts => "Timeouts",
            Group::Limits => "Limits",
            Group::Logs => "Logs",
            Group::Operation => "Operation",
        }
    }
}

/// What it takes for another value to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A restart of ringgate.
    Restart,
}

impl Opt {
    /// `RINGGATE_KEEP_ALIVE` for `keep-alive`.
    pub fn env_name(&self) -> Option<String> {
        self.env.then(|| {
            format!(
                "RINGGATE_{}",
                self.name.to_ascii_uppercase().replace('-', "_")
            )
        })
    }
}

/// A base for the table's rows.
const PLAIN: Opt = Opt {
    name: "",
    short: None,
    aliases: &[],
    value: "",
    form: Form::Text,
    default: None,
    default_words: None,
    many: false,
    env: true,
    foreign_env: None,
    group: Group::Application,
    change: Change::Restart,
    hidden: false,
    file: true,
    help: "",
    more: "",
};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The application to serve at the root; the only positional argument.
pub const APP: Opt = Opt {
    name: "app",
    value: "MODULE:CALLABLE",
    help: "The WSGI application to serve at /, e.g. shop.wsgi:application",
    more: "The callable may be left out (`application` is meant), may be dotted (`site:app.wsgi`) and may be a factory \
           (`shop:create_app()`). The module is imported from --chdir, then from --pythonpath.",
    ..PLAIN
};

/// In the order in which the help shows them.
pub const OPTIONS: &[Opt] = &[
    Opt {
        name: "config",
        short: Some('c'),
        value: "FILE",
        form: Form::Path,
        file: false,
        help: "Read a configuration file (TOML); the command line and the environment win over it",
        more: "`ringgate config --sample` prints one with every key, docs/configuration.md explains them. Relative paths in a file \
               are relative to the file's directory.",
        ..PLAIN
    },
    Opt {
        name: "mount",
        value: "PREFIX=MODULE:CALLABLE",
        many: true,
        file: false,
        help: "Serve another application below a prefix, e.g. /blog=blog:app (repeatable)",
        more: "The application sees the prefix as SCRIPT_NAME. The longest matching prefix wins; prefixes match whole path \
               segments. Each application has workers of its own.",
        ..PLAIN
    },
    Opt {
        name: "static",
        value: "URL=DIR",
        many: true,
        file: false,
        help: "Serve files of a directory, e.g. /static=./static (repeatable)",
        more: "Python never sees these requests. DIR is relative to the directory in which ringgate was started.",
        ..PLAIN
    },
    Opt {
        name: "spa",
        value: "URL=DIR",
        many: true,
        file: false,
        help: "Serve a single-page application, e.g. /=./dist: as --static, with its index.html for every other path (repeatable)",
        ..PLAIN
    },
    Opt {
        name: "sendfile-roots",
        value: "DIR[,DIR]",
        many: true,
        help: "Directories whose files applications may send by an X-Sendfile header (repeatable, or separated by commas)",
        more: "The application answers with `X-Sendfile: /absolute/path` and no body, and the edge sends the file. Without this option the \
               header is refused with 502. X-Accel-Redirect, which names a URL of a location, needs no option.",
        ..PLAIN
    },
    Opt {
        name: "workers",
        short: Some('w'),
        value: "COUNT",
        form: Form::Integer {
            min: 1,
            max: crate::model::WORKERS_MAX as u64,
        },
        default_words: Some("one per processor, at least 2"),
        foreign_env: Some("WEB_CONCURRENCY"),
        help: "Workers of each application: requests that run at the same time",
        ..PLAIN
    },
    Opt {
        name: "kind",
        value: "KIND",
        form: Form::Choice(&["auto", "interpreters", "processes"]),
        default: Some("auto"),
        help: "How workers live: auto, interpreters or processes",
        more: "interpreters: sub-interpreters with their own GIL in one process (CPython 3.13 or newer). \
               processes: forked from one process that has imported the application. \
               auto: tries whether everything the application imports works in a sub-interpreter, else takes processes and says why.",
        ..PLAIN
    },
    Opt {
        name: "python",
        value: "PATH",
        form: Form::Path,
        default_words: Some("$VIRTUAL_ENV/bin/python, else python3"),
        help: "The Python that runs the applications (CPython 3.10 or newer)",
        more: "Usually the `bin/python` of a virtual environment. A bare name is looked up on PATH.",
        ..PLAIN
    },
    Opt {
        name: "chdir",
        value: "DIR",
        form: Form::Path,
        default_words: Some("the current directory"),
        help: "Directory that the applications run in and are imported from",
        ..PLAIN
    },
    Opt {
        name: "pythonpath",
        value: "DIR[,DIR]",
        many: true,
        help: "Further directories to import from (repeatable, or separated by commas)",
        ..PLAIN
    },
    Opt {
        name: "env",
        short: Some('e'),
        value: "NAME=VALUE",
        many: true,
        env: false,
        help: "Set a variable in the applications' environment (repeatable)",
        ..PLAIN
    },
    Opt {
        name: "bind",
        short: Some('b'),
        value: "ADDRESS",
        many: true,
        default: Some("127.0.0.1:8000"),
        group: Group::Listening,
        help: "Listen on HOST:PORT, [IPV6]:PORT or unix:PATH (repeatable)",
        more: "Port 0 takes a free port and reports it. HOST is an IP address or `localhost`; `:8000` and `0.0.0.0:8000` mean every \
               IPv4 address. With the variable PORT set, as many hosting platforms do, the default is 0.0.0.0:$PORT.",
        ..PLAIN
    },
    Opt {
        name: "rings",
        value: "COUNT",
        form: Form::Integer {
            min: 1,
            max: crate::model::RINGS_MAX as u64,
        },
        default_words: Some("one per processor"),
        group: Group::Listening,
        help: "Threads of the edge, each with an io_uring of its own",
        more: "They handle the connections, all files and the applications' input and output.",
        ..PLAIN
    },
    Opt {
        name: "backlog",
        value: "COUNT",
        form: Form::Integer {
            min: 1,
            max: 1 << 20,
        },
        default: Some("2048"),
        group: Group::Listening,
        help: "Connections that may wait to be accepted",
        more: "The kernel cuts this to net.core.somaxconn.",
        ..PLAIN
    },
    Opt {
        name: "server-header",
        value: "TEXT",
        default: Some("ringgate"),
        group: Group::Listening,
        help: "Value of the Server response header; empty sends none",
        ..PLAIN
    },
    Opt {
        name: "timeout",
        short: Some('t'),
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 0,
            max_ms: DAY_MS,
        },
        default: Some("30"),
        group: Group::Timeouts,
        help: "Time an application has to answer; then the client gets 504 and the worker is replaced; 0: no limit",
        ..PLAIN
    },
    Opt {
        name: "graceful-timeout",
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 0,
            max_ms: DAY_MS,
        },
        default: Some("30"),
        group: Group::Timeouts,
        help: "Time that running requests have to finish after TERM, or after HUP in the old workers",
        ..PLAIN
    },
    Opt {
        name: "keep-alive",
        aliases: &["keepalive"],
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 0,
            max_ms: DAY_MS,
        },
        default: Some("75"),
        group: Group::Timeouts,
        help: "Time a connection may be idle between requests; 0: close after each response",
        ..PLAIN
    },
    Opt {
        name: "header-timeout",
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 100,
            max_ms: DAY_MS,
        },
        default: Some("10"),
        group: Group::Timeouts,
        help: "Time a client has to send the request line and headers",
        ..PLAIN
    },
    Opt {
        name: "body-timeout",
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 100,
            max_ms: DAY_MS,
        },
        default: Some("30"),
        group: Group::Timeouts,
        help: "Time a client may pause while it sends a request body",
        ..PLAIN
    },
    Opt {
        name: "write-timeout",
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 100,
            max_ms: DAY_MS,
        },
        default: Some("60"),
        group: Group::Timeouts,
        help: "Time a client may pause while it receives a response",
        ..PLAIN
    },
    Opt {
        name: "limit-request-line",
        value: "BYTES",
        form: Form::Bytes {
            min: 64,
            max: 64 << 10,
        },
        default: Some("8190"),
        group: Group::Limits,
        help: "Longest request line; beyond: 414",
        ..PLAIN
    },
    Opt {
        name: "limit-request-fields",
        value: "COUNT",
        form: Form::Integer { min: 1, max: 256 },
        default: Some("100"),
        group: Group::Limits,
        help: "Most header fields; beyond: 431",
        ..PLAIN
    },
    Opt {
        name: "limit-request-head",
        value: "BYTES",
        form: Form::Bytes {
            min: 512,
            max: 32 << 10,
        },
        default: Some("16k"),
        group: Group::Limits,
        help: "Largest request line and headers together; beyond: 431",
        ..PLAIN
    },
    Opt {
        name: "limit-request-body",
        value: "BYTES",
        form: Form::Bytes {
            min: 0,
            max: 1 << 50,
        },
        default: Some("100m"),
        group: Group::Limits,
        help: "Largest request body; beyond: 413",
        ..PLAIN
    },
    Opt {
        name: "pending",
        value: "COUNT",
        form: Form::Integer { min: 1, max: 4096 },
        default: Some("1024"),
        group: Group::Limits,
        help: "Requests of one application that may wait or run; beyond: 503",
        ..PLAIN
    },
    Opt {
        name: "max-connections",
        value: "COUNT",
        form: Form::Integer {
            min: 1,
            max: 4 << 20,
        },
        default_words: Some("16384, or what the descriptor limit allows"),
        group: Group::Limits,
        help: "Client connections at the same time; further ones wait in the backlog",
        ..PLAIN
    },
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

/// The row of that name. Panics on a name that is not in the table: names are written in this crate only.
pub fn option(name: &str) -> &'static Opt {
    OPTIONS
        .iter()
        .find(|option| option.name == name)
        .expect("this crate names only options of its own table")
}
