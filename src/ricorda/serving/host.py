"""Start and stop a server: one uvicorn on one socket, ended by signals.

The socket is bound first, so that a port in use is reported before a model is loaded. SIGINT and
SIGTERM let requests under way finish within a deadline; a second signal does not wait.
"""

import asyncio
import contextlib
import dataclasses
import functools
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from ricorda.errors import ConfigurationError
from ricorda.serving.connection import (
    BoundedConnection,
    ConnectionLimits,
    make_connections_quiet,
)
from ricorda.serving.guard import Application
from ricorda.serving.places import ListeningSocket, Places
from ricorda.serving.problems import Problem

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
MARGIN = 2.0  # seconds after the deadline, for what the application ends by itself

BACKLOG = 64
"""Connections that asyncio accepts at once, before it does anything else."""

QUEUE = 1024
"""Connections that may wait in the system to be accepted; beyond it, clients try again later."""

SEND_BUFFER = 128 << 10
"""Send buffer of a client, in bytes; a small one shows early whether the client reads."""

OTHER_DESCRIPTORS = 64
"""Files and sockets that a server needs besides its connections, at most."""

log = logging.getLogger("ricorda.serving")


def is_loopback(host: str) -> bool:
    """Return whether a host to bind to can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


LAST_PORT = 65535


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to an address; port 0 chooses a free one.

    Raises ConfigurationError if the address does not exist, is in use or is not allowed.
    """
    if not 0 <= port <= LAST_PORT:  # the system would take it modulo 65,536
        raise ConfigurationError(f"expected a port from 0 to {LAST_PORT}, got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = ListeningSocket(family, kind, protocol)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listening.bind(address)
        listening.listen(QUEUE)
    except (OSError, OverflowError) as error:
        listening.close()
        raise _cannot_bind(host, port, error) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the address of a bound socket as a URL has it, `127.0.0.1:8000`."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_bind(host: str, port: int, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(
        f"cannot listen at {host} port {port}: {reason.lower()}; give another --host or --port"
    )


def within_descriptors(limits: ConnectionLimits) -> ConnectionLimits:
    """Raise this process's limit of open files for the connections, or lower their number.

    Some descriptors are kept for files, and for connections that were accepted but not yet counted.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return limits
    needed = limits.connections + OTHER_DESCRIPTORS + 2 * BACKLOG
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft >= needed:
        return limits
    connections = max(4, soft - OTHER_DESCRIPTORS - 2 * BACKLOG)
    log.warning(
        "at most %d connections instead of %d: the system allows this process %d open files "
        "(ulimit -n)",
        *(connections, limits.connections, soft),
    )
    return dataclasses.replace(limits, connections=connections)


class Host:
    """One server: `run` serves until a signal comes or `stop` is called."""

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
        limits = within_descriptors(limits or ConnectionLimits())
        places = Places(limits.connections)
        if isinstance(listening, ListeningSocket):
            listening.accepts = places.accepts
        config = uvicorn.Config(
            application,
            http=functools.partial(  # type: ignore[arg-type]
                BoundedConnection, limits=limits, places=places, on_refusal=on_refusal
            ),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
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
        """Serve until `stop` or a signal; signals are handled in the main thread only."""
        try:
            self._server.run(sockets=[self.listening])
        finally:
            self.listening.close()

    def stop(self) -> None:
        """Stop as SIGTERM does; from any thread."""
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
        """Accept connections, then call `on_ready`."""
        make_connections_quiet(asyncio.get_running_loop(), log.warning)
        if threading.current_thread() is threading.main_thread():
            self._listen_to_signals(asyncio.get_running_loop())
        self._on_start()
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(QUEUE)  # asyncio takes one number for both
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections and let the requests under way end."""
        self._on_drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Disable uvicorn's handlers, which raise each signal again at the end."""
        yield

    def end_soon(self) -> None:
        """Begin to shut down; the second time, do not wait for requests."""
        self.force_exit = self.should_exit
        self.should_exit = True

    def _listen_to_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            for each in ENDING_SIGNALS:
                loop.add_signal_handler(each, self.end_soon)
            if self._on_reload is not None and hasattr(signal, "SIGHUP"):
                loop.add_signal_handler(signal.SIGHUP, self._on_reload)
