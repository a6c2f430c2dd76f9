"""Django in one file: routing, templates, the ORM on a database in memory, streams, files."""

import os

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests",
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "CONN_MAX_AGE": None}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    LOGGING_CONFIG="logging.config.dictConfig",
    LOGGING={
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
    },
)
django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.template import Context, Engine  # noqa: E402
from django.urls import path  # noqa: E402


def index(request):
    return HttpResponse("Hello, Django!")


def template(request, name):
    text = Engine().from_string("<p>{{ name }} {% if friends %}&amp; friends{% endif %}</p>\n")
    return HttpResponse(text.render(Context({"name": name, "friends": True})))


def orm(request):
    if not Group.objects.exists():
        Group.objects.bulk_create(Group(name=name) for name in "abc")
    return JsonResponse({"count": Group.objects.count(), "names": list(Group.objects.order_by("name").values_list("name", flat=True))})


def stream(request):
    return StreamingHttpResponse(f"{number};" for number in range(3))


def file(request):
    return FileResponse(open(os.path.abspath(__file__), "rb"))


def fail(request):
    raise RuntimeError("django failed on purpose")


def post(request):
    return HttpResponse(request.POST["a"])


urlpatterns = [
    path("", index),
    path("template/<name>", template),
    path("orm", orm),
    path("stream", stream),
    path("file", file),
    path("fail", fail),
    path("post", post),
]
application = get_wsgi_application()


class Migrated:
    """The database lives in the worker's own memory, so each worker makes it before its first request."""

    def __init__(self, inner):
        self.inner, self.ready = inner, False

    def __call__(self, environ, start_response):
        if not self.ready:
            call_command("migrate", verbosity=0)
            self.ready = True
        return self.inner(environ, start_response)


application = Migrated(application)
