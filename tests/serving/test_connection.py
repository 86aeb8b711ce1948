"""Connections: how many, for how long, and how they end."""

import asyncio
import json
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from ricorda.serving.connection import BoundedConnection, ConnectionLimits
from ricorda.serving.host import Acceptor
from ricorda.serving.limits import ConnectionSlots
from tests.serving.conftest import PATIENCE, Command, Process, Server, eventually
from tests.serving.load import request
from tests.serving.test_operations import LONG, begin

Serve = Callable[..., Any]
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
KEY = "a-key-of-some-length"


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed a connection on which it says nothing."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(65536))
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(PATIENCE)


def ask_health(connection: socket.socket) -> bool:
    """Ask for /health on an open connection, which stays open."""
    connection.sendall(HEALTH)
    answer = b""
    while not answer.endswith(b'{"status":"ok"}'):
        part = connection.recv(65536)
        if not part:
            return False
        answer += part
    return True


def test_the_limit_of_connections_holds_in_a_burst(serve: Serve) -> None:
    with serve(max_connections=4, head_seconds=600, idle_seconds=600) as server:
        burst = [server.connect() for _ in range(60)]
        assert eventually(lambda: sum(map(is_open, burst)) <= 4)
        assert server.host.connections <= 4
        assert server.text(max_tokens=3)
        for connection in burst:
            connection.close()


def test_the_connection_that_is_idle_longest_is_closed_first(serve: Serve) -> None:
    with serve(max_connections=3, head_seconds=600, idle_seconds=600) as server:
        first, second, third = (server.connect() for _ in range(3))
        for connection in (second, first, third):  # `second` is idle longest
            assert ask_health(connection)
        assert server.ask("GET", "/health")[0] == 200
        assert eventually(lambda: not is_open(second))
        assert ask_health(first)
        assert ask_health(third)
        for connection in (first, second, third):
            connection.close()


def test_a_connection_without_a_request_is_closed_before_one_that_had_one(serve: Serve) -> None:
    with serve(max_connections=2, head_seconds=600, idle_seconds=600) as server:
        known = server.connect()
        assert ask_health(known)
        silent = server.connect()
        assert eventually(lambda: server.host.connections == 2)
        assert server.ask("GET", "/health")[0] == 200
        assert eventually(lambda: not is_open(silent))
        assert ask_health(known)
        silent.close()
        known.close()


@pytest.mark.parametrize("attack", ["no key", "no body"])
def test_holders_of_keys_get_in_beside_many_unfinished_requests(
    serve: Serve, tmp_path: Path, attack: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    authorization = f"Authorization: Bearer {KEY}\r\n" if attack == "no body" else ""
    head = request(LONG).partition(b"\r\n\r\n")[0]
    with serve(api_key_file=keys, max_connections=4, body_seconds=600) as server:
        attackers = [server.connect() for _ in range(12)]
        for attacker in attackers:
            attacker.sendall(head + b"\r\n" + authorization.encode() + b"\r\n")
        body = {"model": "letters", "prompt": "abc"}
        bearer = {"Authorization": f"Bearer {KEY}"}
        assert server.ask("POST", "/v1/completions", body, bearer)[0] == 200
        for attacker in attackers:
            attacker.close()


def test_an_answer_before_the_end_of_the_body_closes_the_connection(
    serve: Serve, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    with serve(api_key_file=keys, body_seconds=600, idle_seconds=600) as server:
        connection = server.connect()
        connection.sendall(request(LONG).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):  # until the server closes
            answer += part
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
        connection.close()
        assert eventually(lambda: server.host.connections == 0)


def test_an_early_answer_of_the_application_is_announced_as_the_last(server: Server) -> None:
    """A client would send its next request into the connection that closes."""
    connection = server.connect()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n"
    connection.sendall(head)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    connection.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.lower().count(b"\r\nconnection: close\r\n") == 1


def test_an_early_answer_reaches_a_client_that_still_sends(serve: Serve) -> None:
    with serve(max_body=1000) as server:
        connection = server.connect()
        head = (
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n"
        )
        connection.sendall(head)
        connection.sendall(b"a" * 3_000_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
        connection.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_has_closed_its_sending_side_gets_its_answer(
    server: Server, stream: bool
) -> None:
    expected = server.text(max_tokens=3000, seed=1, temperature=1)
    connection = begin(server, max_tokens=3000, stream=stream)
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    connection.close()
    head, _, rest = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    if stream:
        assert b"data: [DONE]\n\n" in rest
    else:
        assert json.loads(rest)["choices"][0]["text"] == expected
    assert eventually(lambda: server.host.connections == 0)


def test_all_requests_of_a_half_closed_connection_are_answered(server: Server) -> None:
    connection = server.connect()
    connection.sendall(HEALTH * 3)
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    connection.close()
    assert answer.count(b'{"status":"ok"}') == 3


class Clock:
    """An event loop's timers, fired by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[list[Any]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        timers, timer = self.timers, [self.now + seconds, callback]
        self.timers.append(timer)

        class Handle:
            def cancel(self) -> None:
                if timer in timers:
                    timers.remove(timer)

        return Handle()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


class Transport:
    """A transport whose buffer is filled by hand."""

    def __init__(self) -> None:
        self.unread = 1_000_000
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def paused() -> tuple[Clock, Transport]:
    """A connection whose client does not keep up, with 20 seconds to take something."""
    clock, transport = Clock(), Transport()
    connection = BoundedConnection(
        uvicorn.Config(lambda: None, log_config=None, ws="none"),
        ServerState(),
        cast(asyncio.AbstractEventLoop, clock),
        address="127.0.0.1",
        limits=ConnectionLimits(stalled_seconds=20),
        slots=ConnectionSlots(8),
        on_refusal=lambda client, problem: None,
    )
    connection.transport = cast(asyncio.Transport, transport)
    connection.flow = FlowControl(cast(asyncio.Transport, transport))
    connection.pause_writing()
    return clock, transport


def test_a_slow_reader_is_kept_as_long_as_it_takes_something(
    paused: tuple[Clock, Transport],
) -> None:
    clock, transport = paused
    for _ in range(50):
        clock.advance(14)
        transport.unread -= 1
    assert not transport.aborted


def test_a_reader_that_takes_nothing_any_more_is_dropped(paused: tuple[Clock, Transport]) -> None:
    clock, transport = paused
    clock.advance(18)
    transport.unread -= 1
    clock.advance(19)  # since the start 37 seconds, since the last progress 19
    assert not transport.aborted
    clock.advance(7)
    assert transport.aborted


class Peer:
    """A connection from an address."""

    def __init__(self, address: str) -> None:
        self.address = address


def test_an_address_that_floods_a_full_server_is_slowed_down() -> None:
    now = [0.0]
    slots = ConnectionSlots(4, clock=lambda: now[0])
    assert all(slots.accepts("flood") for _ in range(1000))  # there is room
    for _ in range(3):
        slots.enter("flood")
    slots.enter("other")
    assert [slots.accepts("flood") for _ in range(200)] == [True] * 128 + [False] * 72
    assert all(slots.accepts(address) for address in ("other", "third") for _ in range(200))
    now[0] += 0.5
    assert [slots.accepts("flood") for _ in range(100)] == [True] * 64 + [False] * 36


def test_the_address_with_most_connections_makes_room() -> None:
    slots = ConnectionSlots(8)
    peers = [cast(BoundedConnection, Peer(each)) for each in ("a", "b", "b", "b", "a")]
    for peer in peers:
        slots.enter(peer.address)
        slots.move(peer, None, 1)
    assert slots.choose() is peers[1]
    slots.move(peers[4], 1, 0)  # it is closing: it goes first
    assert slots.choose() is peers[4]
    slots.move(peers[4], 0, None)
    slots.leave(peers[4].address)
    for peer in peers[1:4]:
        slots.move(peer, 1, None)  # they are worked for
    assert slots.choose() is peers[0]
    slots.move(peers[0], 1, None)
    assert slots.choose() is None


class FullLoop(asyncio.SelectorEventLoop):
    """An event loop that has no descriptors left; after many failures it is cancelled."""

    failures = 0

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        self.failures += 1
        if self.failures > 1000:
            raise asyncio.CancelledError
        raise OSError(24, "Too many open files")


def test_failures_to_accept_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    loop = FullLoop()
    acceptor = Acceptor(ConnectionSlots(8), lambda address: asyncio.Protocol(), retry_seconds=0)
    with socket.socket() as listening, pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(acceptor.run(listening))
    loop.close()
    (report,) = caplog.messages
    assert "Too many open files" in report
    assert "--max-connections" in report


def is_healthy(server: Server) -> bool:
    try:
        return server.ask("GET", "/health")[0] == 200
    except OSError:  # not yet, or one connection too many from this address in this second
        return False


@pytest.mark.parametrize("files, connections", [(72, 150), (400, 500)])
def test_a_lack_of_descriptors_is_survived(
    command: Command, models: dict[str, Path], files: int, connections: int
) -> None:
    """72 files are too few for a burst of 64 connections, 400 for 512 connections."""
    served = command(
        *(f"m={models['letters']}", "--port", "0", "--access-log", "off"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
    )
    warning = served.line()
    assert "open files (ulimit -n)" in warning
    port = int(served.line().rsplit(":", 1)[1].split("/")[0])
    server = Server(None, None, None, port)  # type: ignore[arg-type]
    burst = [server.connect() for _ in range(connections)]
    assert eventually(lambda: is_healthy(server))
    for connection in burst:
        connection.close()
    assert eventually(lambda: is_healthy(server))
    served.process.send_signal(signal.SIGTERM)
    code, _, err = served.end()
    assert code == 0
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_an_access_log_on_a_full_disk_is_reported_once(
    command: Command, models: dict[str, Path]
) -> None:
    served = command(f"m={models['letters']}", "--port", "0", "--access-log", "/dev/full")
    port = int(served.line().rsplit(":", 1)[1].split("/")[0])
    server = Server(None, None, None, port)  # type: ignore[arg-type]
    for _ in range(3):
        assert server.text(model="m", max_tokens=3)
    served.process.send_signal(signal.SIGTERM)
    code, _, err = served.end()
    assert code == 0
    assert err.count("lines of the access log are lost") == 1
    assert "Traceback" not in err


def served_unreported(command: Command, model: str) -> tuple[Process, Server]:
    """A server that cannot report its port: a free one is given, which another may take first."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Path("/dev/full").open("w") as full:
        served = command(model, "--port", str(port), stderr=full)
    server = Server(None, None, None, port)  # type: ignore[arg-type]
    assert eventually(lambda: served.process.poll() is not None or is_healthy(server))
    return served_unreported(command, model) if served.process.poll() == 2 else (served, server)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_serving_continues_where_standard_error_is_full(
    command: Command, models: dict[str, Path]
) -> None:
    served, server = served_unreported(command, f"m={models['letters']}")
    assert server.text(model="m", max_tokens=3)
    served.process.send_signal(signal.SIGTERM)
    code, out, _ = served.end()
    assert (code, out) == (0, "")


def test_a_flood_that_is_accepted_but_not_opened_excludes_nobody() -> None:
    slots = ConnectionSlots(4)
    for _ in range(4 + 128):
        assert slots.accepts("flood")
        slots.enter("flood")
    assert not slots.accepts("flood")
    for _ in range(128):
        assert slots.accepts("other")
        slots.enter("other")
    assert not slots.accepts("third")


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/metrics", "/nowhere"])
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    status, headers, body = server.ask("HEAD", path)
    expected, found, content = server.ask("GET", path)
    assert (status, headers["content-type"]) == (expected, found["content-type"])
    assert content
    assert not body
    assert server.ask("HEAD", "/v1/completions")[1]["allow"] == "POST"
