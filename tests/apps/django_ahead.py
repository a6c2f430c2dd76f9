"""Django whose URLs are a module of their own; says what was imported and compiled since a worker's first request began."""

import os
import sys

import django
from django.conf import settings

first_home = os.getpid()
begun = []
late = []


def note(event, args):
    if event in ("compile", "import") and begun:
        late.append(f"{event} {args[0]!r}")


sys.addaudithook(note)

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests",
    ROOT_URLCONF="django_ahead_urls",
    LANGUAGE_CODE="de",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", {"page": "{{ day|date }} {{ count }}"})],
            "context_processors": ["django.template.context_processors.request"],
        },
    }],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.locale.LocaleMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    LOGGING_CONFIG=None,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402

inner = get_wsgi_application()


def app(environ, start_response):
    begun.append(True)
    return inner(environ, start_response)
