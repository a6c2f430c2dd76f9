"""WebSockets for real clients: an echo, a close of its own, a server that pushes, and uploads that stream."""

import hashlib


async def application(scope, receive, send):
    if scope["type"] == "http":
        await upload(scope, receive, send)
    elif scope["type"] == "websocket":
        await talk(scope, receive, send)


async def upload(scope, receive, send):
    digest, more = hashlib.sha256(), True
    while more:
        event = await receive()
        digest.update(event.get("body", b""))
        more = event.get("more_body", False)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": digest.hexdigest().encode()})


async def talk(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    wanted = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": wanted[0] if wanted else None})
    if scope["path"] == "/closes":
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        return
    if scope["path"] == "/pushes":
        for number in range(1000):
            await send({"type": "websocket.send", "text": f"{number} " + "x" * 1000})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
    print("gone", event["code"], event.get("reason"), flush=True)
