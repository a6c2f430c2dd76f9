"""The URLs of django_ahead.py. AHEAD=thread: importing them starts a thread; AHEAD=broken: it fails."""

import datetime
import os
import threading

import django_ahead
from django.db import connection
from django.http import JsonResponse
from django.template.loader import render_to_string
from django.urls import path

if os.environ.get("AHEAD") == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
if os.environ.get("AHEAD") == "broken":
    raise ImportError("no such view")


def index(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    text = render_to_string("page", {"day": datetime.date(2026, 3, 1), "count": 1}, request)
    return JsonResponse({"late": list(django_ahead.late), "shared": django_ahead.zygote != os.getpid(), "text": text})


urlpatterns = [path("", index)]
