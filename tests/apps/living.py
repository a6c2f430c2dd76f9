"""An application for tests of life cycles: says who answers, grows, fails its warm-up, in ways that files in TEST_DIR decide at its import."""

import os

import basic

DIR = os.environ["TEST_DIR"]
HOARD = []


def mode():
    try:
        with open(os.path.join(DIR, "mode")) as file:
            return file.read().strip()
    except OSError:
        return ""


MODE = mode()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/mode":
        return basic.answer(start_response, "200 OK", MODE.encode())
    if path == "/grow":
        HOARD.append(b"x" * (1 << 20))
    if path == "/warm":
        basic.touch(f"warmed-{os.getpid()}-{len(os.listdir(DIR))}", environ["HTTP_USER_AGENT"])
        if MODE == "cold":
            raise RuntimeError("it stays cold")
        if MODE == "teapot":
            return basic.answer(start_response, "503 Service Unavailable", b"")
    return basic.application(environ, start_response)
