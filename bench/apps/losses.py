"""A short request, long enough that a kill finds every worker inside one."""

import time

BODY = b"ok\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    time.sleep(0.002)
    start_response("200 OK", HEADERS)
    return [BODY]
