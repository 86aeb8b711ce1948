"""A line chart as a picture that needs no script, in the styles of chart.js."""

import math
from dataclasses import dataclass

from ricorda.pages.chart import Axis, Chart, Point, Series, in_words, round_ticks
from ricorda.pages.document import escape
from ricorda.pages.numbers import short

WIDTH = 660
LEFT, RIGHT, TOP = 52, 14, 10
ROW = 18  # pixels of one row of names under the plot
TICK = 45  # pixels between two names of the vertical axis, about
DOT = 3.5
LARGE = 10_000  # values from which on the vertical axis has short numbers


@dataclass(frozen=True)
class _Area:
    """Where values are drawn."""

    height: int
    last: float
    low: float
    high: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.last

    def y(self, value: float) -> float:
        return TOP + self.height * (self.high - value) / (self.high - self.low)


def drawing(chart: Chart, height: int) -> str:
    """Draw a chart with a plot of this height in pixels; empty without a finite point."""
    points = [point for each in chart.series for point in each.points if _is_finite(point)]
    last = max((x for x, _ in points), default=0.0)
    if last <= 0:
        return ""
    low, high = _range(chart, [y for _, y in points])
    area = _Area(height, last, low, high)
    shapes = [
        *_values(area),
        *(_names(area, axis, row) for row, axis in enumerate(chart.axes, start=1)),
        *(_curve(area, series) for series in chart.series),
        *(_dots(area, series) for series in chart.series),
        _mark(area, chart.mark),
    ]
    full = TOP + height + ROW * len(chart.axes) + 8
    return (
        f'<div class="chart-title">{escape(chart.unit)}{_legend(chart)}</div><div class="plot">'
        f'<svg viewBox="0 0 {WIDTH} {full}" width="{WIDTH}" height="{full}" role="img" '
        f'aria-label="{escape(in_words(chart))}">{"".join(shapes)}</svg></div>'
    )


def _is_finite(point: Point) -> bool:
    return math.isfinite(point[1])


def _range(chart: Chart, values: list[float]) -> tuple[float, float]:
    """The lowest and the highest value shown, with a little space around them."""
    high = min(max(values), math.inf if chart.top is None else chart.top)
    low = 0.0 if chart.from_zero else min(values)
    margin = (high - low) * 0.06 if high > low else abs(high) / 2 or 1.0
    return (low if chart.from_zero else low - margin), high + margin


def _values(area: _Area) -> list[str]:
    """The lines of the grid with their values, and the base."""
    end = WIDTH - RIGHT
    shapes = []
    values = round_ticks(area.low, area.high, max(2, area.height // TICK))
    for value in values:
        y, written = f"{area.y(value):.1f}", _written(value, values)
        shapes.append(
            f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{end}" y2="{y}"/>'
            f'<text x="{LEFT - 8}" y="{area.y(value) + 4:.1f}" text-anchor="end">{written}</text>'
        )
    base = TOP + area.height
    shapes.append(f'<line class="base" x1="{LEFT}" y1="{base}" x2="{end}" y2="{base}"/>')
    return shapes


def _written(value: float, values: list[float]) -> str:
    """A value of an axis, with the decimals that tell it from the next one."""
    if abs(value) >= LARGE or len(values) < 2:
        return short(value)
    decimals = max(0, min(6, -math.floor(math.log10(values[1] - values[0]) + 1e-9)))
    return f"{value:,.{decimals}f}"


def _names(area: _Area, axis: Axis, row: int) -> str:
    """A row of names under the plot."""
    y = TOP + area.height + ROW * row
    named = "".join(
        f'<text x="{area.x(x):.1f}" y="{y}" text-anchor="middle">{escape(axis.text(x))}</text>'
        for x in round_ticks(0, area.last, 5)[1:]
    )
    return f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{escape(axis.name)}</text>{named}'


def _curve(area: _Area, series: Series) -> str:
    """One curve; what is above the top is cut off."""
    path, is_begun = "", False
    for x, y in series.points:
        if math.isfinite(y):
            path += f"{'L' if is_begun else 'M'}{area.x(x) - LEFT:.1f} {area.y(y) - TOP:.1f}"
        is_begun = math.isfinite(y)
    kind = " dotted" if series.kind == "dotted" else ""
    return (
        f'<svg x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{area.height}">'
        f'<path class="curve{kind}" fill="none" d="{path}"/></svg>'
    )


def _dots(area: _Area, series: Series) -> str:
    """A dot at each point of a dotted series, and at a point that stands alone."""
    finite = [point for point in series.points if _is_finite(point)]
    if series.kind != "dotted" and len(finite) > 1:
        return ""
    kind = " dotted" if series.kind == "dotted" else ""
    return "".join(
        f'<circle class="dot{kind}" cx="{area.x(x):.1f}" cy="{area.y(y):.1f}" r="{DOT}"/>'
        for x, y in finite
        if area.low <= y <= area.high
    )


def _mark(area: _Area, mark: tuple[float, float, str] | None) -> str:
    """A ring around a point, and a line up to its text."""
    if mark is None or not _is_finite(mark[:2]):
        return ""
    x, y = area.x(mark[0]), max(TOP, area.y(mark[1]))
    side, anchor = (-1, "end") if mark[0] > area.last / 2 else (1, "start")
    return (
        f'<line class="marked" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y:.1f}"/>'
        f'<circle class="marked" cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        f'<text class="marked" x="{x + 8 * side:.1f}" y="{TOP + 12}" text-anchor="{anchor}">'
        f"{escape(mark[2])}</text>"
    )


def _legend(chart: Chart) -> str:
    """The names of several curves, each with a piece of its line."""
    if len(chart.series) < 2:
        return ""
    items = ""
    for series in chart.series:
        kind, dot = "", ""
        if series.kind == "dotted":
            kind, dot = " dotted", f'<circle class="dot dotted" cx="16" cy="6" r="{DOT}"/>'
        items += (
            '<span><svg viewBox="0 0 32 12" width="32" height="12" aria-hidden="true">'
            f'<path class="curve{kind}" d="M1 6H31"/>{dot}</svg>{escape(series.name)}</span>'
        )
    return items
