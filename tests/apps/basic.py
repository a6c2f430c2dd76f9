"""What most black-box tests talk to: plain answers, echoes, pages that wait for the test, pages that misbehave.

A page that waits polls for a file in TEST_DIR which the test makes, so that nothing depends on timing.
"""

import json
import os
import subprocess
import sys
import threading
import time

DIR = os.environ.get("TEST_DIR", "/nonexistent")
# No test waits longer; an app left behind ends by itself.
PATIENCE_S = 60.0


def application(environ, start_response):
    words = environ["PATH_INFO"].strip("/").split("/")
    page = PAGES.get(words[0])
    if page is None:
        return answer(start_response, "404 Not Found", b"no such page\n")
    return page(environ, start_response, *words[1:])


def create_app():
    return application


def create_named(name, *, suffix=""):
    def named(environ, start_response):
        return answer(start_response, "200 OK", (name + suffix).encode())

    return named


def answer(start_response, status, body, content_type="text/plain", headers=()):
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers])
    return [body]


def touch(name, text=""):
    """Atomically, so that who sees the file sees its text."""
    path = os.path.join(DIR, name)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def wait_for(name):
    path = os.path.join(DIR, name)
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.002)


def interpreter():
    try:
        import _interpreters
    except ImportError:
        return 0
    return int(_interpreters.get_current()[0])


def hello(environ, start_response):
    return answer(start_response, "200 OK", b"Hello, world!\n")


def echo(environ, start_response):
    """The body back, and how it was announced."""
    body = environ["wsgi.input"].read()
    headers = [("X-Content-Length", environ.get("CONTENT_LENGTH", "none")), ("X-Method", environ["REQUEST_METHOD"])]
    return answer(start_response, "200 OK", body, "application/octet-stream", headers)


def unread(environ, start_response):
    return answer(start_response, "200 OK", b"not read\n")


def show_environ(environ, start_response, *rest):
    shown = {key: value if isinstance(value, (str, int, bool, tuple)) else repr(value) for key, value in environ.items()}
    return answer(start_response, "200 OK", json.dumps(shown).encode(), "application/json")


def who(environ, start_response):
    facts = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "interpreter": interpreter(),
        "thread": threading.get_ident(),
        "inherits_daemon": threading.Thread().daemon,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "path": sys.path,
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "version": list(sys.version_info[:3]),
        "argv": sys.argv,
    }
    return answer(start_response, "200 OK", json.dumps(facts).encode(), "application/json")


def status(environ, start_response, code, *reason):
    start_response(" ".join([code, *reason]), [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"body\n"]


def bodiless(environ, start_response, code):
    start_response(f"{code} Status", [])
    return []


def block(environ, start_response, name):
    """Says that it began, then waits for leave to end."""
    touch(name + ".started", str(os.getpid()))
    wait_for(name + ".go")
    return answer(start_response, "200 OK", b"released\n")


def stream(environ, start_response, count, size):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for number in range(int(count)):
        yield bytes([ord("a") + number % 26]) * int(size)


def big(environ, start_response, size):
    """One block with a pattern that shows any shift."""
    size = int(size)
    pattern = bytes(range(251)) * (size // 251 + 1)
    return answer(start_response, "200 OK", pattern[:size], "application/octet-stream")


def step(environ, start_response, name, count):
    """Yields a block only when the test has allowed it."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(int(count)):
        wait_for(f"{name}.{number}")
        yield b"block %d\n" % number


class Endless:
    """A body without end, which leaves a mark when it is closed."""

    def __init__(self, name):
        self.name = name
        self.count = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.count += 1
        if self.count == 1:
            touch(self.name + ".started", str(os.getpid()))
        return b"x" * 65536

    def close(self):
        touch(self.name + ".closed", str(self.count))


def endless(environ, start_response, name):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Endless(name)


def file(environ, start_response, name):
    source = open(os.path.join(DIR, name), "rb")
    size = os.fstat(source.fileno()).st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    return environ["wsgi.file_wrapper"](source)


def fail(environ, start_response):
    raise RuntimeError("raised on purpose")


def fail_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"so far so good\n"
    raise RuntimeError("raised on purpose, late")


def exit_now(environ, start_response, code="1"):
    os._exit(int(code))


def system_exit(environ, start_response):
    raise SystemExit(7)


def crash(environ, start_response):
    import ctypes

    ctypes.string_at(0)


def spin(environ, start_response, name):
    touch(name + ".started", str(os.getpid()))
    while True:
        pass


def stuck(environ, start_response, name):
    touch(name + ".started", str(os.getpid()))
    time.sleep(3600)


def end_a_program(environ, start_response):
    program = subprocess.Popen(["sleep", "60"])
    program.terminate()
    return answer(start_response, "200 OK", str(program.wait(30)).encode())


def say(environ, start_response):
    text = environ["wsgi.input"].read().decode()
    print("stdout:", text, flush=True)
    print("stderr:", text, file=sys.stderr, flush=True)
    environ["wsgi.errors"].write(f"errors: {text}\n")
    environ["wsgi.errors"].flush()
    return answer(start_response, "200 OK", b"said\n")


PAGES = {
    "hello": hello,
    "alive": hello,
    "echo": echo,
    "unread": unread,
    "environ": show_environ,
    "who": who,
    "status": status,
    "bodiless": bodiless,
    "block": block,
    "stream": stream,
    "big": big,
    "step": step,
    "endless": endless,
    "file": file,
    "fail": fail,
    "fail-late": fail_late,
    "exit": exit_now,
    "system-exit": system_exit,
    "crash": crash,
    "spin": spin,
    "stuck": stuck,
    "end-a-program": end_a_program,
    "say": say,
}
