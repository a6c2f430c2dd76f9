"""What becomes of the iterable at its end (W24, W25)."""

from basic import touch

from .page import bare, word


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
