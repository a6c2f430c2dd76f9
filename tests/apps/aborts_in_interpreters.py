"""Stands for an app whose import crashes the process of a sub-interpreter."""

import os

try:
    import _interpreters
except ImportError:
    pass
else:
    if int(_interpreters.get_current()[0]) != 0:
        os.abort()

from basic import application  # noqa: E402, F401
