"""Ratios of two speeds, taken by turns so that a busy moment touches both."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

Work = Callable[[int], object]
"""Does a number of units of work; its result is ignored."""

ROUNDS = 9
SECONDS = 0.1  # that each side's turn takes at least


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is than the peer, from pairs of turns."""

    median: float
    least: float
    most: float
    ours: float | None = None
    """Seconds for each unit of work, the median of our turns."""

    peer: float | None = None
    """The same of the peer's."""

    def scaled(self, factor: float) -> "Ratio":
        """The ratios times a factor, as where the two do different amounts of work."""
        return replace(
            self,
            median=self.median * factor,
            least=self.least * factor,
            most=self.most * factor,
        )


def compare(ours: Work, peer: Work, rounds: int = ROUNDS) -> Ratio:
    """Run both by turns, A B A B; each is called with the number of units of work to do."""
    counts = [_units_for(work) for work in (ours, peer)]
    return ratio_of([(_seconds(ours, counts[0]), _seconds(peer, counts[1])) for _ in range(rounds)])


def compare_runs(ours: Callable[[int], float], peer: Callable[[int], float], rounds: int) -> Ratio:
    """Run both whole, by turns; each is called with the round's number, from 1 -> its seconds."""
    return ratio_of([(ours(number), peer(number)) for number in range(1, rounds + 1)])


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """The ratios of pairs of turns, (our seconds, the peer's)."""
    ratios = [peer / ours for ours, peer in pairs]
    return Ratio(
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(ours for ours, _ in pairs),
        statistics.median(peer for _, peer in pairs),
    )


def _units_for(work: Work) -> int:
    """How many units fill a turn; warms up on the way."""
    units = 1
    while True:
        seconds = _seconds(work, units) * units
        if seconds >= SECONDS / 2:
            return max(1, round(units * SECONDS / seconds))
        units = max(units * 2, round(units * min(50.0, SECONDS / max(seconds, 1e-6))))


def _seconds(work: Work, units: int) -> float:
    """Seconds for one unit."""
    began = time.perf_counter()
    work(units)
    return (time.perf_counter() - began) / units
