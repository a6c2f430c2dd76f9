"""The common site in Litestar, with lifespan state and websockets."""

import contextlib
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, WebSocket, get, post, websocket
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.logging import LoggingConfig
from litestar.params import Body
from litestar.response import Stream


@get("/", media_type=MediaType.TEXT)
async def index() -> str:
    return "Hello, litestar!"


@get("/user/{name:str}")
async def user(name: str, x: str) -> dict[str, str]:
    return {"name": name, "x": x}


@post("/json", status_code=200)
async def json(data: dict[str, Any]) -> dict[str, Any]:
    return data


@post("/form", status_code=200)
async def form(data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]) -> dict[str, str]:
    return data


@post("/upload", status_code=200)
async def upload(data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, Any]:
    file = data["file"]
    return {"name": file.filename, "bytes": len(await file.read())}


@get("/stream", media_type=MediaType.TEXT)
async def stream() -> Stream:
    return Stream((f"{number};" for number in range(5)), media_type=MediaType.TEXT)


@get("/thread", media_type=MediaType.TEXT, sync_to_thread=True)
def in_a_thread() -> str:
    return "threaded"


@get("/cookie")
async def cookie(request: Request) -> Response[dict[str, int]]:
    visits = int(request.cookies.get("visits", 0)) + 1
    response = Response({"visits": visits})
    response.set_cookie("visits", str(visits))
    return response


@get("/fail")
async def fail() -> None:
    raise RuntimeError("litestar failed on purpose")


@get("/state")
async def state(request: Request) -> dict[str, bool]:
    return {"started": request.app.state.started}


@websocket("/ws")
async def echo(socket: WebSocket) -> None:
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocols=offered[0] if offered else None)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "leave":
            return await socket.close(4001)
        await socket.send({**message, "type": "websocket.send"})


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.started = True
    yield


app = Litestar(
    [index, user, json, form, upload, stream, in_a_thread, cookie, fail, state, echo],
    lifespan=[lifespan],
    logging_config=LoggingConfig(log_exceptions="always"),
    openapi_config=None,
)
