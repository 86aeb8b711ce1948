"""Places for connections: who may connect, and which connection is closed if there are too many."""

import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ricorda.serving.connection import BoundedConnection

EVICTIONS = 128
"""Connections of one address that may replace others, per second."""

ACCEPTED_AT_ONCE = 256


class ListeningSocket(socket.socket):
    """A listening socket that closes connections which are not accepted, before anything else.

    A connection in asyncio and uvicorn costs half a millisecond; this costs a fiftieth of it.
    """

    accepts: Callable[[str], bool] = staticmethod(lambda address: True)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next connection. Raises BlockingIOError if there is none for now."""
        for _ in range(ACCEPTED_AT_ONCE):
            connected, address = super().accept()
            if self.accepts(address[0]):
                return connected, address
            connected.close()
        raise BlockingIOError


class Places:
    """The places of a server's connections, and which connection is closed if there are too many.

    Closed are, in this order: connections that are closing already; those that wait for a request,
    clients that are not identified before others; those that wait for a body. Among several, it is
    one of the address with the most connections, so that a burst evicts itself, and the one that
    has waited longest.
    """

    RANKS = 4

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Expect at most `limit` connections."""
        self._limit = limit
        self._clock = clock
        self._allowance, self._at = float(EVICTIONS), clock()
        self._counts: Counter[str] = Counter()
        # Of each rank and address, the connections in the order in which they began to wait.
        self._waiting: list[dict[str, dict[BoundedConnection, None]]] = [
            {} for _ in range(self.RANKS)
        ]

    def accepts(self, address: str) -> bool:
        """Return whether a new connection of an address is accepted.

        If there is no place left, a client that floods the server could make it close one
        connection after another. So the address with most connections gets EVICTIONS a second;
        what it opens beyond that is closed at once, which costs next to nothing.
        """
        if self._counts.total() < self._limit:
            return True
        if self._counts[address] < max(self._counts.values()):
            return True
        now = self._clock()
        self._allowance = min(EVICTIONS, self._allowance + EVICTIONS * (now - self._at))
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def enter(self, connection: "BoundedConnection") -> None:
        """Count a new connection."""
        self._counts[connection.address] += 1

    def leave(self, connection: "BoundedConnection", rank: int | None) -> None:
        """Stop counting a connection that waited with a rank."""
        self.move(connection, rank, None)
        self._counts[connection.address] -= 1
        if not self._counts[connection.address]:
            del self._counts[connection.address]

    def move(self, connection: "BoundedConnection", old: int | None, new: int | None) -> None:
        """Take a connection from one rank to the end of another."""
        if old is not None:
            same = self._waiting[old][connection.address]
            del same[connection]
            if not same:
                del self._waiting[old][connection.address]
        if new is not None:
            self._waiting[new].setdefault(connection.address, {})[connection] = None

    def choose(self) -> "BoundedConnection | None":
        """Return the connection to close; None if all have requests under way."""
        for by_address in self._waiting:
            if by_address:
                address = max(by_address, key=self._counts.__getitem__)
                return next(iter(by_address[address]))
        return None
