"""Charts: where points lie, which values the axes name, what is left out."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.pages import Axis, Chart, Reading, Series, line_chart, round_ticks
from ricorda.pages.line_chart import Point


def chart_of(points: Sequence[Point], **options: Any) -> str:
    last_x = max((x for x, _ in points), default=0)
    return line_chart(
        Chart(
            unit="nats per character",
            series=[Series("training", points, options.pop("kind", "line"))],
            axes=[Axis("steps", lambda step: f"{step:g}")],
            readings=[Reading(x, f"step {x:g}: {y:g}") for x, y in points],
            last_x=last_x,
            **options,
        )
    )


def curve(chart: str) -> list[Point]:
    """The points of the first path, in thousandths of the plot."""
    path = re.search(r'<path class="\w+" d="([^"]*)"', chart)
    assert path is not None
    places = re.findall(r"([\d.-]+) ([\d.-]+)", path[1])
    return [(float(x), float(y)) for x, y in places]


@pytest.mark.parametrize(
    "low, high, count, ticks",
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (1.31, 2.42, 6, [1.4, 1.6, 1.8, 2.0, 2.2, 2.4]),
        (0, 4180, 5, [0, 1000, 2000, 3000, 4000]),
        (-1, 1, 2, [-1, 0, 1]),
        (0, 0.004, 3, [0, 0.002, 0.004]),
        (5, 5, 3, [5]),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, ticks: list[float]) -> None:
    assert round_ticks(low, high, count) == pytest.approx(ticks)


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.integers(2, 8),
)
def test_ticks_are_few_and_lie_within(low: float, width: float, count: int) -> None:
    ticks = round_ticks(low, low + width, count)
    assert len(ticks) <= count + 1
    assert all(low - width * 1e-3 <= tick <= low + width * 1.001 for tick in ticks)


def test_points_lie_where_their_values_are() -> None:
    chart = chart_of([(5, 4.0), (10, 2.0)], from_zero=True)
    (_, above), (_, below) = places = curve(chart)
    assert [x for x, _ in places] == [500, 1000]
    assert (1000 - above) == pytest.approx(2 * (1000 - below), abs=0.2)


def test_a_value_that_is_not_finite_leaves_a_gap() -> None:
    chart = chart_of([(1, 3.0), (2, 2.0), (3, math.nan), (4, math.inf), (5, 1.0), (6, 0.5)])
    assert len(curve(chart)) == 4
    path = re.search(r'<path class="line" d="([^"]*)"', chart)
    assert path is not None
    assert path[1].count("M") == 2
    assert not re.search(r'="[^"|]*(nan|inf)[^"|]*"', chart.split("data-readings")[0])


@pytest.mark.parametrize("points", [[], [(1, math.nan)], [(0, 1.0)]])
def test_without_a_point_a_sentence_says_so(points: list[Point]) -> None:
    chart = chart_of(points)
    assert "nothing was measured" in chart
    assert "<svg" not in chart


def test_a_point_alone_and_equal_values_are_seen() -> None:
    assert chart_of([(3, 2.0)]).count("<circle") == 1
    level = curve(chart_of([(1, 2.0), (2, 2.0)]))
    assert all(0 < y < 1000 for _, y in level)


def test_dots_tell_a_dotted_series_from_a_line() -> None:
    points = [(1, 3.0), (2, 2.0), (3, math.nan)]
    assert chart_of(points, kind="dotted").count("<circle") == 2
    assert chart_of(points, kind="line").count("<circle") == 0


def test_values_above_the_top_leave_the_plot() -> None:
    chart = chart_of([(1, 100.0), (2, 2.0), (3, 1.0)], top=2.0)
    assert curve(chart)[0][1] < 0
    assert all(0 <= y <= 1000 for _, y in curve(chart)[1:])


def test_the_marked_point_is_named() -> None:
    chart = chart_of([(1, 3.0), (2, 2.0)], mark=(2, 2.0, "best: 2.000 at step 2"))
    assert ">best: 2.000 at step 2</text>" in chart


def test_texts_are_escaped_and_readings_kept_apart() -> None:
    chart = line_chart(
        Chart(
            unit="<b>",
            series=[Series('"a"', [(1, 1.0)]), Series("<i>", [(1, 2.0)])],
            axes=[Axis("<u>", lambda step: f"<{step}>")],
            readings=[Reading(1, 'a|b "quoted"')],
            last_x=1,
        )
    )
    assert not re.search(r"<[biu]>|<1", chart)
    assert 'data-readings="100.00 a/b &quot;quoted&quot;"' in chart
    assert 'aria-label="&lt;b&gt; over &lt;u&gt;: &quot;a&quot; from 1 to 1, lowest 1;' in chart
