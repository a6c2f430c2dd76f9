"""A small Flask application: an upload form, JSON, a slow page. Built by a factory."""

import hashlib
import os
import platform
import time

from flask import Flask, abort, jsonify, render_template, request

SLOWEST_SECONDS = 10.0


def create_app():
    app = Flask(__name__)

    @app.get("/")
    def index():
        return render_template("index.html", upload=None)

    @app.post("/")
    def upload():
        sent = request.files.get("file")
        if sent is None or not sent.filename:
            abort(400, "no file was sent")
        digest = hashlib.file_digest(sent.stream, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(sent.stream.read())
        facts = {"name": sent.filename, "bytes": sent.stream.tell(), "sha256": digest.hexdigest()}
        if request.accept_mimetypes.best == "application/json":
            return jsonify(facts)
        return render_template("index.html", upload=facts)

    @app.get("/about.json")
    def about():
        return jsonify(python=platform.python_version(), pid=os.getpid(), root=request.script_root, path=request.path)

    @app.post("/echo.json")
    def echo():
        return jsonify(received=request.get_json())

    @app.get("/slow")
    def slow():
        seconds = min(request.args.get("seconds", 1.0, type=float), SLOWEST_SECONDS)
        time.sleep(max(seconds, 0.0))
        return jsonify(slept=seconds)

    return app
