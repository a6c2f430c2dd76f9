"""The part of an ASGI worker that is easier said in Python: its loop, the lifespan, and the way out.

Run once in every interpreter that serves an ASGI application. Nothing here is on the path of a request.
"""

import asyncio
import functools
import io
import os
import selectors
import stat
import sys


class Selector(selectors._BaseSelectorImpl):
    """What asyncio's loop sleeps in: the table is kept here, the sleep is native."""

    def __init__(self, native):
        super().__init__()
        self._native = native
        native.watch(self._fd_to_key)
        # The loop's every turn calls it: no Python frame in between.
        self.select = native.select

    def select(self, timeout=None):
        return self._native.select(timeout)

    def register(self, fileobj, events, data=None):
        key = super().register(fileobj, events, data)
        try:
            self._native.add(key.fd, events)
        except BaseException:
            super().unregister(fileobj)
            raise
        return key

    def unregister(self, fileobj):
        key = super().unregister(fileobj)
        self._native.remove(key.fd)
        return key

    def modify(self, fileobj, events, data=None):
        try:
            key = self._fd_to_key[self._fileobj_lookup(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        if events != key.events:
            self._native.modify(key.fd, events)
        if events != key.events or data != key.data:
            key = key._replace(events=events, data=data)
            self._fd_to_key[key.fd] = key
        return key


def new_loop(native, choice):
    """The loop, and whether it sleeps in our selector. `choice`: asyncio, uvloop, or auto (uvloop where it loads)."""
    if choice != "asyncio":
        try:
            import uvloop
        except ImportError as error:
            if choice == "uvloop":
                raise LoadError("worker", f"the event loop uvloop does not load here: {error}") from None
        else:
            return uvloop.new_event_loop(), False
    return asyncio.SelectorEventLoop(Selector(native)), True


def load_loop(choice):
    """Imports what `new_loop` will need."""
    if choice != "asyncio":
        try:
            import uvloop
        except ImportError:
            # Said by the worker, if it matters.
            pass


def single_callable(application):
    """An ASGI 2 application as one of ASGI 3."""

    async def single(scope, receive, send):
        instance = application(scope)
        return await instance(receive, send)

    return single


async def as_coroutine(awaitable):
    return await awaitable


class Lifespan:
    """One run of the lifespan protocol (specs/lifespan.rst)."""

    def __init__(self, application, state, mode, tell):
        self.application = application
        self.state = state
        self.mode = mode
        self.tell = tell
        self.task = None
        # What the application waits for in receive().
        self.inbox = None
        self.started = None
        self.stopped = None

    async def startup(self):
        if self.mode == "off":
            return
        loop = asyncio.get_running_loop()
        self.inbox = asyncio.Queue()
        self.started = loop.create_future()
        self.stopped = loop.create_future()
        self.inbox.put_nowait({"type": "lifespan.startup"})
        self.task = task = loop.create_task(self.main())
        failure = await self.started
        if failure is not None:
            await asyncio.wait([task], timeout=1)
            raise failure

    async def main(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        error = None
        try:
            await self.application(scope, self.inbox.get, self.send)
        except BaseException as raised:
            error = raised
        if not self.started.done():
            if error is None:
                self.started.set_result(None)
            elif self.mode == "on":
                self.started.set_result(LoadError("worker", f"the application's startup failed: {one_line(error)}", trace_of(error)))
            else:
                # It does not know the protocol, and need not (lifespan.rst, "Scope"). One that has taken the event does.
                if self.inbox.empty():
                    self.tell("the application's startup failed; with --lifespan auto it is served all the same, --lifespan on would not", error)
                self.started.set_result(None)
        elif error is not None and not self.stopped.done():
            self.tell("the application's lifespan failed", error)
        if not self.stopped.done():
            self.stopped.set_result(None)
        self.task = None

    async def send(self, message):
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            if not self.started.done():
                self.started.set_result(None)
        elif kind == "lifespan.startup.failed":
            text = message.get("message", "")
            if not self.started.done():
                self.started.set_result(LoadError("worker", "the application's startup failed" + (f": {text}" if text else "")))
        elif kind == "lifespan.shutdown.complete":
            if not self.stopped.done():
                self.stopped.set_result(None)
        elif kind == "lifespan.shutdown.failed":
            text = message.get("message", "")
            self.tell("the application's shutdown failed" + (f": {text}" if text else ""), None)
            if not self.stopped.done():
                self.stopped.set_result(None)
        else:
            raise ValueError(f"the lifespan knows no message of type {kind!r}")

    async def shutdown(self):
        task = self.task
        if task is None:
            return
        self.inbox.put_nowait({"type": "lifespan.shutdown"})
        await self.stopped
        # Through with the protocol; what follows is its own affair for a moment.
        await asyncio.wait([task], timeout=1)


# How long tasks may take to heed their cancellation.
CANCEL_S = 2.0


class Worker:
    """One worker's loop from its making to its end."""

    def __init__(self, native, application, loop, lifespan, state, graceful_s, errors):
        self.native = native
        self.loop, self.own_sleep = new_loop(native, loop)
        self.graceful_s = graceful_s
        self.errors = errors
        self.lifespan = Lifespan(application, state, lifespan, self.tell)
        asyncio.set_event_loop(self.loop)

    def tell(self, headline, error):
        tell(self.errors, headline, error)

    def start(self):
        """The application's startup; raises LoadError if that fails."""
        try:
            self.loop.run_until_complete(self.lifespan.startup())
        except LoadError:
            raise
        except BaseException as error:
            raise LoadError("worker", f"the application's startup failed: {one_line(error)}", trace_of(error)) from None

    def run(self):
        """Serves until this worker is to leave."""
        native, loop = self.native, self.loop
        if not self.own_sleep:
            wake, files = native.descriptors(native.turn, native.flush)
            loop.add_reader(wake, native.turn)
            loop.add_reader(files, native.take_files)
            loop.call_soon(native.turn)
        while native.leaving() is False:
            try:
                loop.run_forever()
            except BaseException as error:
                if native.leaving(error) is None:
                    return
                self.tell("an exception left the event loop", error)
        if native.leaving() is None:
            return
        self.complete(self.finish())
        self.complete(self.lifespan.shutdown())
        self.complete(self.clear())

    def complete(self, coroutine):
        try:
            self.loop.run_until_complete(coroutine)
        except BaseException as error:
            self.tell("the worker's end was not orderly", error)

    async def finish(self):
        """What is in work may end within the graceful time; WebSockets are told to come back elsewhere at its end."""
        native = self.native
        quiet = asyncio.Event()
        native.when_quiet(quiet.set)
        reserve = min(2 * CANCEL_S, self.graceful_s / 2)
        for limit, measure in ((self.graceful_s - reserve, native.go_away), (CANCEL_S, native.cancel_all), (CANCEL_S, None)):
            if not native.pending():
                break
            try:
                await asyncio.wait_for(quiet.wait(), limit)
            except (TimeoutError, asyncio.TimeoutError):
                if measure is not None:
                    measure()
        native.leave()

    async def clear(self):
        """Ends what the application left running, as asyncio.run would."""
        loop = self.loop
        tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_S)
        await loop.shutdown_asyncgens()
        executor = getattr(loop, "_default_executor", None)
        if executor is not None:
            executor.shutdown(wait=False)


def new_worker(options):
    return Worker(**options)


def stack_of(task):
    """Where a task stands, as text: its coroutine and all that it awaits."""
    import traceback

    frames = []
    awaitable = task.get_coro()
    while awaitable is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(awaitable, prefix + "_frame", None)
            if frame is not None:
                frames.append((frame, frame.f_lineno))
                break
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None) or getattr(awaitable, "ag_await", None)
    return "".join(traceback.StackSummary.extract(iter(frames)).format())


def is_disconnect(error):
    """Whether an exception is our "the client is gone", or came of it."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ConnectionAbortedError) or (isinstance(error, BaseExceptionGroup) and all(is_disconnect(part) for part in error.exceptions)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


if sys.version_info < (3, 11):

    class BaseExceptionGroup(BaseException):
        """None exist."""


async def open_aside(path, opened):
    """http.response.pathsend of a file whose opening may take time (a server's, a disk's that sleeps): a thread opens it, and the loop turns."""
    try:
        file, size = await asyncio.get_running_loop().run_in_executor(None, open_whole, path)
    except BaseException:
        opened()
        raise
    # Closed by its own end where this was cancelled meanwhile.
    with file:
        sent = opened(file.fileno(), size)
    await sent


def open_whole(path):
    """(file, size) of a regular file. One with a lease is waited for, a FIFO's writer is not."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{path}: not a regular file")
    file = open(path, "rb", buffering=0)
    return file, os.fstat(file.fileno()).st_size


def file_part(file, offset, count):
    """(descriptor, offset, count) of what http.response.zerocopysend means."""
    number = file if isinstance(file, int) else file.fileno()
    if not stat.S_ISREG(os.fstat(number).st_mode):
        raise ValueError("http.response.zerocopysend takes regular files; what comes from a pipe or a socket is for http.response.body")
    # A file object may have read further than it has given out.
    seek = file.seek if isinstance(file, (io.BufferedIOBase, io.RawIOBase)) else functools.partial(os.lseek, number)
    start = seek(0, os.SEEK_CUR) if offset is None else offset
    rest = max(os.fstat(number).st_size - start, 0)
    length = rest if count is None else min(count, rest)
    if offset is None:
        # As sendfile(2) does: the next part begins where this one ends.
        seek(start + length, os.SEEK_SET)
    return number, start, length
