"""Charts: what a document says of them, and where a browser draws what."""

import html
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.pages import (
    Axis,
    Chart,
    Series,
    chart_script,
    document,
    line_chart,
    round_ticks,
)
from ricorda.pages.chart import Point
from tests.studio.conftest import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]


def chart_of(points: Sequence[Point], **options: Any) -> str:
    return line_chart(
        Chart(
            unit="nats per character",
            series=[Series("training", points, options.pop("kind", "line"))],
            axes=[Axis("steps", lambda step: f"{step:g}")],
            readings=[(x, f"step {x:g}: {y:g}") for x, y in points],
            **options,
        )
    )


def described(figure: str) -> dict[str, Any]:
    """What a figure's attribute tells the script."""
    found = re.search("data-chart='([^']*)'", figure)
    assert found is not None
    chart: dict[str, Any] = json.loads(html.unescape(found[1]))
    return chart


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


@pytest.mark.parametrize("points", [[], [(1, math.nan)], [(0, 1.0)]])
def test_without_a_point_a_sentence_says_so(points: list[Point]) -> None:
    chart = chart_of(points)
    assert "nothing was measured" in chart
    assert "data-chart" not in chart


def test_texts_are_escaped_and_in_words_without_scripts() -> None:
    chart = line_chart(
        Chart(
            unit="<b>",
            series=[Series("\"a'", [(1, 1.0)]), Series("<i>", [(1, 2.0)])],
            axes=[Axis("<u>", lambda step: f"<{step}>")],
            readings=[(1, "a|b \"quoted\" 'twice' &amp;")],
        )
    )
    assert not re.search(r"<[biu]>|<1", chart)
    assert described(chart)["readings"] == [[1, "a|b \"quoted\" 'twice' &amp;"]]
    assert "&lt;b&gt; over &lt;u&gt;: &quot;a&#x27; from 1 to 1, lowest 1;" in chart


Draw = Callable[[str], "Page"]


@pytest.fixture
def draw(browser: "Browser") -> Iterator[Draw]:
    """Show a figure in a document; whatever a script throws fails the test."""
    pages: list[Page] = []
    errors: list[str] = []

    def show(figure: str) -> "Page":
        page = browser.new_page(viewport={"width": 900, "height": 700})
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        script = chart_script("ricorda.training.report", "report.js")
        page.set_content(document("chart", figure, script=script))
        return page

    yield show
    for page in pages:
        page.close()
    assert not errors


def curve(page: "Page") -> list[Point]:
    """The points of the first path, as shares of the plot."""
    area = page.locator(".plot svg svg")
    width, height = (float(area.get_attribute(name) or 0) for name in ("width", "height"))
    path = page.locator(".plot .curve").first.get_attribute("d") or ""
    places = re.findall(r"([\d.-]+) ([\d.-]+)", path)
    return [(float(x) / width, float(y) / height) for x, y in places]


def test_points_lie_where_their_values_are(draw: Draw) -> None:
    (_, above), (_, below) = places = curve(draw(chart_of([(5, 4.0), (10, 2.0)], from_zero=True)))
    assert [x for x, _ in places] == pytest.approx([0.5, 1], abs=1e-3)
    assert 1 - above == pytest.approx(2 * (1 - below), abs=1e-3)


def test_a_value_that_is_not_finite_leaves_a_gap(draw: Draw) -> None:
    points = [(1, 3.0), (2, 2.0), (3, math.nan), (4, math.inf), (5, 1.0), (6, 0.5)]
    page = draw(chart_of(points))
    assert len(curve(page)) == 4
    assert (page.locator(".plot .curve").get_attribute("d") or "").count("M") == 2


def test_a_point_alone_and_equal_values_are_seen(draw: Draw) -> None:
    assert draw(chart_of([(3, 2.0)])).locator(".plot circle").count() == 1
    level = curve(draw(chart_of([(1, 2.0), (2, 2.0)])))
    assert len(level) == 2
    assert all(0 < y < 1 for _, y in level)


def test_dots_tell_a_dotted_series_from_a_line(draw: Draw) -> None:
    points = [(1, 3.0), (2, 2.0), (3, math.nan)]
    assert draw(chart_of(points, kind="dotted")).locator(".plot circle").count() == 2
    assert draw(chart_of(points, kind="line")).locator(".plot circle").count() == 0


def test_values_above_the_top_leave_the_plot(draw: Draw) -> None:
    places = curve(draw(chart_of([(1, 100.0), (2, 2.0), (3, 1.0)], top=2.0)))
    assert places[0][1] < 0
    assert all(0 <= y <= 1 for _, y in places[1:])


def test_the_marked_point_is_named(draw: Draw) -> None:
    page = draw(chart_of([(1, 3.0), (2, 2.0)], mark=(2, 2.0, "best: 2.000 at step 2")))
    assert page.locator(".plot text.marked").text_content() == "best: 2.000 at step 2"


def test_the_keys_and_the_pointer_read_values_out(draw: Draw) -> None:
    page = draw(chart_of([(1, 3.0), (2, 2.0), (3, 1.0)]))
    assert page.inner_text(".reading") == "step 3: 1"
    page.locator(".plot").focus()
    page.keyboard.press("Home")
    assert page.inner_text(".reading") == "step 1: 3"
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".reading") == "step 2: 2"
    page.hover(".plot", position={"x": 890 - 100, "y": 50})
    assert page.inner_text(".reading") == "step 3: 1"
