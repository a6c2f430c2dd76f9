"""An application whose answer is the text of TEST_DIR/version at the time of its import: shows which generation answers."""

import os

with open(os.path.join(os.environ["TEST_DIR"], "version")) as file:
    VERSION = file.read().strip()
if VERSION == "bad":
    raise RuntimeError("this version is bad")


def application(environ, start_response):
    from basic import application as basic

    if environ["PATH_INFO"] != "/version":
        return basic(environ, start_response)
    body = VERSION.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
