"""What the pages are made with."""

import os

BARE = set()


def bare(page):
    BARE.add(page.__name__)
    return page


def report(start_response, *problems, status="200 OK"):
    """A response that says "ok", or each problem that is not None or False."""
    wrong = [str(problem) for problem in problems if problem]
    body = ("\n".join(wrong) or "ok").encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def plain(start_response, body, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain")])
    return [body]


def word(environ, index):
    return environ["PATH_INFO"].strip("/").split("/")[index]


def raised(function, *arguments):
    """The exception's name, or None."""
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__
    return None


# Of a worker, by the setup.
THREADS_MAX = int(os.environ.get("THREADS", 1))


def source(environ, mode="rb"):
    return open(os.path.join(os.environ["TEST_DIR"], "source.bin"), mode)
