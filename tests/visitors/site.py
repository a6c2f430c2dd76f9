"""Visits the common site of tests/apps/frameworks with httpx, requests, curl and websockets: site.py URL NAME FEATURE...

Features beyond the common pages: `thread` (a page computed in a thread), `state` (lifespan), `websocket`, `await` (a coroutine
view), `front` (nothing but the front page). Fails with the traceback of the first thing that is not as it should be.
"""

import asyncio
import subprocess
import sys

import httpx
import requests

URL, NAME, *FEATURES = sys.argv[1:]
PATIENCE_S = 60


def check(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def front():
    with httpx.Client(base_url=URL, timeout=PATIENCE_S) as client:
        response = client.get("/")
        check((response.status_code, response.text.strip().split("!")[0]), (200, f"Hello, {NAME}"))
        check(client.get("/none").status_code, 404)


def with_httpx():
    with httpx.Client(base_url=URL, timeout=PATIENCE_S) as client:
        check(client.get("/user/J%C3%BCrgen", params={"x": "ä&b"}).json(), {"name": "Jürgen", "x": "ä&b"})
        check(client.post("/json", json={"x": [1, 2]}).json(), {"x": [1, 2]})
        check(client.post("/form", data={"a": "1", "b": "ü"}).json(), {"a": "1", "b": "ü"})
        check(client.post("/upload", files={"file": ("f.bin", b"\7" * 300_000)}).json(), {"name": "f.bin", "bytes": 300_000})
        check([client.get("/cookie").json()["visits"] for _ in range(3)], [1, 2, 3])
        with client.stream("GET", "/stream") as response:
            check("".join(response.iter_text()), "0;1;2;3;4;")
        check(client.get("/fail").status_code, 500)
        # A failure leaves the connection and the worker in order.
        check(client.get("/").status_code, 200)
        check(client.head("/user/x", params={"x": "1"}).content, b"")
        for page, text in {"thread": "threaded", "await": "awaited"}.items():
            if page in FEATURES:
                check(client.get(f"/{page}").text, text)
        if "state" in FEATURES:
            check(client.get("/state").json(), {"started": True})


async def with_httpx_at_once():
    async with httpx.AsyncClient(base_url=URL, timeout=PATIENCE_S) as client:
        answers = await asyncio.gather(*(client.get(f"/user/{number}", params={"x": str(number)}) for number in range(50)))
        check([answer.json()["name"] for answer in answers], [str(number) for number in range(50)])


def with_requests():
    with requests.Session() as session:
        check(session.get(f"{URL}/user/x", params={"x": "1"}, timeout=PATIENCE_S).json(), {"name": "x", "x": "1"})
        # A generator: chunked transfer.
        chunked = session.post(
            f"{URL}/json", data=iter([b'{"x": ', b"[3, 4]}"]), headers={"Content-Type": "application/json"}, timeout=PATIENCE_S
        )
        check(chunked.json(), {"x": [3, 4]})
        upload = session.post(f"{URL}/upload", files={"file": ("g.bin", b"\1" * 2_000_000)}, timeout=PATIENCE_S)
        check(upload.json(), {"name": "g.bin", "bytes": 2_000_000})
        check([session.get(f"{URL}/cookie", timeout=PATIENCE_S).json()["visits"] for _ in range(2)], [1, 2])


def with_curl():
    command = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE_S)]
    check(subprocess.run([*command, f"{URL}/stream"], check=True, capture_output=True).stdout, b"0;1;2;3;4;")
    form = subprocess.run([*command, "-F", "file=@-;filename=h.bin", f"{URL}/upload"], input=b"x" * 5000, check=True, capture_output=True)
    check(b"5000" in form.stdout, True)


def with_websockets():
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    address = URL.replace("http://", "ws://") + "/ws"
    with connect(address, open_timeout=PATIENCE_S) as socket:
        for message in ("hello", "grüße", b"\0\1\2", "x" * 100_000, b"y" * 300_000):
            socket.send(message)
            check(socket.recv(timeout=PATIENCE_S), message)
        # Fragments arrive as one message.
        socket.send(["frag", "men", "ted"])
        check(socket.recv(timeout=PATIENCE_S), "fragmented")
        check(socket.ping().wait(PATIENCE_S), True)
        socket.send("leave")
        try:
            socket.recv(timeout=PATIENCE_S)
        except ConnectionClosed as closed:
            # Sanic's close() sends nothing under ASGI; the end of the app then closes.
            if NAME != "sanic":
                check(closed.rcvd.code, 4001)
        else:
            raise AssertionError("it was not closed")
    if "subprotocol" in FEATURES:
        with connect(address, subprotocols=["chat", "other"], open_timeout=PATIENCE_S) as socket:
            check(socket.subprotocol, "chat")


front()
if "front" not in FEATURES:
    with_httpx()
    asyncio.run(with_httpx_at_once())
    with_requests()
    with_curl()
if "websocket" in FEATURES:
    with_websockets()
print("ok")
