"""A bare WSGI application: what the interface looks like without a framework."""

import os
import time


def application(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    if page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such page\n"]
    return page(environ, start_response)


def index(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    links = "".join(f'<li><a href="{environ["SCRIPT_NAME"]}{path}">{path}</a></li>' for path in PAGES if path != "/")
    return [f'<!doctype html><title>raw</title><h1>Bare WSGI</h1><ul>{links}</ul><a href="/">back</a>\n'.encode()]


def hello(environ, start_response):
    body = b"Hello, world!\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def stream(environ, start_response):
    """Each line leaves when it is yielded."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(1, 6):
        yield b"line %d of 5\n" % number
        time.sleep(0.2)


def file(environ, start_response):
    """This very file, handed to the server whole: it goes from the page cache to the socket."""
    source = open(__file__, "rb")
    size = os.fstat(source.fileno()).st_size
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(size))])
    return environ["wsgi.file_wrapper"](source)


def show_environ(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{name} = {value!r}\n".encode("utf-8", "backslashreplace") for name, value in sorted(environ.items())]


def error(environ, start_response):
    raise RuntimeError("raised on purpose by demo/raw.py")


PAGES = {"/": index, "/hello": hello, "/stream": stream, "/file": file, "/environ": show_environ, "/error": error}
