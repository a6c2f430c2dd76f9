"""What a long mixed load asks for: every way in which a request or a WebSocket can begin, go on and end. `app` speaks WSGI, `events` ASGI."""

import asyncio
import os
import time
from urllib.parse import parse_qs

PIECE = b"x" * 8192
TYPE = ("Content-Type", "text/plain")
# Longer than the time limit of the routes that lead to it.
HANG_S = 3.0


def app(environ, start_response):
    name = environ["PATH_INFO"].rsplit("/", 1)[-1]
    count = int(parse_qs(environ["QUERY_STRING"]).get("n", ["0"])[0])
    if name == "echo":
        read = sum(map(len, iter(lambda: environ["wsgi.input"].read(65536), b"")))
        return plain(start_response, str(read).encode())
    if name == "half":
        environ["wsgi.input"].read(1000)
        return plain(start_response, b"ok\n")
    if name == "big":
        start_response("200 OK", [TYPE])
        return (PIECE for _ in range(count))
    if name == "write":
        write = start_response("200 OK", [TYPE])
        write(b"written, ")
        return [b"returned\n"]
    if name == "file":
        start_response("200 OK", [TYPE])
        return environ["wsgi.file_wrapper"](open(os.environ["SOAK_FILE"], "rb"))
    if name == "raise":
        raise RuntimeError("asked for")
    if name == "break":
        start_response("200 OK", [TYPE])
        return breaking()
    if name == "hang":
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            time.sleep(0.01)
    time.sleep(count / 1000)
    return plain(start_response, b"ok\n")


def plain(start_response, body):
    start_response("200 OK", [TYPE, ("Content-Length", str(len(body)))])
    return [body]


def breaking():
    yield PIECE
    raise RuntimeError("asked for, midway")


async def events(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    name = scope["path"].rsplit("/", 1)[-1]
    count = int(parse_qs(scope["query_string"]).get(b"n", [b"0"])[0])
    if scope["type"] == "websocket":
        await socket(name, receive, send)
    else:
        await request(name, count, receive, send)


async def request(name, count, receive, send):
    async def start(*headers):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"), *headers]})

    async def piece(body, more=True):
        await send({"type": "http.response.body", "body": body, "more_body": more})

    if name == "raise":
        raise RuntimeError("asked for")
    if name == "nothing":
        return
    if name == "gone":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if name == "hang":
        await asyncio.sleep(HANG_S)
    if name == "echo":
        read = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            read += len(message["body"])
            if not message["more_body"]:
                break
        body = str(read).encode()
        await start((b"content-length", str(len(body)).encode()))
        return await piece(body, False)
    if name == "half":
        await receive()
    await asyncio.sleep(count / 1000 if name != "big" else 0)
    await start()
    if name == "break":
        await piece(PIECE)
        raise RuntimeError("asked for, midway")
    if name == "duplex":
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message["more_body"]
            await piece(message["body"])
    if name == "big":
        for _ in range(count):
            await piece(PIECE)
    await piece(b"ok\n", False)


async def socket(name, receive, send):
    await receive()
    if name == "deny":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    if name == "raise":
        raise RuntimeError("asked for")
    if name == "flood":
        for _ in range(100):
            await send({"type": "websocket.send", "bytes": PIECE})
        return
    if name == "deaf":
        return await asyncio.sleep(0.05)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})
