"""`python -m ringgate ...`: the command of this installation, which runs applications with this Python."""

import os
import sys
import sysconfig
from importlib import metadata


def command():
    """The executable that was installed with this package."""
    for file in metadata.files("ringgate") or ():
        if file.name == "ringgate" and "bin" in file.parts:
            return os.path.realpath(file.locate())
    return os.path.join(sysconfig.get_path("scripts"), "ringgate")


def main():
    program = command()
    if not any(word == "--python" or word.startswith("--python=") for word in sys.argv[1:]):
        os.environ.setdefault("RINGGATE_PYTHON", sys.executable)
    try:
        os.execv(program, ["ringgate", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"ringgate: {program} cannot be run ({error.strerror}); install the package again")


if __name__ == "__main__":
    main()
