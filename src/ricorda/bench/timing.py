"""Ratios of two speeds, taken by turns so that a busy moment touches both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 9
SECONDS = 0.1  # that each side's turn takes at least


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is than the peer, from pairs of turns."""

    median: float
    least: float
    most: float
    ours: float
    """Seconds for each unit of work, the median of our turns."""

    peer: float
    """The same of the peer's."""


def compare(
    ours: Callable[[int], None], peer: Callable[[int], None], rounds: int = ROUNDS
) -> Ratio:
    """Run both by turns, A B A B; each is called with the number of units of work to do."""
    counts = [_units_for(work) for work in (ours, peer)]
    pairs = []
    for _ in range(rounds):
        first = _seconds(ours, counts[0])
        second = _seconds(peer, counts[1])
        pairs.append((first, second))
    ratios = [second / first for first, second in pairs]
    return Ratio(
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(first for first, _ in pairs),
        statistics.median(second for _, second in pairs),
    )


def _units_for(work: Callable[[int], None]) -> int:
    """How many units fill a turn; warms up on the way."""
    units = 1
    while True:
        seconds = _seconds(work, units) * units
        if seconds >= SECONDS / 2:
            return max(1, round(units * SECONDS / seconds))
        units = max(units * 2, round(units * min(50.0, SECONDS / max(seconds, 1e-6))))


def _seconds(work: Callable[[int], None], units: int) -> float:
    """Seconds for one unit."""
    began = time.perf_counter()
    work(units)
    return (time.perf_counter() - began) / units
