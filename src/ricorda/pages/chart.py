"""Line charts as data: chart.js draws them in a document, and the studio's in its page."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ricorda.pages.document import escape, finite
from ricorda.pages.numbers import short

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


@dataclass(frozen=True)
class Series:
    """One curve; a point that is not finite leaves a gap."""

    name: str
    points: Sequence[Point]
    kind: Literal["line", "dotted"] = "line"
    """A thin line, or a strong one with a dot at each point, which differ without colour, too."""

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
    words = _in_words(chart)
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


def _in_words(chart: Chart) -> str:
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
