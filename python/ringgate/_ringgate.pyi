"""The native extension: the worker side of ringgate. Applications use `ringgate`, which offers what is theirs."""

from typing import Final, NoReturn

__version__: Final[str]

class RequestTimeout(BaseException):
    """Raised in a request that ran over its time.

    Like KeyboardInterrupt it is no Exception, so that `except Exception` does not keep it. Code that must clean up does so in
    `finally`, or catches it and raises it again.
    """

def main() -> NoReturn:
    """Serves as the parent process orders on descriptor 3. Never returns."""
