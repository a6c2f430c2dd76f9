"""Executes a configuration file in gunicorn's words and prints, as JSON, the settings and hooks that it has.

PYTHON -c <this> '{"location": "gunicorn.conf.py", "settings": [...], "hooks": [...]}'. What the file prints goes to stderr. As in gunicorn, the
module is called `__config__` and names that are no setting are passed over.
"""

import importlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import sys
import traceback

answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
question = json.loads(sys.argv[1])
sys.argv = ["gunicorn"]


def execute(location):
    if location.startswith("python:"):
        return vars(importlib.import_module(location[len("python:") :]))
    if not os.path.exists(location):
        sys.exit(f"ringgate: {location}: there is no such file")
    loader = None
    if not location.endswith((".py", ".pyc")):
        loader = importlib.machinery.SourceFileLoader("__config__", location)
    spec = importlib.util.spec_from_file_location("__config__", location, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["__config__"] = module
    spec.loader.exec_module(module)
    return vars(module)


def plain(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value == int(value) else value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    return {"unusable": repr(value)}


try:
    names = execute(question["location"])
except SystemExit as stop:
    said = stop.code if isinstance(stop.code, str) else f"the file ended by sys.exit({stop.code!r})"
    print(said, file=sys.stderr)
    sys.exit(1)
except BaseException:
    traceback.print_exc()
    sys.exit(1)

settings, hooks, others = {}, [], []
for name, value in names.items():
    if name in question["hooks"] and callable(value):
        hooks.append(name)
    elif name == "logconfig_dict":
        # It may hold anything; it is used where it was made.
        settings.update({name: True} if value else {})
    elif name in question["settings"]:
        settings[name] = plain(value)
    elif not name.startswith("_") and isinstance(value, (str, int, float, list)):
        others.append(name)
json.dump({"settings": settings, "hooks": hooks, "others": others}, answer)
