//! What is of interest for ASGI applications only.

use super::{DAY_MS, Form, Group, Opt, PLAIN};

pub const ROWS: &[Opt] = &[
    Opt {
        name: "lifespan",
        aliases: &["asgi-lifespan"],
        value: "WHEN",
        form: Form::Choice(&["auto", "on", "off"]),
        default: Some("auto"),
        group: Group::Asgi,
        app: true,
        help: "Startup and shutdown events: auto, on or off",
        more: "auto: an application that does not know them goes on without; on: it does not start.",
        ..PLAIN
    },
    Opt {
        name: "loop",
        aliases: &["asgi-loop"],
        value: "LOOP",
        form: Form::Choice(&["auto", "asyncio", "uvloop"]),
        default: Some("auto"),
        synonyms: &[("none", "asyncio")],
        group: Group::Asgi,
        app: true,
        help: "Event loop: auto (uvloop where it loads), asyncio or uvloop (which does not load in sub-interpreters, so that its workers are processes)",
        ..PLAIN
    },
    Opt {
        name: "ws-max-size",
        value: "BYTES",
        form: Form::Bytes {
            min: 1,
            max: 1 << 30,
        },
        default: Some("16m"),
        group: Group::Asgi,
        app: true,
        help: "Longest WebSocket message; beyond: close with 1009",
        ..PLAIN
    },
    Opt {
        name: "ws-ping-interval",
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 0,
            max_ms: DAY_MS,
        },
        default: Some("20"),
        group: Group::Asgi,
        app: true,
        help: "Time between two WebSocket pings; 0: none",
        ..PLAIN
    },
    Opt {
        name: "ws-ping-timeout",
        value: "SECONDS",
        form: Form::Duration {
            min_ms: 0,
            max_ms: DAY_MS,
        },
        default: Some("20"),
        group: Group::Asgi,
        app: true,
        help: "Time a WebSocket ping may remain without an answer; then close with 1011; 0: for ever",
        ..PLAIN
    },
    Opt {
        name: "ws-per-message-deflate",
        value: "BOOLEAN",
        form: Form::Flag,
        default: Some("true"),
        group: Group::Asgi,
        app: true,
        help: "Compress WebSocket messages for clients that can (permessage-deflate)",
        ..PLAIN
    },
];
