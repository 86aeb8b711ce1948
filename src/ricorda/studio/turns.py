"""Threads of their own for what takes long, so that quick answers never wait for one."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

AT_ONCE = 4
"""Each may hold a text's chunk, some tens of megabytes."""

Found = TypeVar("Found")


class Turns:
    """Lets a few work at a time; the others wait in line, and take nobody's thread."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Let so many work at a time."""
        self._limiter = CapacityLimiter(at_once)

    async def take(self, work: Callable[[], Found]) -> Found:
        """Do some work in its turn."""
        return await to_thread.run_sync(work, limiter=self._limiter)
