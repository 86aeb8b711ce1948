"""Threads of their own for what takes long, so that quick answers never wait for one."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from ricorda.studio.kept import Cancelled

AT_ONCE = 4
"""Each may hold a text's chunk, some tens of megabytes."""

Found = TypeVar("Found")


class Turns:
    """Lets a few work at a time; the others wait in line, and take nobody's thread."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Let so many work at a time."""
        self._limiter = CapacityLimiter(at_once)

    async def take(self, request: Request, work: Callable[[threading.Event], Found]) -> Found:
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
