"""One application per duty of a WSGI server (PEP 3333, numbered W1 to W41), at /wNN/case.

Most report "ok" or what they found wrong, and run inside wsgiref.validate, which adds its own checks of the server.
Those in BARE break a rule on purpose, or return an object that the validator would hide from the server.
"""

from wsgiref.validate import validator

from . import answering, closing, environ, file_wrapper, framing, input
from .page import BARE

PAGES = {
    name: page
    for module in (answering, closing, environ, file_wrapper, framing, input)
    for name, page in vars(module).items()
    if name.startswith("w") and name[1:3].isdigit()
}


def application(environ, start_response):
    name = "_".join(environ["PATH_INFO"].strip("/").split("/")[:2])
    page = PAGES.get(name)
    if page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such duty\n"]
    if name in BARE:
        return page(environ, start_response)
    return validator(page)(environ, start_response)
