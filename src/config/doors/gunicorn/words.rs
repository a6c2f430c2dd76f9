//! gunicorn's settings (27.0), and what becomes of each; and the functions that its configuration file may have.

use super::super::{Fate, Word, word};
use super::make::{field_size, paste, proc_name, request_fields, request_line, wsgi_app};
use Fate::*;

const TLS: &str = "TLS is not there yet; let a server in front end it, or leave the setting out";
const HTTP2: &str = "HTTP/1.1 only, so far";
const DIRTY: &str = "there are no dirty workers";
const PARSER: &str = "HTTP is read strictly, as RFC 9112 says";
const CONTROL: &str = "the control socket is ringgate's own: --control-socket";

/// In the order of gunicorn's documentation.
pub const WORDS: &[Word] = &[
    word("config", Ours("config")),
    word(
        "wsgi_app",
        Made(wsgi_app, "the application, unless the command line names one"),
    ),
    word("bind", Ours("bind")),
    word("backlog", Ours("backlog")),
    word("workers", Ours("workers")),
    word("worker_class", Ours("worker-class")),
    word("threads", Ours("threads")),
    word(
        "worker_connections",
        Ignored("connections are the edge's; --max-connections bounds them, --pending the requests of each application"),
    )
    .value(&["worker-connections"])
    .harmless(&["1000"]),
    word("max_requests", Ours("max-requests")),
    word("max_requests_jitter", Ours("max-requests-jitter")),
    word("timeout", Ours("timeout")),
    word("graceful_timeout", Ours("graceful-timeout")),
    word("keepalive", Ours("keep-alive")),
    word(
        "limit_request_line",
        Made(request_line, "`--limit-request-line`; 0 means its largest value"),
    ),
    word(
        "limit_request_fields",
        Made(request_fields, "`--limit-request-fields`, 256 at most"),
    ),
    word(
        "limit_request_field_size",
        Made(
            field_size,
            "`--limit-request-field`, 32k at most; `--limit-request-head` bounds the request line and all fields together and is raised with it",
        ),
    )
    .value(&["limit-request-field_size"])
    .harmless(&["8190"]),
    word("reload", Ours("reload")),
    word("reload_engine", Ignored("changes are found without one"))
        .value(&["reload-engine"])
        .harmless(&["auto", "inotify", "poll"]),
    word("reload_extra_files", Ours("reload-include")),
    word("spew", Ignored("no tracing of every line")).flag(&["spew"]),
    word("check_config", Says("check-config", "true")),
    word("print_config", Says("print-config", "true")),
    word("preload_app", Ours("preload")),
    word(
        "sendfile",
        Ignored("files are sent without a copy where that is faster"),
    )
    .flag(&["no-sendfile"])
    .harmless(&["true"]),
    word("reuse_port", AsIs("each ring thread has a socket of its own")).flag(&["reuse-port"]),
    word("chdir", Ours("chdir")),
    word("daemon", Ours("daemon")),
    word("raw_env", Ours("env")),
    word("pidfile", Ours("pid")),
    word("worker_tmp_dir", AsIs("there are no heartbeat files")).value(&["worker-tmp-dir"]),
    word("user", Ours("user")),
    word("group", Ours("group")),
    word("umask", Ours("umask")),
    word("initgroups", Ours("initgroups")),
    word(
        "tmp_upload_dir",
        Ignored("request bodies that do not fit into memory go to unnamed files of the edge"),
    ),
    word("secure_scheme_headers", Ours("secure-scheme-headers")),
    word("forwarded_allow_ips", Ours("forwarded-allow-ips")),
    word("accesslog", Ours("access-log")),
    word("disable_redirect_access_to_syslog", Ours("disable-redirect-access-to-syslog")),
    word("access_log_format", Ours("access-log-format")),
    word("errorlog", Ours("error-log")),
    word("loglevel", Ours("log-level")),
    word(
        "capture_output",
        AsIs("what the application prints is in the error log always"),
    )
    .flag(&["capture-output"]),
    word(
        "logger_class",
        Ignored("ringgate writes its logs itself; --access-log-format says how"),
    )
    .value(&["logger-class"])
    .harmless(&["gunicorn.glogging.Logger"]),
    word("logconfig", Ours("log-config")),
    word(
        "logconfig_dict",
        AsIs("applied in the application's interpreters"),
    ),
    word("logconfig_json", Ours("log-config")).value(&["log-config-json"]),
    word("syslog_addr", Ours("log-syslog-to")),
    word("syslog", Ours("log-syslog")),
    word("syslog_prefix", Ours("log-syslog-prefix")),
    word("syslog_facility", Ours("log-syslog-facility")),
    word(
        "enable_stdio_inheritance",
        AsIs("what the application prints is in the error log always"),
    )
    .flag(&["enable-stdio-inheritance"])
    .short('R'),
    word("statsd_host", Ours("statsd-host")),
    word("dogstatsd_tags", Ours("dogstatsd-tags")),
    word("statsd_prefix", Ours("statsd-prefix")),
    word("enable_backlog_metric", Ours("enable-backlog-metric")),
    word(
        "proc_name",
        Made(
            proc_name,
            "without `--log-syslog-prefix` what lines for a syslog are named after; processes are named after the application's name, and that is said once",
        ),
    )
    .value(&["name"])
    .short('n'),
    word("default_proc_name", AsIs("processes are named after the application's name")),
    word("pythonpath", Ours("pythonpath")),
    word(
        "paste",
        Made(paste, "the application that PasteDeploy makes of the file"),
    )
    .value(&["paste", "paster"]),
    word(
        "raw_paste_global_conf",
        Refused("variables for a paste file are not there; write their values into the file"),
    )
    .value(&["paste-global"]),
    word("ssl_context", Refused(TLS)),
    word("proxy_protocol", Ours("proxy-protocol")),
    word("proxy_allow_ips", Ours("proxy-allow-from")),
    word(
        "protocol",
        Refused("HTTP only; have nginx say proxy_pass where it said uwsgi_pass"),
    )
    .value(&["protocol"])
    .harmless(&["http"]),
    word("uwsgi_allow_ips", AsIs("HTTP only")).value(&["uwsgi-allow-from"]),
    word("keyfile", Refused(TLS)).value(&["keyfile"]),
    word("certfile", Refused(TLS)).value(&["certfile"]),
    word("ssl_version", Ignored(TLS)).value(&["ssl-version"]),
    word("cert_reqs", Refused(TLS))
        .value(&["cert-reqs"])
        .harmless(&["0"]),
    word("ca_certs", Refused(TLS)).value(&["ca-certs"]),
    word("suppress_ragged_eofs", Ignored(TLS))
        .flag(&["suppress-ragged-eofs"])
        .harmless(&["true"]),
    word("do_handshake_on_connect", Ignored(TLS)).flag(&["do-handshake-on-connect"]),
    word("ciphers", Refused(TLS)).value(&["ciphers"]),
    word("http_protocols", Ignored(HTTP2))
        .value(&["http-protocols"])
        .harmless(&["h1"]),
    word("http2_cleartext", Ignored(HTTP2))
        .value(&["http2-cleartext"])
        .harmless(&["off"]),
    word("http2_max_concurrent_streams", Ignored(HTTP2)).value(&["http2-max-concurrent-streams"]),
    word("http2_initial_window_size", Ignored(HTTP2)).value(&["http2-initial-window-size"]),
    word("http2_max_frame_size", Ignored(HTTP2)).value(&["http2-max-frame-size"]),
    word("http2_max_header_list_size", Ignored(HTTP2)).value(&["http2-max-header-list-size"]),
    word("permit_obsolete_folding", Ignored(PARSER)).flag(&["permit-obsolete-folding"]),
    word("strip_header_spaces", Ignored(PARSER)).flag(&["strip-header-spaces"]),
    word(
        "permit_unconventional_http_method",
        Ignored("every method that is a token is let through"),
    )
    .flag(&["permit-unconventional-http-method"]),
    word("permit_unconventional_http_version", Ignored(PARSER))
        .flag(&["permit-unconventional-http-version"]),
    word("casefold_http_method", Ignored(PARSER)).flag(&["casefold-http-method"]),
    word("forwarder_headers", Ours("forwarder-headers")),
    word("header_map", Ours("header-map")),
    word("asgi_loop", Ours("loop")),
    word("asgi_lifespan", Ours("lifespan")),
    word(
        "asgi_disconnect_grace_period",
        Ignored("an application hears of a disconnect at once, and has --timeout to end"),
    )
    .value(&["asgi-disconnect-grace-period"])
    .harmless(&["3"]),
    word("websocket_max_message_size", Ours("ws-max-size")).value(&["websocket-max-message-size"]),
    word("http_parser", Ignored("there is one")).value(&["http-parser"]).harmless(&["auto"]),
    word("root_path", Ours("root-path")),
    word("dirty_apps", Refused("there are no dirty workers; what they did is for a task queue")).value(&["dirty-app"]),
    word("dirty_workers", Ignored(DIRTY)).value(&["dirty-workers"]),
    word("dirty_timeout", Ignored(DIRTY)).value(&["dirty-timeout"]),
    word("dirty_threads", Ignored(DIRTY)).value(&["dirty-threads"]),
    word("dirty_graceful_timeout", Ignored(DIRTY)).value(&["dirty-graceful-timeout"]),
    word("control_socket", Ignored(CONTROL)),
    word("control_socket_mode", Ignored("only the user who runs ringgate may ask"))
        .value(&["control-socket-mode"]),
    word("control_socket_disable", Ignored(CONTROL)).flag(&["no-control-socket"]),
];

/// A function of the file that is called at some moment.
pub struct Hook {
    pub name: &'static str,
    /// When, and with what; "" where it never is.
    pub when: &'static str,
    /// Why not, where it never is.
    pub why_not: &'static str,
}

const fn hook(name: &'static str, when: &'static str) -> Hook {
    Hook {
        name,
        when,
        why_not: "",
    }
}

const fn uncalled(name: &'static str, why_not: &'static str) -> Hook {
    Hook {
        name,
        when: "",
        why_not,
    }
}

pub const HOOKS: &[Hook] = &[
    hook(
        "on_starting",
        "(server): in the app host of the first generation, before the application is imported; again if that does not come up",
    ),
    hook(
        "on_reload",
        "(server): in the app host of each further generation, before the application is imported",
    ),
    hook(
        "nworkers_changed",
        "(server, new, old): in the app host at its start, old being None, and when more or fewer are wanted",
    ),
    hook(
        "when_ready",
        "(server): in the app host, when all its workers are up",
    ),
    hook(
        "pre_fork",
        "(server, worker): in the app host, before each worker is started",
    ),
    hook("post_fork", "(server, worker): in each new worker"),
    hook(
        "post_worker_init",
        "(worker): in each new worker, when it has the application and before it serves",
    ),
    hook("pre_request", "(worker, request): before each HTTP request"),
    hook(
        "post_request",
        "(worker, request, environ, response): after each HTTP request; for an ASGI application `environ` is made from its scope",
    ),
    hook(
        "worker_abort",
        "(worker): in a worker that is ended because a request ran over --timeout, if its Python code is running",
    ),
    hook("worker_int", "(worker): in each worker, at a quick stop"),
    hook(
        "worker_exit",
        "(server, worker): in a worker that ends, if its Python code is running",
    ),
    hook(
        "child_exit",
        "(server, worker): in the app host, when a worker is gone",
    ),
    hook(
        "on_exit",
        "(server): in the app host, when it ends; each generation has its own",
    ),
    hook(
        "pre_exec",
        "(server): in the app host, before USR2 or `ringgate upgrade` starts a new ringgate",
    ),
    uncalled("ssl_context", TLS),
    uncalled("on_dirty_starting", DIRTY),
    uncalled("dirty_post_fork", DIRTY),
    uncalled("dirty_worker_init", DIRTY),
    uncalled("dirty_worker_exit", DIRTY),
];
