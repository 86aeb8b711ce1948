"""Admission: texts wait in a queue for each client, clients take turns, memory has budgets.

Everything here happens in the event loop, so nothing needs a lock.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ricorda.serving.problems import Problem

RETRY_SECONDS = "1"


@dataclass(frozen=True, kw_only=True)
class AdmissionLimits:
    """How many texts may be written and may wait."""

    streams: int
    streams_per_client: int
    queue: int
    queue_per_client: int


class Ticket:
    """One text's place: it waits, then runs, then is over."""

    def __init__(self, client: str, start: Callable[[], None]) -> None:
        """Prepare to call `start` when it is the turn of this text of a client."""
        self.client = client
        self.start = start
        self.running = False
        self.over = False


class Budget:
    """Bounds the memory that requests under way take, per client and in total."""

    def __init__(self, *, what: str, option: str, per_client: int, total: int) -> None:
        """Count bytes of `what`, as messages call it; `option` sets the bounds."""
        self._what, self._option = what, option
        self._per_client, self._total = per_client, total
        self._taken: Counter[str] = Counter()
        self.one_at_a_time = asyncio.Lock()
        """Bound work whose memory is a multiple of what is counted."""

    @property
    def taken(self) -> int:
        """Bytes that requests under way take."""
        return self._taken.total()

    def take(self, client: str, size: int) -> None:
        """Count bytes for a request. Raises Problem: 429 beyond its client's bound, else 503."""
        if self._taken[client] + size > self._per_client:
            raise Problem(
                429,
                f"expected at most {self._per_client} bytes of {self._what} for one client at a "
                f"time ({self._option}), got {self._taken[client] + size}: wait for other requests "
                "to end",
                code="rate_limit_exceeded",
                headers={"retry-after": RETRY_SECONDS},
            )
        if self.taken + size > self._total:
            raise Problem(
                503,
                f"requests under way take {self.taken} of at most {self._total} bytes of "
                f"{self._what} ({self._option}): try again soon",
                code="queue_full",
                headers={"retry-after": RETRY_SECONDS},
            )
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


@dataclass
class _Client:
    waiting: deque[Ticket]
    running: int = 0


class Admission:
    """Lets texts begin, the clients in turn, as far as the limits allow."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
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
        client = self._clients.setdefault(name, _Client(deque()))
        if not client.waiting:
            self._turns.append(name)
        client.waiting.extend(tickets)
        self.waiting += len(tickets)
        self._start_some()

    def check(self, name: str, texts: int) -> None:
        """Raise Problem (429 or 503) if a client may not add this number of waiting texts."""
        client = self._clients.get(name) or _Client(deque())
        limits = self.limits
        free = min(limits.streams - self.running, limits.streams_per_client - client.running)
        beyond = texts - max(0, free)  # of those that can begin at once
        if len(client.waiting) + beyond > limits.queue_per_client:
            raise Problem(
                429,
                f"expected at most {limits.queue_per_client} texts of a client to wait "
                f"(--max-queue-per-client), got {len(client.waiting) + beyond}: wait for some of "
                "them to end",
                code="rate_limit_exceeded",
                headers={"retry-after": RETRY_SECONDS},
            )
        if self.waiting + beyond > limits.queue:
            raise Problem(
                503,
                f"{self.waiting} of at most {limits.queue} texts are waiting (--max-queue): try "
                "again soon",
                code="queue_full",
                headers={"retry-after": RETRY_SECONDS},
            )

    def leave(self, ticket: Ticket) -> None:
        """Free the place of a text that has ended or is wanted no more; twice is once."""
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
        """Give each client in turn the start of one text, until no more may run."""
        passed_over = 0
        while self.running < self.limits.streams and passed_over < len(self._turns):
            name = self._turns.popleft()
            client = self._clients[name]
            if client.running >= self.limits.streams_per_client:
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
