"""95 % of the requests hold a worker for 5 ms, 5 % for 200 ms: what a queue does to the fast ones."""

import time

BODY = b"ok\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    time.sleep(0.2 if environ["PATH_INFO"] == "/slow" else 0.005)
    start_response("200 OK", HEADERS)
    return [BODY]
