"""Tornado speaks neither WSGI nor ASGI; what WSGI applications use of it is its templates. It loses its C part in a sub-interpreter."""

from tornado.template import Template
from tornado.websocket import _websocket_mask

PAGE = Template("Hello, {{ name }}! {{ masked }}")


def wsgi(environ, start_response):
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    body = PAGE.generate(name="tornado", masked=_websocket_mask(b"\0\0\0\0", b"as it was").decode())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
