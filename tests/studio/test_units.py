"""The units of a model in the page: the best of each feature, a filter, the picture."""

from typing import TYPE_CHECKING

import pytest

from tests.studio.conftest import Open, Place, in_sight
from tests.studio.test_server import Client

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def units(open_page: Open) -> "Page":
    """The page at the panel of units, with the picture drawn."""
    page = open_page("planted")
    in_sight(page, "inside")
    page.locator(".heat-names > span").first.wait_for(state="attached")
    return page


def listed(page: "Page") -> list[list[str]]:
    """The unit and what it tracks, of each row of the list."""
    rows = page.locator("#units tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("th, td").all()[:2]] for row in rows]


def features(rows: list[list[str]]) -> list[str]:
    """What the rows' units track, without direction and remarks."""
    return [tracks.split(" (increases)")[0].split(" (decreases)")[0] for _, tracks in rows]


def test_the_best_unit_of_each_feature_is_listed(units: "Page", place: Place) -> None:
    ranking = Client(place).json("GET", "/api/runs/planted/units")["units"]
    best: dict[str, str] = {}
    for entry in ranking:
        best.setdefault(entry["feature"], f"{entry['layer']}:{entry['unit']}")
    rows = listed(units)
    assert [name for name, _ in rows] == list(best.values())
    assert len(set(features(rows))) == len(rows)
    units.select_option("#unit-filter", "*")
    assert [name for name, _ in listed(units)] == [f"{e['layer']}:{e['unit']}" for e in ranking]


def test_a_filter_shows_the_units_of_one_feature(units: "Page", place: Place) -> None:
    ranking = Client(place).json("GET", "/api/runs/planted/units")["units"]
    feature = max((entry["feature"] for entry in ranking), key=lambda key: (key.count("_"), key))
    expected = [f"{e['layer']}:{e['unit']}" for e in ranking if e["feature"] == feature]
    with units.expect_response("**/heat") as drawn:
        units.select_option("#unit-filter", feature)
    assert [name for name, _ in listed(units)] == expected
    assert drawn.value.request.post_data_json["units"] == [
        [int(part) for part in name.split(":")] for name in expected
    ]
    option = units.locator("#unit-filter option:checked").inner_text()
    assert option.endswith(f"({len(expected)})")
    chosen = units.locator("#units tr.chosen th").inner_text()
    assert chosen == expected[0]
    units.wait_for_selector(f"#unit-heading:text('Unit {chosen}:')")


def test_what_could_be_chance_is_marked(units: "Page", place: Place) -> None:
    ranking = Client(place).json("GET", "/api/runs/planted/units")["units"]
    units.select_option("#unit-filter", "*")
    marked = units.locator("#units tr.by-chance th").all_inner_texts()
    assert marked == [
        f"{each['layer']}:{each['unit']}"
        for each in ranking
        if each["p_value"] > 0.05 or each["effect"] <= each["control"]
    ]
    assert 0 < len(marked) < len(ranking)
    assert all("could be chance" in text for text in units.locator(".by-chance").all_inner_texts())
    assert units.is_visible("#units-by-chance")


def test_the_picture_has_names_beside_its_rows_and_the_text_below(units: "Page") -> None:
    rows = listed(units)
    names = units.locator(".heat-names > span").all_inner_texts()
    assert [name.split(" ")[0] for name in names] == [name for name, _ in rows]
    assert all(
        tracks.split(" · ")[0] in name for name, (_, tracks) in zip(names, rows, strict=True)
    )
    below = units.locator(".heat-text > bdi").all_text_contents()
    above = units.evaluate("""() => [...document.querySelectorAll("#unit-text .symbols > span")]
        .map((span) => span.classList.contains("end") ? "↵" : span.textContent)""")
    assert [text.replace("\u00a0", " ") for text in below] == above
    boxes = units.evaluate("""() => {
        const box = (each) => each.getBoundingClientRect();
        const canvas = box(document.querySelector("#heat canvas"));
        const names = [...document.querySelectorAll(".heat-names > span")].map(box);
        const text = [...document.querySelectorAll(".heat-text > bdi")].map(box);
        return [canvas.height / names.length - names[0].height,
            names[1].y - names[0].y - names[0].height,
            canvas.width / text.length - text[0].width, text[0].x - canvas.x];
    }""")
    assert boxes == pytest.approx([0, 0, 0, 0], abs=0.1)


def test_the_keys_keep_the_cell_in_sight_and_read_it_out(units: "Page") -> None:
    units.focus("#heat")
    units.keyboard.press("End")
    rows = listed(units)
    for _ in rows:
        units.keyboard.press("ArrowDown")
    read = units.inner_text("#heat-reading")
    assert read.startswith(f"unit {rows[-1][0]}, {features(rows)[-1]}")
    assert (
        units.locator(".heat-names .here").count() == units.locator(".heat-text .here").count() == 1
    )
    assert units.evaluate("""() => {
        const box = (selector) => document.querySelector(selector).getBoundingClientRect();
        const parts = [".heat-cursor", "#heat", ".heat-names", ".heat-text"];
        const [cell, heat, names, text] = parts.map(box);
        return cell.left >= names.right - 2 && cell.right <= heat.right + 2
            && cell.bottom <= text.top + 2;
    }""")
    units.keyboard.press("Enter")
    units.wait_for_selector(f"#unit-heading:text('Unit {rows[-1][0]}:')")


def test_another_run_and_another_language_change_the_picture(units: "Page") -> None:
    before = units.locator(".heat-names > span").all_inner_texts()
    units.select_option("#language", "it")
    assert units.locator(".heat-names > span").all_inner_texts() != before
    assert "l'unità migliore" in units.locator("#unit-filter option:checked").inner_text()
    units.select_option("#language", "en")
    in_sight(units, "runs")
    with units.expect_response("**/bottles/heat"):
        units.click("#runs-table button:text-is('bottles')")
        assert units.locator(".heat-names > span").count() == 0
        in_sight(units, "inside")
    units.locator(".heat-names > span").first.wait_for(state="attached")
