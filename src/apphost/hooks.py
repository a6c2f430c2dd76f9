"""gunicorn's hooks and logging settings, in an interpreter that runs the application: its configuration file is executed here a second time, for its
functions.

They get light stand-ins for gunicorn's server (its arbiter) and worker, which have what such functions look at. Cold paths only.
"""

import logging
import os
import sys



class Failure(Exception):
    """Why an app host or worker cannot start, in the fields that it reports."""

    def __init__(self, message):
        import traceback

        super().__init__(message)
        self.stage = "worker"
        self.message = message
        self.trace = traceback.format_exc()


class Settings:
    """`server.cfg`, `worker.cfg`: what the file says, else what ringgate runs with, else gunicorn's defaults."""

    DEFAULTS = {
        "address": [],
        "bind": [],
        "keepalive": 2,
        "worker_connections": 1000,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "info",
        "pidfile": None,
        "proc_name": "gunicorn",
        "daemon": False,
        "is_ssl": False,
        "raw_env": [],
        "reuse_port": False,
        "sendfile": None,
        "spew": False,
        "user": None,
        "group": None,
        "worker_tmp_dir": None,
        "paste": None,
        "statsd_host": None,
    }

    def __init__(self, running, names):
        self.settings = dict(self.DEFAULTS)
        self.settings.update({name: value for name, value in names.items() if not name.startswith("_")})
        self.settings.update(running)

    def __getattr__(self, name):
        if name == "settings":
            raise AttributeError(name)
        try:
            return self.settings[name]
        except KeyError:
            raise AttributeError(f"no setting for: {name}") from None

    def set(self, name, value):
        self.settings[name] = value

    @property
    def env(self):
        return dict(each.split("=", 1) for each in self.settings["raw_env"])


class Logger:
    """`server.log`, `worker.log`."""

    def __init__(self):
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        if not self.error_log.handlers and not logging.getLogger().handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
            self.error_log.addHandler(handler)
            self.error_log.propagate = False
        if self.error_log.level == logging.NOTSET:
            self.error_log.setLevel(logging.INFO)
        for level in ("debug", "info", "warning", "error", "critical", "exception", "log"):
            setattr(self, level, getattr(self.error_log, level))
        self.warn = self.error_log.warning


class App:
    """`worker.app`: the application behind gunicorn's names for it."""

    def __init__(self, cfg):
        self.cfg = cfg
        self.callable = None

    def wsgi(self):
        return self.callable

    load = wsgi


class Server:
    def __init__(self, cfg, log, name, workers):
        self.cfg = cfg
        self.log = log
        self.app = App(cfg)
        self.pid = os.getpid()
        self.master_pid = self.pid
        self.master_name = "Master"
        self.proc_name = name
        self.timeout = cfg.timeout
        self.num_workers = workers
        self.worker_age = 0
        self.reexec_pid = 0
        self.LISTENERS = []
        # By process id; workers of the kind `interpreters` share theirs.
        self.WORKERS = {}


class Worker:
    def __init__(self, server, index, age):
        self.cfg = server.cfg
        self.log = server.log
        self.app = server.app
        self.pid = "[booting]"
        self.ppid = server.pid
        self.age = age
        self.id = index
        self.nr = 0
        self.max_requests = server.cfg.max_requests or sys.maxsize
        self.timeout = server.cfg.timeout
        self.alive = True
        self.booted = False
        self.aborted = False
        self.sockets = []
        self.reloader = None
        self.wsgi = None

    def __str__(self):
        return f"<Worker {self.pid}>"

    def notify(self):
        """There is no heartbeat."""


class Request:
    """What `pre_request` and `post_request` see of a request. `body`: None where the application receives it in events."""

    def __init__(self, environ):
        self.method = environ["REQUEST_METHOD"]
        self.path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.query = environ.get("QUERY_STRING", "")
        self.uri = environ.get("RAW_URI") or self.path + ("?" + self.query if self.query else "")
        self.fragment = ""
        self.scheme = environ.get("wsgi.url_scheme", "http")
        self.version = tuple(int(part) for part in environ["SERVER_PROTOCOL"].partition("/")[2].split("."))
        self.remote_addr = (environ.get("REMOTE_ADDR", ""), environ.get("REMOTE_PORT", "0"))
        self.headers = [
            (name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")
        ]
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                self.headers.append((name.replace("_", "-"), environ[name]))
        self.body = environ.get("wsgi.input")


class Response:
    """What `post_request` sees of a response."""

    def __init__(self):
        self.status = ""
        self.status_code = 0
        self.headers = []

    def begin(self, status, headers):
        self.status = status
        self.status_code = int(status.split(" ", 1)[0])
        self.headers = headers

    def begin_asgi(self, message):
        """From a message that was sent, and so is right."""
        import http

        code = message["status"]
        phrase = http.HTTPStatus(code).phrase if code in http.HTTPStatus._value2member_map_ else ""
        headers = [tuple(bytes(part).decode("latin-1") for part in pair) for pair in message.get("headers") or ()]
        self.begin(f"{code} {phrase}", headers)


def environ_of(scope):
    """The variables of an ASGI request that hooks look at."""
    root = scope.get("root_path", "")
    path = scope["path"]
    query = scope["query_string"].decode("latin-1")
    raw = scope["raw_path"].decode("latin-1")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path[len(root):] if path.startswith(root) else path,
        "QUERY_STRING": query,
        "RAW_URI": raw + ("?" + query if query else ""),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "wsgi.url_scheme": scope["scheme"],
    }
    for end, prefix in (("client", "REMOTE_"), ("server", "SERVER_")):
        host, port = scope.get(end) or ("", None)
        environ[prefix + ("ADDR" if end == "client" else "NAME")] = host
        environ[prefix + "PORT"] = str(port or "")
    for name, value in scope["headers"]:
        name = name.decode("latin-1").upper().replace("-", "_")
        value = value.decode("latin-1")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = "HTTP_" + name
        if name in environ:
            value = environ[name] + ("; " if name == "HTTP_COOKIE" else ",") + value
        environ[name] = value
    return environ


class Finished:
    """A response body behind whose end something happens."""

    def __init__(self, body, finish):
        self._body = body
        self._finish = finish

    def __iter__(self):
        return iter(self._body)

    def close(self):
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._finish()


def execute(place):
    """The names of a configuration file, which is a path or `python:MODULE`."""
    import importlib
    import importlib.machinery
    import importlib.util

    if place.startswith("python:"):
        return vars(importlib.import_module(place[len("python:"):]))
    loader = importlib.machinery.SourceFileLoader("__config__", place)
    spec = importlib.util.spec_from_file_location("__config__", place, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["__config__"] = module
    spec.loader.exec_module(module)
    return vars(module)


# What gunicorn puts beneath a configuration of logging: handlers and formatters that one may name, and for its own settings where lines go.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stdout"},
        "error_console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"},
    },
    "formatters": {
        "generic": {
            "format": "%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
            "datefmt": "[%Y-%m-%d %H:%M:%S %z]",
            "class": "logging.Formatter",
        }
    },
}
LOGGERS = {
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": True, "qualname": "gunicorn.error"},
        "gunicorn.access": {"level": "INFO", "handlers": ["console"], "propagate": True, "qualname": "gunicorn.access"},
    },
}


def configure_logging(path):
    """`--log-config`: .json, .yaml, or an .ini file."""
    import logging.config

    if path.endswith(".json"):
        import json

        with open(path, encoding="utf-8") as file:
            logging.config.dictConfig({**LOGGING, **json.load(file)})
    elif path.endswith((".yaml", ".yml")):
        import yaml

        with open(path, encoding="utf-8") as file:
            logging.config.dictConfig({**LOGGING, **yaml.safe_load(file)})
    else:
        defaults = {"__file__": path, "here": os.path.dirname(path)}
        logging.config.fileConfig(path, defaults=defaults, disable_existing_loggers=False)


def load(place, log_config, running, name, first):
    """Executes the file and sets logging up. `running`: the settings in force, as JSON in gunicorn's words."""
    import json

    global names, server, worker
    worker = None
    try:
        names = execute(place) if place else {}
    except BaseException as error:
        raise Failure(f"{place} cannot be executed: {type(error).__name__}: {error}") from None
    try:
        if log_config:
            configure_logging(log_config)
        if names.get("logconfig_dict"):
            import logging.config

            given = names["logconfig_dict"]
            # With handlers of its own it need not know ours.
            loggers = {} if "handlers" in given else LOGGERS
            logging.config.dictConfig({**LOGGING, **loggers, **given})
    except Exception as error:
        raise Failure(f"logging cannot be set up: {type(error).__name__}: {error}") from None
    cfg = Settings(json.loads(running), names)
    server = Server(cfg, Logger(), name, cfg.workers)
    server.is_first = first
    within_reach()


def has(name):
    return callable(names.get(name))


def call(name, *arguments):
    """Calls the hook, if there is one. What goes wrong in it is its caller's."""
    hook = names.get(name)
    if callable(hook):
        return hook(*arguments)


def demand(name, *arguments):
    """Calls a hook without which there can be no start."""
    try:
        call(name, *arguments)
    except Exception as error:
        raise Failure(f"the hook {name} failed: {type(error).__name__}: {error}") from None


def attempt(name, *arguments):
    """Calls a hook on whose failure nothing depends: it is told, and life goes on."""
    try:
        call(name, *arguments)
    except Exception:
        server.log.exception("the hook %s failed", name)


def within_reach():
    """For visitors from other threads, who find their way by import."""
    import types

    import _ringgate

    _ringgate.hooks = types.SimpleNamespace(**globals())


# ---- in the host ----


def starting():
    demand("on_starting" if server.is_first else "on_reload", server)
    attempt("nworkers_changed", server, server.num_workers, None)


def ready():
    attempt("when_ready", server)


def forking(index):
    """Before a fork."""
    global worker
    server.worker_age += 1
    worker = Worker(server, index, server.worker_age)
    attempt("pre_fork", server, worker)


def born(pid):
    """The fork has a process id."""
    worker.pid = pid
    server.WORKERS[pid] = worker


def begun(index):
    """A worker of the kind `interpreters`, which has no process of its own. Its name among the workers is nothing that could be killed."""
    worker.pid = os.getpid()
    server.WORKERS[f"w{index}"] = worker


def gone(pid):
    farewell(server.WORKERS.pop(pid, None))


def left(index):
    farewell(server.WORKERS.pop(f"w{index}", None))


def farewell(left):
    if left is not None:
        left.alive = False
        attempt("child_exit", server, left)


def counted(workers):
    """So many are wanted from now on."""
    old, server.num_workers = server.num_workers, workers
    if old != workers:
        attempt("nworkers_changed", server, workers, old)


def executing():
    """Another executable is about to take over."""
    attempt("pre_exec", server)


def exiting():
    attempt("on_exit", server)


# ---- in a worker ----


def forked(index):
    """Before the application is there, if it is imported here."""
    global worker
    if worker is None:
        server.worker_age += 1
        worker = Worker(server, index, server.worker_age)
    worker.pid = os.getpid()
    server.WORKERS = {}
    demand("post_fork", server, worker)
    arm()


def initialised(application):
    """The application as the hooks left it: one may have put something around it, as APM agents do."""
    worker.wsgi = worker.app.callable = application
    worker.booted = True
    demand("post_worker_init", worker)
    return worker.app.callable


def leaving():
    worker.alive = False
    attempt("worker_exit", server, worker)


def aborted():
    """A request ran over its time, and the worker goes with it."""
    worker.alive = False
    worker.aborted = True
    attempt("worker_abort", worker)
    leaving()


def interrupted():
    """A quick stop."""
    worker.alive = False
    attempt("worker_int", worker)
    leaving()


def arm():
    """In the main thread of a process, gunicorn's SIGABRT and SIGQUIT call their hooks and end the worker."""
    import signal

    def ends(hook, code):
        told = False

        def end(*_):
            # It may be told more than once.
            nonlocal told
            if not told:
                told = True
                hook()
                os._exit(code)

        return end

    try:
        if has("worker_abort") or has("worker_exit"):
            signal.signal(signal.SIGABRT, ends(aborted, 1))
        if has("worker_int") or has("worker_exit"):
            signal.signal(signal.SIGQUIT, ends(interrupted, 0))
    except ValueError:
        # Not the main thread: a worker of the kind `interpreters`, which is visited.
        pass


def watches():
    """Whether a hook wants to see requests."""
    return has("pre_request") or has("post_request")


def watched(application, interface):
    """The application with `pre_request` and `post_request` around it. `interface`: `wsgi`, `asgi` or `asgi2`."""
    after = None
    if has("post_request"):
        import inspect

        # gunicorn takes shorter ones too.
        count = len(inspect.signature(names["post_request"]).parameters)

        def after(*arguments):
            attempt("post_request", *arguments[:count])

    if interface == "wsgi":
        return watched_wsgi(application, after)
    if interface == "asgi2":

        def single(scope, receive, send):
            return application(scope)(receive, send)

        return watched_asgi(single, after)
    return watched_asgi(application, after)


def watched_wsgi(application, after):
    def serve(environ, start_response):
        worker.nr += 1
        request = Request(environ)
        call("pre_request", worker, request)
        if after is None:
            return application(environ, start_response)
        response = Response()

        def start(status, headers, *exc_info):
            response.begin(status, headers)
            return start_response(status, headers, *exc_info)

        def finish():
            after(worker, request, environ, response)

        try:
            body = application(environ, start)
        except BaseException:
            finish()
            raise
        if type(body).__module__ == "_ringgate":
            # Sent by its descriptor, which something around it would hide.
            finish()
            return body
        return Finished(body, finish)

    return serve


def watched_asgi(application, after):
    """HTTP requests only: a WebSocket is no request to gunicorn's hooks."""

    async def serve(scope, receive, send):
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        worker.nr += 1
        environ = environ_of(scope)
        request = Request(environ)
        call("pre_request", worker, request)
        if after is None:
            await application(scope, receive, send)
            return
        response = Response()

        async def watch(message):
            begins = isinstance(message, dict) and message.get("type") == "http.response.start"
            if begins and not isinstance(message.get("headers"), (list, tuple, type(None))):
                # Whoever iterates first has it all.
                message = {**message, "headers": list(message["headers"])}
            await send(message)
            if begins:
                response.begin_asgi(message)

        try:
            await application(scope, receive, watch)
        finally:
            after(worker, request, environ, response)

    return serve
