"""Figures: ratios of two speeds, taken by turns so that a busy moment touches both."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.table import Table

from ricorda.cli.output import print_json, say

Work = Callable[[int], object]
"""Does a number of units of work; its result is ignored."""

ROUNDS = 9
SECONDS = 0.1  # that each side's turn takes at least
FILE_WIDTH = 160


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


@dataclass(frozen=True)
class Result:
    """One comparison: a figure, its peer, and what is wanted."""

    what: str
    peer: str
    ratio: Ratio
    wanted: float | None = None
    """The least that ricorda is meant to reach; None where nothing is promised."""

    at_most: bool = False
    """Whether `wanted` is the most instead, as of memory."""

    unit: str = "times"
    """What the figure counts."""

    details: Mapping[str, float] = field(default_factory=dict)
    """Further figures by name, the unit in the name."""

    def as_json(self) -> dict[str, object]:
        """Every figure by name."""
        figures: dict[str, object] = {
            "what": self.what,
            "against": self.peer,
            "wanted": self.wanted,
            "at_most": self.at_most,
            self.unit: {name: getattr(self.ratio, name) for name in ("median", "least", "most")},
        }
        if self.ratio.ours is not None:
            figures["seconds"] = {"ours": self.ratio.ours, "theirs": self.ratio.peer}
        return figures | ({"details": dict(self.details)} if self.details else {})


def compare(ours: Work, peer: Work, rounds: int = ROUNDS, *, multiple: int = 1) -> Ratio:
    """Run both by turns, A B A B; each is called with the number of units of work to do.

    multiple: units that are done together; every number is a multiple of it.
    """
    counts = [_units_for(work, multiple) for work in (ours, peer)]
    return ratio_of([(_seconds(ours, counts[0]), _seconds(peer, counts[1])) for _ in range(rounds)])


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """The ratios of pairs of turns, (our seconds, the peer's)."""
    return replace(
        spread([peer / ours for ours, peer in pairs]),
        ours=statistics.median(ours for ours, _ in pairs),
        peer=statistics.median(peer for _, peer in pairs),
    )


def spread(values: Sequence[float]) -> Ratio:
    """The median, the least and the most of some values."""
    return Ratio(statistics.median(values), min(values), max(values))


def nats_more_than(peer: str, training: str, differences: Sequence[float], most: float) -> Result:
    """How many more nats per character trainings end with than their peers, at most `most`."""
    what = f"{training}: nats per character more than"
    return Result(what, peer, spread(differences), most, at_most=True, unit="nats")


def report(message: str) -> None:
    """Print a message beside the figures, on standard error."""
    say(message, err=True)


def show(name: str, results: Iterable[Result], *, as_json: bool) -> None:
    """Report each figure as it comes, then print all of them."""
    kept = []
    for result in results:
        report(f"{result.what} / {result.peer}: {result.ratio.median:.2f}")
        kept.append(result)
    if as_json:
        print_json({name: [result.as_json() for result in kept]})
    else:
        # A file has no width: lines long enough not to be broken.
        width = None if sys.stdout.isatty() else FILE_WIDTH
        Console(width=width).print(_table(kept))


def _table(results: list[Result]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    table.add_column("against")
    for name in ("figure", "least", "most", "wanted", "ours", "theirs"):
        table.add_column(name, justify="right")
    for each in results:
        ratio = each.ratio
        bound = "at most" if each.at_most else "at least"
        table.add_row(
            each.what,
            each.peer,
            *(f"{value:,.2f}" for value in (ratio.median, ratio.least, ratio.most)),
            "" if each.wanted is None else f"{bound} {each.wanted:g}",
            *(_duration(seconds) for seconds in (ratio.ours, ratio.peer)),
        )
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:,.1f} {unit}"
    return f"{seconds * 1e6:.2f} us"


def _units_for(work: Work, multiple: int) -> int:
    """How many units fill a turn; the first ones, which may take much longer, do not count."""
    work(multiple)
    units = multiple
    while True:
        seconds = _seconds(work, units) * units
        times = min(50.0, SECONDS / max(seconds, 1e-6))
        if seconds >= SECONDS / 2:
            return multiple * max(1, round(units * times / multiple))
        units = multiple * max(2 * units // multiple, round(units * times / multiple))


def _seconds(work: Work, units: int) -> float:
    """Seconds for one unit."""
    began = time.perf_counter()
    work(units)
    return (time.perf_counter() - began) / units
