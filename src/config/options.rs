//! Every option, defined once. Parser, help, environment, configuration file, bounds and the reference page come from this table.
//!
//! Owns names, defaults, units and texts; the rows stand by subject in the modules below. Invariants (tested): names and flags are
//! unique, every default lies within its own bounds. Knows nothing of how a value is used.

mod application;
mod asgi;
mod http;
mod logs;
mod operation;
mod workers;

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
    pub hidden: bool,
    /// Whether a configuration file may give it.
    pub file: bool,
    /// Whether each application may have a value of its own, in `[app.NAME]`.
    pub app: bool,
    /// Words that others use for a choice, and ours.
    pub synonyms: &'static [(&'static str, &'static str)],
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
    /// True or false. On the command line `--name` and `--no-name` say it without a value, unless the option shows one.
    Flag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Application,
    Workers,
    Asgi,
    Listening,
    Timeouts,
    Limits,
    Logs,
    Operation,
}

impl Group {
    pub const ALL: [Group; 8] = [
        Group::Application,
        Group::Workers,
        Group::Asgi,
        Group::Listening,
        Group::Timeouts,
        Group::Limits,
        Group::Logs,
        Group::Operation,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Group::Application => "Application",
            Group::Workers => "Workers",
            Group::Asgi => "ASGI",
            Group::Listening => "Listening",
            Group::Timeouts => "Timeouts",
            Group::Limits => "Limits",
            Group::Logs => "Logs",
            Group::Operation => "Operation",
        }
    }
}

/// What the processes were started with, or as.
const FIXED: &[&str] = &[
    "app",
    "config",
    "control-socket",
    "daemon",
    "extension",
    "group",
    "initgroups",
    "mount",
    "pid",
    "python",
    "ready-fd",
    "rings",
    "umask",
    "user",
];

impl Opt {
    /// Whether another value takes a restart; else it holds after HUP.
    pub fn takes_restart(&self) -> bool {
        FIXED.contains(&self.name)
    }

    /// A flag that takes no value on the command line.
    pub fn is_bare(&self) -> bool {
        self.form == Form::Flag && self.value.is_empty()
    }

    /// Our word for what others call so.
    pub fn synonym(&self, word: &str) -> Option<&'static str> {
        let of = |(theirs, ours): &(&str, &'static str)| (*theirs == word).then_some(*ours);
        self.synonyms.iter().find_map(of)
    }

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
    hidden: false,
    file: true,
    app: false,
    synonyms: &[],
    help: "",
    more: "",
};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The application to serve at the root; the only positional argument.
pub const APP: Opt = Opt {
    name: "app",
    value: "MODULE:CALLABLE",
    help: "The WSGI or ASGI application to serve at /, e.g. shop.wsgi:application",
    more: "The callable may be left out (`application` is meant), may be dotted (`site:app.wsgi`) and may be a factory \
           (`shop:create_app()`). The module is imported from --chdir, then from --pythonpath.",
    ..PLAIN
};

/// In the order in which the help shows them.
pub fn all() -> impl Iterator<Item = &'static Opt> {
    [
        application::ROWS,
        workers::ROWS,
        asgi::ROWS,
        http::ROWS,
        logs::ROWS,
        operation::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The row of that name. Panics on a name that is not in the table: names are written in this crate only.
pub fn option(name: &str) -> &'static Opt {
    all()
        .find(|option| option.name == name)
        .expect("this crate names only options of its own table")
}
