"""start_response, headers and write (W14 to W23), and what goes ahead of them (W43)."""

import sys

from basic import wait_for

from .page import bare, raised, report, word


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


@bare
def w19_tolerated(environ, start_response):
    names = ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "TE"]
    wish = environ["QUERY_STRING"] or "x"
    start_response("200 OK", [("Content-Type", "text/plain"), *((name, wish) for name in names)])
    return [b"ok"]


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


BAD_HINTS = [[("Link", "a\r\nX: y")], [("L nk", "a")], [("Link",)], ["ab"], [("Link", 1)], [("Connection", "x")], [("Content-Length", "1")], [("Link", "\u20ac")], 5]


@bare
def w43_hints(environ, start_response):
    """What goes ahead of the response leaves at once; what comes too late goes nowhere."""
    hint = environ["wsgi.early_hints"]
    taken = [repr(headers) for headers in BAD_HINTS if raised(hint, headers) is None]
    hint([("Link", "</a.css>; rel=preload")])
    wait_for(word(environ, 2) + ".go")
    start_response("200 OK", [("Content-Type", "text/plain")])
    hint([(b"Link", b"</b.js>; rel=preload"), ("X-More", "\xe9")])
    yield b"sent;"
    hint([("Link", "</late.js>")])
    yield (" ".join(taken) or "ok").encode()
