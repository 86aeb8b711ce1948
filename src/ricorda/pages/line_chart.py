"""Line charts as inline SVG that keep their text size at any width and need no script.

Places are percentages of the plot; only the curves lie in a stretched coordinate system, with
strokes that do not stretch. chart.js adds a cursor that reads values out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ricorda.pages.document import escape
from ricorda.pages.numbers import fixed, short

Point = tuple[float, float]

CURVE_SIZE = 1000  # the stretched coordinate system's width and height


@dataclass(frozen=True)
class Series:
    """One curve; a point that is not finite leaves a gap."""

    name: str
    points: Sequence[Point]
    kind: Literal["line", "dotted"] = "line"
    """A thin line, or a strong one with a dot at each point: not told apart by colour alone."""


@dataclass(frozen=True)
class Reading:
    """What the cursor reads out at one place of the horizontal axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Axis:
    """One row of text under the plot: its name and what it says at a tick."""

    name: str
    text: Callable[[float], str]


@dataclass(frozen=True)
class Chart:
    """Everything that a chart shows."""

    unit: str
    """What the vertical axis measures, with its unit."""

    series: Sequence[Series]
    axes: Sequence[Axis]
    readings: Sequence[Reading]
    last_x: float
    """Where the horizontal axis, which starts at 0, ends."""

    top: float | None = None
    """The highest value shown, where it is not the largest."""

    from_zero: bool = False
    """Whether the vertical axis starts at 0."""

    mark: tuple[float, float, str] | None = None
    """A point to be marked and its text."""

    size: Literal["tall", "low"] = "tall"


def line_chart(chart: Chart) -> str:
    """Draw a chart; where there is no finite point, a sentence says so."""
    values = [y for series in chart.series for _, y in series.points if math.isfinite(y)]
    if not values or not chart.last_x > 0:
        return f'<p class="muted">{escape(chart.unit)}: nothing was measured.</p>'
    plot = _Plot.around(values, chart)
    shapes = [*_grid(plot, chart), _curves(plot, chart), *_dots(plot, chart), *_mark(plot, chart)]
    return (
        f'<figure class="chart {chart.size}"><figcaption>'
        f'<span class="unit">{escape(chart.unit)}</span>{_legend(chart.series)}</figcaption>'
        f'<p class="reading">{escape(chart.readings[-1].text)}</p>'
        f'<div class="plot rows-{len(chart.axes)}" '
        f'data-readings="{_readings(plot, chart.readings)}">'
        f'<svg role="img" aria-label="{escape(_in_words(chart))}">{"".join(shapes)}'
        '<line class="cursor" y1="0" y2="100%"/></svg></div></figure>'
    )


def round_ticks(low: float, high: float, count: int) -> list[float]:
    """Give about `count` round values (1, 2 or 5 times a power of ten) within low and high."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


@dataclass(frozen=True)
class _Plot:
    """From values to places in percent of the plot's width and height."""

    last_x: float
    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float], chart: Chart) -> "_Plot":
        """Leave a little room under and over the values."""
        high = max(values) if chart.top is None else min(max(values), chart.top)
        low = min(0.0, *values) if chart.from_zero else min(values)
        if not high > low:
            margin = abs(high) / 2 or 1.0
            return cls(chart.last_x, 0.0 if chart.from_zero else low - margin, high + margin)
        margin = (high - low) * 0.06
        return cls(chart.last_x, low if chart.from_zero else low - margin, high + margin)

    def across(self, x: float) -> float:
        return 100 * x / self.last_x

    def down(self, y: float) -> float:
        return 100 * (self.high - y) / (self.high - self.low)


def _grid(plot: _Plot, chart: Chart) -> list[str]:
    """Round values on both axes, with what they say."""
    tall = chart.size == "tall"
    ticks = round_ticks(plot.low, plot.high, 6 if tall else 3)
    decimals = _decimals(ticks)
    large = max(map(abs, ticks), default=0) >= 10_000
    shapes = []
    for y in ticks:
        place = f"{plot.down(y):.2f}%"
        text = short(y) if large or y == 0 else fixed(y, decimals)
        shapes.append(f'<line class="grid" x2="100%" y1="{place}" y2="{place}"/>')
        shapes.append(f'<text x="-8" y="{place}" dy=".35em" text-anchor="end">{text}</text>')
    shapes.append('<line class="base" x2="100%" y1="100%" y2="100%"/>')
    for row, axis in enumerate(chart.axes):
        down = f"{1.6 + 1.35 * row:.2f}em"
        shapes.append(
            f'<text x="-8" y="100%" dy="{down}" text-anchor="end">{escape(axis.name)}</text>'
        )
        for x in round_ticks(0, chart.last_x, 5 if tall else 3)[1:]:
            shapes.append(
                f'<text x="{plot.across(x):.2f}%" y="100%" dy="{down}" text-anchor="middle">'
                f"{escape(axis.text(x))}</text>"
            )
    return shapes


def _decimals(ticks: Sequence[float]) -> int:
    """How many decimals tell neighbouring ticks apart."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return min(6, max(0, -math.floor(math.log10(step) + 1e-9)))


def _curves(plot: _Plot, chart: Chart) -> str:
    """Every series as a path, in the stretched system."""
    paths = []
    for series in chart.series:
        pieces = []
        for finite, points in groupby(series.points, key=lambda point: math.isfinite(point[1])):
            if finite:
                places = [
                    f"{plot.across(x) * CURVE_SIZE / 100:.1f} {plot.down(y) * CURVE_SIZE / 100:.1f}"
                    for x, y in points
                ]
                pieces.append("M" + "L".join(places))
        paths.append(f'<path class="{series.kind}" d="{"".join(pieces)}"/>')
    return (
        f'<svg width="100%" height="100%" viewBox="0 0 {CURVE_SIZE} {CURVE_SIZE}" '
        f'preserveAspectRatio="none">{"".join(paths)}</svg>'
    )


def _dots(plot: _Plot, chart: Chart) -> list[str]:
    """A dot at each point of a dotted series, and at a point that stands alone."""
    shapes = []
    for series in chart.series:
        finite = [(x, y) for x, y in series.points if math.isfinite(y)]
        if series.kind != "dotted" and len(finite) > 1:
            continue
        for x, y in finite:
            if plot.low <= y <= plot.high:
                shapes.append(
                    f'<circle class="{series.kind}" r="4" cx="{plot.across(x):.2f}%" '
                    f'cy="{plot.down(y):.2f}%"/>'
                )
    return shapes


def _mark(plot: _Plot, chart: Chart) -> list[str]:
    """A ring around the marked point, and a line up to its text, where curves leave room."""
    if chart.mark is None or not math.isfinite(chart.mark[1]):
        return []
    x, y, text = chart.mark
    across, down = plot.across(x), min(100.0, max(0.0, plot.down(y)))
    left = across > 50
    return [
        f'<line class="marked" x1="{across:.2f}%" x2="{across:.2f}%" y1="0" y2="{down:.2f}%"/>',
        f'<circle class="marked" r="7" cx="{across:.2f}%" cy="{down:.2f}%"/>',
        f'<text class="marked" x="{across:.2f}%" y="0" dx="{-8 if left else 8}" dy="1em" '
        f'text-anchor="{"end" if left else "start"}">{escape(text)}</text>',
    ]


def _legend(series: Sequence[Series]) -> str:
    """A sample of each line beside its name; one line alone needs none."""
    if len(series) < 2:
        return ""
    keys = []
    for each in series:
        dot = (
            f'<circle class="{each.kind}" r="4" cx="50%" cy="50%"/>'
            if each.kind == "dotted"
            else ""
        )
        keys.append(
            f'<span class="key"><svg viewBox="0 0 32 12" aria-hidden="true">'
            f'<path class="{each.kind}" d="M1 6H31"/>{dot}</svg>{escape(each.name)}</span>'
        )
    return f'<span class="keys">{"".join(keys)}</span>'


def _readings(plot: _Plot, readings: Sequence[Reading]) -> str:
    """Places in percent and their texts, as chart.js reads them."""
    return "|".join(
        f"{plot.across(reading.x):.2f} {escape(reading.text.replace('|', '/'))}"
        for reading in readings
    )


def _in_words(chart: Chart) -> str:
    """What the picture shows, for those who hear it."""
    parts = []
    for series in chart.series:
        finite = [y for _, y in series.points if math.isfinite(y)]
        if finite:
            parts.append(
                f"{series.name} from {short(finite[0])} to {short(finite[-1])}, "
                f"lowest {short(min(finite))}"
            )
    return f"{chart.unit} over {chart.axes[0].name}: {'; '.join(parts)}"
