"""The common site in Starlette, with lifespan state and websockets."""

import contextlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute


async def index(request):
    return PlainTextResponse("Hello, starlette!")


async def user(request):
    return JSONResponse({"name": request.path_params["name"], "x": request.query_params["x"]})


async def json(request):
    return JSONResponse(await request.json())


async def form(request):
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request):
    async with request.form() as fields:
        file = fields["file"]
        return JSONResponse({"name": file.filename, "bytes": len(await file.read())})


async def stream(request):
    async def blocks():
        for number in range(5):
            yield f"{number};"

    return StreamingResponse(blocks(), media_type="text/plain")


def in_a_thread(request):
    """Not a coroutine function: Starlette runs it in a thread."""
    return PlainTextResponse("threaded")


async def cookie(request):
    visits = int(request.cookies.get("visits", 0)) + 1
    response = JSONResponse({"visits": visits})
    response.set_cookie("visits", str(visits))
    return response


async def fail(request):
    raise RuntimeError("starlette failed on purpose")


async def state(request):
    return JSONResponse({"started": request.state.started})


async def echo(websocket):
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=offered[0] if offered else None)
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "leave":
            return await websocket.close(4001)
        await websocket.send({**message, "type": "websocket.send"})


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"started": True}


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", index),
        Route("/user/{name}", user),
        Route("/json", json, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/thread", in_a_thread),
        Route("/cookie", cookie),
        Route("/fail", fail),
        Route("/state", state),
        WebSocketRoute("/ws", echo),
    ],
)
