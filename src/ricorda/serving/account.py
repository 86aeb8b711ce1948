"""The access log and the figures of each request.

A line names the client by its address and the number of its key; it holds no key, prompt or text.
"""

import io
import json
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from ricorda.errors import ConfigurationError
from ricorda.serving.guard import Application, Message, Problem, Receive, Scope, Send
from ricorda.serving.limits import Turns

log = logging.getLogger("ricorda.serving")
BEGUN_AT_ONCE = 4
"""Requests that begin in a round of the event loop, those of all addresses in turn."""

CLIENT_LEFT = 499
"""The status in logs of a request whose client left."""


class AccessLog:
    """Lines of JSON in a file, on standard error, or nowhere."""

    def __init__(self, target: str) -> None:
        """Open the file `target`; - is standard error. Raises ConfigurationError if it cannot be.

        Nothing is buffered: a line that cannot be written is lost, and does not fail again later.
        """
        self._target = target
        self._file: io.FileIO | None = None
        self._reported = False
        if target != "off":
            try:
                self._file = (
                    io.FileIO(2, "w", closefd=False) if target == "-" else io.FileIO(target, "a")
                )
            except OSError as error:
                raise ConfigurationError(
                    f"cannot write the access log {target}: {error.strerror}"
                ) from None

    def write(self, **fields: Any) -> None:
        """Write a line. If that fails, for example on a full disk, report it once and continue."""
        if self._file is None:
            return
        fields = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields}
        try:
            self._file.write((json.dumps(fields) + "\n").encode())
            self._reported = False
        except OSError as error:
            if not self._reported:
                self._reported = True
                log.warning(
                    "lines of the access log are lost: cannot write %s: %s; the server continues",
                    *(self._target, error.strerror),
                )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counts requests and symbols; one for each server."""

    def __init__(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Begin to count; the two functions say how many texts are written and wait."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ricorda_{name}", text, labels, registry=self.registry)

        def seconds(name: str, text: str, label: str) -> Histogram:
            named = f"ricorda_{name}_seconds"
            return Histogram(named, text, [label], buckets=SECONDS, registry=self.registry)

        def gauge(name: str, text: str, function: Callable[[], int]) -> None:
            Gauge(f"ricorda_{name}", text, registry=self.registry).set_function(function)

        self.requests = counter("requests", "Requests answered.", "route", "status")
        self.prompt_symbols = counter("prompt_symbols", "Symbols of prompts.", "model")
        self.written_symbols = counter("written_symbols", "Symbols written.", "model")
        self.ignored_fields = counter("ignored_fields", "Unknown fields ignored (--lenient).")
        self.disconnects = counter("disconnects", "Clients that left before their answer ended.")
        self.reloads = counter("reloads", "Models read again.", "model", "result")
        self.seconds = seconds("request", "Time from a request to the end of its answer.", "route")
        self.first_symbol_seconds = seconds(
            "first_symbol", "Time from a request to its first symbol.", "model"
        )
        gauge("texts_running", "Texts being written.", running)
        gauge("texts_waiting", "Texts that wait.", waiting)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self.registry)


class Account:
    """An ASGI middleware that logs and counts each request when its answer has ended.

    HEAD is answered as GET; uvicorn leaves out the body.
    """

    def __init__(self, application: Application, access_log: AccessLog, metrics: Metrics) -> None:
        self.application = application
        self.access_log = access_log
        self.metrics = metrics
        self._turns = Turns(BEGUN_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; no error leaves it."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        began = time.perf_counter()
        number = secrets.token_hex(8)
        record: dict[str, Any] = {}
        scope.setdefault("state", {})["record"] = record
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 0
        client = scope.get("client")
        address = client[0] if client else None

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-request-id", number.encode())
                message["headers"] = [*message.get("headers", []), own]
            await send(message)

        try:
            await self._turns.wait(str(address))
            await self.application(asked, receive, send_counted)
        except Exception:  # answered with 500 by then
            log.exception("a request failed")
        finally:
            seconds = time.perf_counter() - began
            status = CLIENT_LEFT if record.pop("left", False) else status
            route = getattr(asked.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            self.access_log.write(
                request=number,
                address=address,
                client=scope["state"].get("client"),
                method=scope["method"][:16],
                path=scope["path"][:200],
                status=status,
                seconds=round(seconds, 6),
                **record,
            )

    def refused(self, address: str, problem: Problem) -> None:
        """Log and count what was refused before it became a request."""
        self.metrics.requests.labels("none", str(problem.status)).inc()
        self.access_log.write(address=address, status=problem.status, refused=problem.message[:200])
