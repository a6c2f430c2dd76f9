//! Sockets, and what clients may ask of them.

use super::{DAY_MS, Form, Group, Opt, PLAIN};

pub const ROWS: &[Opt] = &[
    Opt {
        name: "bind",
        short: Some('b'),
        value: "ADDRESS",
        many: true,
        default: Some("127.0.0.1:8000"),
        group: Group::Listening,
        help: "Listen on HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER (repeatable)",
        more: "Port 0 takes a free port and reports it. HOST is an IP address or `localhost`; `:8000` and `0.0.0.0:8000` mean every \
               IPv4 address. fd://3 is an inherited descriptor that listens or may; with LISTEN_FDS, as systemd's socket activation sets it, \
               its descriptors are listened on and nothing else. With the variable PORT set, as many hosting platforms do, the default is 0.0.0.0:$PORT.",
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
        name: "forwarded-allow-ips",
        value: "ADDRESS[,ADDRESS]",
        many: true,
        default: Some("127.0.0.1,::1"),
        foreign_env: Some("FORWARDED_ALLOW_IPS"),
        group: Group::Listening,
        help: "Servers in front whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks (10.0.0.0/8), or *",
        more: "The application then sees the client's address and scheme. Clients on unix sockets are believed always.",
        ..PLAIN
    },
    Opt {
        name: "proxy-headers",
        form: Form::Flag,
        default: Some("true"),
        group: Group::Listening,
        help: "X-Forwarded-For and X-Forwarded-Proto are believed by nobody's word",
        more: "--proxy-headers, the default, believes those of --forwarded-allow-ips.",
        ..PLAIN
    },
    Opt {
        name: "secure-scheme-headers",
        value: "NAME=VALUE",
        many: true,
        env: false,
        default_words: Some(
            "X-Forwarded-Proto=https, X-Forwarded-Protocol=ssl, X-Forwarded-SSL=on",
        ),
        group: Group::Listening,
        help: "Headers by which a server in front says that the client came by https (repeatable)",
        ..PLAIN
    },
    Opt {
        name: "header-map",
        value: "HOW",
        form: Form::Choice(&["drop", "refuse", "dangerous"]),
        default: Some("drop"),
        group: Group::Listening,
        help: "Request headers with an underscore in their name: drop them, refuse the request (400), or let them through (dangerous)",
        more: "To a WSGI application X_User and X-User are the same variable, so that a client could set what only a server in front is to set.",
        ..PLAIN
    },
    Opt {
        name: "forwarder-headers",
        value: "NAME[,NAME]",
        many: true,
        default: Some("SCRIPT_NAME,PATH_INFO"),
        group: Group::Listening,
        help: "Headers with an underscore that reach applications from --forwarded-allow-ips; * is every one",
        more: "SCRIPT_NAME, a beginning of the path, is cut off it and becomes the SCRIPT_NAME of an application at the root.",
        ..PLAIN
    },
    Opt {
        name: "proxy-protocol",
        value: "VERSION",
        form: Form::Choice(&["off", "v1", "v2", "auto"]),
        synonyms: &[("true", "auto"), ("false", "off")],
        default: Some("off"),
        group: Group::Listening,
        help: "A TCP proxy in front may name the client in the PROXY protocol: v1, v2, auto (either) or off",
        more: "As haproxy's send-proxy and AWS's load balancers do. A connection without it is one like any other. The client it names counts as the one \
               that has connected, for --forwarded-allow-ips too.",
        ..PLAIN
    },
    Opt {
        name: "proxy-allow-from",
        value: "ADDRESS[,ADDRESS]",
        many: true,
        default: Some("127.0.0.1,::1"),
        group: Group::Listening,
        help: "Who may speak the PROXY protocol: addresses, networks (10.0.0.0/8), or *; others get 403 for it",
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
        app: true,
        ..PLAIN
    },
    Opt {
        name: "graceful-timeout",
        aliases: &["timeout-graceful-shutdown"],
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 0,
            max_ms: DAY_MS,
        },
        default: Some("30"),
        group: Group::Timeouts,
        help: "Time that running requests have to finish after TERM, or after HUP in the old workers",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "keep-alive",
        aliases: &["keepalive", "timeout-keep-alive"],
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
            max: 32 << 10,
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
        name: "limit-request-field",
        value: "BYTES",
        form: Form::Bytes {
            min: 64,
            max: 32 << 10,
        },
        default: Some("32k"),
        group: Group::Limits,
        help: "Longest header field with its line end; beyond: 431",
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
        more: "HUP lowers it, and raises it to what it was at the start.",
        ..PLAIN
    },
    Opt {
        name: "websockets",
        value: "COUNT",
        // With the most of --pending: what a ring thread can have.
        form: Form::Integer {
            min: 0,
            max: 28_672,
        },
        default: Some("1024"),
        group: Group::Limits,
        help: "WebSockets of one application that may be open; beyond: 503",
        more: "They have places of their own: however many are open, --pending requests find room beside them. HUP lowers it, and raises it to what it was at the start.",
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
        help: "Client connections at the same time; beyond: 503 and close",
        ..PLAIN
    },
];
