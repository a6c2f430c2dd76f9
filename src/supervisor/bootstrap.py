"""What an app host runs, as PYTHON -c <this> EXTENSION NAME: loads the native extension from its file and gives it the process."""

import signal
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

# The supervisor alone acts upon signals; a Ctrl-C reaches the whole process group. A handler (unlike SIG_IGN) is not
# inherited by programs that the application starts.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: None)

path = sys.argv[1]
# The application is not to find our arguments.
sys.argv = ["ringgate"]
spec = spec_from_file_location("_ringgate", path, loader=ExtensionFileLoader("_ringgate", path))
module = module_from_spec(spec)
sys.modules["_ringgate"] = module
spec.loader.exec_module(module)
sys.exit(module.main())
