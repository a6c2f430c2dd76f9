"""Applications that cannot be served, each wrong in its own way."""

import os

not_callable = 42


def needs_more(environ):
    return [b"never"]


def bad_factory():
    raise ValueError("the factory refuses")


async def asgi(scope, receive, send):
    raise NotImplementedError


def dies_when_called(environ, start_response):
    os._exit(1)
