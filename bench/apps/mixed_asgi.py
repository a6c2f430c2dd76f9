"""The mixed case for ASGI: 95 % of the requests block the loop for 5 ms, 5 % for 200 ms, as a synchronous driver or a template does."""

import time

from asgi_apps import lifespan

BODY = b"ok\n"
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    time.sleep(0.2 if scope["path"] == "/slow" else 0.005)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
