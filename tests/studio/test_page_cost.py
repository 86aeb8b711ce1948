"""What an open page costs a training that uses the same cores: requests, layouts, animations."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ricorda.runs import RunFolder, read_rows
from tests.rows import append_row
from tests.studio.conftest import Open, Place, in_sight, studio_in
from tests.studio.test_presses import TELL

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

ROWS = 3  # that come one at a time
LARGEST_NEWS = 1024  # bytes of an answer with one row
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
DRAWN = "(step) => document.querySelector('#now-step').textContent.replace(',', '') === step"
COMPLETE = "() => import('/page/state.js').then(({ state }) => state.baselines?.done)"
LEARNING = {"state": "learning", "reason": None, "place": None, "has_model": False}


@pytest.fixture
def growing(place: Place, tmp_path: Path) -> Iterator[Place]:
    """A studio with a copy of a run, whose rows have not ended."""
    shutil.copytree(place.folder / "texts", tmp_path / "texts")
    shutil.copytree(place.folder / "runs" / "bottles", tmp_path / "runs" / "growing")
    run = RunFolder(tmp_path / "runs" / "growing")
    rows = [row for row in read_rows(run.metrics) if row["event"] != "ended"]
    run.metrics.unlink()
    for row in rows:
        append_row(run.metrics, row)
    with studio_in(tmp_path) as found:
        yield found


def next_row(place: Place) -> dict[str, Any]:
    """Append one more training row, and return it."""
    metrics = RunFolder(place.folder / "runs" / "growing").metrics
    last = [row for row in read_rows(metrics) if row["event"] == "training"][-1]
    row = {**last, "step": last["step"] + 10, "seconds": last["seconds"] + 1.0}
    append_row(metrics, row)
    return row


def watched(page: "Page") -> "Page":
    """The page with the curves in sight, when all that is asked for once has come."""
    in_sight(page, "learning")
    page.locator("#loss .curve").first.wait_for(state="attached")
    page.wait_for_function(COMPLETE)
    page.locator("#batch_size[placeholder^='automatic: ']").wait_for(state="attached")
    return page


def figure(session: Any, name: str) -> float:
    found = session.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in found if each["name"] == name)


def test_a_row_costs_one_small_request_and_one_layout(open_page: Open, growing: Place) -> None:
    page = watched(open_page("growing", growing))
    page.mouse.move(0, 0)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    answers: list[tuple[str, int]] = []
    page.on("response", lambda each: answers.append((each.url, len(each.body()))))
    before = figure(session, "LayoutCount")
    for _ in range(ROWS):
        row = next_row(growing)
        page.evaluate(TELL, "asked")
        page.wait_for_function(DRAWN, arg=str(row["step"]))
    layouts = figure(session, "LayoutCount") - before
    assert ROWS <= layouts < 2 * ROWS
    assert len(answers) >= ROWS
    for url, size in answers:
        assert "/news?" in url
        assert size < LARGEST_NEWS


def test_what_does_not_change_is_not_drawn_again(open_page: Open, growing: Place) -> None:
    page = watched(open_page("growing", growing))
    kept = [
        page.evaluate_handle(f"document.querySelector({each!r}).firstChild")
        for each in ("#loss .legend", "#loss .smoothing span", "#now-bits")
    ]
    row = next_row(growing)
    page.evaluate(TELL, "asked")
    page.wait_for_function(DRAWN, arg=str(row["step"]))
    for node in kept:
        assert page.evaluate("(node) => node.isConnected", node)


def test_a_hidden_page_asks_for_nothing_until_it_is_seen(open_page: Open) -> None:
    page = watched(open_page())
    page.clock.install()
    asked: list[str] = []

    def note(request: "Request") -> None:
        asked.append(request.url)

    with page.expect_response("**/news?*"):
        page.evaluate(TELL, "asked")
    page.on("request", note)
    with page.expect_request("**/news?*"):
        page.clock.run_for(10_000)
    page.evaluate(HIDE, True)
    page.clock.run_for(10_000)  # a poll may have been under way
    asked.clear()
    page.clock.run_for(600_000)
    assert not asked
    with page.expect_request("**/news?*"):
        page.evaluate(HIDE, False)


@pytest.mark.parametrize("budget", [{"steps": 100}, {"epochs": 2.0}])
def test_nothing_moves_by_itself_during_training(
    open_page: Open, growing: Place, budget: dict[str, Any]
) -> None:
    page = open_page(None, growing)
    page.emulate_media(reduced_motion="no-preference")

    def details(route: Any) -> None:
        answer = route.fetch().json()
        answer["training"]["budget"] = {"minutes": None, "steps": None, "epochs": None, **budget}
        route.fulfill(json=answer)

    def news(route: Any) -> None:
        route.fulfill(json={**route.fetch().json(), "status": {**LEARNING, "has_config": True}})

    page.route(re.compile(r"/api/runs/growing$"), details)
    page.route(re.compile(r"/api/runs/growing/news"), news)
    page.reload()
    watched(page)
    page.wait_for_selector("#state.learning")
    page.wait_for_function("() => document.getAnimations().length === 0")
    share = page.locator("#share")
    assert share.is_visible() == ("steps" in budget)
    assert page.locator("progress:indeterminate").count() == 0
