"""What a framework loads at its first request, loaded behind the application: who says that it is ready is. Loaded behind prelude.py."""

import sys


def load_ahead():
    """Returns what could not be loaded, as (what, message, traceback). It fails again where the application asks for it."""
    if "django.core.handlers.base" not in sys.modules:
        return []
    failures = []
    for what, load in (
        ("URLs", django_urls),
        ("templates", django_templates),
        ("database settings", django_database),
        ("translations", django_language),
    ):
        try:
            load()
        except BaseException as error:
            failures.append((what, f"Django's {what} do not load: {one_line(error)}", trace_of(error, 2)))
    settle()
    return failures


def django_urls():
    from django.conf import settings
    from django.urls import get_resolver

    if getattr(settings, "ROOT_URLCONF", None):
        # With the views, and every pattern compiled.
        get_resolver().reverse_dict


def django_templates():
    from django.template import engines

    for backend in engines.all():
        engine = getattr(backend, "engine", None)
        if engine is not None:
            engine.template_loaders
            engine.template_context_processors


def django_database():
    from django.db import connection

    # Opens nothing.
    connection.ops.compiler("SQLCompiler")


def django_language():
    from django.utils import formats, translation

    translation.gettext("Monday")
    formats.get_format("DATE_FORMAT")
