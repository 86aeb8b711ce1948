"""Charts: what a document says of them, and where a browser draws what."""

import html
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ricorda.pages import (
    Axis,
    Chart,
    Series,
    chart_script,
    document,
    line_chart,
)
from ricorda.pages.chart import Point
from tests.studio.conftest import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

__all__ = ["browser"]


def chart_of(points: Sequence[Point], **options: Any) -> str:
    return line_chart(
        Chart(
            unit="nats per character",
            series=[Series("training", points, options.pop("kind", "line"), rough=True)],
            axes=options.pop("axes", [Axis("steps", "count")]),
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
            axes=[Axis("<u>", "count")],
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


LINEAR = [
    (0, 10, 5, [0, 2, 4, 6, 8, 10]),
    (1.31, 2.42, 6, [1.4, 1.6, 1.8, 2.0, 2.2, 2.4]),
    (0, 4180, 5, [0, 1000, 2000, 3000, 4000]),
    (-1, 1, 2, [-1, 0, 1]),
    (0, 0.004, 3, [0, 0.002, 0.004]),
    (5, 5, 3, [5]),
]
LOGARITHMIC = [
    (1, 1000, 3, [1, 10, 100, 1000]),
    (1, 100, 5, [1, 2, 5, 10, 20, 50, 100]),
    (1.35, 6.2, 6, [2, 3, 4, 5, 6]),
    (0.95, 9.5, 3, [1, 2, 5]),
    (1.35, 1.82, 5, [1.4, 1.5, 1.6, 1.7, 1.8]),  # no power of ten is near: as on a linear axis
    (1e-6, 1e6, 4, [1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6]),
]


def test_ticks_are_round(draw: Draw) -> None:
    page = draw(chart_of([(1, 1.0)]))
    for name, table in (("ticks", LINEAR), ("logTicks", LOGARITHMIC)):
        for low, high, count, ticks in table:
            found = page.evaluate(f"{name}({low}, {high}, {count})")
            assert found == pytest.approx(ticks), (name, low, high)


def test_ticks_are_few_and_lie_within(draw: Draw) -> None:
    page = draw(chart_of([(1, 1.0)]))
    random = Random(1)
    for _ in range(200):
        low = 10 ** random.uniform(-6, 6)
        high, count = low * 10 ** random.uniform(0.001, 8), random.randint(2, 8)
        for name, most in (("ticks", count + 1), ("logTicks", 2 * count + 1)):
            found = page.evaluate(f"{name}({low}, {high}, {count})")
            assert len(found) <= most, (name, low, high, count)
            assert all(low * 0.999 <= tick <= high * 1.001 for tick in found)


def tool(page: "Page", name: str) -> "Locator":
    """A control of the chart, by its name."""
    return page.locator(".chart-tools").get_by_label(name, exact=True)


def test_equal_factors_are_equally_far_apart_on_logarithmic_axes(draw: Draw) -> None:
    page = draw(chart_of([(1, 1.0), (10, 4.0), (100, 16.0)]))
    tool(page, "logarithmic steps").check()
    tool(page, "logarithmic loss").check()
    (x0, y0), (x1, y1), (x2, y2) = curve(page)
    assert (x0, x1, x2) == pytest.approx((0, 0.5, 1), abs=1e-3)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=1e-3)
    assert "0" not in page.locator(".plot text").all_text_contents()


def test_what_has_no_logarithm_leaves_a_gap(draw: Draw) -> None:
    page = draw(chart_of([(0, 3.0), (1, 2.0), (2, 0.0), (3, -1.0), (4, 1.0)]))
    tool(page, "logarithmic steps").check()
    assert len(curve(page)) == 4
    tool(page, "logarithmic loss").check()
    assert len(curve(page)) == 2
    assert (page.locator(".plot .curve").get_attribute("d") or "").count("M") == 2


def test_a_smoothed_curve_has_the_rough_one_behind_it(draw: Draw) -> None:
    values = [4.0, 1.0, math.nan, 3.0, 0.5]
    page = draw(chart_of(list(enumerate(values, start=1)), from_zero=True))
    rough = curve(page)
    tool(page, "Smoothing").fill("0.5")
    assert page.locator(".plot .curve").count() == 2
    assert page.locator(".plot .curve.raw").count() == 1
    assert curve(page) == rough
    found = page.evaluate("averaged([[1, 4], [2, 1], [3, null], [4, 3], [5, 0.5]], 0.5)")
    for place, end in ((0, 1), (1, 2), (3, 4), (4, 5)):
        seen = [value for value in values[:end] if math.isfinite(value)]
        weights = [0.5**age for age in reversed(range(len(seen)))]
        mean = sum(w * v for w, v in zip(weights, seen, strict=True)) / sum(weights)
        assert found[place][1] == pytest.approx(mean)
    assert found[2][1] is None


def shown(page: "Page") -> list[int]:
    """The first and the last step that are shown; nothing for all."""
    text = page.inner_text(".chart-tools .shown")
    return [int(each) for each in text.split(" – ")] if text else []


POINTS = [(step, 100.0 / step) for step in range(1, 101)]


def test_the_keys_zoom_and_move_what_is_shown(draw: Draw) -> None:
    page = draw(chart_of(POINTS))
    whole = curve(page)
    page.locator(".plot").focus()
    page.keyboard.press("Home")
    page.keyboard.press("+")
    page.keyboard.press("+")
    first, last = shown(page)
    assert (first, last - first) == (1, 25)
    assert page.locator(".plot .cursor").get_attribute("visibility") == "visible"
    page.keyboard.press("End")
    assert page.inner_text(".reading") == "step 100: 1"
    assert shown(page) == [75, 100]
    page.keyboard.press("-")
    assert shown(page) == [50, 100]
    page.keyboard.press("0")
    assert shown(page) == []
    assert curve(page) == whole


def test_the_pointer_selects_a_part(draw: Draw) -> None:
    page = draw(chart_of(POINTS))
    page.locator(".plot").scroll_into_view_if_needed()
    box = page.locator(".plot svg svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60)
    assert page.locator(".plot .selection").get_attribute("visibility") == "visible"
    page.mouse.up()
    assert shown(page) == pytest.approx([20, 60], abs=1)
    above = [y for x, y in curve(page) if 0 <= x <= 1]
    assert max(above) > 0.9  # the vertical axis is of what is shown
    assert min(above) < 0.1
    page.get_by_role("button", name="Zoom in").click()
    assert shown(page) == pytest.approx([30, 50], abs=1)
    page.get_by_role("button", name="Show all").click()
    assert shown(page) == []


def test_a_low_chart_has_no_controls(draw: Draw) -> None:
    page = draw(chart_of(POINTS, size="low"))
    whole = curve(page)
    assert not page.locator(".chart-tools").is_visible()
    page.locator(".plot").focus()
    page.keyboard.press("+")
    assert curve(page) == whole


@pytest.mark.parametrize(
    "axis, expected",
    [
        (Axis("steps", "count"), ["20", "40", "60", "80", "100"]),
        (Axis("time", "clock", [(50, 100.0), (100, 4100.0)]), ["40 s", "1:20", "15:00", "41:40"]),
        (Axis("read", "short", [(100, 50_000.0)]), ["10K", "20K", "30K", "40K", "50K"]),
        (Axis("read", "short", []), ["0", "0", "0", "0", "0"]),
    ],
    ids=["places", "clock", "short", "unknown"],
)
def test_an_axis_writes_what_it_was_given_at_a_place(
    draw: Draw, axis: Axis, expected: list[str]
) -> None:
    page = draw(chart_of(POINTS, axes=[axis]))
    assert page.locator(".plot text[text-anchor=middle]").all_text_contents()[:5] == (
        [*expected, "1:08:20"] if axis.name == "time" else expected
    )
