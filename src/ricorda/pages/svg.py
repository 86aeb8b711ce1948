"""Charts that need no script: means with their deviations, and settings side by side.

Each is one `<svg>` that a page holds as it is. `svg_file` makes a file of it, in light and dark.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ricorda.pages.chart import round_ticks
from ricorda.pages.document import escape
from ricorda.pages.numbers import fixed, short

Place = Callable[[float], float]
"""Where a value lies on the horizontal axis."""

WIDTH = 720  # of every drawing, in units of its own
NAMES = 150  # for the names of rows
FIGURES = 130  # for their figures
ROW = 34
TOP = 14
AXIS = 44  # for the ticks and the name of the axis
MOST_LETTERS = 20  # of a name of a row
MARGIN = 0.06  # of the range, on both sides
COORDINATES = 260  # height of parallel axes

STYLE = """\
svg.drawing { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  max-width: 100%; height: auto; display: block; overflow: visible;
  --d-ink: #1e1b18; --d-muted: #635c53; --d-grid: #ece7de; --d-first: #0a62a0; --d-second: #b1521b;
  --d-paper: #ffffff; }
@media (prefers-color-scheme: dark) { svg.drawing { --d-ink: #ebe7e0; --d-muted: #a9a399;
  --d-grid: #2a2d32; --d-first: #74bdf2; --d-second: #f0a468; --d-paper: #1b1d21; } }
svg.drawing text { fill: var(--d-ink); font-variant-numeric: tabular-nums; }
svg.drawing text.quiet { fill: var(--d-muted); }
svg.drawing .grid { stroke: var(--d-grid); }
svg.drawing .axis { stroke: var(--d-muted); }
svg.drawing .interval { stroke: var(--d-first); stroke-width: 2; fill: none; }
svg.drawing .mean { fill: var(--d-first); stroke: var(--d-paper); }
svg.drawing .value { fill: none; stroke: var(--d-second); stroke-width: 1.25; }
svg.drawing .path { fill: none; stroke: var(--d-first); stroke-width: 1.5; opacity: .8; }
svg.drawing .path.stopped { stroke: var(--d-muted); stroke-width: 1;
  stroke-dasharray: 4 4; opacity: .7; }
svg.drawing .path.best { stroke: var(--d-second); stroke-width: 3; opacity: 1; }
"""


@dataclass(frozen=True)
class Interval:
    """One row: a name, its values, their mean and standard deviation."""

    name: str
    values: Sequence[float]
    mean: float
    deviation: float
    """NaN if it is not known."""


def interval_chart(unit: str, rows: Sequence[Interval]) -> str:
    """Draw the mean of each row as a dot, the standard deviation as a bar, each value as a ring."""
    shown = [row for row in rows if math.isfinite(row.mean)]
    height = TOP + ROW * max(1, len(rows)) + AXIS
    if not shown:
        return _drawing(f"{unit}: no values", height, _text(NAMES, TOP + ROW / 2, "no values yet"))
    reach = [end for row in shown for end in (*row.values, *_ends(row))]
    low, high = _range(min(reach), max(reach))
    left, right, bottom = NAMES, WIDTH - FIGURES, TOP + ROW * len(rows)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = []
    ticks = round_ticks(low, high, 5)
    digits = _digits(ticks)
    for tick in ticks:
        parts.append(_line("grid", x(tick), TOP, x(tick), bottom))
        parts.append(_text(x(tick), bottom + 18, fixed(tick, digits), "middle", "quiet"))
    parts.append(_line("axis", left, bottom, right, bottom))
    parts.append(_text((left + right) / 2, bottom + 38, unit, "middle", "quiet"))
    for number, row in enumerate(rows):
        parts += _interval(row, TOP + ROW * (number + 0.5), x, right)
    words = "; ".join(f"{row.name} {_in_words(row)}" for row in rows)
    return _drawing(f"{unit}: {words}", height, "".join(parts))


def _ends(row: Interval) -> tuple[float, float]:
    """The ends of a row's bar."""
    deviation = row.deviation if math.isfinite(row.deviation) else 0.0
    return row.mean - deviation, row.mean + deviation


def _interval(row: Interval, y: float, x: Place, right: float) -> list[str]:
    """One row: its name, the bar with its ends, the rings, the dot, and the figure in words."""
    parts = [_text(NAMES - 12, y + 4, _cut(row.name), "end")]
    if not math.isfinite(row.mean):
        return [*parts, _text(right + 12, y + 4, "–", name="quiet")]
    begin, end = (x(each) for each in _ends(row))
    parts.append(_line("interval", begin, y, end, y))
    if end > begin:
        parts += [_line("interval", place, y - 6, place, y + 6) for place in (begin, end)]
    parts += [_circle("value", x(value), y, 4) for value in row.values]
    parts.append(_circle("mean", x(row.mean), y, 5))
    return [*parts, _text(right + 12, y + 4, _in_words(row))]


def _in_words(row: Interval) -> str:
    if not math.isfinite(row.deviation):
        return fixed(row.mean, 3)
    return f"{fixed(row.mean, 3)} ± {fixed(row.deviation, 3)}"


@dataclass(frozen=True)
class Coordinate:
    """One of the parallel axes: a name, and the text at places from 0, below, to 1."""

    name: str
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Path:
    """A line across all axes: its place on each, from 0 to 1, and what it is."""

    places: Sequence[float]
    kind: Literal["complete", "stopped", "best"]
    title: str


def parallel_coordinates(words: str, axes: Sequence[Coordinate], paths: Sequence[Path]) -> str:
    """Draw an axis for each setting and a line for each trial. words: for those who do not see."""
    top, bottom = 44.0, 44.0 + COORDINATES
    gap = (WIDTH - 90) / max(1, len(axes) - 1)
    parts = []
    order = {"stopped": 0, "complete": 1, "best": 2}
    for path in sorted(paths, key=lambda each: order[each.kind]):
        points = " ".join(
            f"{45 + gap * number:.1f},{bottom - place * COORDINATES:.1f}"
            for number, place in enumerate(path.places)
        )
        parts.append(
            f'<polyline class="path {path.kind}" points="{points}">'
            f"<title>{escape(path.title)}</title></polyline>"
        )
    for number, axis in enumerate(axes):
        x = 45 + gap * number
        parts.append(_line("axis", x, top, x, bottom))
        parts.append(_text(x, 30 if number % 2 else 14, axis.name, "middle"))  # long names
        for place, text in axis.ticks:
            y = bottom - place * COORDINATES
            parts.append(_line("axis", x - 3, y, x + 3, y))
            parts.append(_text(x + 6, y + 4, text, name="quiet"))
    return _drawing(words, int(bottom) + 16, "".join(parts))


def tick_text(value: float) -> str:
    """Return a number as the axis of a setting shows it."""
    return short(value) if abs(value) >= 10_000 else f"{value:.3g}"


def svg_file(drawing: str) -> str:
    """Make a file of a drawing, with its colours for light and dark."""
    head, rest = drawing.split(">", 1)
    return f"{head}><style>{STYLE}</style>{rest}\n"


def _drawing(words: str, height: float, content: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="drawing" '
        f'viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img" aria-label="{escape(words)}">'
        f"{content}</svg>"
    )


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _circle(name: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def _text(
    x: float,
    y: float,
    text: str,
    anchor: Literal["start", "middle", "end"] = "start",
    name: str = "",
) -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _cut(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _range(low: float, high: float) -> tuple[float, float]:
    """Both ends of an axis, with a margin; also for one value."""
    margin = MARGIN * (high - low) or abs(high) / 100 or 1.0
    return low - margin, high + margin


def _digits(ticks: Sequence[float]) -> int:
    """How many decimals distinguish the ticks."""
    if len(ticks) < 2:
        return 3
    return max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
