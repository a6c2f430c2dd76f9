//! The keys of `uwsgi.ini` that are known, and what becomes of each.

use super::super::{Fate, Word, word};
use super::make::{
    bind, buffer_size, callable, cheaper, daemonize, megabytes, module, mount, socket, static_map,
    virtualenv, wsgi_file,
};
use Fate::*;

pub const UWSGI: &str =
    "ringgate speaks HTTP there: have nginx say proxy_pass where it said uwsgi_pass";
const TLS: &str = "TLS is not there yet; let a server in front end it";
const OTHER_LOOPS: &str =
    "greenlets are not here; leave it out, and for applications that wait a lot give threads";
const ALWAYS: &str = "it is always so";
const EDGE: &str =
    "the edge keeps the clients away from the workers, so there is nothing to be done";
const STATS: &str = "`ringgate status --json` has the numbers";

pub const WORDS: &[Word] = &[
    word("ini", Ours("config")).value(&["ini"]),
    word("module", Made(module, "the application")),
    word("wsgi", Made(module, "the application")),
    word(
        "wsgi-file",
        Made(
            wsgi_file,
            "the application: its directory goes to `--pythonpath`",
        ),
    ),
    word("file", Made(wsgi_file, "as wsgi-file")),
    word("callable", Made(callable, "the application's callable")),
    word("mount", Made(mount, "`--mount PREFIX=MODULE:CALLABLE`")),
    word("manage-script-name", AsIs(ALWAYS)),
    word("http", Made(bind, "`--bind`")),
    word("http-socket", Made(bind, "`--bind`")),
    word(
        "socket",
        Made(
            socket,
            "`--bind`, but for HTTP: have nginx say proxy_pass where it said uwsgi_pass",
        ),
    ),
    word("uwsgi-socket", Made(socket, "as socket")),
    word("https", Refused(TLS)),
    word("chmod-socket", Ignored("--umask decides who may connect")),
    word(
        "chown-socket",
        Ignored("--user and --group decide whose it is"),
    ),
    word("listen", Ours("backlog")),
    word("processes", Ours("workers")),
    word("workers", Ours("workers")),
    word(
        "cheaper",
        Made(cheaper, "`--workers`; processes become `--workers-max`"),
    ),
    word("cheaper-initial", AsIs("bursts are seen by queue time")),
    word("cheaper-step", AsIs("bursts are seen by queue time")),
    word("cheaper-algo", AsIs("bursts are seen by queue time")),
    word("threads", Ours("threads")),
    word("enable-threads", AsIs(ALWAYS)),
    word("master", AsIs(ALWAYS)),
    word("single-interpreter", Says("kind", "processes")),
    word("lazy-apps", Says("preload", "false")),
    word("lazy", Says("preload", "false")),
    word("need-app", AsIs(ALWAYS)),
    word("strict", AsIs(ALWAYS)),
    word("static-map", Made(static_map, "`--static URL=DIR`")),
    word("static-map2", Made(static_map, "`--static URL=DIR`")),
    word(
        "static-index",
        Ignored("index.html answers for a directory; index = [...] of a location says another"),
    ),
    word(
        "check-static",
        Refused(
            "a directory that is looked into before every request: write static-map = /URL=DIR, or a location with try_files",
        ),
    ),
    word("harakiri", Ours("timeout")),
    word("harakiri-verbose", AsIs(ALWAYS)),
    word("worker-reload-mercy", Ours("graceful-timeout")),
    word("reload-mercy", Ours("graceful-timeout")),
    word("http-timeout", AsIs(EDGE)),
    word("socket-timeout", AsIs(EDGE)),
    word("http-keepalive", AsIs(ALWAYS)),
    word("max-requests", Ours("max-requests")),
    word("max-requests-delta", Ours("max-requests-jitter")),
    word(
        "min-worker-lifetime",
        AsIs("replacing a worker loses nothing"),
    ),
    word(
        "max-worker-lifetime",
        Ignored("workers have no age; --max-requests and --max-rss replace them"),
    ),
    word("reload-on-rss", Made(megabytes, "`--max-rss`")),
    word("evil-reload-on-rss", Made(megabytes, "`--max-rss`")),
    word(
        "reload-on-as",
        Ignored("--max-rss looks at resident memory"),
    ),
    word(
        "buffer-size",
        Made(buffer_size, "`--limit-request-head`, from 16k to 32k"),
    ),
    word("post-buffering", AsIs(ALWAYS)),
    word("limit-post", Ours("limit-request-body")),
    word("touch-reload", Ours("touch-reload")),
    word("py-autoreload", Says("reload", "true")),
    word("python-autoreload", Says("reload", "true")),
    word("env", Ours("env")),
    word(
        "for-readline",
        Refused("loops are not read; write the lines out"),
    ),
    word("chdir", Ours("chdir")),
    word("chdir2", Ours("chdir")),
    word("pythonpath", Ours("pythonpath")),
    word("pp", Ours("pythonpath")),
    word("python-path", Ours("pythonpath")),
    word("virtualenv", Made(virtualenv, "`--python DIR/bin/python`")),
    word("venv", Made(virtualenv, "`--python DIR/bin/python`")),
    word("home", Made(virtualenv, "`--python DIR/bin/python`")),
    word("pyhome", Made(virtualenv, "`--python DIR/bin/python`")),
    word("uid", Ours("user")),
    word("gid", Ours("group")),
    word("umask", Ours("umask")),
    word("pidfile", Ours("pid")),
    word("safe-pidfile", Ours("pid")),
    word("daemonize", Made(daemonize, "`--daemon --error-log FILE`")),
    word("logto", Ours("error-log")),
    word(
        "logger",
        Ignored("name a file with logto, or let systemd collect stderr"),
    ),
    word("req-logger", Ignored("--access-log names a file")),
    word(
        "log-format",
        Ignored("--access-log-format takes gunicorn's atoms, combined and json"),
    ),
    word("log-date", AsIs(ALWAYS)),
    word("log-4xx", Ignored("--access-log has every request")),
    word("log-5xx", Ignored("--access-log has every request")),
    word("log-master", AsIs(ALWAYS)),
    word("log-reopen", AsIs("USR1 opens the logs again")),
    word(
        "logfile-chown",
        AsIs("logs are opened as the user who runs ringgate"),
    ),
    word(
        "log-maxsize",
        Ignored("logs are not cut; have logrotate send USR1"),
    ),
    word("disable-logging", Says("access-log", "off")),
    word("stats", Ignored(STATS)),
    word("stats-http", Ignored(STATS)),
    word("memory-report", Ignored(STATS)),
    word(
        "procname",
        AsIs("processes are named after the application"),
    ),
    word(
        "procname-prefix",
        AsIs("processes are named after the application"),
    ),
    word("auto-procname", AsIs(ALWAYS)),
    word("die-on-term", AsIs("TERM stops")),
    word(
        "exit-on-reload",
        AsIs("HUP loads the applications' code anew"),
    ),
    word("vacuum", AsIs(ALWAYS)),
    word("no-orphans", AsIs(ALWAYS)),
    word("close-on-exec", AsIs(ALWAYS)),
    word("thunder-lock", AsIs(EDGE)),
    word("ignore-sigpipe", AsIs(EDGE)),
    word("ignore-write-errors", AsIs(EDGE)),
    word("disable-write-exception", AsIs(EDGE)),
    word("offload-threads", AsIs("the edge sends files")),
    word("plugin", AsIs("Python needs none")),
    word("plugins", AsIs("Python needs none")),
    word("protocol", Refused(UWSGI)).harmless(&["http"]),
    word("gevent", Refused(OTHER_LOOPS)),
    word("asyncio", Refused(OTHER_LOOPS)),
    word("greenlet", Refused(OTHER_LOOPS)),
    word("async", Refused(OTHER_LOOPS)),
    word(
        "paste",
        Refused("name the application: module = paste.deploy:loadapp('config:/FILE')"),
    ),
    word(
        "attach-daemon",
        Refused("ringgate starts no other programs; systemd does"),
    ),
    word(
        "cron",
        Refused("ringgate starts no jobs; cron and systemd do"),
    ),
    word(
        "spooler",
        Refused("there is no spooler; a task queue does that"),
    ),
    word(
        "mule",
        Refused("there are no mules; a task queue does that"),
    ),
    word(
        "mules",
        Refused("there are no mules; a task queue does that"),
    ),
    word(
        "cache2",
        Refused("there is no cache between workers; use a cache server"),
    ),
    word(
        "emperor",
        Refused(
            "one ringgate serves many applications by [app.NAME], or run one of each under systemd",
        ),
    ),
    word(
        "route",
        Refused("routes are for the server in front, or [[server.location]]"),
    ),
];
