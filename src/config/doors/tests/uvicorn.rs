//! uvicorn's command lines.

use super::*;

#[test]
fn uvicorns_flags_mean_the_same() {
    let config = world().config(
        "shop:make --factory --host 0.0.0.0 --port 8080 --workers 2 --loop none --http httptools --ws websockets --lifespan on \
         --interface asgi3 --root-path /shop --limit-concurrency 50 --limit-max-requests 1000 --timeout-keep-alive 9 \
         --timeout-graceful-shutdown 8 --ws-max-size 1048576 --ws-ping-interval 5 --ws-ping-timeout 6 --ws-per-message-deflate false \
         --no-access-log --no-server-header --no-proxy-headers --log-level trace --app-dir src --reload-dir pkg --reload-include *.html",
    );
    let own = options(&config);
    assert_eq!(config.apps[0].target, "shop:make()");
    assert_eq!(
        config.binds,
        [Address::Tcp("0.0.0.0:8080".parse().expect("address"))]
    );
    assert_eq!(own.interface, InterfaceChoice::Asgi);
    assert_eq!(
        (own.lifespan, own.event_loop),
        (Lifespan::On, EventLoop::Asyncio)
    );
    assert_eq!((own.concurrency, own.max_requests), (50, 1000));
    let websocket = WebSocketOptions {
        max_message_bytes: 1 << 20,
        ping_interval_ms: 5_000,
        ping_timeout_ms: 6_000,
        deflate: false,
    };
    assert_eq!((own.websocket, own.graceful_ms), (websocket, 8_000));
    assert_eq!(config.timeouts.idle_ms, 9_000);
    assert_eq!(
        (&config.access_log, config.server_header.as_str()),
        (&None, "")
    );
    assert_eq!(config.forwarded.trusted, Trusted::Nobody);
    assert_eq!(config.pythonpath, [PathBuf::from("/srv/src")]);
    assert_eq!(own.reload_include, ["pkg/**", "*.html"]);
    assert_eq!(config.notes, [""; 0]);
}

#[test]
fn host_and_port_make_an_address() {
    let bind = |line: &str| world().config(line).binds[0].to_string();
    assert_eq!(bind("a --host ::1 --port 80"), "http://[::1]:80");
    assert_eq!(bind("a --port 80"), "http://127.0.0.1:80");
    assert_eq!(bind("a --host 0.0.0.0"), "http://0.0.0.0:8000");
    assert_eq!(bind("a --uds /run/a.sock"), "unix:/run/a.sock");
    assert_eq!(world().config("a --fd 5").inherited, [5]);
    assert!(
        world()
            .refused("a --fd 1")
            .contains("'fd://1' is no descriptor")
    );
    assert!(
        world()
            .refused("a -b :1 --port 80")
            .contains("write --bind HOST:PORT alone")
    );
}

#[test]
fn uvicorns_variables_are_read_last() {
    let world = World {
        variables: vec![
            ("UVICORN_PORT", "9000"),
            ("UVICORN_HOST", "0.0.0.0"),
            ("UVICORN_WORKERS", "3"),
            ("UVICORN_TIMEOUT_KEEP_ALIVE", "4"),
            ("UVICORN_USE_COLORS", "false"),
            ("WEB_CONCURRENCY", "5"),
        ],
        ..world()
    };
    let config = world.config("a");
    assert_eq!(
        config.binds,
        [Address::Tcp("0.0.0.0:9000".parse().expect("address"))]
    );
    assert_eq!(options(&config).workers, 5);
    assert_eq!(config.timeouts.idle_ms, 4_000);
    let config = world.config("a --port 80");
    assert_eq!(config.binds[0].to_string(), "http://127.0.0.1:80");
}

#[test]
fn flags_that_take_no_value_elsewhere_need_none_here() {
    assert_eq!(
        world().config("a --access-log").access_log,
        Some(LogTarget::Stdout)
    );
    assert_eq!(
        world().config("a --access-log - -w 2").access_log,
        Some(LogTarget::Stdout)
    );
    let config = world().config("a --access-log --workers 2 --server-header");
    assert_eq!(
        (
            config.apps[0].options.workers,
            config.server_header.as_str()
        ),
        (2, "ringgate")
    );
}

#[test]
fn a_file_of_variables_fills_the_environment() {
    let text = "# comment\nexport A=1\nB = 'x # y'\nC=\"l\\n\\\"q\\\"\" \nD=plain # comment\nHOME=/x\n\nE=\n";
    let world = World {
        files: vec![("/srv/.env", text), ("/srv/bad", "A=1\nB 2\n")],
        variables: vec![("HOME", "/root")],
        ..world()
    };
    let config = world.config("a --env-file .env -e A=2");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        config.env,
        [
            pair("A", "1"),
            pair("B", "x # y"),
            pair("C", "l\n\"q\""),
            pair("D", "plain"),
            pair("E", ""),
            pair("A", "2"),
        ]
    );
    assert_eq!(
        world.refused("a --env-file bad"),
        "bad:2: expected NAME=VALUE, not 'B 2'"
    );
    assert!(
        world
            .refused("a --env-file none")
            .contains("cannot be read")
    );
}
