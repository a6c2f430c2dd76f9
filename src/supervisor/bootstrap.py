"""What an app host runs, as PYTHON -c <this> EXTENSION NAME: loads the native extension from its file and gives it the process."""

import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

path = sys.argv[1]
try:
    # What `top` and `pgrep` call us: shop[1].
    with open("/proc/self/comm", "w") as comm:
        comm.write(sys.argv[2][:15])
except OSError:
    pass
# The application is not to find our arguments.
sys.argv = ["ringgate"]
spec = spec_from_file_location("_ringgate", path, loader=ExtensionFileLoader("_ringgate", path))
try:
    module = module_from_spec(spec)
    sys.modules["_ringgate"] = module
    spec.loader.exec_module(module)
except ImportError as error:
    sys.exit(f"ringgate's own extension does not load ({error}); install ringgate again, for this Python and this system")
sys.exit(module.main())
