"""Measuring two things against each other on a machine that is never quiet.

A time alone says little. Both sides run in turn, A B A B ..., each pair gives a ratio, and the
median of the ratios is the figure, with the smallest and the largest beside it.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is than a peer."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} to {self.most:.3g})"


@dataclass(frozen=True)
class Comparison:
    """What one round-robin of several works found."""

    seconds: dict[str, float]
    """The median time of one unit of each work."""

    ratios: dict[str, Ratio]
    """Each peer's time over ours, by the peer's name."""


def alternate(
    works: Mapping[str, tuple[Work, int]], rounds: int = 7, least_seconds: float = 0.05
) -> Comparison:
    """Run works in turn; the first is ours, the others are its peers.

    Each is a function and how many units (characters, say) one call of it does. Within a round a
    work is called again until `least_seconds` have passed.
    """
    for work, _ in works.values():
        work()  # caches, allocations
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, units) in works.items():
            times[name].append(seconds_per_call(work, least_seconds) / units)
    ours = next(iter(works))
    return Comparison(
        {name: statistics.median(values) for name, values in times.items()},
        {name: _ratio(times[name], times[ours]) for name in works if name != ours},
    )


def seconds_per_call(work: Work, least_seconds: float) -> float:
    """Call a work until the time is up; the mean seconds of a call."""
    calls, begin = 0, time.perf_counter()
    while True:
        work()
        calls += 1
        elapsed = time.perf_counter() - begin
        if elapsed >= least_seconds:
            return elapsed / calls


def _ratio(peer: list[float], ours: list[float]) -> Ratio:
    ratios = [a / b for a, b in zip(peer, ours, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
