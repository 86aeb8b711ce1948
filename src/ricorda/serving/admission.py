"""Whose turn it is: texts wait in a queue of their client, and clients take turns.

Everything here happens in the event loop, so nothing needs a lock.
"""

from collections import deque
from collections.abc import Callable, Sequence
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
        client = self._clients.get(name) or _Client(deque())
        limits = self.limits
        free = min(limits.streams - self.running, limits.streams_per_client - client.running)
        beyond = len(tickets) - max(0, free)  # of those that can begin at once
        if len(client.waiting) + beyond > limits.queue_per_client:
            raise Problem(
                429,
                f"expected at most {limits.queue_per_client} texts of a client to wait, got "
                f"{len(client.waiting) + beyond}: wait for some of them",
                code="rate_limit_exceeded",
                headers={"retry-after": RETRY_SECONDS},
            )
        if self.waiting + beyond > limits.queue:
            raise Problem(
                503,
                "the server has as many texts waiting as it takes: try again soon",
                code="queue_full",
                headers={"retry-after": RETRY_SECONDS},
            )
        self._clients[name] = client
        if not client.waiting:
            self._turns.append(name)
        client.waiting.extend(tickets)
        self.waiting += len(tickets)
        self._start_some()

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
