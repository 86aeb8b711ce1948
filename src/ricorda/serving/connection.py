"""One HTTP connection: uvicorn's, with limits on time and room that uvicorn leaves open.

A head or a body that arrives too slowly is answered with 408, a reader that takes nothing is
dropped, and of too many connections the one that has waited longest without a request is closed.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ricorda.serving.problems import Problem

LINGER_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """How long each part of a request may take, and how many connections there may be."""

    connections: int = 512
    """Open at once, of all clients."""

    head_seconds: float = 10.0
    """From the first byte of a request, or from connecting, to the end of its headers."""

    body_seconds: float = 30.0
    """From there to the end of its body."""

    idle_seconds: float = 30.0
    """Between two requests."""

    stalled_seconds: float = 20.0
    """How long a client may leave a full buffer (64 KiB) unread."""

    head_bytes: int = 32 << 10
    """Bytes of a head that is not complete."""


class HeadScan:
    """Looks for lines of a head that end in a line feed alone, which h11 would accept.

    Where a server before this one sees another end of the head, a request can be smuggled in.
    """

    def __init__(self) -> None:
        self.complete = False
        self._lines = 0
        self._length = 0  # of the line so far, its carriage return included
        self._last = b""

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; say whether all is well. Does nothing once the head is complete."""
        begin = 0
        while not self.complete:
            end = data.find(b"\n", begin)
            if end < 0:
                self._length += len(data) - begin
                self._last = data[-1:] or self._last
                return True
            before = data[end - 1 : end] if end else self._last
            if before != b"\r":
                return False
            empty = self._length + end - begin == 1
            self.complete = empty and self._lines > 0
            self._lines += not empty
            self._length, self._last, begin = 0, b"\n", end + 1
        return True


class BoundedConnection(H11Protocol):
    """A connection that cannot hold its place, or the server's memory, for ever."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
        on_refusal: Callable[[str, Problem], None],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._on_refusal = on_refusal
        self._head = HeadScan()
        self._phase = ""
        self._since = time.monotonic()
        self._received = False
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def waits_for_a_request(self) -> bool:
        """Whether no request is being worked on."""
        return self._phase in ("head", "idle")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room, or say that there is none."""
        super().connection_made(transport)
        self._enter("head")
        if len(self.connections) > self._limits.connections and not self._make_room():
            self._refuse(
                Problem(503, "too many connections: try again soon", headers={"retry-after": "1"})
            )

    def data_received(self, data: bytes) -> None:
        """Hand on what arrives, if its form leaves no doubt."""
        self._received = True
        if self._phase == "closing":
            return
        if not self._head.feed(data):
            self._refuse(_bare_line_feed())
            return
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Begin to look at the next request, which may have arrived already."""
        self._head = HeadScan()
        rest = self.conn.trailing_data[0] if self.conn.their_state is h11.DONE else b""
        if not self._head.feed(rest):
            self.conn.start_next_cycle()
            self._refuse(_bare_line_feed())
            return
        super().on_response_complete()
        self._received = bool(rest)
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._enter("lost")
        self._unset_keepalive_if_required()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads too slowly: wait a while."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self._limits.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls this where it catches h11's error."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        status = 400 if status >= 500 else status  # an unknown coding: the client's fault
        self._refuse(Problem(status, f"expected an HTTP request: {str(error).lower()}"))

    def _follow(self) -> None:
        """Set the clock of what is awaited now."""
        if self._phase == "closing" or self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY:
            self._enter("body")
        elif self.conn.their_state is h11.IDLE:
            self._enter("head" if self._received else "idle")
        else:
            self._enter("work")

    def _enter(self, phase: str) -> None:
        if phase == self._phase:
            return
        self._phase, self._since = phase, time.monotonic()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = {"head": self._limits.head_seconds, "body": self._limits.body_seconds}.get(phase)
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self._phase == "head" and not self._received:
            self.transport.close()  # nothing was asked, so nothing is answered
        else:
            self._refuse(Problem(408, f"the request's {self._phase} took too long to arrive"))

    def _refuse(self, problem: Problem) -> None:
        """Answer in place of the application, if nothing was answered yet, and close."""
        if self._phase == "closing" or self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = problem.body()
            lines = [
                f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "connection: close",
                *(f"{name}: {value}" for name, value in problem.headers.items()),
            ]
            self._on_refusal(self.client[0] if self.client else "local", problem)
            self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self._close_gently()

    def _close_gently(self) -> None:
        """Read what still comes for a moment: closing at once would destroy the answer."""
        self._enter("closing")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _make_room(self) -> bool:
        """Close the connection that has waited longest without a request, this one excepted."""
        waiting = [
            each
            for each in self.connections
            if isinstance(each, BoundedConnection) and each.waits_for_a_request and each is not self
        ]
        if not waiting:
            return False
        min(waiting, key=lambda each: each._since).transport.abort()
        return True


def _bare_line_feed() -> Problem:
    return Problem(400, "expected lines of the head to end in CR LF")
