"""Line charts as data: chart.js draws them in a document, and the studio's in its page."""

import html
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ricorda.pages.document import escape, finite
from ricorda.pages.numbers import clock, short

Point = tuple[float, float]

HEIGHTS = {"tall": 330, "low": 110}  # pixels
TOOLS = {
    "logX": "logarithmic steps",
    "logY": "logarithmic loss",
    "smoothing": "Smoothing",
    "closer": "Zoom in",
    "farther": "Zoom out",
    "whole": "Show all",
}
"""The names of the controls beside a tall chart."""


COMPARED = 6  # kinds of lines for curves that are compared, in document.css


def compared(number: int) -> str:
    """Return the kind of the curve of this number among those that are compared."""
    return f"compared compared{number % COMPARED}"


@dataclass(frozen=True)
class Series:
    """One curve; a point that is not finite leaves a gap."""

    name: str
    points: Sequence[Point]
    kind: str = "line"
    """line, a thin one; dotted, a strong one with a dot at each point; or `compared(number)`.
    They differ without colour, too."""

    rough: bool = False
    """Whether a reader may smooth it."""


@dataclass(frozen=True)
class Axis:
    """One row of text under the plot: its name and what it says at a tick.

    That is the value there of the curve of `points`, which starts from 0 at 0; without one, the
    place itself.
    """

    name: str
    format: Literal["count", "short", "clock"]
    """As `1,200`, `12.3K`, or a number of seconds as `3:20`."""

    points: Sequence[Point] | None = None

    def text(self, place: float) -> str:
        """Return what it says at a place, as chart.js does."""
        value = place
        if self.points is not None:
            places, values = zip((0.0, 0.0), *self.points, strict=True)
            value = float(np.interp(place, places, values))
        return FORMATS[self.format](value)


FORMATS: dict[str, Callable[[float], str]] = {
    "count": lambda value: f"{value:,.0f}",
    "short": short,
    "clock": clock,
}
"""How an axis writes a value, by its format."""


@dataclass(frozen=True)
class Chart:
    """Everything that a chart shows. The horizontal axis starts at 0."""

    unit: str
    """What the vertical axis measures, with its unit."""

    series: Sequence[Series]
    axes: Sequence[Axis]
    readings: Sequence[tuple[float, str]]
    """What the cursor reads out, by place on the horizontal axis; the last place ends the axis."""

    top: float | None = None
    """The highest value shown, where it is not the largest."""

    from_zero: bool = False
    """Whether the vertical axis starts at 0."""

    mark: tuple[float, float, str] | None = None
    """A point to be marked and its text."""

    size: Literal["tall", "low"] = "tall"


def line_chart(chart: Chart) -> str:
    """Make a figure that chart.js draws; without scripts it says in words what the curves do.

    Where there is no finite point, a sentence says so.
    """
    unit = escape(chart.unit)
    last_x = chart.readings[-1][0] if chart.readings else 0
    if not any(math.isfinite(y) for each in chart.series for _, y in each.points) or last_x <= 0:
        return f'<p class="muted">{unit}: nothing was measured.</p>'
    words = in_words(chart)
    keys = "the arrow keys read the values out"
    described = {
        "label": f"{chart.unit}: {keys}" + ("; + and - zoom" if chart.size == "tall" else ""),
        "words": words,
        "series": [vars(each) for each in chart.series],
        "axes": [vars(each) for each in chart.axes],
        "readings": chart.readings,
        "height": HEIGHTS[chart.size],
        "low": 0 if chart.from_zero else None,
        "top": chart.top,
        "mark": chart.mark,
        "tools": TOOLS if chart.size == "tall" else None,
    }
    data = html.escape(json.dumps(finite(described), separators=(",", ":")), quote=False)
    attribute = data.replace("'", "&#x27;")
    return (
        f"<figure class=\"chart\" data-chart='{attribute}'>"
        f'<figcaption>{unit}</figcaption><div class="drawing"><p class="reading">{escape(words)}'
        "</p></div></figure>"
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


def in_words(chart: Chart) -> str:
    """Say what the curves do, for those who do not see them."""
    parts = []
    for series in chart.series:
        known = [y for _, y in series.points if math.isfinite(y)]
        if known:
            parts.append(
                f"{series.name} from {short(known[0])} to {short(known[-1])}, "
                f"lowest {short(min(known))}"
            )
    return f"{chart.unit} over {chart.axes[0].name}: {'; '.join(parts)}"
