"""A Flask application that uses what Flask applications use."""

from flask import Flask, jsonify, redirect, request, send_file, session

app = Flask(__name__)
app.secret_key = "for tests"


@app.get("/")
def index():
    return "Hello, Flask!"


@app.get("/user/<name>")
def user(name):
    return jsonify(name=name, **request.args)


@app.post("/form")
def form():
    return jsonify(**request.form)


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.post("/upload")
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, bytes=len(file.read()))


@app.get("/stream")
def stream():
    return (f"{number};" for number in range(5)), {"Content-Type": "text/plain"}


@app.get("/file")
def file():
    return send_file(__file__, mimetype="text/plain", conditional=True)


@app.get("/redirect")
def away():
    return redirect("/")


@app.get("/session")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.get("/fail")
def fail():
    raise RuntimeError("flask failed on purpose")
