"""The common site in Falcon, as a WSGI application (`wsgi`) and an ASGI application (`asgi`)."""

import falcon
import falcon.asgi
from falcon import MEDIA_TEXT


class Pages:
    """One method per page; what needs the body or a stream has a twin for each interface."""

    def on_get(self, request, response):
        response.content_type = MEDIA_TEXT
        response.text = "Hello, falcon!"

    def on_get_user(self, request, response, name):
        response.media = {"name": name, "x": request.get_param("x")}

    def on_post_media(self, request, response):
        response.media = request.get_media()

    def on_post_upload(self, request, response):
        for part in request.get_media():
            response.media = {"name": part.filename, "bytes": len(part.stream.read())}

    def on_get_stream(self, request, response):
        response.content_type = MEDIA_TEXT
        response.stream = (b"%d;" % number for number in range(5))

    def on_get_cookie(self, request, response):
        visits = int(request.cookies.get("visits", 0)) + 1
        response.set_cookie("visits", str(visits), secure=False)
        response.media = {"visits": visits}

    def on_get_fail(self, request, response):
        raise RuntimeError("falcon failed on purpose")


class AsyncPages:
    async def on_get(self, request, response):
        Pages.on_get(self, request, response)

    async def on_get_user(self, request, response, name):
        Pages.on_get_user(self, request, response, name)

    async def on_post_media(self, request, response):
        response.media = await request.get_media()

    async def on_post_upload(self, request, response):
        async for part in await request.get_media():
            response.media = {"name": part.filename, "bytes": len(await part.stream.read())}

    async def on_get_stream(self, request, response):
        async def blocks():
            for number in range(5):
                yield b"%d;" % number

        response.content_type = MEDIA_TEXT
        response.stream = blocks()

    async def on_get_cookie(self, request, response):
        Pages.on_get_cookie(self, request, response)

    async def on_get_fail(self, request, response):
        raise RuntimeError("falcon failed on purpose")

    async def on_websocket_ws(self, request, socket):
        offered = socket.subprotocols
        await socket.accept(subprotocol=offered[0] if offered else None)
        try:
            while True:
                text, data = await receive_either(socket)
                if text == "leave":
                    return await socket.close(4001)
                await (socket.send_text(text) if text is not None else socket.send_data(data))
        except falcon.WebSocketDisconnected:
            pass


async def receive_either(socket):
    """Falcon asks to know the kind of the next message; this asks the interface below."""
    event = await socket._receive()
    if event["type"] == "websocket.disconnect":
        raise falcon.WebSocketDisconnected(event["code"])
    return event.get("text"), event.get("bytes")


def site(app, pages):
    routes = {"user/{name}": "user", "json": "media", "form": "media", "upload": "upload"}
    app.add_route("/", pages)
    for route, suffix in routes.items():
        app.add_route("/" + route, pages, suffix=suffix)
    for suffix in ("stream", "cookie", "fail", "ws"):
        if suffix != "ws" or isinstance(app, falcon.asgi.App):
            app.add_route("/" + suffix, pages, suffix=suffix)
    return app


wsgi = site(falcon.App(), Pages())
asgi = site(falcon.asgi.App(), AsyncPages())
