"""The URLs of django_ahead.py. What AHEAD says, or the file that it names: importing them starts a `thread`, is `broken`, or `refuses` sub-interpreters."""

import datetime
import os
import threading

import django_ahead
from django.db import connection
from django.http import JsonResponse
from django.template.loader import render_to_string
from django.urls import path

mode = os.environ["AHEAD"]
if mode.startswith("/"):
    with open(mode) as file:
        mode = file.read()
if mode == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
if mode == "broken":
    raise ImportError("no such view")
if mode == "refuses":
    import refuses_interpreters  # noqa: F401


def index(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    text = render_to_string("page", {"day": datetime.date(2026, 3, 1), "count": 1}, request)
    return JsonResponse({"late": list(django_ahead.late), "shared": django_ahead.first_home != os.getpid(), "text": text})


urlpatterns = [path("", index)]
