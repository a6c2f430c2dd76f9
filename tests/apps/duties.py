"""One application per duty of a WSGI server (PEP 3333, numbered W1 to W41), at /wNN/case.

Most report "ok" or what they found wrong, and run inside wsgiref.validate, which adds its own checks of the server.
Those in BARE break a rule on purpose, or return an object that the validator would hide from the server.
"""

import gzip
import io
import json
import os
import sys
import threading
from wsgiref.validate import validator

from basic import touch, wait_for

BARE = set()


def bare(page):
    BARE.add(page.__name__)
    return page


def application(environ, start_response):
    name = "_".join(environ["PATH_INFO"].strip("/").split("/")[:2])
    page = globals().get(name)
    if not name.startswith("w") or page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such duty\n"]
    if name in BARE:
        return page(environ, start_response)
    return validator(page)(environ, start_response)


def report(start_response, *problems, status="200 OK"):
    """A response that says "ok", or each problem that is not None or False."""
    wrong = [str(problem) for problem in problems if problem]
    body = ("\n".join(wrong) or "ok").encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def plain(start_response, body, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain")])
    return [body]


def word(environ, index):
    return environ["PATH_INFO"].strip("/").split("/")[index]


def raised(function, *arguments):
    """The exception's name, or None."""
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__
    return None


CGI = [
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH",
    "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT",
]  # fmt: skip


@bare
def w01_positional(*arguments, **keywords):
    environ, start_response = arguments
    return report(start_response, keywords and f"keywords: {keywords}")


SEEN = []


@bare
def w02_dict(environ, start_response):
    problems = [type(environ) is not dict and f"environ is a {type(environ)}", "leftover" in environ and "the environ is shared"]
    problems += [any(environ is each for each in SEEN) and "the environ is the same object again"]
    SEEN.append(environ)
    result = report(start_response, *problems)
    environ["leftover"] = True
    del environ["wsgi.input"], environ["PATH_INFO"]
    environ["REQUEST_METHOD"] = None
    return result


def w03_keys(environ, start_response):
    problems = [f"no {key}" for key in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING") if key not in environ]
    problems += [not environ.get(key) and f"{key} is empty" for key in ("SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")]
    problems += [not environ["SERVER_PORT"].isdigit() and "SERVER_PORT is no number"]
    problems += [environ["SCRIPT_NAME"].endswith("/") and "SCRIPT_NAME ends with a slash"]
    return report(start_response, *problems)


def w04_strings(environ, start_response):
    problems = []
    for key, value in environ.items():
        if key.isupper():
            problems.append(type(value) is not str and f"{key} is a {type(value)}")
            problems.append(any(ord(char) > 255 for char in value) and f"{key} is no latin-1: {value!r}")
    problems.append(environ["PATH_INFO"] != "/w04/strings/\xc3\xa4\xff b" and f"PATH_INFO {environ['PATH_INFO']!r}")
    problems.append(environ["QUERY_STRING"] != "q=%C3%A4" and f"QUERY_STRING {environ['QUERY_STRING']!r}")
    problems.append(environ["HTTP_X_RAW"] != "caf\xe9" and f"HTTP_X_RAW {environ['HTTP_X_RAW']!r}")
    return report(start_response, *problems)


def w05_absent(environ, start_response):
    problems = [value is None and f"{key} is None" for key, value in environ.items()]
    problems += [key in environ and f"{key} is there" for key in ("REMOTE_USER", "HTTP_COOKIE", "AUTH_TYPE", "HTTPS")]
    problems += [environ.get(key, "") != "" and f"{key} without a body" for key in ("CONTENT_TYPE", "CONTENT_LENGTH")]
    return report(start_response, *problems)


@bare
def w06_wsgi(environ, start_response):
    problems = [environ["wsgi.version"] != (1, 0) and "wsgi.version"]
    problems += [environ["wsgi.url_scheme"] != "http" and "wsgi.url_scheme"]
    problems += [key not in environ and f"no {key}" for key in ("wsgi.input", "wsgi.errors")]
    problems += [type(environ[f"wsgi.{key}"]) is not bool and f"wsgi.{key} is no bool" for key in ("multithread", "multiprocess", "run_once")]
    # Two workers, none of which sees another's objects; as many threads in each as the test asked for.
    problems += [environ["wsgi.multithread"] != (THREADS_MAX > 1) and "multithread", not environ["wsgi.multiprocess"] and "no multiprocess"]
    problems += [environ["wsgi.run_once"] and "run_once"]
    return report(start_response, *problems)


def w07_cgi(environ, start_response):
    problems = [environ.get("REMOTE_ADDR") != "127.0.0.1" and "REMOTE_ADDR", not environ.get("REMOTE_PORT", "").isdigit() and "REMOTE_PORT"]
    problems += [environ.get("GATEWAY_INTERFACE", "CGI/1.1") != "CGI/1.1" and "GATEWAY_INTERFACE"]
    problems += [key.startswith("SSL_") and f"{key} without TLS" for key in environ]
    return report(start_response, *problems)


def w08_deployer(environ, start_response):
    return report(start_response, os.environ.get("FROM_THE_DEPLOYER") != "a=b c" and f"{os.environ.get('FROM_THE_DEPLOYER')!r}")


@bare
def w09_names(environ, start_response):
    def known(key):
        return key == key.upper() or key.startswith("wsgi.") or (key == key.lower() and key.startswith("ringgate."))

    return report(start_response, *(not known(key) and key for key in environ))


def w10_read_size(environ, start_response):
    take = environ["wsgi.input"].read
    got = [take(3), take(0), take(4), take(100), take(1)]
    return report(start_response, got != [b"one", b"", b"\ntwo", b"\nthree", b""] and got)


def w10_readline(environ, start_response):
    take = environ["wsgi.input"].readline
    got = [take(), take(2), take(10), take(), take()]
    return report(start_response, got != [b"one\n", b"tw", b"o\n", b"three", b""] and got)


@bare
def w10_read_all(environ, start_response):
    body = environ["wsgi.input"]
    got = [body.read(), body.read(), body.read(-1), body.readline(), list(body)]
    return report(start_response, got != [b"one\ntwo\nthree", b"", b"", b"", []] and got)


@bare
def w10_read_minus_one(environ, start_response):
    got = environ["wsgi.input"].read(-1)
    return report(start_response, got != b"one\ntwo\nthree" and got)


def w10_iterate(environ, start_response):
    got = list(environ["wsgi.input"])
    return report(start_response, got != [b"one\n", b"two\n", b"three"] and got)


@bare
def w10_readlines(environ, start_response):
    """The hint may be passed over; whatever is left must come by the next call."""
    body = environ["wsgi.input"]
    first = body.readlines(1)
    rest = body.readlines()
    return report(start_response, first + rest != [b"one\n", b"two\n", b"three"] and (first, rest), not first and "nothing at first")


@bare
def w10_mixed(environ, start_response):
    body = environ["wsgi.input"]
    got = [body.read(1), body.readline(), next(iter(body)), body.read()]
    return report(start_response, got != [b"o", b"ne\n", b"two\n", b"three"] and got)


def w11_end(environ, start_response):
    body = environ["wsgi.input"]
    got = [body.read(int(environ["CONTENT_LENGTH"]) + 10), body.read(1), body.readline()]
    return report(start_response, got != [b"12345", b"", b""] and got)


@bare
def w11_empty(environ, start_response):
    body = environ["wsgi.input"]
    got = [body.read(), body.read(10), body.readline(), body.readlines(), list(body)]
    return report(start_response, got != [b"", b"", b"", [], []] and got)


@bare
def w12_errors(environ, start_response):
    errors = environ["wsgi.errors"]
    errors.write("w12 written\n")
    errors.writelines(["w12 first line\n", "w12 second line\n"])
    errors.write("w12 any text: gr\xfc\xdfe \u7dd1 \U0001f6aa \udc80 end\n")
    errors.flush()
    print("w12 printed", file=errors)
    return report(start_response, raised(errors.write, b"bytes") is None and "write() takes bytes")


def w13_chunked(environ, start_response):
    body = environ["wsgi.input"].read(100)
    problems = [body != b"hello, world" and body, environ.get("CONTENT_LENGTH", "12") != "12" and "CONTENT_LENGTH"]
    problems += [environ.get("wsgi.input_terminated") is not True and "no wsgi.input_terminated"]
    return report(start_response, *problems)


@bare
def w14_start_response(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")], None)
    problems = [not callable(write) and "no write()", raised(write, "text") is None and "write() takes str"]
    write(("\n".join(filter(None, problems)) or "ok").encode())
    return []


@bare
def w15_late_headers(environ, start_response):
    """Headers may still be replaced after any number of empty blocks."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    yield b""
    yield b""
    try:
        raise ValueError("too late for 200")
    except ValueError:
        start_response("418 Teapot", [("Content-Type", "text/plain"), ("X-Second", "yes")], sys.exc_info())
    yield b"replaced"


def w15_exhausted(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Empty", "yes")])
    return iter([b"", b""])


@bare
def w16_twice(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    error = raised(start_response, "201 Created", [("Content-Type", "text/plain")])
    return [b"ok" if error else b"the second call was taken"]


@bare
def w16_fatal(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    start_response("201 Created", [("Content-Type", "text/plain")])
    return [b"never"]


@bare
def w17_replace(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    try:
        raise ValueError("replace me")
    except ValueError:
        start_response("500 Replaced", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"ok"]


@bare
def w17_raise(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"sent;"
    try:
        raise LookupError("w17 was raised")
    except LookupError as original:
        try:
            start_response("500 Too Late", [("Content-Type", "text/plain")], sys.exc_info())
        except LookupError as error:
            yield b"ok" if error is original and error.__traceback__ is not None else b"another error"
        else:
            yield b"no error"


BAD_STATUS = ["OK", "20 OK", "2000 X", "9999", "abc OK", "200\r\nX: y", "200 O\nK", "200 O\x00K", "200 \u20ac", "-20 OK", " 200 OK", "099 Low", b"200 OK", 200, None]
BAD_HEADERS = [
    (("A", "b"),), [["A", "b"]], [("A",)], [("A", "b", "c")], [("A", 1)], [(b"A", b"b")], [("", "b")], [("A b", "c")], [("A:", "c")],
    [("A\r\n", "c")], [("A", "b\r\nX: y")], [("A", "b\n")], [("A", "b\x00")], [("A", "b\x01")], [("\xc4", "b")], [("A", "\u20ac")], None, {"A": "b"},
    [("A", None)],
]  # fmt: skip


@bare
def w18_status(environ, start_response):
    wrong = [repr(status) for status in BAD_STATUS if raised(start_response, status, [("Content-Type", "text/plain")]) is None]
    return finish_after_refusals(start_response, wrong)


@bare
def w18_headers(environ, start_response):
    wrong = [repr(headers) for headers in BAD_HEADERS if raised(start_response, "200 OK", headers) is None]
    return finish_after_refusals(start_response, wrong)


@bare
def w18_lengths(environ, start_response):
    bad = ["-1", "1e3", "", "0x10", "1, 1", "+5", "99999999999999999999999"]
    wrong = [value for value in bad if raised(start_response, "200 OK", [("Content-Length", value)]) is None]
    twice = [("Content-Length", "5"), ("content-length", "6")]
    wrong += ["two lengths"] if raised(start_response, "200 OK", twice) is None else []
    return finish_after_refusals(start_response, wrong)


def finish_after_refusals(start_response, wrong):
    """After a refused call, exc_info is what makes a further one legal."""
    try:
        raise ValueError("the refused calls")
    except ValueError:
        start_response("200 OK", [("Content-Type", "text/plain")], sys.exc_info())
    return [("taken: " + " ".join(wrong) if wrong else "ok").encode()]


@bare
def w19_hop_by_hop(environ, start_response):
    names = ["Connection", "keep-alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers", "Transfer-Encoding", "UPGRADE"]
    wrong = [name for name in names if raised(start_response, "200 OK", [(name, "x")]) is None]
    return finish_after_refusals(start_response, wrong)


def w20_added(environ, start_response):
    return report(start_response)


def w20_own(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("dATE", "Sun, 06 Nov 1994 08:49:37 GMT"), ("sERVER", "mine")])
    return [b"ok"]


def w21_generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"ok"


@bare
def w22_unbuffered(environ, start_response):
    name = word(environ, 2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        yield b"block %d;" % number
        yield b""
        wait_for(f"{name}.{number}")


@bare
def w23_write(environ, start_response):
    name = word(environ, 2)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written;")
    wait_for(f"{name}.go")
    write(b"")
    write(b"again;")
    return [b"iterated"]


class Closing:
    """An iterable that leaves a mark when it is closed, and counts the closes."""

    def __init__(self, name, blocks, error=None):
        self.name, self.blocks, self.error, self.closes, self.started = name, list(blocks), error, 0, False

    def __iter__(self):
        self.started = True
        return self

    def __next__(self):
        if self.blocks:
            return self.blocks.pop(0)
        if self.error:
            raise self.error
        raise StopIteration

    def close(self):
        self.closes += 1
        touch(self.name + ".closed", f"{self.closes} {self.started}")


@bare
def w24_end(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing(word(environ, 2), [b"one", b"two"])


@bare
def w24_error(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing(word(environ, 2), [b"one"], RuntimeError("w24 raised on purpose"))


@bare
def w24_early(environ, start_response):
    """start_response was never called, and nothing is yielded."""
    return Closing(word(environ, 2), [])


@bare
def w24_bad_block(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing(word(environ, 2), [b"one", "text"])


@bare
def w24_too_long(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return Closing(word(environ, 2), [b"one", b"two", b"three"])


class Endless:
    def __init__(self, name):
        self.name = name

    def __iter__(self):
        return self

    def __next__(self):
        return b"x" * 10000

    def close(self):
        touch(self.name + ".closed", "1 True")


@bare
def w24_client_leaves(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Endless(word(environ, 2))


@bare
def w24_close_raises(environ, start_response):
    class Raises(Closing):
        def close(self):
            super().close()
            raise RuntimeError("w24 close raised on purpose")

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return Raises(word(environ, 2), [b"one"])


class Shy:
    """An iterable that notes every attribute it is asked for."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.asked = []

    def __getattr__(self, name):
        if name == "close" or name.startswith("__"):
            raise AttributeError(name)
        touch("w25.asked", name)
        raise AttributeError(name)

    def __iter__(self):
        return iter(self.blocks)


@bare
def w25_attributes(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Shy([b"o", b"k"])


@bare
def w25_old_iteration(environ, start_response):
    """Iterable by __getitem__ alone, as every Python object may be."""

    class Sequence:
        def __getitem__(self, index):
            return [b"o", b"k"][index]

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Sequence()


@bare
def w25_tuple(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"o", b"k")


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


THREADS_MAX = int(os.environ.get("THREADS", 1))
THREADS = set()


def w35_threads(environ, start_response):
    THREADS.add(threading.get_ident())
    return report(start_response, len(THREADS) > THREADS_MAX and f"{len(THREADS)} threads")


def source(environ, mode="rb"):
    return open(os.path.join(os.environ["TEST_DIR"], "source.bin"), mode)


@bare
def w36_wrapper(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](source(environ), 4096)


@bare
def w36_not_returned(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"](source(environ))
    wrapper.close()
    return plain(start_response, b"ok")


@bare
def w36_middleware(environ, start_response):
    """Middleware that makes its own iterable of the wrapper's blocks."""

    def louder(blocks):
        try:
            for each in blocks:
                yield each.replace(b"a", b"A")
        finally:
            blocks.close()

    start_response("200 OK", [("Content-Type", "text/plain")])
    return louder(environ["wsgi.file_wrapper"](source(environ)))


@bare
def w36_after_write(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"before;")
    return environ["wsgi.file_wrapper"](source(environ))


class Watched(io.RawIOBase):
    """A file that leaves a mark when it is closed."""

    def __init__(self, file, name):
        self.file, self.name = file, name

    def read(self, size=-1):
        return self.file.read(size)

    def fileno(self):
        return self.file.fileno()

    def tell(self):
        return self.file.tell()

    def close(self):
        if not self.closed:
            touch(self.name + ".closed")
            self.file.close()
        super().close()


@bare
def w37_closes(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](Watched(source(environ), word(environ, 2)))


@bare
def w37_has_close(environ, start_response):
    class Closeless:
        def read(self, size):
            return b""

    wrap = environ["wsgi.file_wrapper"]
    problems = [hasattr(wrap(Closeless()), "close") and "close() though the file has none"]
    problems += [not hasattr(wrap(io.BytesIO()), "close") and "no close() though the file has one"]
    return report(start_response, *problems)


@bare
def w38_position(environ, start_response):
    file = source(environ)
    file.seek(10)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](file)


@bare
def w38_position_after_wrapping(environ, start_response):
    file = source(environ)
    wrapper = environ["wsgi.file_wrapper"](file)
    file.read(7)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return wrapper


@bare
def w38_length(environ, start_response):
    file = source(environ)
    file.seek(5)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "20")])
    return environ["wsgi.file_wrapper"](file)


@bare
def w38_short(environ, start_response):
    """Content-Length promises more than the file has."""
    file = source(environ)
    file.seek(-4, os.SEEK_END)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    return environ["wsgi.file_wrapper"](file)


@bare
def w39_bytes_io(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789" * 3000), 1000)


@bare
def w39_gzip(environ, start_response):
    """Its fileno() is that of the compressed file: a trap."""
    path = os.path.join(os.environ["TEST_DIR"], "source.gz")
    with gzip.open(path + ".new", "wb") as file:
        file.write(b"plain text " * 1000)
    os.replace(path + ".new", path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](gzip.open(path, "rb"))


@bare
def w39_pipe(environ, start_response):
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))


@bare
def w39_read_only(environ, start_response):
    """Nothing but read(size)."""

    class Minimal:
        def __init__(self):
            self.blocks = [b"one", b"two", b""]

        def read(self, size):
            return self.blocks.pop(0)

    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](Minimal())


@bare
def w40_iterable(environ, start_response):
    wrap = environ["wsgi.file_wrapper"]
    by_iter = b"".join(iter(wrap(io.BytesIO(b"x" * 20000))))
    blocks = list(wrap(io.BytesIO(b"x" * 20000), 4096))
    problems = [by_iter != b"x" * 20000 and "iter", max(map(len, blocks)) > 4096 and "the block size"]
    wrapper = wrap(io.BytesIO(b"abc"), 2)
    got = []
    try:
        for index in range(10):
            got.append(wrapper[index])
    except IndexError:
        pass
    problems += [got != [b"ab", b"c"] and f"__getitem__ {got}"]
    return report(start_response, *problems)


@bare
def w41_length(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](source(environ))


def w42_headers(environ, start_response):
    shown = {key: value for key, value in environ.items() if key == key.upper() and isinstance(value, str)}
    return plain(start_response, json.dumps(shown).encode())
