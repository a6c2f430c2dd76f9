"""Private copies of extension modules, for `extensions = "private"`: experimental, and against what their authors promise.

An extension module that does not support several interpreters usually refuses because it keeps its state in C statics. A copy of
its shared object under another path and inode is another object to the dynamic linker, with statics of its own; so every
interpreter loads a copy, past CPython's check. Only for packages that were seen to work (docs/private-extensions.md).

A copy is removed as soon as it is mapped. What a crash in between leaves is swept by the next start.
"""

import os
import sys

PREFIX = "ringgate-private-"

# By the first part of a module's name. The page above has the versions they were seen with; tests/private.rs compares the names.
PACKAGES = frozenset(
    """
    _cffi_backend aiohttp falcon frozenlist google grpc hiredis httptools lxml msgpack msgspec numpy orjson
    pandas PIL propcache psutil psycopg_binary psycopg2 pydantic_core regex rpds simplejson sqlalchemy tornado ujson uvloop
    websockets yaml yarl zstandard
    """.split()
)

# These end the process (some not every time) or refuse even so; they are never copied.
HOPELESS = frozenset(("_argon2_cffi_bindings", "bcrypt", "cryptography", "gevent", "greenlet"))


def candidates():
    """Directories in which files may be mapped for execution; a memory file system where there is one."""
    import tempfile

    for directory in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", tempfile.gettempdir(), "/var/tmp"):
        try:
            if directory and os.access(directory, os.W_OK | os.X_OK) and not os.statvfs(directory).f_flag & os.ST_NOEXEC:
                yield directory
        except OSError:
            continue


def prepare():
    """Once in a process, in its main interpreter: sweeps what dead processes left, and makes this process's directory."""
    import fcntl
    import shutil
    import tempfile

    place = next(candidates(), None)
    if place is None:
        raise OSError("extensions = private: no directory for the copies that allows execution (looked at $XDG_RUNTIME_DIR, /dev/shm, $TMPDIR, /var/tmp)")
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if not name.startswith(PREFIX):
            continue
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            # Gone meanwhile, or another user's.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            # Its process lives.
            pass
        finally:
            os.close(lock)
    directory = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    # Held by this descriptor, which is never closed, as long as the process lives.
    fcntl.flock(os.open(directory, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX)
    return directory


def install(directory):
    """In a sub-interpreter: from now on the packages above load as private copies."""
    import _imp
    import tempfile
    from contextlib import contextmanager
    from importlib.machinery import ExtensionFileLoader
    from types import SimpleNamespace

    home = tempfile.mkdtemp(dir=directory)
    create, execute = ExtensionFileLoader.create_module, ExtensionFileLoader.exec_module
    as_usual, unchecked = 0, -1

    @contextmanager
    def check(how):
        """CPython's check as it is to be for one module, whoever imports it: the modules of a package import others."""
        before = _imp._override_multi_interp_extensions_check(how)
        try:
            yield
        finally:
            _imp._override_multi_interp_extensions_check(before)

    def create_module(self, spec):
        if not is_private(spec.name):
            with check(as_usual):
                return create(self, spec)
        copy = make_copy(home, spec.origin)
        try:
            with check(unchecked):
                module = _imp.create_dynamic(SimpleNamespace(name=spec.name, origin=copy))
        finally:
            os.unlink(copy)
        # Data files are looked for beside the original.
        module.__file__ = spec.origin
        return module

    def exec_module(self, module):
        # Some make inner modules here, which are checked as well.
        with check(unchecked if is_private(module.__name__) else as_usual):
            execute(self, module)

    ExtensionFileLoader.create_module, ExtensionFileLoader.exec_module = create_module, exec_module


def is_private(name):
    package = name.partition(".")[0]
    return package in PACKAGES and package not in HOPELESS


def make_copy(home, origin):
    """A copy whose $ORIGIN leads to the libraries that the wheel brought along."""
    import shutil

    origin = os.path.abspath(origin)
    roots = [os.path.abspath(entry) for entry in sys.path if entry]
    root = max((root for root in roots if origin.startswith(root + os.sep)), key=len, default=os.path.dirname(origin))
    copy = os.path.join(home, os.path.relpath(origin, root))
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    # `numpy.libs` beside the package; `.libs` and plain libraries inside of it.
    link(root, home, lambda name: name.endswith(".libs"))
    if os.path.dirname(origin) != root:
        link(os.path.dirname(origin), os.path.dirname(copy), is_library)
    shutil.copyfile(origin, copy)
    return copy


def is_library(name):
    """Not a module: `lib.cpython-313-x86_64-linux-gnu.so` is one of pandas."""
    from importlib.machinery import EXTENSION_SUFFIXES

    module = any(name.endswith(suffix) for suffix in EXTENSION_SUFFIXES if suffix != ".so")
    return name == ".libs" or name.startswith("lib") and ".so" in name and not module


def link(source, target, wanted):
    for name in filter(wanted, os.listdir(source)):
        try:
            os.symlink(os.path.join(source, name), os.path.join(target, name))
        except FileExistsError:
            pass
