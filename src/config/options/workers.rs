//! How an application is run: its workers, and what ends them.

use super::{Form, Group, Opt, PLAIN};

pub const ROWS: &[Opt] = &[
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
        group: Group::Workers,
        help: "Workers of each application: requests that run at the same time",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "workers-max",
        value: "COUNT",
        form: Form::Integer {
            min: 1,
            max: crate::model::WORKERS_MAX as u64,
        },
        default_words: Some("as --workers"),
        group: Group::Workers,
        app: true,
        help: "Workers of each application in bursts; those above --workers end when it is quiet again",
        ..PLAIN
    },
    Opt {
        name: "threads",
        value: "COUNT",
        form: Form::Integer { min: 1, max: 128 },
        default: Some("1"),
        group: Group::Workers,
        app: true,
        help: "Threads that serve requests in each WSGI worker",
        more: "For applications that wait for databases and other servers. For an ASGI application it changes nothing, which is said at the start: each worker serves all its requests on one event loop, and plain functions run in the threads that the framework (Starlette and FastAPI: anyio, 40 of them) or asyncio keeps for them.",
        ..PLAIN
    },
    Opt {
        name: "worker-class",
        short: Some('k'),
        value: "CLASS",
        form: Form::Text,
        group: Group::Workers,
        file: false,
        help: "gunicorn's word for the interface: sync, gthread (wsgi), asgi, uvicorn.workers.UvicornWorker (asgi)",
        more: "--interface says the same, and wins.",
        ..PLAIN
    },
    Opt {
        name: "kind",
        value: "KIND",
        form: Form::Choice(&["auto", "interpreters", "processes"]),
        default: Some("auto"),
        group: Group::Workers,
        help: "How workers live: auto, interpreters or processes",
        more: "interpreters: sub-interpreters with their own GIL in one process (CPython 3.13 or newer). \
               processes: forked from one process that has imported the application. \
               auto: tries whether everything the application imports works in a sub-interpreter, else takes processes and says why.",
        app: true,
        ..PLAIN
    },
    Opt {
        name: "extensions",
        value: "HOW",
        form: Form::Choice(&["shared", "private"]),
        default: Some("shared"),
        group: Group::Workers,
        app: true,
        help: "How sub-interpreters load extension modules: shared or private",
        more: "shared: as CPython does, and what cannot be loaded takes worker processes. private (experimental): each interpreter loads a copy of its own.",
        ..PLAIN
    },
    Opt {
        name: "concurrency",
        aliases: &["limit-concurrency"],
        value: "COUNT",
        form: Form::Integer {
            min: 0,
            max: 1048576,
        },
        default: Some("0"),
        group: Group::Workers,
        app: true,
        help: "Requests of an application that run at once, over all its workers; further ones wait; 0: no bound but the workers",
        more: "--pending bounds how many wait.",
        ..PLAIN
    },
    Opt {
        name: "preload",
        form: Form::Flag,
        default: Some("true"),
        group: Group::Workers,
        app: true,
        help: "Worker processes are forked from one that has imported the application; --no-preload: each imports it by itself",
        more: "Of interest for the kind `processes` only.",
        ..PLAIN
    },
    Opt {
        name: "immortal",
        form: Form::Flag,
        default: Some("true"),
        group: Group::Workers,
        app: true,
        help: "What worker processes share of the application's import is never freed in them, so that it stays shared; --no-immortal: it is counted and freed as usual",
        more: "Of interest for the kind `processes` on CPython 3.12 and 3.13 only. docs/memory.md says what is left out and what remains private.",
        ..PLAIN
    },
    Opt {
        name: "warmup",
        value: "PATH[,PATH]",
        many: true,
        group: Group::Workers,
        app: true,
        help: "Request these paths of new workers before they take traffic (repeatable, or separated by commas)",
        more: "One that fails (an exception, or a status from 500) is said in the log at a start. At a reload or an upgrade it fails the new generation, and the old one keeps serving.",
        ..PLAIN
    },
    Opt {
        name: "warmup-before-fork",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Workers,
        app: true,
        help: "The warm-up requests are also made once before worker processes are forked, which then share what they load (kind `processes`, WSGI)",
        more: "A trial run comes first: if it leaves a descriptor, a thread or shared memory behind, the log says so and each worker warms up by itself alone. Django's connections are closed. See docs/memory.md.",
        ..PLAIN
    },
    Opt {
        name: "max-requests",
        aliases: &["limit-max-requests"],
        value: "COUNT",
        form: Form::Integer {
            min: 0,
            max: u32::MAX as u64,
        },
        default: Some("0"),
        group: Group::Workers,
        app: true,
        help: "Replace a worker after so many requests; 0: never",
        more: "No request is lost by it.",
        ..PLAIN
    },
    Opt {
        name: "max-requests-jitter",
        aliases: &["limit-max-requests-jitter"],
        value: "COUNT",
        form: Form::Integer {
            min: 0,
            max: u32::MAX as u64,
        },
        default: Some("0"),
        group: Group::Workers,
        app: true,
        help: "A random number up to this is added to --max-requests, so that workers are not replaced together",
        ..PLAIN
    },
    Opt {
        name: "max-rss",
        value: "BYTES",
        form: Form::Bytes {
            min: 0,
            max: 1 << 44,
        },
        default: Some("0"),
        group: Group::Workers,
        app: true,
        help: "Replace a worker whose resident memory is beyond this; 0: never",
        more: "Sub-interpreters share a process, which is measured and replaced as a whole.",
        ..PLAIN
    },
    Opt {
        name: "tolerate-hop-by-hop",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Workers,
        app: true,
        help: "Leave out what a WSGI application says of the connection (Connection: keep-alive, Transfer-Encoding) instead of answering 500",
        more: "PEP 3333 forbids such headers, and has servers raise an error where start_response() is called with one. gunicorn leaves them out; where a file of gunicorn's or uWSGI's is read, this is on.",
        ..PLAIN
    },
    Opt {
        name: "server-timing",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Workers,
        app: true,
        help: "Add a Server-Timing header with queue time and application time to responses",
        ..PLAIN
    },
    Opt {
        name: "reload",
        form: Form::Flag,
        default: Some("false"),
        group: Group::Workers,
        app: true,
        help: "Development: load the application anew when one of its files changes",
        more: "Code that does not import shows a page with its traceback until the next change.",
        ..PLAIN
    },
    Opt {
        name: "touch-reload",
        value: "FILE",
        many: true,
        group: Group::Workers,
        app: true,
        help: "Load the application anew, as HUP does, when this file changes (repeatable)",
        ..PLAIN
    },
    Opt {
        name: "reload-include",
        aliases: &["reload-extra-file"],
        value: "PATTERN",
        many: true,
        group: Group::Workers,
        app: true,
        help: "With --reload: watch these files or glob patterns too (repeatable). A pattern without a slash is one of names, in every directory",
        ..PLAIN
    },
];
