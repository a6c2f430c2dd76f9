//! Logs, and who else is told.

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
        aliases: &["access-logformat"],
        default: Some("combined"),
        group: Group::Logs,
        help: "combined (as Apache and nginx write it, with times added), json, or a text with gunicorn's atoms",
        more: "E.g. `%(h)s %(t)s \"%(r)s\" %(s)s %(b)s %(M)s`. The atoms: h address, l `-`, u user, t time, m method, U path, q query, H protocol, \
               r request line, s status, B and b bytes, f referer, a user agent, T seconds, M milliseconds, D microseconds, \
               L seconds with a fraction, p `<worker>`, {name}i request header, {name}o response header, {name}e what of \
               the environ follows from the request alone; what is not there is `-`.",
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
        synonyms: &[
            ("trace", "debug"),
            ("warn", "warning"),
            ("fatal", "critical"),
        ],
        default: Some("info"),
        group: Group::Logs,
        help: "Least severe lines of the error log: debug, info, warning, error or critical",
        ..PLAIN
    },
    Opt {
        name: "log-syslog",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Logs,
        help: "Send the error log and the access log to a syslog too",
        more: "The access log goes there even if it has no file. Lines are named gunicorn.PREFIX.error and gunicorn.PREFIX.access, as rules written for \
               gunicorn expect. A syslog that cannot be reached is mentioned once, and nothing waits for it.",
        ..PLAIN
    },
    Opt {
        name: "log-syslog-to",
        value: "ADDRESS",
        default: Some("udp://localhost:514"),
        group: Group::Logs,
        help: "Where the syslog is: udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH or unix:///PATH#dgram",
        ..PLAIN
    },
    Opt {
        name: "log-syslog-prefix",
        value: "PREFIX",
        default_words: Some("the first application"),
        group: Group::Logs,
        help: "What the lines for the syslog are named after",
        ..PLAIN
    },
    Opt {
        name: "log-syslog-facility",
        value: "NAME",
        default: Some("user"),
        group: Group::Logs,
        help: "Facility of the lines for the syslog: user, daemon, local0 ... local7",
        ..PLAIN
    },
    Opt {
        name: "disable-redirect-access-to-syslog",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Logs,
        help: "With --log-syslog: the error log alone",
        ..PLAIN
    },
    Opt {
        name: "statsd-host",
        value: "ADDRESS",
        group: Group::Logs,
        help: "Send numbers to a statsd: HOST:PORT (8125 unless given) or unix:///PATH",
        more: "Under gunicorn's names: gunicorn.requests, gunicorn.request.duration (ms), gunicorn.request.status.200, gunicorn.workers, \
               gunicorn.log.critical, error, warning and exception. Every answer of the edge counts, also one from a file. In datagrams of several lines; \
               what gets lost is lost.",
        ..PLAIN
    },
    Opt {
        name: "statsd-prefix",
        value: "PREFIX",
        group: Group::Logs,
        help: "With --statsd-host: put PREFIX. before every name",
        ..PLAIN
    },
    Opt {
        name: "dogstatsd-tags",
        value: "TAGS",
        group: Group::Logs,
        help: "With --statsd-host: add DogStatsD's tags, e.g. env:live,team:shop",
        ..PLAIN
    },
    Opt {
        name: "enable-backlog-metric",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Logs,
        help: "With --statsd-host: gunicorn.backlog, the requests that wait for a worker",
        more: "gunicorn counts the connections that nobody has accepted yet; here they are accepted at once, and it is requests that wait.",
        ..PLAIN
    },
];
