"""Flask as people deploy it: a route, a template, a response object."""

from flask import Flask, render_template_string

app = Flask(__name__)
PAGE = "<!doctype html><title>{{ title }}</title><h1>{{ title }}</h1><ul>{% for item in items %}<li>{{ item }}</li>{% endfor %}</ul>"


@app.route("/")
def index():
    return render_template_string(PAGE, title="Hello", items=range(10))
