"""Start and stop a server: one uvicorn on one socket, ended by signals.

The socket is bound first, so that a port in use is reported before a model is loaded. SIGINT and
SIGTERM let requests under way finish within a deadline; a second signal does not wait.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import itertools
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from ricorda.errors import ConfigurationError
from ricorda.serving.connection import BoundedConnection, ConnectionLimits
from ricorda.serving.guard import Application, Problem
from ricorda.serving.limits import EVICTIONS, ConnectionSlots, Turns

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
MARGIN = 2.0  # seconds after the deadline, for what the application ends by itself

QUEUE = 1024
"""Connections that may wait in the system to be accepted; beyond it, clients try again later."""

ACCEPTED_AT_ONCE = 64
OPENED_AT_ONCE = 4
"""Connections in a round of the event loop."""

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
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label that is empty or too long
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
        f"cannot listen on {host} port {port}: {reason.lower()}; give another --host or --port"
    )


def within_descriptors(limits: ConnectionLimits) -> ConnectionLimits:
    """Raise this process's limit of open files for the connections, or lower their number.

    Some descriptors are kept for files, and for connections that take the place of others.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return limits
    needed = limits.connections + OTHER_DESCRIPTORS + 2 * EVICTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft >= needed:
        return limits
    connections = max(4, soft - OTHER_DESCRIPTORS - 2 * EVICTIONS)
    log.warning(
        "at most %d connections instead of %d: the system allows this process %d open files "
        "(ulimit -n)",
        *(connections, limits.connections, soft),
    )
    return dataclasses.replace(limits, connections=connections)


class Acceptor:
    """Accepts connections and opens them, those of all addresses in turn.

    To accept a connection costs little, to open it twenty times as much. So a client of an address
    that opens many at once waits for those before it, and clients of other addresses do not.
    """

    def __init__(
        self,
        slots: ConnectionSlots,
        make: Callable[[str], asyncio.Protocol],
        *,
        retry_seconds: float = 1.0,
    ) -> None:
        """Make the connection of an address by `make`."""
        self._slots = slots
        self._make = make
        self._retry_seconds = retry_seconds
        self._turns = Turns(OPENED_AT_ONCE)
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> None:
        """Accept connections until cancelled.

        Failures to accept, because descriptors are lacking, are reported once.
        """
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        reported = False
        for count in itertools.count(1):
            if count % ACCEPTED_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                connected, address = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not reported:
                    reported = True
                    _report_failure(error)
                await asyncio.sleep(self._retry_seconds)
                continue
            if self._slots.accepts(address[0]):
                self._slots.enter(address[0])
                task = loop.create_task(self._open(connected, address[0]))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            else:
                connected.close()

    def stop(self) -> None:
        """Close the connections that were not opened yet."""
        for task in self._opening:
            task.cancel()

    async def _open(self, connected: socket.socket, address: str) -> None:
        try:
            await self._turns.wait(address)
        except asyncio.CancelledError:
            connected.close()
            self._slots.leave(address)
            raise
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self._make(address), connected)


def _report_failure(error: OSError) -> None:
    with contextlib.suppress(OSError):
        log.warning(
            "cannot accept connections: %s; trying again every second (raise the limit of open "
            "files, or lower --max-connections)",
            error.strerror,
        )


class Host(uvicorn.Server):
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
        config = uvicorn.Config(
            application,
            http="h11",
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
        super().__init__(config)
        self.listening = listening
        self._on_start, self._on_ready = on_start, on_ready
        self._on_drain, self._on_reload = on_drain, on_reload
        slots = ConnectionSlots(limits.connections)

        def make(address: str) -> BoundedConnection:
            return BoundedConnection(
                *(config, self.server_state, asyncio.get_running_loop()),
                address=address,
                limits=limits,
                slots=slots,
                on_refusal=on_refusal,
            )

        self._acceptor = Acceptor(slots, make)
        self._accepting: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where it listens, `127.0.0.1:8000`."""
        return address_of(self.listening)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.server_state.connections)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop` or a signal; signals are handled in the main thread only."""
        try:
            super().run([self.listening])
        finally:
            self.listening.close()

    def stop(self) -> None:
        """Begin to shut down, from any thread; the second time, do not wait for requests."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then call `on_ready`."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._listen_to_signals(loop)
        self._on_start()
        self.servers = []
        self._accepting = loop.create_task(self._acceptor.run(self.listening))
        self.started = True
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections and let the requests under way end."""
        self._on_drain()
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        self._acceptor.stop()
        await super().shutdown(sockets)
        if self.force_exit:
            await self._cancel_requests()

    async def _cancel_requests(self) -> None:
        """Cancel the requests under way; uvicorn would log a traceback for each."""
        log = logging.getLogger("uvicorn.error")
        log.addFilter(_is_no_cancellation)
        try:
            tasks = list(self.server_state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            log.removeFilter(_is_no_cancellation)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Disable uvicorn's handlers, which raise each signal again at the end."""
        yield

    def _listen_to_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            for each in ENDING_SIGNALS:
                loop.add_signal_handler(each, self.stop)
            if self._on_reload is not None and hasattr(signal, "SIGHUP"):
                loop.add_signal_handler(signal.SIGHUP, self._on_reload)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
