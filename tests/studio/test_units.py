"""The units of a model in the page: the best of each feature, a filter, the picture."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.studio.conftest import Place, in_sight, opening
from tests.studio.test_server import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request


@pytest.fixture(scope="module")
def shared(browser: "Browser", place: Place) -> "Iterator[Page]":
    """One page at the panel of units, where three effects could be chance."""
    with opening(browser, place) as open_page:
        page = open_page(None)
        page.route("**/planted/units", lambda route: route.fulfill(json=by_chance(ranking(place))))
        yield page


def ranking(place: Place) -> Any:
    """What the studio says of the planted model's units."""
    return Client(place).json("GET", "/api/runs/planted/units")


def by_chance(found: Any) -> Any:
    """The same, with an effect as large as its control, and p-values at 0.05 and above."""
    units = found["units"]
    units[3]["effect"] = units[3]["control"]
    units[4]["p_value"], units[5]["p_value"] = 0.05, 0.0501
    return found


@pytest.fixture
def units(shared: "Page") -> "Page":
    """The page as it is at first, with the picture drawn."""
    shared.select_option("#language", "en")
    in_sight(shared, "runs")
    shared.click("#runs-table button:text-is('planted')")
    in_sight(shared, "inside")
    shared.select_option("#unit-filter", "")
    shared.locator(".heat-names > span").first.wait_for(state="attached")
    return shared


def listed(page: "Page") -> list[list[str]]:
    """The unit and what it tracks, of each row of the list."""
    rows = page.locator("#units tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("th, td").all()[:2]] for row in rows]


def asks_for(request: "Request", rows: list[list[int]]) -> bool:
    """Whether these rows of the picture are asked for."""
    return request.url.endswith("/heat") and (request.post_data_json or {})["units"] == rows


def features(rows: list[list[str]]) -> list[str]:
    """What the rows' units track, without direction and remarks."""
    return [tracks.split(" (increases)")[0].split(" (decreases)")[0] for _, tracks in rows]


def test_the_best_unit_of_each_feature_is_listed(units: "Page", place: Place) -> None:
    entries = ranking(place)["units"]
    best: dict[str, str] = {}
    for entry in entries:
        best.setdefault(entry["feature"], f"{entry['layer']}:{entry['unit']}")
    rows = listed(units)
    assert [name for name, _ in rows] == list(best.values())
    assert len(set(features(rows))) == len(rows)
    units.select_option("#unit-filter", "*")
    assert [name for name, _ in listed(units)] == [f"{e['layer']}:{e['unit']}" for e in entries]


def test_a_filter_shows_the_units_of_one_feature(units: "Page", place: Place) -> None:
    entries = ranking(place)["units"]
    feature = max((entry["feature"] for entry in entries), key=lambda key: (key.count("_"), key))
    expected = [f"{e['layer']}:{e['unit']}" for e in entries if e["feature"] == feature]
    rows = [[int(part) for part in name.split(":")] for name in expected]
    with units.expect_request(lambda request: asks_for(request, rows)):
        units.select_option("#unit-filter", feature)
    assert [name for name, _ in listed(units)] == expected
    option = units.locator("#unit-filter option:checked").inner_text()
    assert option.endswith(f"({len(expected)})")
    chosen = units.locator("#units tr.chosen th").inner_text()
    assert chosen == expected[0]
    units.wait_for_selector(f"#unit-heading:text('Unit {chosen}:')")


def test_what_could_be_chance_is_marked(units: "Page", place: Place) -> None:
    units.select_option("#unit-filter", "*")
    entries = ranking(place)["units"]
    expected = [f"{entries[number]['layer']}:{entries[number]['unit']}" for number in (3, 5)]
    assert units.locator("#units tr.by-chance th").all_inner_texts() == expected
    marked = units.locator("#units tr.by-chance").all_inner_texts()
    assert all("could be chance" in text for text in marked)
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
