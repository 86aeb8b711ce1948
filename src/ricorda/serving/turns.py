"""Keeping the event loop quick: of the work that takes a while, a little in each of its rounds.

Sixty requests that arrive together would otherwise be worked off in one round, in which nothing
else is answered, /health least of all.
"""

import asyncio
from collections import deque

AT_ONCE = 1
"""Pieces of work in a round; each takes some tenths of a millisecond."""


class Turns:
    """Lets tasks go on in the order in which they asked, a few in each round of the loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    async def wait(self) -> None:
        """Wait for one's turn to do a piece of work."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._release, loop)
        await turn

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        released = 0
        while self._waiting and released < AT_ONCE:
            turn = self._waiting.popleft()
            if not turn.done():  # else its task has ended meanwhile
                turn.set_result(None)
                released += 1
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            loop.call_soon(self._release, loop)
