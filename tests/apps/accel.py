"""Answers with whatever headers the request names in its query: `/?X-Accel-Redirect=/p/a&Content-Type=a/b`, and a body to be dropped."""

from urllib.parse import parse_qsl

BODY = b"the app's own body, which nobody is to see" * 100


def application(environ, start_response):
    fields = parse_qsl(environ["QUERY_STRING"], encoding="latin-1", keep_blank_values=True)
    body = environ["wsgi.input"].read() or BODY
    # A handover is a handover whatever the framing was.
    bodies = {"/bare": [], "/parts": [body, b"", body]}.get(environ["PATH_INFO"])
    if bodies is None:
        bodies, fields = [body], [*fields, ("Content-Length", str(len(body)))]
    start_response("203 The App Said So", fields)
    return bodies
