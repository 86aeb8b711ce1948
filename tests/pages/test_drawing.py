"""Line charts that need no script: curves stand where their values are."""

import math
import re
from xml.etree import ElementTree

import pytest

from ricorda.pages import Axis, Chart, Series, drawing

HEIGHT = 200


def chart_of(points: list[tuple[float, float]], **options: object) -> Chart:
    return Chart(
        unit="bits <per> character",
        series=[Series("training", points)],
        axes=[Axis("steps", "count")],
        readings=[],
        **options,  # type: ignore[arg-type]
    )


def svg_of(html: str) -> ElementTree.Element:
    found = re.search(r'<div class="plot">(<svg.*</svg>)</div>$', html)
    assert found is not None
    return ElementTree.fromstring(found[1])


def path_of(html: str) -> list[tuple[str, float, float]]:
    path = svg_of(html).find(".//path")
    assert path is not None
    return [
        (move, float(x), float(y))
        for move, x, y in re.findall(r"([ML])([-\d.]+) ([-\d.]+)", path.attrib["d"])
    ]


def test_points_stand_in_proportion() -> None:
    points = path_of(drawing(chart_of([(0, 4.0), (50, 3.0), (100, 2.0)]), HEIGHT))
    assert [move for move, _, _ in points] == ["M", "L", "L"]
    (_, x0, y0), (_, x1, y1), (_, x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)
    assert 0 <= y0 < y2 <= HEIGHT


def test_a_gap_is_left_where_nothing_was_measured() -> None:
    points = path_of(drawing(chart_of([(0, 1.0), (1, math.nan), (2, 2.0), (3, 1.0)]), HEIGHT))
    assert [move for move, _, _ in points] == ["M", "M", "L"]


def test_what_is_above_the_top_is_cut_off() -> None:
    svg = svg_of(drawing(chart_of([(0, 100.0), (1, 2.0), (2, 1.0)], top=2.0), HEIGHT))
    inner = svg.find("svg")
    assert inner is not None
    assert inner.attrib["height"] == str(HEIGHT)  # an inner picture cuts off what is outside it
    values = [each.text for each in svg.iter("text")]
    assert "100" not in values


@pytest.mark.parametrize("points", [[], [(0, math.nan)], [(0, 1.0)]], ids=str)
def test_without_a_curve_there_is_no_picture(points: list[tuple[float, float]]) -> None:
    assert drawing(chart_of(points), HEIGHT) == ""


def test_it_is_named_in_words_and_escaped() -> None:
    html = drawing(chart_of([(0, 3.0), (9, 2.0)], mark=(9, 2.0, "best <b>")), HEIGHT)
    assert "bits &lt;per&gt; character" in html
    assert "best &lt;b&gt;" in html
    assert svg_of(html).attrib["aria-label"] == (
        "bits <per> character over steps: training from 3 to 2, lowest 2"
    )


def test_several_curves_have_a_legend_and_evaluations_dots() -> None:
    chart = Chart(
        unit="bits",
        series=[Series("one", [(0, 1), (9, 2)]), Series("two", [(3, 1), (9, 2)], kind="dotted")],
        axes=[Axis("steps", "count")],
        readings=[],
    )
    html = drawing(chart, HEIGHT)
    assert "one</span>" in html
    assert "two</span>" in html
    assert len(svg_of(html).findall("circle")) == 2
