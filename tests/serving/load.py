"""Load on a server by well-behaved and hostile clients, and its effect on the others.

`python -m tests.serving.load MODEL` starts `ricorda serve` and prints the figures of
docs/reference/http.md; a slice of the same is in test_load.py.
"""

import argparse
import asyncio
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEAD = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


PROBE = """
import http.client, json, select, sys, time
found = []
while True:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    connection.close()
    found.append(time.perf_counter() - began)
    if select.select([sys.stdin], [], [], 0.02)[0]:
        break
print(json.dumps(found))
"""


async def ask(
    port: int, body: dict[str, Any] | bytes, key: str = "", local: str = "127.0.0.1"
) -> tuple[int, bytes]:
    """Send one request for completion: its status and body, of whatever form."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0))
    try:
        writer.write(request(body, key))
        return await _answer(reader)
    finally:
        writer.close()


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Send one GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return await _answer(reader)
    finally:
        writer.close()


def request(body: dict[str, Any] | bytes, key: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"{HEAD}{authorization}Content-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    length = re.search(r"\r\ncontent-length: (\d+)", head)
    if length:
        return status, await reader.readexactly(int(length[1]))
    body = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return status, body


def text_of(body: bytes) -> str:
    """The text of an answer or of a stream."""
    if not body.startswith(b"data: "):
        return str(json.loads(body)["choices"][0]["text"])
    *events, last, _ = body.decode().split("\n\n")
    assert last == "data: [DONE]", last
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    return "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])


@dataclass
class Storm:
    """What happened in a storm."""

    answered: int = 0
    different: int = 0
    failed: list[str] = field(default_factory=list)
    left: int = 0
    health_seconds: list[float] = field(default_factory=list)

    @property
    def health_99(self) -> float:
        """The 99th percentile, in seconds."""
        return sorted(self.health_seconds)[int(len(self.health_seconds) * 0.99)]


@dataclass
class Weather:
    """How bad a storm is to be."""

    model: str
    prompt: str
    streams: int = 64
    leavers: int = 16
    slow_readers: int = 8
    slowloris: int = 32
    tokens: int = 200
    key: str = ""


async def storm(
    port: int,
    weather: Weather,
    again: Callable[[], bool],
    begun: asyncio.Event | None = None,
) -> Storm:
    """Compare seeded texts under load with those of a single client, while `again` says so.

    `begun` is set when the texts of the single client are known.
    """
    found = Storm()
    bodies = [
        {"model": weather.model, "prompt": weather.prompt, "seed": seed, "temperature": 0.9,
         "max_tokens": weather.tokens, "stream": seed % 2 == 1}
        for seed in range(weather.streams)
    ]  # fmt: skip
    alone = [text_of((await ask(port, body, weather.key))[1]) for body in bodies]

    if begun is not None:
        begun.set()

    async def client(number: int) -> None:
        while True:
            try:
                status, body = await ask(port, bodies[number], weather.key)
                if status == 200:
                    found.answered += 1
                    found.different += text_of(body) != alone[number]
                else:
                    found.failed.append(f"{status} {body[:200]!r}")
            except (OSError, asyncio.IncompleteReadError) as error:
                found.failed.append(repr(error))
            if not again():
                return

    async def leaver(number: int) -> None:
        random_numbers = random.Random(number)
        while again():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(bodies[0] | {"max_tokens": 4000, "stream": number % 2 == 0}))
            with suppress(TimeoutError):
                async with asyncio.timeout(random_numbers.uniform(0, 0.2)):
                    await reader.read(100)
            writer.transport.abort()
            found.left += 1
            await asyncio.sleep(0)

    async def slow_reader(number: int) -> None:
        body = bodies[0] | {"max_tokens": 4000, "n": 4, "stream": True, "logprobs": 5}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(request(body))
        with suppress(OSError):
            while again() and await reader.read(10):
                await asyncio.sleep(0.1)
        writer.transport.abort()

    kinds: list[tuple[int, Callable[[int], Awaitable[None]]]] = [
        (weather.streams, client),
        (weather.leavers, leaver),
        (weather.slow_readers, slow_reader),
        (weather.slowloris, lambda number: _crawl(port, again)),
    ]
    await asyncio.gather(
        _probe(port, again, found),
        *(each(number) for count, each in kinds for number in range(count)),
    )
    return found


async def _crawl(port: int, again: Callable[[], bool]) -> None:
    """Send a head that never ends, a byte now and then."""
    while again():
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in HEAD.encode() * 100:
                if not again() or reader.at_eof() or writer.is_closing():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.25)
            writer.transport.abort()


@dataclass(frozen=True)
class Siege:
    """An attacker with a key of its own: how many connections do what at once."""

    key: str
    address: str = "127.0.0.2"
    expensive: int = 4
    wrong_bodies: int = 2
    idle: int = 1000
    heads_without_key: int = 512
    body_bytes: int = 1 << 20


async def besiege(
    port: int, model: str, siege: Siege, again: Callable[[], bool], begun: asyncio.Event
) -> dict[str, int]:
    """Attack a server while `again` says so; return how often each status was the answer."""
    await begun.wait()
    statuses: dict[str, int] = {}
    one = {"model": model, "prompt": "e", "n": 16, "max_tokens": 4096, "logprobs": 5}
    scored = one | {"prompt": "e" * 60_000, "echo": True, "max_tokens": 0}
    count = siege.body_bytes // 4 - 100
    costly: list[dict[str, Any] | bytes] = [
        one | {"prompt": ["e"] * 15},  # refused
        scored,  # refused
        one,  # the largest answer that is written
        one | {"stream": True},
        scored | {"n": 1},
    ]
    wrong: list[dict[str, Any] | bytes] = [
        f'{{"model": "{model}", "prompt": [{",".join([each] * count)}]}}'.encode()
        for each in ("1.5", "{}", "[]", "-1")
    ]

    async def send(bodies: list[dict[str, Any] | bytes], number: int) -> None:
        while again():
            number += 1
            try:
                status, _ = await ask(port, bodies[number % len(bodies)], siege.key, siege.address)
                statuses[str(status)] = statuses.get(str(status), 0) + 1
            except (OSError, asyncio.IncompleteReadError) as error:
                name = type(error).__name__
                statuses[name] = statuses.get(name, 0) + 1
            await asyncio.sleep(0.01)

    async def hold(content: bytes, count: int) -> None:
        """Open many connections in a burst, again and again, and send the same on each."""
        while again():
            opened = await asyncio.gather(
                *(
                    asyncio.open_connection("127.0.0.1", port, local_addr=(siege.address, 0))
                    for _ in range(count)
                ),
                return_exceptions=True,
            )
            writers = [each[1] for each in opened if not isinstance(each, BaseException)]
            for writer in writers:
                writer.write(content)
            await asyncio.sleep(1)
            for writer in writers:
                writer.transport.abort()

    await asyncio.gather(
        *(send(costly, number) for number in range(siege.expensive)),
        *(send(wrong, number) for number in range(siege.wrong_bodies)),
        hold(b"", siege.idle),
        hold(f"{HEAD}Content-Length: 1000\r\n\r\n".encode(), siege.heads_without_key),
    )
    return statuses


async def _probe(port: int, again: Callable[[], bool], found: Storm) -> None:
    """Time /health from a process of its own, so that this one's work is not counted."""
    program = [sys.executable, "-c", PROBE, str(port)]
    process = await asyncio.create_subprocess_exec(*program, stdin=-1, stdout=-1)
    while again():
        await asyncio.sleep(0.01)
    out, _ = await process.communicate(b"")
    found.health_seconds += json.loads(out)


async def crowd(port: int, body: dict[str, Any], count: int) -> dict[int, int]:
    """Send so many seeded requests at once: how many got which status; a wrong text counts as 0."""
    body = body | {"seed": 1}
    status, content = await ask(port, body)
    assert status == 200, content
    expected = text_of(content)

    async def one() -> int:
        status, content = await ask(port, body)
        return status if status != 200 or text_of(content) == expected else 0

    statuses = await asyncio.gather(*(one() for _ in range(count)))
    return {status: statuses.count(status) for status in sorted(set(statuses))}


async def throughput(port: int, body: dict[str, Any], streams: int, times: int) -> float:
    """Symbols a second of so many clients at once, each asking so many times in a row."""
    reader_writers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(streams)]
    began = time.perf_counter()

    async def one(number: int) -> None:
        reader, writer = reader_writers[number]
        for _ in range(times):
            writer.write(request(body | {"seed": number}))
            status, content = await _answer(reader)
            assert status == 200, content

    await asyncio.gather(*map(one, range(streams)))
    seconds = time.perf_counter() - began
    for _, writer in reader_writers:
        writer.close()
    return streams * times * int(body["max_tokens"]) / seconds


def engine_rate(path: str, precision: Any, streams: int, tokens: int) -> float:
    """Symbols a second of the engine alone in this process, read by its own session."""
    import ricorda
    from ricorda.engine import GenerationSettings

    model = ricorda.load(path, precision)
    session = model.backend.session(model.vocabulary)
    ids = model.vocabulary.encode(PROMPT)
    for number in range(streams):
        session.add(ids, GenerationSettings(length=tokens, seed=number, temperature=1.0))
    began = time.perf_counter()
    left = streams
    while left:
        left -= sum(stream.ended is not None for stream, _ in session.advance_symbols(64))
    return streams * tokens / (time.perf_counter() - began)


PROMPT = "the king"
HONEST, ATTACKER = "the-key-of-honest-clients", "the-key-of-an-attacker"


class Process:
    """`ricorda serve` in a process of its own."""

    def __init__(self, *words: str) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "ricorda", "serve", *words, "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--access-log", "off"],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        found = re.search(r":(\d+)/v1", line)
        if not found:
            self._process.kill()
            raise AssertionError(line)
        self.port = int(found[1])

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()
            try:
                self._process.wait(120)
            finally:
                self._process.kill()

    def held(self) -> dict[str, int]:
        """Its memory in MB, threads and descriptors."""
        folder = Path("/proc", str(self._process.pid))
        status = (folder / "status").read_text()
        memory = re.search(r"VmRSS:\s+(\d+)", status)
        threads = re.search(r"Threads:\s+(\d+)", status)
        assert memory
        assert threads
        return {
            "MB": int(memory[1]) // 1024,
            "threads": int(threads[1]),
            "descriptors": len(list((folder / "fd").iterdir())),
        }


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def measure_throughput(path: str, precision: str, tokens: int, stream: bool) -> None:
    """Compare the server with the engine alone, taking turns."""
    ratios, rates = [], []
    body = {"model": "m", "prompt": PROMPT, "max_tokens": tokens, "stream": stream}
    with Process(f"m={path}", "--precision", precision, "--max-tokens", str(tokens)) as server:
        for _ in range(5):
            alone = engine_rate(path, precision, 32, tokens)
            served = asyncio.run(throughput(server.port, body, 32, 2))
            ratios.append(served / alone)
            rates.append(served)
    kind = "streamed" if stream else "whole"
    print(
        f"throughput {precision}, 32 streams of {tokens}, {kind}: {statistics.median(rates):,.0f} "
        f"symbols per second, {statistics.median(ratios):.2f} of the engine alone "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def measure_storm(path: str, seconds: float) -> None:
    """The storm, and what the process holds before and after."""
    weather = Weather("m", PROMPT)
    with Process(f"m={path}", "--head-seconds", "5", "--stalled-seconds", "5") as server:
        asyncio.run(storm(server.port, weather, for_seconds(3)))  # what is made once is made
        time.sleep(8)
        before = server.held()
        found = asyncio.run(storm(server.port, weather, for_seconds(seconds)))
        during = server.held()
        time.sleep(8)
        after = server.held()
    print(
        f"storm of {seconds:.0f} s: {found.answered} answers, {found.different} different from a "
        f"single client's, {len(found.failed)} failed, {found.left} left; /health 50 % "
        f"{statistics.median(found.health_seconds) * 1000:.1f} ms, 99 % "
        f"{found.health_99 * 1000:.1f} ms of {len(found.health_seconds)}\n"
        f"  before {before}\n  at its end {during}\n  after {after}",
        *found.failed[:5],
        sep="\n  ",
        flush=True,
    )


def measure_siege(path: str, seconds: float) -> None:
    """64 honest clients beside an attacker."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.NamedTemporaryFile("w") as keys:
        keys.write(f"{HONEST}\n{ATTACKER}\n")
        keys.flush()
        with Process(f"m={path}", "--api-key-file", keys.name) as server:
            found, statuses, most = asyncio.run(_siege(server, seconds))
    print(
        f"siege of {seconds:.0f} s: {found.answered} honest answers, {found.different} different, "
        f"{len(found.failed)} failed; /health 50 % "
        f"{statistics.median(found.health_seconds) * 1000:.1f} ms, 99 % "
        f"{found.health_99 * 1000:.1f} ms, most {max(found.health_seconds) * 1000:.1f} ms of "
        f"{len(found.health_seconds)}; memory {most} MB at most; the attacker got {statuses}",
        *found.failed[:5],
        sep="\n  ",
        flush=True,
    )


async def _siege(server: "Process", seconds: float) -> tuple[Storm, dict[str, int], int]:
    weather = Weather("m", PROMPT, leavers=0, slow_readers=0, slowloris=0, key=HONEST)
    again = for_seconds(seconds)
    most = 0

    async def watch() -> None:
        nonlocal most
        while again():
            most = max(most, server.held()["MB"])
            await asyncio.sleep(0.2)

    begun = asyncio.Event()
    found, statuses, _ = await asyncio.gather(
        storm(server.port, weather, again, begun),
        besiege(server.port, "m", Siege(ATTACKER), again, begun),
        watch(),
    )
    return found, statuses, most


def measure_crowd(path: str) -> None:
    """Ten times what may be written and wait."""
    limits = ("--max-streams", "8", "--max-queue", "32", "--max-queue-per-client", "32")
    with Process(f"m={path}", *limits) as server:
        body = {"model": "m", "prompt": PROMPT, "max_tokens": 2000}
        statuses = asyncio.run(crowd(server.port, body, 400))
        ready = asyncio.run(get(server.port, "/ready"))[0]
    print(f"400 requests for 8 streams and a queue of 32: {statuses}, then /ready {ready}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model file or a run's folder")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", choices=["throughput", "storm", "crowd", "siege"])
    options = parser.parse_args()
    if options.only in (None, "throughput"):
        for precision, tokens in (("float32", 2000), ("auto", 4000)):
            for stream in (False, True):
                measure_throughput(options.model, precision, tokens, stream)
    if options.only in (None, "crowd"):
        measure_crowd(options.model)
    if options.only in (None, "storm"):
        measure_storm(options.model, options.seconds)
    if options.only in (None, "siege"):
        measure_siege(options.model, options.seconds)


if __name__ == "__main__":
    main()
