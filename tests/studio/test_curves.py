"""The curves of the page: axes, zoom, smoothing, other runs over them, baselines, placeholders."""

import json
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ricorda.runs import RunFolder, read_rows
from ricorda.studio.feed import curve
from tests.rows import append_row
from tests.studio.conftest import Open, Place, in_sight, opening, studio_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BRANCHED = 30  # the step
RUNS = ("first", "branch")


@pytest.fixture(scope="module")
def family(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A studio with a run and a branch of it, copied from one that was trained."""
    folder = tmp_path_factory.mktemp("family")
    shutil.copytree(place.folder / "texts", folder / "texts")
    for name in RUNS:
        shutil.copytree(place.folder / "runs" / "bottles", folder / "runs" / name)
    branch(RunFolder(folder / "runs" / "branch"))
    with studio_in(folder) as found:
        yield found


def branch(run: RunFolder) -> None:
    """Make a copied run one that branched from the other, and has a better loss since."""
    rows = list(read_rows(run.metrics))
    run.metrics.unlink()
    before = [row for row in rows if row["step"] <= BRANCHED and row["event"] != "ended"]
    seconds = before[-1]["seconds"]
    border = {"step": BRANCHED, "seconds": seconds, "event": "branched", "run": "first"}
    later = [row for row in rows if row not in before]
    for row in [*before, {**border, "changes": {"dropout": 0.1}}, *map(improved, later)]:
        append_row(run.metrics, row)


def improved(row: dict[str, Any]) -> dict[str, Any]:
    """An evaluation with half the loss; another row as it is."""
    if row["event"] != "evaluation":
        return row
    return {**row, "nats_per_character": row["nats_per_character"] / 2}


@pytest.fixture(scope="module")
def shared(browser: "Browser", family: Place) -> "Iterator[Page]":
    """One page at the curves of the first run."""
    with opening(browser, family) as open_page:
        yield open_page("first", family)


@pytest.fixture
def curves(shared: "Page") -> "Page":
    """The page with the curves as they are at first."""
    shared.select_option("#language", "en")
    in_sight(shared, "learning")
    shared.locator("#loss .curve").first.wait_for(state="attached")
    for box in shared.locator("#loss .chart-tools input[type=checkbox]").all():
        box.uncheck()
    shared.locator("#loss .chart-tools input[type=range]").fill("0")
    shared.select_option("#over", "seconds")
    return shared


def evaluations(family: Place, name: str) -> list[dict[str, Any]]:
    rows = read_rows(family.folder / "runs" / name / "metrics.jsonl")
    return [row for row in rows if row["event"] == "evaluation"]


def test_a_curve_says_where_its_run_branched(family: Place) -> None:
    rows = [
        {"step": 1, "event": "evaluation", "seconds": 0.5, "nats_per_character": 2.0},
        {"step": 1, "event": "branched", "run": "first", "seconds": 0.5},
        {"step": 2, "event": "training", "seconds": 0.7, "nats_per_character": 1.5},
        {"step": 3, "event": "evaluation", "seconds": 0.9, "nats_per_character": None},
        {"step": 4, "event": "evaluation", "seconds": 1.1, "nats_per_character": 1.0},
    ]
    assert curve(rows) == {
        "points": [[0.5, 2.0, 1], [1.1, 1.0, 4]],
        "branch": {"run": "first", "step": 1},
    }
    assert curve([]) == {"points": [], "branch": None}
    assert curve([{"step": 7, "event": "branched"}])["branch"] == {"run": "None", "step": 7}


def test_runs_are_overlaid_with_their_names(curves: "Page", family: Place) -> None:
    curves.click("#overlay summary")
    curves.check("#overlay-runs input[value=branch]")
    overlaid = curves.locator("#loss path.compared")
    overlaid.first.wait_for(state="attached")
    legend = curves.locator("#loss .legend").inner_text()
    assert f"branch (branch of first from step {BRANCHED})" in legend
    assert "first: validation" in legend
    path = overlaid.last.get_attribute("d") or ""
    assert path.count("M") + path.count("L") == len(evaluations(family, "branch"))
    curves.select_option("#over", "step")
    curves.focus("#loss .plot")
    curves.keyboard.press("End")
    last = evaluations(family, "branch")[-1]["step"]
    assert f"{last}" in curves.inner_text("#loss .reading")
    curves.uncheck("#overlay-runs input[value=branch]")
    overlaid.first.wait_for(state="detached")


def test_a_resumed_run_is_shown_as_such(open_page: Open, family: Place) -> None:
    page = open_page("first", family)
    names = [{"name": name, "resumed": name == "branch", "state": "ended"} for name in RUNS]
    answer = {"runs": names, "deleted": []}
    page.route("**/api/runs", lambda route: route.fulfill(json=answer))
    in_sight(page, "learning")
    page.click("#overlay summary")
    page.check("#overlay-runs input[value=branch]")
    name = f"branch (branch of first from step {BRANCHED}, resumed)"
    page.wait_for_selector(f"#loss .legend :text('{name}')")


def test_a_branch_shows_its_border(open_page: Open, family: Place) -> None:
    page = open_page("branch", family)
    in_sight(page, "learning")
    page.locator("#loss .border").wait_for(state="attached")
    texts = page.locator("#loss .plot text").all_text_contents()
    assert f"branch of first from step {BRANCHED}" in texts
    page.click("#overlay summary")
    page.wait_for_selector("#overlay-runs input[value=first]", state="attached")
    assert page.locator("#overlay-runs input").count() == 1  # itself is not among them


def control(page: "Page", name: str) -> Any:
    return page.locator("#loss .chart-tools").get_by_label(name, exact=True)


def test_both_charts_follow_one_view(curves: "Page") -> None:
    def path(chart: str) -> str:
        return curves.locator(f"#{chart} .plot path.curve").first.get_attribute("d") or ""

    loss, gradient = path("loss"), path("gradient")
    curves.locator("#loss .chart-tools button").nth(1).click()
    assert path("loss") != loss
    assert path("gradient") != gradient
    assert " – " in curves.inner_text("#loss .shown")
    for _ in range(3):
        curves.locator("#loss .chart-tools button").nth(1).click()
    ticks = curves.locator("#loss text[text-anchor=middle]").all_text_contents()
    assert len(set(ticks)) == len(ticks) > 1
    curves.locator("#loss .chart-tools button").nth(2).click()
    assert (path("loss"), path("gradient")) == (loss, gradient)
    control(curves, "Logarithmic x axis").check()
    control(curves, "Logarithmic y axis").check()
    assert path("loss") != loss
    labels = [
        curves.locator(f"#{chart} text[text-anchor=middle]").all_text_contents()
        for chart in ("loss", "gradient")
    ]
    assert labels[0] == labels[1]
    control(curves, "Smoothing").fill("0.9")
    assert curves.locator("#loss .curve.raw").count() == 1
    assert curves.locator("#gradient .curve.raw").count() == 1
    assert curves.locator("#gradient .chart-tools").is_hidden()


GROW = """async () => {
    const { state, tellAll } = await import("./page/state.js");
    const last = state.metrics.findLast((row) => row.event === "training");
    state.metrics.push({ ...last, step: 2 * last.step, seconds: 2 * last.seconds });
    tellAll("rows");
    return last.step;
}"""


def test_a_selection_stays_while_the_curves_grow(open_page: Open, family: Place) -> None:
    """What a drag selects are values: a row that comes meanwhile changes the scale, not them."""
    page = open_page("first", family)
    in_sight(page, "learning")
    page.select_option("#over", "step")
    page.locator("#loss .plot").scroll_into_view_if_needed()
    frame = page.locator("#loss .plot svg svg").bounding_box()
    assert frame is not None
    at = [(frame["x"] + frame["width"] * share, frame["y"] + 50) for share in (0.25, 0.75)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1])
    drawing = page.evaluate_handle("document.querySelector('#loss .plot svg')")
    last = page.evaluate(GROW)
    page.wait_for_function("(drawing) => !drawing.isConnected", arg=drawing)
    selection = page.locator("#loss .selection")
    assert selection.get_attribute("visibility") == "visible"
    assert float(selection.get_attribute("width") or 0) == pytest.approx(frame["width"] / 4, abs=2)
    page.mouse.up()
    begin, end = map(float, page.inner_text("#loss .shown").split(" – "))
    assert begin == pytest.approx(0.25 * last, abs=1)
    assert end == pytest.approx(0.75 * 2 * last, abs=2)
    assert selection.get_attribute("visibility") == "hidden"


def test_the_cursor_stays_at_its_place_while_a_curve_grows(curves: "Page") -> None:
    curves.locator("#overlay").evaluate("(each) => { each.open = true; }")
    curves.check("#overlay-runs input[value=branch]")
    curves.locator("#loss path.compared").first.wait_for(state="attached")
    curves.focus("#loss .plot")
    for key in ("End", "ArrowLeft"):
        curves.keyboard.press(key)
    read = curves.inner_text("#loss .reading")
    drawing = curves.evaluate_handle("document.querySelector('#loss .plot svg')")
    curves.evaluate("""async () => {
        const { state, tellAll } = await import("./page/state.js");
        state.metrics.splice(1, 0, { ...state.metrics[0], seconds: state.metrics[0].seconds / 2 });
        tellAll("rows");
    }""")
    curves.wait_for_function("(drawing) => !drawing.isConnected", arg=drawing)
    assert curves.inner_text("#loss .reading") == read
    curves.uncheck("#overlay-runs input[value=branch]")


def test_the_controls_speak_the_page_s_language(curves: "Page") -> None:
    control(curves, "Logarithmic x axis").check()
    curves.select_option("#language", "it")
    assert control(curves, "Asse x logaritmico").is_checked()
    assert control(curves, "Media mobile").is_visible()
    assert "per ingrandire" in (curves.locator("#loss .plot").get_attribute("aria-label") or "")


@pytest.mark.parametrize("width", [1280, 400])
def test_baselines_have_their_names_in_the_plot(open_page: Open, width: int) -> None:
    page = open_page(None, viewport={"width": width, "height": 900})
    figures = {"uniform": 5.0, "frequencies": 4.0, "five_grams": 1.0, "xz": 1.1}
    answer = {"done": True, "bits_per_character": figures}
    page.route("**/runs/*/baselines", lambda route: route.fulfill(json=answer))
    in_sight(page, "runs")
    page.click("#runs-table button:text-is('bottles')")
    in_sight(page, "learning")
    names = page.locator("#loss .level-name")
    names.nth(3).wait_for(state="attached")
    assert page.locator("#loss .level-name.within").count() == (4 if width == 400 else 0)
    assert page.evaluate("""() => {
        const plot = document.querySelector("#loss .plot").getBoundingClientRect();
        return [...document.querySelectorAll("#loss .level-name")].every((name) => {
            const box = name.getBoundingClientRect();
            return box.left >= plot.left && box.right <= plot.right + 1;
        });
    }""")


def test_settings_show_what_the_planner_chooses(curves: "Page") -> None:
    page = curves
    page.click("#settings summary")
    page.wait_for_selector("#batch_size[placeholder^='automatic: ']", state="attached")
    batch_size = page.get_attribute("#batch_size", "placeholder") or ""
    assert page.get_attribute("#hidden_size", "placeholder") == "256"
    with page.expect_response("**/api/plan") as planned:
        page.select_option("#size", "")
    plan = json.loads(planned.value.body())
    page.wait_for_selector("#hidden_size[placeholder^='automatic: about ']", state="attached")
    assert f"automatic: {plan['settings']['batch_size']}" == batch_size
    page.select_option("#language", "it")
    assert page.get_attribute("#batch_size", "placeholder") == f"automatico: {batch_size[11:]}"
    page.select_option("#vocabulary", "words")
    page.wait_for_selector("#batch_size[placeholder='']", state="attached")
