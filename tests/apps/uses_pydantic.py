"""A WSGI application that validates with pydantic, whose extension refuses sub-interpreters."""

import json
import os
from urllib.parse import parse_qs

from basic import interpreter
from pydantic import BaseModel, ValidationError


class Query(BaseModel):
    x: int


def application(environ, start_response):
    fields = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    try:
        wrong = Query(x="none").x
    except ValidationError as error:
        wrong = error.errors()[0]["type"]
    facts = {"x": Query(**fields).x, "wrong": wrong, "interpreter": interpreter(), "pid": os.getpid()}
    body = json.dumps(facts).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
