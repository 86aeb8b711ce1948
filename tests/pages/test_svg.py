"""Charts that need no script: what is drawn where."""

import math
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from ricorda.pages.svg import (
    Coordinate,
    Interval,
    Path,
    interval_chart,
    parallel_coordinates,
    svg_file,
)

SVG = "{http://www.w3.org/2000/svg}"


def drawn(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def places(drawing: str, name: str) -> list[float]:
    """The horizontal places of the circles of a class."""
    circles = drawn(drawing).iter(f"{SVG}circle")
    return [float(each.get("cx", "nan")) for each in circles if each.get("class") == name]


def words(drawing: str) -> list[str]:
    return [each.text or "" for each in drawn(drawing).iter(f"{SVG}text")]


def interval(name: str, *values: float) -> Interval:
    mean = sum(values) / len(values) if values else math.nan
    squares = sum((value - mean) ** 2 for value in values)
    deviation = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else math.nan
    return Interval(name, values, mean, deviation)


def test_means_and_values_lie_in_proportion() -> None:
    chart = interval_chart("bits", [interval("a", 2.0, 2.2, 2.4), interval("b", 3.0, 3.2, 3.4)])
    values, means = places(chart, "value"), places(chart, "mean")
    unit = (values[5] - values[0]) / 1.4
    assert [(value - values[0]) / unit for value in values] == pytest.approx(
        [0, 0.2, 0.4, 1.0, 1.2, 1.4], abs=0.002
    )
    assert [(mean - values[0]) / unit for mean in means] == pytest.approx([0.2, 1.2], abs=0.002)
    bars = [each for each in drawn(chart).iter(f"{SVG}line") if each.get("class") == "interval"]
    ends = [(float(bar.get("x1", 0)), float(bar.get("x2", 0))) for bar in bars]
    assert (ends[0][1] - ends[0][0]) / unit == pytest.approx(0.4, abs=0.002)  # twice 0.2
    assert {"2.200 ± 0.200", "3.200 ± 0.200", "a", "b", "bits"} <= set(words(chart))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [interval("nothing")],
        [interval("one", 1.5)],
        [interval("same", 1.5, 1.5)],
        [interval("one", 2.0), interval("nothing"), interval("<&>" * 20, 2.5, 2.6)],
    ],
)
def test_any_rows_can_be_drawn(rows: Sequence[Interval]) -> None:
    chart = drawn(svg_file(interval_chart("bits", rows)))
    numbers = [value for each in chart.iter() for value in each.attrib.values()]
    assert not [value for value in numbers if value in ("nan", "inf", "-inf")]
    width, height = (float(part) for part in chart.get("viewBox", "").split()[2:])
    for each in chart.iter(f"{SVG}circle"):
        assert 0 < float(each.get("cx", "-1")) < width
        assert 0 < float(each.get("cy", "-1")) < height


def test_a_file_has_its_colours_and_loads_nothing() -> None:
    chart = svg_file(interval_chart("bits", [interval("one", 1.5, 1.6)]))
    assert "prefers-color-scheme: dark" in chart
    assert "url(" not in chart
    assert "@import" not in chart


def test_a_path_crosses_every_axis_and_the_best_lies_on_top() -> None:
    axes = [Coordinate(name, [(0, "0"), (1, "9")]) for name in ("first", "second", "loss")]
    paths = [
        Path([0, 1, 0], "best", "trial 0"),
        Path([1, 0.5, 1], "stopped", "trial 1"),
        Path([0.5, 0, 0.5], "complete", "trial <2>"),
    ]
    chart = drawn(parallel_coordinates("three trials", axes, paths))
    lines = list(chart.iter(f"{SVG}polyline"))
    assert [line.get("class") for line in lines] == ["path stopped", "path complete", "path best"]
    assert [title.text for title in chart.iter(f"{SVG}title")] == [
        "trial 1",
        "trial <2>",
        "trial 0",
    ]
    points = [tuple(map(float, each.split(","))) for each in lines[2].get("points", "").split()]
    (x0, low), (x1, high), (x2, again) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert low == again > high  # 1 is above 0
    assert chart.get("aria-label") == "three trials"
