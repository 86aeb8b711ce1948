"""Figures for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counts requests and symbols; one for each server."""

    def __init__(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Begin to count; the two functions say how many texts are written and wait."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "ricorda_requests",
            "Requests answered.",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "ricorda_request_seconds",
            "Time from a request to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.first_symbol_seconds = Histogram(
            "ricorda_first_symbol_seconds",
            "Time from a request to its first symbol.",
            ["model"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.prompt_symbols = Counter(
            "ricorda_prompt_symbols", "Symbols of prompts.", ["model"], registry=self.registry
        )
        self.written_symbols = Counter(
            "ricorda_written_symbols", "Symbols written.", ["model"], registry=self.registry
        )
        self.disconnects = Counter(
            "ricorda_disconnects",
            "Clients that left before their answer ended.",
            registry=self.registry,
        )
        self.reloads = Counter(
            "ricorda_reloads", "Models read again.", ["model", "result"], registry=self.registry
        )
        gauges = (
            ("running", "Texts being written.", running),
            ("waiting", "Texts that wait.", waiting),
        )
        for name, text, function in gauges:
            gauge = Gauge(f"ricorda_texts_{name}", text, registry=self.registry)
            gauge.set_function(function)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self.registry)
