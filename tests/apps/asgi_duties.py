"""What the ASGI specification asks of a server, duty by duty: the application's half of tests/asgi.

A page asserts what it can see by itself and answers "ok"; what only the client can see is checked there.
"""

import asyncio
import fcntl
import json
import os
import signal
from pathlib import Path

DIR = Path(os.environ.get("TEST_DIR", "."))
SOURCE = DIR / "source.bin"
calls = {"lifespan": 0}


def mark(name, text):
    (DIR / (name + ".new")).write_text(text)
    os.rename(DIR / (name + ".new"), DIR / name)


async def start(send, status=200, headers=(), **more):
    await send({"type": "http.response.start", "status": status, "headers": list(headers), **more})


async def body(send, data=b"", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def answer(send, text="ok", status=200):
    await start(send, status, [(b"content-type", b"text/plain")])
    await body(send, text.encode())


async def whole_body(receive):
    data, more = b"", True
    while more:
        event = await receive()
        assert event["type"] == "http.request", event
        data += event.get("body", b"")
        more = event.get("more_body", False)
    return data


async def a01(scope, receive, send):
    assert type(scope) is dict and scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0" and scope["asgi"]["spec_version"] in ("2.3", "2.4", "2.5")
    await answer(send)


def plain(value):
    if type(value) is dict:
        return all(type(key) is str and plain(each) for key, each in value.items())
    if type(value) in (list, tuple):
        return all(plain(each) for each in value)
    return value is None or type(value) in (bytes, str, int, float, bool)


async def a02(scope, receive, send):
    event = await receive()
    assert plain(event) and plain(scope), (event, scope)
    await answer(send)


async def a03(scope, receive, send):
    for message, wanted in [
        ({"type": "http.unknown"}, ValueError),
        ({"status": 200}, ValueError),
        ({"type": "http.response.start"}, ValueError),
        ({"type": "http.response.start", "status": "200"}, TypeError),
        ({"type": "http.response.start", "status": 200, "headers": [("a", "b")]}, TypeError),
        ({"type": "http.response.body", "body": b""}, RuntimeError),
    ]:
        try:
            await send(message)
        except wanted:
            continue
        raise AssertionError(message)
    await send({"type": "http.response.start", "status": 200, "more": 1})
    try:
        await send({"type": "http.response.body", "body": "text"})
    except TypeError:
        pass
    else:
        raise AssertionError("text as body")
    await send({"type": "http.response.body", "body": b"ok", "more": 1})


async def a04(scope, receive, send):
    if scope["query_string"] == b"late":
        await start(send)
        await body(send, b"half", True)
    raise ValueError("a page that fails")


async def a05(scope, receive, send):
    await start(send)
    await body(send, b"begin", True)
    await receive()
    assert (await receive())["type"] == "http.disconnect"
    try:
        await body(send, b"more", True)
    except OSError as error:
        mark("a05", type(error).__name__)
        raise


async def a08(scope, receive, send):
    shown = {key: value for key, value in scope.items() if key not in ("extensions", "state", "asgi")}

    def default(value):
        return value.decode("latin-1")

    await answer(send, json.dumps(shown, default=default))


async def a09(scope, receive, send):
    events, data = 0, b""
    while True:
        event = await receive()
        assert event["type"] == "http.request" and type(event["body"]) is bytes
        events += 1
        data += event["body"]
        if not event["more_body"]:
            break
    await answer(send, f"{events > 1} {len(data)} {sum(data)}")


async def a10(scope, receive, send):
    await whole_body(receive)
    waiting = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done, "there is nothing to receive"
    await answer(send)
    assert (await waiting)["type"] == "http.disconnect"
    assert (await receive())["type"] == "http.disconnect"
    mark("a10", "after the response")


async def a10_leaves(scope, receive, send):
    await whole_body(receive)
    mark("a10_leaves.begun", "x")
    assert (await receive())["type"] == "http.disconnect"
    mark("a10_leaves", "seen")


async def a11(scope, receive, send):
    await start(send, 200, [(b"transfer-encoding", b"gzip"), (b"x-a", b"b")])
    await body(send, b"one ", True)
    await body(send, b"two")


async def a12(scope, receive, send):
    await start(send, 200, [(b"x-3", b"c"), (b"x-1", b"a"), (b"set-cookie", b"a=1"), (b"x-2", b"b"), (b"set-cookie", b"b=2")])
    await body(send, b"ok")


async def a13(scope, receive, send):
    """More than all buffers hold: it stands still until the client reads."""
    await start(send)
    for number in range(400):
        await body(send, bytes(65536), True)
        (DIR / "a13").write_text(str(number + 1))
    await body(send)


async def a14(scope, receive, send):
    await start(send)
    await body(send, b"ok")
    await body(send, b"ignored", True)
    await body(send, b"ignored")


async def trailers(scope, receive, send):
    await start(send, 200, [(b"trailer", b"x-sum")], trailers=True)
    await body(send, b"ok")
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True})
    await send({"type": "http.response.trailers", "headers": [(b"x-last", b"2")]})
    mark("trailers", "sent")


async def a28(scope, receive, send):
    assert scope["state"]["from"] == "lifespan"
    assert "mine" not in scope["state"]
    scope["state"]["mine"] = 1
    scope["state"]["shared"].append(1)
    await answer(send, f"{len(scope['state']['shared'])} {calls['lifespan']}")


async def a30(scope, receive, send):
    assert "http.response.pathsend" in scope["extensions"]
    await start(send, 200, [(b"content-length", str(SOURCE.stat().st_size).encode())])
    await send({"type": "http.response.pathsend", "path": str(SOURCE)})


async def a30_missing(scope, receive, send):
    try:
        await start(send)
        await send({"type": "http.response.pathsend", "path": str(DIR / "missing")})
    except OSError:
        mark("a30_missing", "raised")
        raise


async def a30_slow(scope, receive, send):
    """The file's opening waits: there is a lease on it, which is given back when another request has been here (fcntl(2), F_SETLEASE)."""
    leased = DIR / f"leased.{os.getpid()}"
    leased.write_bytes(SOURCE.read_bytes())
    holder = os.open(leased, os.O_RDWR)
    fcntl.fcntl(holder, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    await start(send)
    sending = asyncio.ensure_future(send({"type": "http.response.pathsend", "path": str(leased)}))
    mark("a30_slow", "leased")
    while "a30_release" not in calls:
        await asyncio.sleep(0.005)
    assert not sending.done()
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    await sending
    os.close(holder)


async def a30_release(scope, receive, send):
    await answer(send)


async def a30_instead(scope, receive, send):
    """An application may make something else of a file that cannot be opened, also of one that a thread has tried."""
    await start(send)
    for path in (DIR, "/proc/self/environ/x", "/proc/self"):
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        except OSError:
            continue
        raise AssertionError(path)
    await body(send, b"ok")


async def a31(scope, receive, send):
    assert "http.response.zerocopysend" in scope["extensions"]
    with open(SOURCE, "rb") as file:
        await start(send)
        await body(send, b"<", True)
        file.seek(5)
        await send({"type": "http.response.zerocopysend", "file": file, "count": 10, "more_body": True})
        await body(send, b"|", True)
        await send({"type": "http.response.zerocopysend", "file": file, "offset": 3, "count": 4, "more_body": True})
        await body(send, b">")
        assert not file.closed and os.fstat(file.fileno())


async def a31_position(scope, receive, send):
    """Without an offset it goes on where the file stands, which is not where its buffer has read to."""
    await start(send)
    part = {"type": "http.response.zerocopysend", "count": 4, "more_body": True}
    with open(SOURCE, "rb") as file:
        assert file.read(3) == b"abc"
        await send({**part, "file": file})
        await send({**part, "file": file})
        assert file.read(2) == b"bc" and file.tell() == 13
    number = os.open(SOURCE, os.O_RDONLY)
    try:
        await send({**part, "file": number})
        await send({**part, "file": number, "offset": 9})
        await send({**part, "file": number})
    finally:
        os.close(number)
    await body(send)


async def a31_pipe(scope, receive, send):
    """sendfile(2) takes none either: it is said, and the body can still be sent."""
    there, here = os.pipe()
    await start(send)
    try:
        await send({"type": "http.response.zerocopysend", "file": there})
    except ValueError as error:
        await body(send, str(error).encode())
    finally:
        os.close(there)
        os.close(here)


async def a32(scope, receive, send):
    assert "http.response.early_hint" in scope["extensions"]
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
    await send({"type": "http.response.early_hint", "links": [b"</c.js>; rel=preload"]})
    await answer(send)


async def a36(scope, receive, send):
    names = set(scope["extensions"])
    assert "http.response.debug" not in names and "tls" not in names and "http.response.push" not in names
    await answer(send)


async def clock(scope, receive, send):
    """Server-sent events: each is there before the next is made."""
    await start(send, 200, [(b"content-type", b"text/event-stream")])
    for number in range(3):
        await body(send, f"data: {number}\n\n".encode(), True)
        while not (DIR / f"seen{number}").exists():
            await asyncio.sleep(0.005)
    await body(send)


async def head(scope, receive, send):
    await start(send, 200, [(b"content-length", b"5")])
    await body(send, b"five!")


async def sleeps(scope, receive, send):
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        mark("sleeps", "cancelled")
        raise


async def blocks(scope, receive, send):
    """Stands in the way of its loop, where only a signal reaches it, until somebody writes to the pipe `gate`."""
    os.mkfifo(DIR / "gate")
    mark("blocks", "x")
    (DIR / "gate").read_bytes()
    await answer(send, "released")


async def websocket(scope, receive, send):
    path = scope["path"]
    calls[path] = calls.get(path, 0) + 1
    assert (await receive()) == {"type": "websocket.connect"}
    if path == "/slow-accept":
        mark("slow-accept", "connecting")
        while not (DIR / "accept-now").exists():
            await asyncio.sleep(0.005)
    if path == "/refuse":
        return await send({"type": "websocket.close"})
    if path == "/deny":
        assert "websocket.http.response" in scope["extensions"]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": [(b"retry-after", b"9")]})
        await send({"type": "websocket.http.response.body", "body": b"come ", "more_body": True})
        return await send({"type": "websocket.http.response.body", "body": b"later"})
    if path == "/bad-accept":
        try:
            await send({"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"x")]})
        except ValueError:
            return await send({"type": "websocket.close"})
    if path == "/unoffered":
        try:
            await send({"type": "websocket.accept", "subprotocol": "three"})
        except ValueError as error:
            await send({"type": "websocket.accept"})
            return await send({"type": "websocket.send", "text": str(error)})
    if path == "/raise-early":
        raise ValueError("before it accepted")
    if path == "/scope":
        await send({"type": "websocket.accept"})
        shown = {key: value for key, value in scope.items() if key not in ("extensions", "asgi")}
        await send({"type": "websocket.send", "text": json.dumps(shown, default=lambda value: value.decode("latin-1"))})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[-1], "headers": [(b"x-a", b"b")]})
    if path == "/raise-late":
        raise ValueError("after it accepted")
    if path == "/return":
        return
    if path == "/close":
        return await send({"type": "websocket.close", "code": 3001, "reason": "asked"})
    if path == "/wrong":
        for message in [{"type": "websocket.send"}, {"type": "websocket.send", "bytes": b"", "text": ""}]:
            try:
                await send(message)
            except ValueError:
                continue
            raise AssertionError(message)
        return await send({"type": "websocket.send", "text": "ok"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            try:
                await send({"type": "websocket.send", "text": "too late"})
                late = "nothing"
            except OSError as error:
                late = type(error).__name__
            return mark("left" + path.replace("/", "."), f"{event['code']} {event['reason']} {late}")
        assert event["type"] == "websocket.receive"
        given = [key for key in ("bytes", "text") if event.get(key) is not None]
        assert len(given) == 1, event
        await send({"type": "websocket.send", given[0]: event[given[0]]})


async def lifespan(scope, receive, send):
    calls["lifespan"] += 1
    assert scope["asgi"]["version"] == "3.0"
    mode = os.environ.get("LIFESPAN", "")
    if mode == "raises":
        raise NotImplementedError
    assert await receive() == {"type": "lifespan.startup"}
    if mode == "breaks":
        raise OSError("no database")
    if mode == "endless":
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(600)
    if mode == "fails":
        return await send({"type": "lifespan.startup.failed", "message": "no database"})
    if mode == "slow":
        await asyncio.sleep(0.3)
        mark("slow-startup", "x")
    scope["state"].update({"from": "lifespan", "shared": []})
    await send({"type": "lifespan.startup.complete"})
    assert await receive() == {"type": "lifespan.shutdown"}
    (DIR / f"shutdown.{os.getpid()}.{id(scope)}").write_text(" ".join(sorted(path.name for path in DIR.glob("request.*"))))
    if mode == "ends-badly":
        raise RuntimeError("the shutdown raised \x1b[31m on purpose")
    await send({"type": "lifespan.shutdown.complete"})


async def a27(scope, receive, send):
    mark("a27.begun", "x")
    await asyncio.sleep(0.5)
    mark("request.done", "x")
    await answer(send)


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    if scope["type"] == "websocket":
        return await websocket(scope, receive, send)
    name = scope["path"].removeprefix(scope["root_path"]).strip("/").split("/")[0].replace("-", "_")
    calls[name] = calls.get(name, 0) + 1
    if name == "calls":
        return await answer(send, str(calls.get(scope["query_string"].decode(), 0)))
    page = globals().get(name)
    if page is None:
        return await answer(send, "no such page", 404)
    await page(scope, receive, send)


class legacy:
    """ASGI 2: called twice."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await application(self.scope, receive, send)
