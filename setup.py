"""What pyproject.toml cannot say, because it depends on the Python that builds: which of CPython's binary interfaces the extension is built on.

The stable one serves every CPython from 3.10 that has a GIL. A free-threaded build (3.14 and newer) takes an extension of its own, for that version alone.
"""

import os
import pathlib
import sys
import sysconfig

from setuptools import setup

options = {"bdist_wheel": {"py_limited_api": "cp310"}}
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    if sys.version_info < (3, 14):
        sys.exit("ringgate runs on free-threaded builds of Python from 3.14 on, and this is one of %d.%d." % sys.version_info[:2])
    options = {}
    # pyo3 asks no interpreter (.cargo/config.toml), so it is told.
    answers = pathlib.Path("target/python/pyo3-free-threaded.txt").absolute()
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.write_text(
        "implementation=CPython\n"
        "version=%d.%d\n"
        "shared=true\n"
        "build_flags=Py_GIL_DISABLED\n"
        "suppress_build_script_link_lines=true\n" % sys.version_info[:2]
    )
    os.environ["PYO3_CONFIG_FILE"] = str(answers)

setup(options=options)
