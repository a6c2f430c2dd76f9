"""An application for tests that count: it notes every request that it begins, by number, and answers what follows from the number alone.

What it noted stands in TEST_DIR in one file for each process, `begun-PID-PARENT`, a number a line. TEST_DIR/version is read at the import.
"""

import asyncio
import os
import time
import urllib.parse

DIR = os.environ["TEST_DIR"]
with open(os.path.join(DIR, "version")) as file:
    VERSION = file.read().strip()
NOTES = {}


def note(number):
    pid = os.getpid()
    if pid not in NOTES:
        name = os.path.join(DIR, f"begun-{pid}-{os.getppid()}")
        NOTES[pid] = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(NOTES[pid], b"%d\n" % number)


def asked(path, query):
    """How long the request waits, and the answer to one without a body."""
    if path == "/version":
        return 0, VERSION.encode()
    number = int(path[1:])
    note(number)
    query = dict(urllib.parse.parse_qsl(query))
    return int(query["wait_ms"]) / 1000, b"%d;" % number * int(query["repeat"])


def hold(path):
    """`/hold/NAME` runs until there is a file NAME.go; NAME.held has the version of the code that it runs in."""
    name = path.rpartition("/")[2]
    held = os.path.join(DIR, f"{name}.held")
    with open(held + ".new", "w") as file:
        file.write(VERSION)
    os.rename(held + ".new", held)
    return os.path.join(DIR, f"{name}.go"), name.encode()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/hold/"):
        go, body = hold(path)
        while not os.path.exists(go):
            time.sleep(0.01)
    else:
        wait, body = asked(path, environ["QUERY_STRING"])
        time.sleep(wait)
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    path = scope["path"]
    if path.startswith("/hold/"):
        go, body = hold(path)
        while not os.path.exists(go):
            await asyncio.sleep(0.01)
    else:
        wait, body = asked(path, scope["query_string"].decode())
        await asyncio.sleep(wait)
        if scope["method"] == "POST":
            body, more = b"", True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message.get("body", b"")
                more = message.get("more_body", False)
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})
