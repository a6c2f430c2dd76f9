"""Stands for an app whose extension refuses sub-interpreters, as CPython words it."""

try:
    import _interpreters
except ImportError:
    pass
else:
    if int(_interpreters.get_current()[0]) != 0:
        raise ImportError("module stubborn._core does not support loading in subinterpreters")

from basic import application  # noqa: E402, F401
