"""An application that imports what is not installed."""

import a_module_nobody_has  # noqa: F401


def application(environ, start_response):
    return []
