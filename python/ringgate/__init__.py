"""Ringgate from within: what an application may use of the server that runs it.

Applications need not import this: WSGI and ASGI are the interface. The names here exist outside of a worker as well, so that
an application imports the same under a test runner.
"""

import sys

# A worker has loaded the extension under this name; its exception must be the one that is caught.
if "_ringgate" in sys.modules:
    sys.modules[__name__ + "._ringgate"] = sys.modules["_ringgate"]
from ringgate._ringgate import RequestTimeout, __version__

__all__ = ["RequestTimeout", "__version__"]
