"""Django as people deploy it: middlewares, a template, two ORM queries on sqlite (a file given by BENCH_DATABASE)."""

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {
        "loaders": [("django.template.loaders.cached.Loader", [("django.template.loaders.locmem.Loader", {
            "page.html": "<!doctype html><title>{{ title }}</title><ul>{% for group in groups %}<li>{{ group.name|upper }}</li>{% endfor %}</ul>{{ count }}",
        })])]}}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"], "CONN_MAX_AGE": None}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGGING_CONFIG=None,
)
django.setup()

from django.contrib.auth.models import Group  # noqa: E402  Django must be set up first
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.urls import path  # noqa: E402


def index(request):
    return render(request, "page.html", {"title": "Groups", "groups": Group.objects.order_by("name")[:10], "count": Group.objects.count()})


urlpatterns = [path("", index)]
app = get_wsgi_application()


def prepare():
    """Creates and fills the database; run once before the servers start."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for number in range(20):
        Group.objects.get_or_create(name=f"group {number}")


if __name__ == "__main__":
    prepare()
