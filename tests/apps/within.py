"""An application that uses the `ringgate` package: shows that it is about the server which runs it."""

import json
import sys

import ringgate


def application(environ, start_response):
    same = ringgate.RequestTimeout is sys.modules["_ringgate"].RequestTimeout
    body = json.dumps({"same": same, "version": ringgate.__version__}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
