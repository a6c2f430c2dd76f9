"""The common site in FastAPI, with pydantic models, lifespan state and websockets."""

import contextlib
from typing import Annotated

from fastapi import Cookie, FastAPI, Form, Request, Response, UploadFile, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.websockets import WebSocketDisconnect


class Numbers(BaseModel):
    x: list[int]


class User(BaseModel):
    name: str
    x: str


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"started": True}


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=PlainTextResponse)
async def index():
    return "Hello, fastapi!"


@app.get("/user/{name}")
async def user(name: str, x: str) -> User:
    return User(name=name, x=x)


@app.post("/json")
async def json(numbers: Numbers) -> Numbers:
    return numbers


@app.post("/form")
async def form(a: Annotated[str, Form()], b: Annotated[str, Form()]):
    return {"a": a, "b": b}


@app.post("/upload")
async def upload(file: UploadFile):
    return {"name": file.filename, "bytes": len(await file.read())}


@app.get("/stream")
async def stream():
    return StreamingResponse((f"{number};" for number in range(5)), media_type="text/plain")


@app.get("/thread", response_class=PlainTextResponse)
def in_a_thread():
    """Not a coroutine function: FastAPI runs it in a thread."""
    return "threaded"


@app.get("/cookie")
async def cookie(response: Response, visits: Annotated[int, Cookie()] = 0):
    response.set_cookie("visits", str(visits + 1))
    return {"visits": visits + 1}


@app.get("/fail")
async def fail():
    raise RuntimeError("fastapi failed on purpose")


@app.get("/state")
async def state(request: Request):
    return {"started": request.state.started}


@app.websocket("/ws")
async def echo(websocket: WebSocket):
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=offered[0] if offered else None)
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "leave":
                return await websocket.close(4001)
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect:
        pass
