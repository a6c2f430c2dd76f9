//! Options of gunicorn that are not here, and what to do instead. For those who change one word of their command line.

/// What to tell those who type gunicorn's other options.
pub const ADVICE: &[(&str, &str)] = &[
    (
        "threads",
        "ringgate's workers have one thread each; raise --workers instead",
    ),
    (
        "worker-class",
        "leave it out; --kind says how workers live, and --workers how many there are",
    ),
    (
        "k",
        "leave it out; --kind says how workers live, and --workers how many there are",
    ),
    (
        "preload",
        "leave it out; process workers are always forked from one process that has imported the application",
    ),
    (
        "worker-connections",
        "use --max-connections (of the whole server) and --pending (of each application)",
    ),
    (
        "limit-request-field_size",
        "use --limit-request-head, which bounds the request line and all headers together",
    ),
    (
        "access-logformat",
        "use --access-log-format combined or json",
    ),
    (
        "daemon",
        "run ringgate under systemd, or with setsid and an --error-log",
    ),
    (
        "D",
        "run ringgate under systemd, or with setsid and an --error-log",
    ),
    (
        "worker-tmp-dir",
        "leave it out; ringgate has no heartbeat files",
    ),
    ("check-config", "use `ringgate check` with the same options"),
    (
        "reuse-port",
        "leave it out; each ring thread has a socket of its own",
    ),
    (
        "user",
        "start ringgate as that user, e.g. with systemd's User=",
    ),
    (
        "group",
        "start ringgate as that group, e.g. with systemd's Group=",
    ),
];
