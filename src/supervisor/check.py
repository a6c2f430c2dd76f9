"""What `ringgate check` asks Python, as PYTHON -c <this> TARGET PATH...: can this application be loaded?"""

import importlib
import sys
import traceback

target = sys.argv[1]
sys.path[:1] = sys.argv[2:]
sys.argv = ["ringgate"]
name, _, expression = target.partition(":")
try:
    found = eval(expression, vars(importlib.import_module(name)))
except BaseException as error:
    traceback.print_exc()
    sys.exit(f"{target} cannot be loaded: {type(error).__name__}: {error}")
if not callable(found):
    sys.exit(f"{target} is a {type(found).__name__} and cannot be called")
