"""Starts fastpysgi: PORT WORKERS MODULE:ATTRIBUTE wsgi."""

import importlib
import sys

import fastpysgi

sys.path.insert(0, ".")
port, workers, target, _ = sys.argv[1:]
module, attribute = target.split(":")
fastpysgi.server.tcp_nodelay = 1
fastpysgi.run(wsgi_app=getattr(importlib.import_module(module), attribute), host="127.0.0.1", port=int(port), workers=int(workers))
