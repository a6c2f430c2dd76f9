"""wsgi.file_wrapper (W36 to W41)."""

import gzip
import io
import os

from basic import touch

from .page import bare, plain, report, source, word


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
