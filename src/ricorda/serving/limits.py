"""What clients share: memory, texts under way, rounds of the event loop and connections.

Everything here happens in the event loop, so nothing needs a lock.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ricorda.serving.guard import Problem
from ricorda.serving.settings import ServerSettings

RETRY = {"retry-after": "1"}

EVICTIONS = 128
"""Connections of one address that may replace others, per second."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The most of something for one client, and for all clients together."""

    what: str
    per_client: int
    total: int
    client_option: str
    option: str

    def check(self, more: int, *, own: int, everyone: int) -> None:
        """Raise Problem if a client may not have more: 429 beyond its own bound, else 503."""
        if own + more > self.per_client:
            raise Problem(
                429,
                f"expected at most {self.per_client} {self.what} of one client at a time "
                f"({self.client_option}), got {own + more}: wait for other requests to end",
                code="rate_limit_exceeded",
                headers=RETRY,
            )
        if everyone + more > self.total:
            raise Problem(
                503,
                f"all clients together have {everyone} of at most {self.total} {self.what} "
                f"({self.option}): try again soon",
                code="queue_full",
                headers=RETRY,
            )


class Budget:
    """Bounds the memory that requests under way take, per client and in total."""

    def __init__(self, *, what: str, option: str, per_client: int, total: int) -> None:
        """Count bytes of `what`, as messages call it; `option` sets the bounds."""
        self._bound = Bound(
            what=f"bytes of {what}",
            per_client=per_client,
            total=total,
            client_option=option,
            option=option,
        )
        self._taken: Counter[str] = Counter()
        self.one_at_a_time = asyncio.Lock()
        """Bound work whose memory is a multiple of what is counted."""

    @property
    def taken(self) -> int:
        """Bytes that requests under way take."""
        return self._taken.total()

    def take(self, client: str, size: int) -> None:
        """Count bytes for a request. Raises Problem: 429 beyond its client's bound, else 503."""
        self._bound.check(size, own=self._taken[client], everyone=self.taken)
        self._taken[client] += size

    def give_back(self, client: str, size: int) -> None:
        """Release the bytes of a request that has ended."""
        self._taken[client] -= size
        if not self._taken[client]:
            del self._taken[client]

    @contextmanager
    def charged(self, client: str, size: int) -> Iterator[None]:
        """Count bytes until the block ends."""
        self.take(client, size)
        try:
            yield
        finally:
            self.give_back(client, size)


class Ticket:
    """One text's place: it waits, then runs, then is over."""

    def __init__(self, client: str, start: Callable[[], None]) -> None:
        """Prepare to call `start` when it is the turn of this text of a client."""
        self.client = client
        self.start = start
        self.running = False
        self.over = False


class _Client:
    def __init__(self) -> None:
        self.waiting: deque[Ticket] = deque()
        self.running = 0


class Admission:
    """Lets texts begin, the clients in turn, as far as the limits allow."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._queue = Bound(
            what="texts that wait",
            per_client=settings.max_queue_per_client,
            total=settings.max_queue,
            client_option="--max-queue-per-client",
            option="--max-queue",
        )
        self.running = 0
        """Texts being written."""
        self.waiting = 0
        """Texts in a queue."""
        self._clients: dict[str, _Client] = {}
        self._turns: deque[str] = deque()  # clients with a text waiting, the next one first

    def enter(self, tickets: Sequence[Ticket]) -> None:
        """Let all texts of a request wait for their turn, which may come at once.

        Raises Problem, with none of them waiting: 429 if the client has too many, 503 if all
        clients together have.
        """
        if not tickets:
            return
        name = tickets[0].client
        self.check(name, len(tickets))
        client = self._clients.setdefault(name, _Client())
        if not client.waiting:
            self._turns.append(name)
        client.waiting.extend(tickets)
        self.waiting += len(tickets)
        self._start_some()

    def check(self, name: str, texts: int) -> None:
        """Raise Problem (429 or 503) if a client may not add this number of waiting texts."""
        client = self._clients.get(name) or _Client()
        settings = self._settings
        free = min(
            settings.max_streams - self.running, settings.max_streams_per_client - client.running
        )
        waiting = max(0, texts - max(0, free))
        self._queue.check(waiting, own=len(client.waiting), everyone=self.waiting)

    def leave(self, ticket: Ticket) -> None:
        """Free the place of a text that has ended or is no longer wanted; twice is once."""
        if ticket.over:
            return
        ticket.over = True
        client = self._clients[ticket.client]
        if ticket.running:
            self.running -= 1
            client.running -= 1
        else:
            client.waiting.remove(ticket)
            self.waiting -= 1
            if not client.waiting:
                self._turns.remove(ticket.client)
        if not client.waiting and not client.running:
            del self._clients[ticket.client]
        self._start_some()

    def _start_some(self) -> None:
        """Start one text of each client in turn, until no more may run."""
        passed_over = 0
        while self.running < self._settings.max_streams and passed_over < len(self._turns):
            name = self._turns.popleft()
            client = self._clients[name]
            if client.running >= self._settings.max_streams_per_client:
                self._turns.append(name)
                passed_over += 1
                continue
            passed_over = 0
            ticket = client.waiting.popleft()
            if client.waiting:
                self._turns.append(name)
            self.waiting -= 1
            self.running += 1
            client.running += 1
            ticket.running = True
            ticket.start()


class Turns:
    """Spreads work over the rounds of the event loop: in each a few pieces, the keys in turn.

    Sixty requests that arrive together would otherwise be processed in one round, in which nothing
    else is answered, /health least of all.
    """

    def __init__(self, at_once: int = 1) -> None:
        """Let so many pieces of work happen in one round."""
        self._at_once = self._left = at_once
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._is_scheduled = False

    async def wait(self, key: str = "") -> None:
        """Wait for the next turn of a key to do a piece of work, which may be now."""
        loop = asyncio.get_running_loop()
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._begin_round, loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn = loop.create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        await turn

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._at_once
        while self._waiting and self._left:
            key = next(iter(self._waiting))
            turns = self._waiting.pop(key)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns  # behind the other keys
            if not turn.done():  # else its task was cancelled
                turn.set_result(None)
                self._left -= 1
        self._is_scheduled = self._left < self._at_once
        if self._is_scheduled:
            loop.call_soon(self._begin_round, loop)


class Evictable(Protocol):
    """A connection that may be closed to make room for another."""

    @property
    def address(self) -> str:
        """The address of the client."""

    def abort(self) -> None:
        """Close it at once."""


class ConnectionSlots:
    """The slots of a server's connections, and which connection is closed if all are taken.

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
        self._waiting: list[dict[str, dict[Evictable, None]]] = [{} for _ in range(self.RANKS)]

    def accepts(self, address: str) -> bool:
        """Return whether a new connection of an address is accepted.

        If there is no slot left, a client that floods the server could make it close one
        connection after another. So the address with most connections gets EVICTIONS a second;
        what it opens beyond that is closed at once, which costs next to nothing. Connections that
        are accepted but not opened yet may exceed the limit for a moment, those of other addresses
        by twice as many.
        """
        beyond = self._counts.total() - self._limit
        if beyond < 0:
            return True
        if self._counts[address] < max(self._counts.values()):
            return beyond < 2 * EVICTIONS
        if beyond >= EVICTIONS:
            return False
        now = self._clock()
        self._allowance = min(EVICTIONS, self._allowance + EVICTIONS * (now - self._at))
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def enter(self, address: str) -> None:
        """Count a new connection of an address."""
        self._counts[address] += 1

    def leave(self, address: str) -> None:
        """Stop counting a connection of an address."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]

    def move(self, connection: Evictable, old: int | None, new: int | None) -> None:
        """Take a connection from one rank to the end of another."""
        if old is not None:
            same = self._waiting[old][connection.address]
            del same[connection]
            if not same:
                del self._waiting[old][connection.address]
        if new is not None:
            self._waiting[new].setdefault(connection.address, {})[connection] = None

    def choose(self) -> Evictable | None:
        """Return the connection to close; None if all have requests under way."""
        for by_address in self._waiting:
            if by_address:
                address = max(by_address, key=self._counts.__getitem__)
                return next(iter(by_address[address]))
        return None
