"""One HTTP connection: uvicorn's, with the limits that uvicorn does not have.

uvicorn ends connections that are idle between two requests and bounds the bytes of a head. It
limits neither the time of a head or a body nor the number of connections, waits for ever for a
client that does not read, and closes the connection of a client that has only closed its sending
side.
"""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ricorda.serving.framing import strict_connection
from ricorda.serving.guard import UNIDENTIFIED
from ricorda.serving.places import Places
from ricorda.serving.problems import Problem

LINGER_SECONDS = 1.0
PROBE_SECONDS = 0.1
PROGRESS_CHECKS = 4
"""How often within `stalled_seconds` a client that does not keep up is checked."""


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
    """How long a client may take none of what it is sent."""

    head_bytes: int = 32 << 10
    """Bytes of a head that is not complete."""


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
        places: Places,
        on_refusal: Callable[[str, Problem], None],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._places = places
        self.conn = strict_connection(limits.head_bytes)
        self._limits = limits
        self._on_refusal = on_refusal
        self._phase = ""
        self._ranked: int | None = None
        self._since = time.monotonic()
        self._received = False
        self._half_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """The address of the client."""
        return self.client[0] if self.client else "local"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection, or refuse it."""
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, _GentleTransport(transport, self))
        if len(self.connections) <= self._limits.connections:
            evicted = None
        elif evicted := self._places.choose():
            evicted.abort()
        self._places.enter(self)
        self._enter("head")
        if evicted is None and len(self.connections) > self._limits.connections:
            self.refuse(
                Problem(
                    503,
                    f"all of the server's {self._limits.connections} connections are busy: try "
                    "again soon, or raise --max-connections",
                    headers={"retry-after": "1"},
                )
            )

    def abort(self) -> None:
        """Close immediately and free the place, so that a burst does not count it again."""
        self.connections.discard(self)
        self.transport.abort()
        self._enter("lost")

    def data_received(self, data: bytes) -> None:
        """Hand what arrives to uvicorn, unless the connection is closing."""
        self._received = True
        if self._phase != "closing":
            super().data_received(data)
            self._follow()
        elif time.monotonic() - self._since < self._limits.body_seconds:
            self._linger()  # a client that still sends its body reads the answer after that

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open if the client still waits for an answer.

        A client that has left looks the same until something is sent to it; then its system
        answers with a reset. HTTP/1.1 allows `100 Continue` at any time.
        """
        if self._phase != "work" or self.scope["http_version"] != "1.1":
            return False
        self._half_closed = True
        if self.conn.our_state is h11.SEND_RESPONSE:
            probe = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            self.transport.write(self.conn.send(probe))
        self._abort_if_gone()
        return True

    def on_response_complete(self) -> None:
        """Go on to the next request, which may have arrived already."""
        if self.conn.their_state is h11.SEND_BODY:  # answered early: do not wait for the body
            self.transport.close()
            return
        self._received = bool(self.conn.trailing_data[0])
        super().on_response_complete()
        self._follow()

    def shutdown(self) -> None:
        """End as soon as the request under way is answered."""
        if self._phase == "closing":
            self.transport.abort()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._enter("lost")
        self._unset_keepalive_if_required()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch a client that reads more slowly than it is sent to."""
        super().pause_writing()
        if self._stalled is None:
            self._watch_progress(self.transport.get_write_buffer_size(), 0)

    def resume_writing(self) -> None:
        """Stop watching: the client has caught up."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; uvicorn calls this where it catches h11's error."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        status = 400 if status >= 500 else status  # an unknown coding: the client's fault
        self.refuse(Problem(status, f"expected an HTTP request: {str(error).lower()}"))

    def refuse(self, problem: Problem) -> None:
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
            self._on_refusal(self.address, problem)
            self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.close_gently()

    def close_gently(self) -> None:
        """Keep reading for a moment: closing at once could lose the answer."""
        self._enter("closing")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._linger()

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
        if self._half_closed and self._phase != "work":
            self.transport.close()

    def _enter(self, phase: str) -> None:
        if self._phase in (phase, "lost"):
            return
        self._phase, self._since = phase, time.monotonic()
        old, self._ranked = self._ranked, self._rank()
        if phase == "lost":
            self._places.leave(self, old)
        else:
            self._places.move(self, old, self._ranked)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = {"head": self._limits.head_seconds, "body": self._limits.body_seconds}.get(phase)
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._too_late)

    def _linger(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _too_late(self) -> None:
        if self._phase == "head" and not self._received:
            self.transport.close()  # nothing was asked, so nothing is answered
        else:
            self.refuse(
                Problem(408, f"the {self._phase} of the request took too long to arrive: try again")
            )

    def _watch_progress(self, unread: int, idle_checks: int) -> None:
        """Drop the client if it takes nothing for `stalled_seconds`."""

        def check() -> None:
            now = self.transport.get_write_buffer_size()
            idle = 0 if now != unread else idle_checks + 1
            if idle == PROGRESS_CHECKS:
                self.transport.abort()
            else:
                self._watch_progress(now, idle)

        seconds = self._limits.stalled_seconds / PROGRESS_CHECKS
        self._stalled = self.loop.call_later(seconds, check)

    def _abort_if_gone(self) -> None:
        """Poll whether a half-closed client has answered with a reset."""
        if self._phase != "work" or self.transport.is_closing():
            return
        connected: socket.socket = self.transport.get_extra_info("socket")
        if connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(PROBE_SECONDS, self._abort_if_gone)

    def _rank(self) -> int | None:
        """Return its rank for closing, 0 is first; None while a request is being processed."""
        match self._phase:
            case "closing":
                return 0
            case "head" | "idle":
                client = None if self.scope is None else self.scope["state"].get("client")
                return 1 if client in (None, UNIDENTIFIED) else 2
            case "body":
                return 3
        return None


class _GentleTransport:
    """A transport whose `close` keeps reading for a moment if the request has not ended.

    uvicorn closes right after an answer with `Connection: close`. If the client is still sending
    its body, the system would then reset the connection, and the client might lose the answer.
    """

    def __init__(self, transport: asyncio.Transport, connection: BoundedConnection) -> None:
        self._transport = transport
        self._connection = connection
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Send what is buffered, then close."""
        if self._closing:
            return
        if self._connection.conn.their_state is h11.SEND_BODY:
            self._closing = True
            self._connection.close_gently()
        else:
            self._transport.close()


def make_connections_quiet(loop: asyncio.AbstractEventLoop, report: Callable[[str], None]) -> None:
    """Report once that connections cannot be accepted, not with a traceback for each."""
    reported = False

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal reported
        if "socket.accept()" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif not reported:
            reported = True
            with contextlib.suppress(OSError):
                report(
                    f"cannot accept connections: {context['exception'].strerror}; trying again "
                    "every second (raise the limit of open files, or lower --max-connections)"
                )

    loop.set_exception_handler(handle)
