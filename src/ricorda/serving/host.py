"""How a server comes up, and how it goes: one uvicorn on one socket, ended by signals.

The socket is bound first, so that a port that is taken is told before anything is loaded. SIGINT
and SIGTERM let what is under way finish within a deadline; a second one does not wait.
"""

import asyncio
import contextlib
import functools
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from ricorda.errors import ConfigurationError
from ricorda.serving.connection import BoundedConnection, ConnectionLimits
from ricorda.serving.guard import Application
from ricorda.serving.problems import Problem

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
MARGIN = 2.0  # seconds after the deadline, for what the application ends by itself


def is_loopback(host: str) -> bool:
    """Say whether a host to bind to can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


LAST_PORT = 65535


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to an address; port 0 takes a free one.

    Raises ConfigurationError if the address does not exist, is taken or is not allowed.
    """
    if not 0 <= port <= LAST_PORT:  # the system would take it modulo 65,536
        raise ConfigurationError(f"expected a port from 0 to {LAST_PORT}, got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        listening.close()
        raise _cannot_bind(host, port, error) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Give the address of a bound socket as it stands in a URL, `127.0.0.1:8000`."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_bind(host: str, port: int, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(
        f"cannot listen at {host} port {port}: {reason.lower()}; give another --host or --port"
    )


class Host:
    """One server: `run` until a signal comes or `stop` is called."""

    def __init__(
        self,
        application: Application,
        listening: socket.socket,
        *,
        limits: ConnectionLimits | None = None,
        drain_seconds: float = 20.0,
        on_start: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
        on_drain: Callable[[], None] = lambda: None,
        on_reload: Callable[[], None] | None = None,
        on_refusal: Callable[[str, Problem], None] = lambda client, problem: None,
    ) -> None:
        """Prepare to serve an application at a bound socket.

        Called in the event loop: `on_start` before connections are accepted, `on_ready` after,
        `on_drain` when the end begins, `on_reload` at each SIGHUP. What is under way has
        `drain_seconds` to end. `on_refusal` gets the client's address and the problem of what is
        answered before it has become a request.
        """
        limits = limits or ConnectionLimits()
        config = uvicorn.Config(
            application,
            http=functools.partial(  # type: ignore[arg-type]
                BoundedConnection, limits=limits, on_refusal=on_refusal
            ),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]
            timeout_graceful_shutdown=drain_seconds + MARGIN,  # type: ignore[arg-type]
            h11_max_incomplete_event_size=limits.head_bytes,
        )
        self.listening = listening
        self._server = _Server(config, on_start, on_ready, on_drain, on_reload)

    @property
    def address(self) -> str:
        """Where it listens, `127.0.0.1:8000`."""
        return address_of(self.listening)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._server.server_state.connections)

    def run(self) -> None:
        """Serve until it is ended; call it in a thread to have signals left alone."""
        try:
            self._server.run(sockets=[self.listening])
        finally:
            self.listening.close()

    def stop(self) -> None:
        """End as SIGTERM does; from any thread."""
        self._server.end_soon()


class _Server(uvicorn.Server):
    """uvicorn's server with signals of our own."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_start: Callable[[], None],
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
        on_reload: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._on_start, self._on_ready = on_start, on_ready
        self._on_drain, self._on_reload = on_drain, on_reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        if threading.current_thread() is threading.main_thread():
            self._listen_to_signals(asyncio.get_running_loop())
        self._on_start()
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections and let the others end."""
        self._on_drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave uvicorn's handlers out, which would raise each signal again at the end."""
        yield

    def end_soon(self) -> None:
        """Begin to end; the second time, without waiting."""
        self.force_exit = self.should_exit
        self.should_exit = True

    def _listen_to_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            for each in ENDING_SIGNALS:
                loop.add_signal_handler(each, self.end_soon)
            if self._on_reload is not None and hasattr(signal, "SIGHUP"):
                loop.add_signal_handler(signal.SIGHUP, self._on_reload)
