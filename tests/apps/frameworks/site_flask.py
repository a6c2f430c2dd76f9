"""The common site in Flask."""

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/")
def index():
    return "Hello, flask!"


@app.get("/user/<name>")
def user(name):
    return jsonify(name=name, x=request.args["x"])


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.post("/form")
def form():
    return jsonify(**request.form)


@app.post("/upload")
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, bytes=len(file.read()))


@app.get("/stream")
def stream():
    return (f"{number};" for number in range(5)), {"Content-Type": "text/plain"}


@app.get("/cookie")
def cookie():
    visits = int(request.cookies.get("visits", 0)) + 1
    response = jsonify(visits=visits)
    response.set_cookie("visits", str(visits))
    return response


@app.get("/fail")
def fail():
    raise RuntimeError("flask failed on purpose")
