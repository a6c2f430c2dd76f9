"""The common site in Quart, with lifespan and websockets."""

from quart import Quart, jsonify, request, websocket

app = Quart(__name__)
started = False


@app.before_serving
async def start():
    global started
    started = True


@app.get("/")
async def index():
    return "Hello, quart!"


@app.get("/user/<name>")
async def user(name):
    return jsonify(name=name, x=request.args["x"])


@app.post("/json")
async def json():
    return jsonify(await request.get_json())


@app.post("/form")
async def form():
    return jsonify(**await request.form)


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    return jsonify(name=file.filename, bytes=len(file.read()))


@app.get("/stream")
async def stream():
    async def blocks():
        for number in range(5):
            yield f"{number};"

    return blocks(), {"Content-Type": "text/plain"}


@app.get("/thread")
def in_a_thread():
    return "threaded"


@app.get("/cookie")
async def cookie():
    visits = int(request.cookies.get("visits", 0)) + 1
    response = jsonify(visits=visits)
    response.set_cookie("visits", str(visits))
    return response


@app.get("/fail")
async def fail():
    raise RuntimeError("quart failed on purpose")


@app.get("/state")
async def state():
    return jsonify(started=started)


@app.websocket("/ws")
async def echo():
    offered = websocket.requested_subprotocols
    await websocket.accept(subprotocol=offered[0] if offered else None)
    while True:
        message = await websocket.receive()
        if message == "leave":
            return await websocket.close(4001)
        await websocket.send(message)
