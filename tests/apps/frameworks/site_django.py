"""The common site in Django, as a WSGI application (`wsgi`) and an ASGI application (`asgi`)."""

import json as serializer

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="for tests",
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        LOGGING={
            "version": 1,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
        },
    )
    django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def index(request):
    return HttpResponse("Hello, django!")


def user(request, name):
    return JsonResponse({"name": name, "x": request.GET["x"]})


def json(request):
    return JsonResponse(serializer.loads(request.body))


def form(request):
    return JsonResponse(request.POST.dict())


def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "bytes": file.size})


def stream(request):
    def blocks():
        yield from (f"{number};" for number in range(5))

    async def blocks_asked_for():
        for block in blocks():
            yield block

    asynchronous = hasattr(request, "scope")
    return StreamingHttpResponse(blocks_asked_for() if asynchronous else blocks(), content_type="text/plain")


async def sleepless(request):
    """A view that is a coroutine function, under both interfaces."""
    return HttpResponse("awaited")


def cookie(request):
    visits = int(request.COOKIES.get("visits", 0)) + 1
    response = JsonResponse({"visits": visits})
    response.set_cookie("visits", str(visits))
    return response


def fail(request):
    raise RuntimeError("django failed on purpose")


urlpatterns = [
    path("", index),
    path("user/<name>", user),
    path("json", json),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("await", sleepless),
    path("cookie", cookie),
    path("fail", fail),
]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
