"""Starts bjoern, forked over one listening socket: PORT WORKERS MODULE:ATTRIBUTE wsgi."""

import importlib
import os
import sys

import bjoern

sys.path.insert(0, ".")
port, workers, target, _ = sys.argv[1:]
module, attribute = target.split(":")
bjoern.listen(getattr(importlib.import_module(module), attribute), "127.0.0.1", int(port))
for _ in range(int(workers) - 1):
    if os.fork() == 0:
        break
bjoern.run()
