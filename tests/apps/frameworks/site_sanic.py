"""The common site in Sanic, with lifespan and websockets."""

from sanic import Sanic, json, text

app = Sanic("site_sanic", configure_logging=True)
app.config.ACCESS_LOG = False


@app.before_server_start
async def start(app, *_):
    app.ctx.started = True


@app.get("/")
async def index(request):
    return text("Hello, sanic!")


@app.get("/user/<name>", unquote=True)
async def user(request, name):
    return json({"name": name, "x": request.args.get("x")})


@app.post("/json")
async def echo_json(request):
    return json(request.json)


@app.post("/form")
async def form(request):
    return json({name: values[0] for name, values in request.form.items()})


@app.post("/upload")
async def upload(request):
    file = request.files.get("file")
    return json({"name": file.name, "bytes": len(file.body)})


@app.get("/stream")
async def stream(request):
    response = await request.respond(content_type="text/plain")
    for number in range(5):
        await response.send(f"{number};")
    await response.eof()


@app.get("/cookie")
async def cookie(request):
    visits = int(request.cookies.get("visits", 0)) + 1
    response = json({"visits": visits})
    response.add_cookie("visits", str(visits), secure=False)
    return response


@app.get("/fail")
async def fail(request):
    raise RuntimeError("sanic failed on purpose")


@app.get("/state")
async def state(request):
    return json({"started": request.app.ctx.started})


@app.websocket("/ws")
async def echo(request, socket):
    while True:
        message = await socket.recv()
        if message == "leave":
            return await socket.close(4001)
        await socket.send(message)
