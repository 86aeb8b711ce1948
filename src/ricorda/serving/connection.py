"""One HTTP connection: uvicorn's, with the limits that uvicorn does not have.

uvicorn ends connections that are idle between two requests and bounds the bytes of a head. It
limits neither the time of a head or a body nor the number of connections, waits for ever for a
client that does not read, and closes the connection of a client that has only closed its sending
side.
"""

import asyncio
import re
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ricorda.serving.guard import UNIDENTIFIED, Problem
from ricorda.serving.limits import RETRY, ConnectionSlots

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
    """A connection that cannot hold its slot, or the server's memory, for ever."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        loop: asyncio.AbstractEventLoop,
        *,
        address: str,
        limits: ConnectionLimits,
        slots: ConnectionSlots,
        on_refusal: Callable[[str, Problem], None],
    ) -> None:
        """Prepare for a client at an address, which `slots` counts already."""
        super().__init__(config, server_state, {}, loop)
        self.address = address
        self._slots = slots
        self.conn = _Exchange(limits.head_bytes)
        self._limits = limits
        self._on_refusal = on_refusal
        self._phase = ""
        self._ranked: int | None = None
        self._since = time.monotonic()
        self._received = False
        self._half_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection, or refuse it."""
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, _GentleTransport(transport, self))
        is_full = len(self.connections) > self._limits.connections
        evicted = self._slots.choose() if is_full else None
        self._enter("head")
        if evicted is not None:
            evicted.abort()
        elif is_full:
            message = f"all of the server's {self._limits.connections} connections are busy"
            hint = "try again soon, or raise --max-connections"
            self.refuse(Problem(503, f"{message}: {hint}", headers=RETRY))

    def abort(self) -> None:
        """Close immediately and free the slot, so that a burst does not count it again."""
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
        if self.conn.their_state is h11.SEND_BODY:  # answered early, with Connection: close
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
            self._slots.move(self, old, None)
            self._slots.leave(self.address)
        else:
            self._slots.move(self, old, self._ranked)
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


class _Exchange(h11.Connection):
    """The requests and answers of one connection.

    A response sent before the whole request body has arrived carries `Connection: close`. Otherwise
    the client would send its next request into a connection that closes.
    """

    def __init__(self, head_bytes: int) -> None:
        super().__init__(h11.SERVER, head_bytes)
        self._receive_buffer = StrictBuffer()

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Turn an event into bytes; h11's `send` calls this."""
        if type(event) is h11.Response and self.their_state is h11.SEND_BODY:
            headers = [(name, value) for name, value in event.headers if name != b"connection"]
            headers.append((b"connection", b"close"))
            event = h11.Response(
                status_code=event.status_code, headers=headers, reason=event.reason
            )
        return super().send_with_data_passthrough(event)


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


# If a proxy before this server finds a different end of a request, a second request can be smuggled
# inside the first. So every form that servers are known to read differently is refused with 400.

BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
BLANK_LINE = b"\r\n\r\n"


class StrictBuffer(ReceiveBuffer):
    """h11's buffer of received bytes, which checks lines before h11 reads them.

    Heads and chunk trailers pass through `maybe_extract_lines`, the size lines of chunks through
    `maybe_extract_next_line`. Both raise RemoteProtocolError for a line that is refused.
    """

    _checked = 0  # bytes at the beginning of the buffer that hold no bare line feed

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Extract a head or the trailers of chunks, without their blank line."""
        if self._data.startswith(b"\r\n"):  # no trailers; what follows is another request
            return super().maybe_extract_lines()
        blank = self._data.find(BLANK_LINE, max(0, self._checked - len(BLANK_LINE)))
        end = len(self._data) if blank < 0 else blank + len(BLANK_LINE)
        if self._data.startswith(b"\n") or BARE_LINE_FEED.search(self._data, self._checked, end):
            raise h11.RemoteProtocolError("expected lines that end in CR LF, got a line feed alone")
        self._checked = end
        lines: list[bytearray] | None = super().maybe_extract_lines()
        if lines is not None:
            self._checked = 0
            _check_lines(lines)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Extract the line that gives the size of a chunk."""
        line: bytearray | None = super().maybe_extract_next_line()
        if line is not None and CONTROL_CHARACTER.search(line[:-2]):
            raise h11.RemoteProtocolError("expected a chunk's size without control characters")
        return line


def _check_lines(lines: list[bytearray]) -> None:
    """Refuse folded lines and repeated Content-Lengths, equal or not."""
    lengths = [line for line in lines if line[:14].lower() == b"content-length"]
    if len(lengths) > 1 or any(b"," in line for line in lengths):
        raise h11.RemoteProtocolError("expected one Content-Length")
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise h11.RemoteProtocolError("expected each header on one line, got a folded line")
