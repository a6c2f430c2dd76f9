"""The environ (W1 to W9, W42)."""

import json
import os

from .page import THREADS_MAX, bare, plain, report

CGI = [
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH",
    "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT",
]  # fmt: skip


@bare
def w01_positional(*arguments, **keywords):
    environ, start_response = arguments
    return report(start_response, keywords and f"keywords: {keywords}")


SEEN = []


@bare
def w02_dict(environ, start_response):
    problems = [type(environ) is not dict and f"environ is a {type(environ)}", "leftover" in environ and "the environ is shared"]
    problems += [any(environ is each for each in SEEN) and "the environ is the same object again"]
    SEEN.append(environ)
    result = report(start_response, *problems)
    environ["leftover"] = True
    del environ["wsgi.input"], environ["PATH_INFO"]
    environ["REQUEST_METHOD"] = None
    return result


def w03_keys(environ, start_response):
    problems = [f"no {key}" for key in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING") if key not in environ]
    problems += [not environ.get(key) and f"{key} is empty" for key in ("SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")]
    problems += [not environ["SERVER_PORT"].isdigit() and "SERVER_PORT is no number"]
    problems += [environ["SCRIPT_NAME"].endswith("/") and "SCRIPT_NAME ends with a slash"]
    return report(start_response, *problems)


def w04_strings(environ, start_response):
    problems = []
    for key, value in environ.items():
        if key.isupper():
            problems.append(type(value) is not str and f"{key} is a {type(value)}")
            problems.append(any(ord(char) > 255 for char in value) and f"{key} is no latin-1: {value!r}")
    problems.append(environ["PATH_INFO"] != "/w04/strings/\xc3\xa4\xff b" and f"PATH_INFO {environ['PATH_INFO']!r}")
    problems.append(environ["QUERY_STRING"] != "q=%C3%A4" and f"QUERY_STRING {environ['QUERY_STRING']!r}")
    problems.append(environ["HTTP_X_RAW"] != "caf\xe9" and f"HTTP_X_RAW {environ['HTTP_X_RAW']!r}")
    return report(start_response, *problems)


def w05_absent(environ, start_response):
    problems = [value is None and f"{key} is None" for key, value in environ.items()]
    problems += [key in environ and f"{key} is there" for key in ("REMOTE_USER", "HTTP_COOKIE", "AUTH_TYPE", "HTTPS")]
    problems += [environ.get(key, "") != "" and f"{key} without a body" for key in ("CONTENT_TYPE", "CONTENT_LENGTH")]
    return report(start_response, *problems)


@bare
def w06_wsgi(environ, start_response):
    problems = [environ["wsgi.version"] != (1, 0) and "wsgi.version"]
    problems += [environ["wsgi.url_scheme"] != "http" and "wsgi.url_scheme"]
    problems += [key not in environ and f"no {key}" for key in ("wsgi.input", "wsgi.errors")]
    problems += [type(environ[f"wsgi.{key}"]) is not bool and f"wsgi.{key} is no bool" for key in ("multithread", "multiprocess", "run_once")]
    # Two workers, none of which sees another's objects; as many threads in each as the test asked for.
    problems += [environ["wsgi.multithread"] != (THREADS_MAX > 1) and "multithread", not environ["wsgi.multiprocess"] and "no multiprocess"]
    problems += [environ["wsgi.run_once"] and "run_once"]
    return report(start_response, *problems)


def w07_cgi(environ, start_response):
    problems = [environ.get("REMOTE_ADDR") != "127.0.0.1" and "REMOTE_ADDR", not environ.get("REMOTE_PORT", "").isdigit() and "REMOTE_PORT"]
    problems += [environ.get("GATEWAY_INTERFACE", "CGI/1.1") != "CGI/1.1" and "GATEWAY_INTERFACE"]
    problems += [key.startswith("SSL_") and f"{key} without TLS" for key in environ]
    return report(start_response, *problems)


def w08_deployer(environ, start_response):
    return report(start_response, os.environ.get("FROM_THE_DEPLOYER") != "a=b c" and f"{os.environ.get('FROM_THE_DEPLOYER')!r}")


@bare
def w09_names(environ, start_response):
    def known(key):
        return key == key.upper() or key.startswith("wsgi.") or (key == key.lower() and key.startswith("ringgate."))

    return report(start_response, *(not known(key) and key for key in environ))


def w42_headers(environ, start_response):
    shown = {key: value for key, value in environ.items() if key == key.upper() and isinstance(value, str)}
    return plain(start_response, json.dumps(shown).encode())
