"""wsgi.input and wsgi.errors (W10 to W13)."""

from .page import bare, raised, report


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
