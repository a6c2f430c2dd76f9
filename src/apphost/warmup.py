"""The first requests of a new worker, made by ourselves before it takes traffic. Loaded behind prelude.py, only where there are any."""

import io
import sys
from urllib.parse import unquote_to_bytes


def split_path(path):
    """(decoded path, its raw bytes, query) of a path as it would stand in a request line."""
    raw, _, query = path.partition("?")
    return unquote_to_bytes(raw), raw.encode("latin-1", "replace"), query


def warmup_environ(path, script_name, software, multithread, multiprocess):
    decoded, raw, query = split_path(path)
    path_info = decoded.decode("latin-1")
    if script_name and (path_info == script_name or path_info.startswith(script_name + "/")):
        path_info = path_info[len(script_name):]
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": query,
        "RAW_URI": path,
        "REQUEST_URI": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": software,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "ringgate-warmup",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "ringgate.warmup": True,
    }


def warm_up(application, paths, setting):
    """Calls a WSGI application for each path. Returns what failed as (message, traceback): an exception, or a status from 500."""
    failures = []
    for path in paths:
        statuses = []
        environ = warmup_environ(path, *setting)

        def start_response(status, headers, exc_info=None):
            statuses.append(status)
            return lambda data: None

        try:
            body = application(environ, start_response)
            try:
                for _ in body:
                    pass
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            failures.append((f"the warm-up request {path} failed: {one_line(error)}", trace_of(error, 1)))
            continue
        if not statuses:
            failures.append((f"the warm-up request {path} failed: start_response was not called", ""))
        elif statuses[-1][:1] not in "1234":
            failures.append((f"the warm-up request {path} was answered {statuses[-1]}", ""))
    return failures


# CPython specializes what it has run a few times, and then lets it be.
ROUNDS_MAX = 64
ROUNDS_MIN = 4
ROUNDS_S = 1.0


def warm_up_to_share(application, paths, setting):
    """The same in a process that is going to fork, several times. Returns why the forks cannot share what is left of it, or None."""
    import gc
    import time

    before = belongings()
    begun = time.monotonic()
    for round in range(ROUNDS_MAX):
        if round >= ROUNDS_MIN and time.monotonic() - begun > ROUNDS_S:
            break
        failures = warm_up(application, paths, setting)
        if failures:
            return failures[0][0]
    close_connections()
    gc.collect()
    left = sorted(belongings() - before)
    return "they leave open: " + ", ".join(left) if left else None


def belongings():
    """What a fork would share with its parent or lack: descriptors, shared mappings, threads."""
    import os

    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"descriptor {number} ({os.readlink('/proc/self/fd/' + number)})")
        except OSError:
            # The one that listed them.
            pass
    found.update(f"thread {number}" for number in os.listdir("/proc/self/task"))
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split(None, 5)
            if fields[1].endswith("s"):
                found.add(f"shared memory {fields[-1].strip()}")
    return found


async def warm_up_asgi(application, paths, root_path, state):
    """The same for an ASGI application, on the worker's own loop and after its lifespan's start-up."""
    import asyncio

    failures = []
    for path in paths:
        decoded, raw, query = split_path(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": decoded.decode("utf-8", "replace"),
            "raw_path": raw,
            "query_string": query.encode("latin-1", "replace"),
            "root_path": root_path,
            "headers": [(b"host", b"localhost"), (b"user-agent", b"ringgate-warmup")],
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            "extensions": {},
        }
        if state is not None:
            scope["state"] = state.copy()
        asked, ended, statuses = [], asyncio.Event(), []

        async def receive():
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                ended.set()

        try:
            await application(scope, receive, send)
        except BaseException as error:
            failures.append((f"the warm-up request {path} failed: {one_line(error)}", trace_of(error, 1)))
            continue
        if not statuses:
            failures.append((f"the warm-up request {path} failed: no response was started", ""))
        elif statuses[-1] >= 500:
            failures.append((f"the warm-up request {path} was answered {statuses[-1]}", ""))
    return failures
