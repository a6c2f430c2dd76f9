"""The part of an app host that is easier said in Python: everything that runs before the first request or when something went wrong.

Run once in every interpreter that serves or probes an application. Nothing here is on the path of a request.
"""

import io
import os
import sys
from _thread import get_ident

NAME_TRIES = ("application", "app", "create_app()", "make_app()", "api", "wsgi_app")


class Lines(io.RawIOBase):
    """Standard output or error of one worker: every line gets the worker's name in front and leaves in one write.

    An unfinished line waits for its end (or for LINE_MAX bytes), so lines of several workers never mix.
    """

    LINE_MAX = 8192
    # What the kernel writes into a pipe in one piece (PIPE_BUF).
    PIECE_MAX = 4096

    def __init__(self, descriptor, prefix):
        self._descriptor = descriptor
        self._prefix = prefix.encode("utf-8", "backslashreplace")
        # Unfinished lines, by the thread that writes them.
        self._rests = {}

    def writable(self):
        return True

    def fileno(self):
        return self._descriptor

    def isatty(self):
        return False

    def write(self, data):
        data = bytes(data)
        thread = get_ident()
        lines = (self._rests.pop(thread, b"") + data).split(b"\n")
        rest = lines.pop()
        if len(rest) > self.LINE_MAX:
            lines.append(rest)
        elif rest:
            self._rests[thread] = rest
        self._put(lines)
        return len(data)

    def finish(self):
        """Writes unfinished last lines."""
        rests, self._rests = self._rests, {}
        self._put(list(rests.values()))

    def _put(self, lines):
        piece = b""
        for line in lines:
            line = self._prefix + line + b"\n"
            if piece and len(piece) + len(line) > self.PIECE_MAX:
                self._out(piece)
                piece = b""
            piece += line
        if piece:
            self._out(piece)

    def _out(self, piece):
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece):]
            except OSError:
                # The reader is gone: nobody is left to tell.
                return


def stream(descriptor, prefix):
    """A text stream over `Lines` that takes any str."""
    return io.TextIOWrapper(
        Lines(descriptor, prefix), encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )


def rename(prefix):
    """Gives the process and its streams another name, in a forked worker: loggers hold on to the stream they found when they were made."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(prefix.strip("[] ").replace(" ", "/")[:15])
    except OSError:
        pass
    for stream in (sys.stdout, sys.stderr):
        lines = getattr(stream, "buffer", None)
        if isinstance(lines, Lines):
            lines._prefix = prefix.encode("utf-8", "backslashreplace")


def start(prefix, paths):
    """Makes this interpreter a worker's: streams with its name, search path, argv, threads. Returns the error stream."""
    sys.stdout = stream(1, prefix)
    sys.stderr = errors = stream(2, prefix)
    sys.argv = ["ringgate"]
    sys.path[:] = [path for path in sys.path if path]
    for path in reversed(paths):
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)
    adopt_thread()
    return errors


def extension(path):
    """Loads our own extension in an interpreter that was not started with it."""
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    if "_ringgate" not in sys.modules:
        loader = ExtensionFileLoader("_ringgate", path)
        module = module_from_spec(spec_from_loader("_ringgate", loader))
        loader.exec_module(module)
        sys.modules["_ringgate"] = module
        guard_frames()
    module = sys.modules["_ringgate"]
    # For visitors from other threads, who find their way by import.
    module.stack = stack
    return module


def guard_frames():
    """In an interpreter beside others: CPython's `sys._current_frames` makes frames of all interpreters' threads in the caller's memory, and the
    process aborts when the others free them; `sys._current_exceptions` likewise. Here they know the calling thread alone."""
    from _thread import get_ident

    sys._current_frames = lambda: {get_ident(): sys._getframe(1)}
    sys._current_exceptions = lambda: {get_ident(): sys.exception()}


def hire(serve, name):
    """A further request thread. Daemonic: a request that never ends must not keep the process from ending. What it starts is not, by inheritance."""
    import threading

    def main():
        thread._daemonic = False
        serve()

    thread = threading.Thread(target=main, name=name, daemon=True)
    thread.start()
    return thread


def adopt_thread():
    """In an interpreter on a native thread, `threading` takes this thread for a daemonic dummy, and every new thread would inherit daemon."""
    import threading

    thread = threading.current_thread()
    if isinstance(thread, threading._DummyThread):
        thread._daemonic = False
        thread._name = "worker"


def leave_signals():
    """Only the supervisor acts upon signals, and Ctrl-C or a service manager's TERM reaches every process. A handler that does nothing, unlike SIG_IGN, is not inherited by programs the app starts."""
    import signal

    for name in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH", "TTIN", "TTOU"):
        signal.signal(getattr(signal, "SIG" + name), lambda signum, frame: None)


refusals = []

# Terminal conveniences of the standard library that refuse as well; nothing that serves requests misses them.
HARMLESS = ("readline", "_curses", "_curses_panel", "_tkinter")


def watch_imports(report):
    """Records every extension module that refuses to load here, also where the importer swallows the error."""
    from importlib.machinery import ExtensionFileLoader

    def watched(step):
        def wrapper(self, *arguments):
            try:
                return step(self, *arguments)
            except ImportError as error:
                if self.name not in HARMLESS and self.name not in [name for name, _ in refusals]:
                    refusals.append((self.name, str(error)))
                    report(self.name)
                raise

        return wrapper

    ExtensionFileLoader.create_module = watched(ExtensionFileLoader.create_module)
    ExtensionFileLoader.exec_module = watched(ExtensionFileLoader.exec_module)


class LoadError(Exception):
    """`stage` is `import`, `callable` or `worker`; `trace` a traceback or empty."""

    def __init__(self, stage, message, trace=""):
        super().__init__(message)
        self.stage = stage
        self.message = message
        self.trace = trace


def trace_of(error, drop=0):
    """The traceback as text, without the first `drop` entries (our own) and the importer's behind them."""
    import traceback

    trace = error.__traceback__
    while trace is not None and (drop > 0 or trace.tb_frame.f_code.co_filename.startswith("<frozen importlib")):
        trace = trace.tb_next
        drop -= 1
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:
        # 3.15 looks for a hint below the parent of a module that is missing, and so imports what has just failed to be imported.
        return f"Traceback (most recent call last):\n{''.join(traceback.format_tb(trace))}{one_line(error)}\n"


def load(target):
    """The callable that `module:callable`, `module:a.b`, `module:factory()` or `module` (its `application`) names."""
    module_name, _, expression = target.partition(":")
    module = load_module(module_name, target)
    if not expression:
        expression = "application"
    name, arguments, keywords = parse(expression, target)
    found = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError("callable", missing(module_name, module, name, expression)) from None
    if arguments is not None:
        if not callable(found):
            raise LoadError("callable", f"{name!r} in module {module_name!r} is {describe(found)}, not a factory that can be called")
        try:
            found = found(*arguments, **keywords)
        except BaseException as error:
            raise LoadError("callable", f"the factory {expression!r} in module {module_name!r} failed: {one_line(error)}", trace_of(error, 1)) from None
        if not callable(found):
            raise LoadError("callable", f"the factory {expression!r} in module {module_name!r} returned {describe(found)}, not an application")
    if not callable(found):
        raise LoadError("callable", f"{name!r} in module {module_name!r} is {describe(found)}, not callable" + suggest(module, module_name))
    if takes_nothing(found):
        hint = f"; if it makes one, say {module_name}:{name}() or --factory" if arguments is None else ""
        what = f"{name!r} in module {module_name!r} takes" if arguments is None else f"what the factory {expression!r} in module {module_name!r} returned takes"
        raise LoadError("callable", f"{what} no arguments, so it is no application{hint}")
    return found


def takes_nothing(app):
    """Whether it cannot be called with a request, as a factory that was meant to be called first."""
    import inspect

    if inspect.isclass(app):
        return False
    try:
        parameters = inspect.signature(app, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD) for parameter in parameters)


def load_module(module_name, target):
    import importlib

    hint = ""
    if module_name.endswith(".py") or "/" in module_name:
        plain = module_name.removesuffix(".py").strip("./").replace("/", ".")
        hint = f" (a module is named with dots: {plain}:...)"
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise LoadError("import", f"{module_name!r} in {target!r} is not a module name{hint}")
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only if the module itself, or a package above it, is what is missing; else it is a fault inside the module.
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")) and not inside(error):
            raise LoadError("import", f"no module named {error.name!r}, looked for in {', '.join(sys.path[:3])}, ..." + (hint or near_modules(module_name))) from None
        raise LoadError("import", f"importing {module_name!r} failed: {one_line(error)}", trace_of(error, 2)) from None
    except BaseException as error:
        raise LoadError("import", f"importing {module_name!r} failed: {one_line(error)}", trace_of(error, 2)) from None


def inside(error):
    """Whether code outside of the import machinery and this file is on the traceback."""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith("<frozen importlib") and name != __file__ and not name.endswith("importlib/__init__.py"):
            return True
        trace = trace.tb_next
    return False


def parse(expression, target):
    """Name, positional and keyword arguments (None: no call) of `a.b` or `a.b(1, x="y")`."""
    import ast

    wrong = f"{expression!r} in {target!r} is neither a name nor a call with literal arguments, such as create_app('production')"
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise LoadError("callable", wrong) from None
    arguments = keywords = None
    if isinstance(node, ast.Call):
        try:
            arguments = [ast.literal_eval(argument) for argument in node.args]
            keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
        except ValueError:
            raise LoadError("callable", wrong) from None
        if len(keywords) != len(node.keywords):
            raise LoadError("callable", wrong)
        node = node.func
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise LoadError("callable", wrong)
    parts.append(node.id)
    return ".".join(reversed(parts)), arguments, keywords


def missing(module_name, module, name, expression):
    import difflib

    message = f"module {module_name!r} has no {name!r}"
    names = [known for known in vars(module) if not known.startswith("_") and callable(getattr(module, known, None))]
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"{message}; did you mean {module_name}:{close[0]}?"
    return message + suggest(module, module_name)


def suggest(module, module_name):
    for candidate in NAME_TRIES:
        found = getattr(module, candidate.removesuffix("()"), None)
        if callable(found):
            return f"; there is {module_name}:{candidate}"
    return ""


def near_modules(module_name):
    import difflib
    import pkgutil

    first = module_name.partition(".")[0]
    here = [info.name for info in pkgutil.iter_modules(sys.path[:1])]
    close = difflib.get_close_matches(first, here, 1)
    return f"; did you mean {close[0]!r}?" if close and close[0] != first else ""


def describe(value):
    return f"a {type(value).__name__}" if value is not None else "None"


def one_line(error):
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]


def watched_files():
    """Files of the modules imported so far, without those that came with the interpreter or an installation."""
    import sysconfig

    paths = sysconfig.get_paths()
    foreign = tuple(paths[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    found = set()
    for module in list(sys.modules.values()):
        try:
            file = module.__file__
            places = [file] if file else [os.path.join(place, "__init__.py") for place in module.__path__]
        except Exception:
            continue
        for place in places:
            if isinstance(place, str) and os.path.isabs(place) and not place.startswith(foreign):
                found.add(place)
    return sorted(found)


# The application that was looked at last, and what it speaks: workers need not look again, and touch the memory that it takes.
_looked_at = [None, None]


def speaks(app):
    """`asgi`, `asgi2` (the scope in one call, the rest in a second) or `wsgi`."""
    if _looked_at[1] is None or _looked_at[0] is not app:
        _looked_at[:] = app, interface_of(app)
    return _looked_at[1]


def interface_of(app):
    import inspect

    call = app
    if inspect.isclass(app):
        # What the call makes is awaited (endpoints of Starlette), called once more with the rest (ASGI 2), or iterated.
        if hasattr(app, "__await__"):
            return "asgi"
        return "asgi2" if inspect.iscoroutinefunction(getattr(app, "__call__", None)) else "wsgi"
    if not inspect.isroutine(app):
        call = getattr(type(app), "__call__", None)
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return "asgi"
    # A plain function may return the coroutine of another: then its parameters tell.
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return "wsgi"
    positional = [parameter for parameter in parameters if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)]
    required = [parameter for parameter in positional if parameter.default is parameter.empty]
    if len(required) <= 3 <= len(positional) and positional[0].name == "scope":
        return "asgi"
    if len(required) == 3:
        return "asgi"
    if len(required) == 1 == len(positional):
        return "asgi2"
    return "wsgi"


def settle():
    """After the import: what was loaded is not garbage; the collector need not look at it again."""
    import gc

    gc.collect()
    gc.freeze()


def close_connections():
    """Closes what Django keeps open for the next request of the same process, as it does itself when told to: forks must not share it."""
    for module, keeper in (("django.db", "connections"), ("django.core.cache", "caches")):
        # Django 3.2 has no such thing for caches.
        close_all = getattr(getattr(sys.modules.get(module), keeper, None), "close_all", None)
        if close_all is not None:
            close_all()


def arm_stack_signal(number):
    """This signal writes the Python stack of the thread that gets it to the log, even while C code holds the GIL."""
    import faulthandler

    faulthandler.register(number, file=2, all_threads=False, chain=False)


def arm_interrupt_signal(number, is_over):
    """In a worker process with a single request thread: this signal ends the request in work, if it is the one that is meant."""
    import signal

    def interrupt(signum, frame):
        if not is_over():
            return
        from _ringgate import RequestTimeout

        try:
            sys.stderr.write(stack(frame))
        except Exception:
            # The application's own stream; the request is interrupted all the same.
            pass
        raise RequestTimeout

    signal.signal(number, interrupt)


def stack(frame):
    """What the log says of a request that is interrupted; `frame` is where its thread stands, None if nowhere."""
    import traceback

    lines = traceback.format_stack(frame) if frame is not None else []
    return "a request ran over its time and is interrupted; it was here:\n" + "".join(lines)


def tell(errors, headline, error):
    """One report in the log: a headline and, if there is one, the exception's traceback."""
    text = headline + "\n"
    if error is not None:
        try:
            trace = trace_of(error)
            # Where no line of Python was reached: the log knows a failure by this line.
            text += trace if trace.startswith(("Traceback (", "  + ")) else "Traceback (most recent call last):\n" + trace
        except Exception as second:
            text += f"{type(error).__name__} (its traceback cannot be shown: {type(second).__name__})\n"
    try:
        errors.write(text)
        errors.flush()
    except Exception:
        os.write(2, text.encode("utf-8", "backslashreplace"))


def finish():
    """Orderly end of a worker: exit handlers run, streams are flushed."""
    import atexit

    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            stream.buffer.finish()
        except Exception:
            pass


# Types of files whose bytes are what their descriptor reads: everything else (gzip, wrappers) is read through its own read().
def descriptor(filelike):
    """(descriptor, position, bytes to the end) of a regular file that may be sent by its descriptor, else None."""
    import stat

    try:
        kind = type(filelike)
        if (kind.__module__, kind.__name__) in (("tempfile", "_TemporaryFileWrapper"), ("django.core.files.base", "File")):
            filelike = filelike.file
            kind = type(filelike)
        if kind in (io.BufferedReader, io.BufferedRandom):
            if type(filelike.raw) is not io.FileIO:
                return None
            if kind is io.BufferedRandom:
                filelike.flush()
        elif kind is not io.FileIO:
            return None
        number = filelike.fileno()
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            return None
        position = filelike.tell()
        return number, position, max(status.st_size - position, 0)
    except Exception:
        return None
