"""How an answer is delimited, and what is no answer (W26 to W35)."""

import json
import threading

from basic import touch, wait_for

from .page import THREADS_MAX, bare, plain, raised, report, word


@bare
def w26_one_block(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"0123456789"]


@bare
def w26_written(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"written;")
    return [b"iterated"]


@bare
def w26_bytes_itself(environ, start_response):
    """A bytes object is an iterable of integers, not of blocks."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return b"wrong"


def w27_unknown_length(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"one"
    yield b"two"


@bare
def w28_too_many(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    yield b"123"
    yield b"45678"
    touch(word(environ, 2) + ".went-on")
    yield b"9"


@bare
def w28_write_too_many(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    write(b"12345")
    touch(word(environ, 2) + ".refused", str(raised(write, b"6")))
    return []


@bare
def w28_too_few(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"12345"]


@bare
def w28_none_at_all(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return []


def w29_line_endings(environ, start_response):
    return plain(start_response, b"a\nb\r\nc\rd\x00\xff")


@bare
def w30_text_block(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["text"]


@bare
def w30_none(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return None


@bare
def w30_number_block(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield 42


@bare
def w30_never_started(environ, start_response):
    return [b"no start_response"]


@bare
def w31_raises(environ, start_response):
    raise RuntimeError("w31 raised on purpose")


@bare
def w31_raises_in_iteration(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ:
        raise RuntimeError("w31 raised before a block")
    yield b"never"


@bare
def w31_raises_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"sent"
    raise RuntimeError("w31 raised late")


@bare
def w31_raises_later(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"sent"
    wait_for(word(environ, 2) + ".go")
    raise RuntimeError("w31 raised late")


@bare
def w31_strange_error(environ, start_response):
    class Strange(BaseException):
        def __str__(self):
            raise ValueError("not even a text")

    raise Strange


@bare
def w31_deep(environ, start_response):
    def deeper(n):
        return deeper(n + 1) + 1

    deeper(0)


def w32_continue(environ, start_response):
    return plain(start_response, environ["wsgi.input"].read(100))


def w33_conditional(environ, start_response):
    facts = [environ.get("HTTP_IF_NONE_MATCH"), environ.get("HTTP_RANGE")]
    body = json.dumps(facts).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("ETag", '"x"')])
    return [body]


@bare
def w34_head(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    touch(word(environ, 2) + ".method", environ["REQUEST_METHOD"])
    return [b"12345"]


@bare
def w34_head_no_length(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"123"
    yield b"45"


@bare
def w34_head_empty(environ, start_response):
    """As frameworks answer HEAD: the length of what GET would send, and no body."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12345")])
    return []


@bare
def w34_no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


@bare
def w34_no_content_with_body(environ, start_response):
    start_response("204 No Content", [("Content-Length", "5")])
    return [b"wrong"]


@bare
def w34_not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return []


@bare
def w34_informational(environ, start_response):
    start_response("103 Early", [])
    return []


THREADS = set()


def w35_threads(environ, start_response):
    THREADS.add(threading.get_ident())
    return report(start_response, len(THREADS) > THREADS_MAX and f"{len(THREADS)} threads")
