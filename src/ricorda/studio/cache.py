"""Work that takes long: in threads of its own, done once for each key, and cancelled in time."""

import asyncio
import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from ricorda.runs import RunFolder

AT_ONCE = 4  # requests in work; each may hold a chunk of a text, some tens of megabytes
PATIENCE = 0.1  # seconds between two checks whether the result is still wanted
MOST_RUNS = 4096  # of which a value is kept

Found = TypeVar("Found")

NEVER = threading.Event()
"""An event that is never set, so it cancels nothing."""


class Cancelled(Exception):
    """Nobody waits for the result any more."""


class Kept(Generic[Found]):
    """The results used last, by key; from any thread.

    Work for one key never waits for work for another.
    """

    def __init__(self, most: int) -> None:
        """Keep at most `most` results."""
        self._most = most
        self._found: OrderedDict[Hashable, Found] = OrderedDict()
        self._locks: weakref.WeakValueDictionary[Hashable, threading.Lock]
        self._locks = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def get(
        self, key: Hashable, make: Callable[[], Found], cancelled: threading.Event = NEVER
    ) -> Found:
        """Return the result for a key, made if it is not kept. Raises Cancelled, and as `make`."""
        with self._lock:
            if key in self._found:
                return self._used(key)
            own = self._locks.setdefault(key, threading.Lock())
        while not own.acquire(timeout=PATIENCE):
            if cancelled.is_set():
                raise Cancelled
        try:
            with self._lock:
                if key in self._found:  # another thread made it meanwhile
                    return self._used(key)
            found = make()
            with self._lock:
                self._found[key] = found
                while len(self._found) > self._most:
                    self._found.popitem(last=False)
            return found
        finally:
            own.release()

    def _used(self, key: Hashable) -> Found:
        self._found.move_to_end(key)
        return self._found[key]


class FromFile(Generic[Found]):
    """A value computed from a file of a run, again only once the file has changed."""

    def __init__(
        self,
        read: Callable[[RunFolder], Found],
        file: Callable[[RunFolder], Path] = lambda run: run.metrics,
    ) -> None:
        """Take the function that computes it, and the file: by default the rows."""
        self._read = read
        self._file = file
        self._kept: Kept[Found] = Kept(MOST_RUNS)

    def of(self, run: RunFolder) -> Found:
        """Compute the value, or return what was computed from the same content."""
        stamp = None
        with contextlib.suppress(OSError):
            status = self._file(run).lstat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        return self._kept.get((run.path, stamp), lambda: self._read(run))


class WorkLimiter:
    """Threads for what takes long: a few work at a time, so that quick requests never wait."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Let so many work at a time."""
        self._limiter = CapacityLimiter(at_once)

    async def run(self, request: Request, work: Callable[[threading.Event], Found]) -> Found:
        """Do some work in its turn, for as long as the client waits for it.

        The work gets an event that is set when the client has gone. Raises ClientDisconnect if it
        then ends with Cancelled, or has not begun.
        """
        with _watched(request) as gone:

            def unless_gone() -> Found:
                if gone.is_set():
                    raise Cancelled
                return work(gone)

            try:
                return await to_thread.run_sync(unless_gone, limiter=self._limiter)
            except Cancelled:
                raise ClientDisconnect from None

    async def iterate(self, pieces: Iterator[Found]) -> AsyncIterator[Found]:
        """Yield what an iterator yields, each in a turn of its own."""
        while True:
            piece = await to_thread.run_sync(lambda: next(pieces, None), limiter=self._limiter)
            if piece is None:
                return
            yield piece


@contextlib.contextmanager
def _watched(request: Request) -> Iterator[threading.Event]:
    """Within, an event that is set when the client has gone."""
    gone = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watcher = asyncio.ensure_future(watch())
    try:
        yield gone
    finally:
        watcher.cancel()
