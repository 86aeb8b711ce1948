"""The page is redrawn while somebody presses, selects or has chosen something: nothing is lost."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.studio.conftest import TEXT, Open, Place, in_sight, opening
from tests.studio.test_page import drop
from tests.studio.test_server import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

REFRESH = "() => import('/page/state.js').then(({ refreshRuns }) => refreshRuns())"
TELL = "(change) => import('/page/state.js').then(({ tellAll }) => tellAll(change))"


@dataclass
class Changing:
    """A page whose server gives no answer twice: new rows come first, all rows change."""

    page: "Page"
    runs: Any
    """What the server says of the runs."""

    answers: int = 0

    def begin(self) -> None:
        """Change the answers from now on."""
        self.page.route("**/api/runs", self._runs)
        self.page.route("**/next", self._next)
        self.page.route("**/units", self._units)

    def _runs(self, route: "Route") -> None:
        self.answers += 1
        numbers = range(self.answers, 0, -1)
        new = [{**self.runs["runs"][0], "name": f"new-{number}"} for number in numbers]
        rows = [{**row, "steps": 100 + self.answers} for row in (*new, *self.runs["runs"])]
        deleted = [{"number": number, "name": f"old-{number}"} for number in numbers]
        route.fulfill(json={"runs": rows, "deleted": deleted})

    def _next(self, route: "Route") -> None:
        self.answers += 1
        found = route.fetch().json()
        found["symbols"].reverse()
        for place, symbol in enumerate(found["symbols"]):
            symbol["shaped"] = (place + self.answers) % 14 / 100
        route.fulfill(json={**found, "possible": self.answers})

    def _units(self, route: "Route") -> None:
        self.answers += 1
        found = route.fetch().json()
        found["units"] = found["units"][self.answers % 2 :][::-1]
        route.fulfill(json={**found, "dead": self.answers})

    def refresh_runs(self) -> None:
        """Have the list of runs drawn again."""
        self.page.evaluate(REFRESH)

    def tell_of_a_model(self, line: str) -> None:
        """Have what the model shows drawn again: a line below it then says something else."""
        before = self.page.inner_text(line)
        self.page.evaluate(TELL, "model")
        self.page.wait_for_function(
            "([line, before]) => document.querySelector(line).innerText !== before",
            arg=[line, before],
        )


@pytest.fixture(scope="module")
def shared(browser: "Browser", place: Place) -> "Iterator[Changing]":
    """One page for all presses."""
    with opening(browser, place) as open_page:
        page = open_page("planted")
        changing = Changing(page, Client(place).json("GET", "/api/runs"))
        changing.begin()
        yield changing
        page.unroute_all(behavior="wait")  # an answer may be under way


@pytest.fixture
def changing(shared: Changing) -> Changing:
    """The page at the planted run, with everything drawn."""
    page = shared.page
    page.select_option("#run-picker", "planted")
    page.wait_for_selector("#run-name:text-is('planted')", state="attached")
    for details in page.locator("#overlay, #deleted").all():
        details.evaluate("(each) => { each.open = true; }")
    for panel, drawn in {
        "inside": "#step tbody tr",
        "choose": "#chances button",
        "runs": "#deleted-runs button",
    }.items():
        in_sight(page, panel)
        page.locator(drawn).first.wait_for()
    return shared


@dataclass
class Control:
    """A control that is pressed, what has it drawn again, and what shows that the press counted."""

    selector: str
    refresh: Callable[[Changing], None]
    counted: Callable[["Page", str], None]
    """Given the value that the control had; waits until it is seen."""


def is_requested(page: "Page", value: str) -> None:
    page.wait_for_selector("#runs-problem:not([hidden])")  # there is no such run to restore


def unit_is_shown(page: "Page", value: str) -> None:
    page.wait_for_selector(f"#unit-heading:text('Unit {value}')")


def character_is_chosen(page: "Page", value: str) -> None:
    page.wait_for_function(
        "(value) => document.querySelector('#context').value === '9 bottl' + value", arg=value
    )


def is_ticked(selector: str) -> Callable[["Page", str], None]:
    def counted(page: "Page", value: str) -> None:
        control = page.locator(f"{selector}[value='{value}']")
        control.and_(page.locator(":checked")).wait_for(state="attached")
        control.evaluate("(each) => each.click()")  # wherever new rows have moved it

    return counted


def run_is_shown(page: "Page", value: str) -> None:
    page.wait_for_selector(f"#run-name:text-is('{value}')", state="attached")


CONTROLS = {
    "compare": Control(
        "#runs-table input[value=bottles]", Changing.refresh_runs, is_ticked("#runs-table input")
    ),
    "look": Control("#runs-table button[value=bottles]", Changing.refresh_runs, run_is_shown),
    "overlay": Control(
        "#overlay-runs input[value=bottles]",
        Changing.refresh_runs,
        is_ticked("#overlay-runs input"),
    ),
    "restore": Control(
        "#deleted-runs button[value='restore 1']", Changing.refresh_runs, is_requested
    ),
    "unit": Control(
        "#units tbody tr:nth-child(3) button",
        lambda changing: changing.tell_of_a_model("#units-state"),
        unit_is_shown,
    ),
    "chance": Control(
        "#chances li:nth-child(3) button",
        lambda changing: changing.tell_of_a_model("#chances-words"),
        character_is_chosen,
    ),
}


def press(control: "Locator", way: str) -> Callable[[], None]:
    """Press a control, again if it moved or lost the focus before; return what releases it."""
    mouse, keyboard = control.page.mouse, control.page.keyboard
    for _ in range(20):
        if way == "mouse":
            control.hover()
            mouse.down()
            release = mouse.up
        else:
            control.focus()
            keyboard.down(way)
            release = partial(keyboard.up, way)
        if control.evaluate("(each) => each.matches(':active')"):
            return release
        mouse.move(0, 0)  # so that what was pressed in its stead is not clicked
        release()
    raise AssertionError("the control was never the one that was pressed")


@pytest.mark.parametrize("way", ["mouse", "Space"])
@pytest.mark.parametrize("name", CONTROLS)
def test_a_press_counts_though_all_is_redrawn_meanwhile(
    changing: Changing, name: str, way: str
) -> None:
    page, control = changing.page, CONTROLS[name]
    with page.expect_response("**/next"):
        page.fill("#context", "9 bottl")
    pressed = page.locator(control.selector)
    release = press(pressed, way)
    value = pressed.get_attribute("value") or ""
    control.refresh(changing)
    release()
    control.counted(page, value)


KEEP = """() => {
    const parts = "a, button, input, option, select, summary, textarea, .symbols, .plot";
    window.kept = [...document.querySelectorAll(`main :is(${parts}), .bar :is(${parts})`)];
}"""
LOST = "() => window.kept.filter((each) => !each.isConnected).map((each) => each.outerHTML)"


def test_a_redraw_keeps_every_control_the_focus_and_what_is_selected(
    open_page: Open, place: Place
) -> None:
    page = open_page(viewport={"width": 1280, "height": 12_000})
    drawn = "#inspector .past li", "#step tbody tr", "#chances button", "#runs-table tbody tr"
    for selector in drawn:
        page.locator(selector).first.wait_for()
    changing = Changing(page, Client(place).json("GET", "/api/runs"))
    page.route("**/api/runs", changing._runs)
    changing.refresh_runs()
    page.locator("#step details").last.locator("summary").click()
    page.evaluate(KEEP)
    page.focus("#runs-table button[value=planted]")
    page.evaluate("""() => getSelection().selectAllChildren(
        document.querySelector("#runs-table tr:has([value=planted]) .below"))""")
    selected = page.evaluate("() => getSelection().toString()")
    assert selected
    for change in ("text", "details", "status", "rows", "stretch"):
        page.evaluate(TELL, change)
    with (
        page.expect_response("**/influence"),
        page.expect_response("**/step"),
        page.expect_response("**/next"),
    ):
        page.evaluate(TELL, "model")
    changing.refresh_runs()
    assert page.locator("#runs-table button[value=new-2]").count() == 1
    assert page.evaluate(LOST) == []
    assert page.evaluate("() => document.activeElement.value") == "planted"
    assert page.evaluate("() => getSelection().toString()") == selected
    assert page.locator("#step details").last.get_attribute("open") is not None


def held_back(page: "Page", pattern: str) -> "list[Route]":
    """The requests to an address, which are not answered yet."""
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route(pattern, hold)
    return held


def test_a_choice_counts_before_its_curve_has_come(open_page: Open, place: Place) -> None:
    page = open_page("planted")
    held = held_back(page, "**/curve")
    in_sight(page, "learning")
    page.click("#overlay summary")
    choices = ["#overlay-runs input[value=bottles]", "#runs-table input[value=bottles]"]
    for choice in choices:
        page.check(choice)
    page.evaluate(REFRESH)
    assert all(page.is_checked(choice) for choice in choices)
    for choice in choices:
        page.uncheck(choice)
    for route in held:
        with page.expect_response("**/curve"):
            route.continue_()
    page.evaluate(REFRESH)
    assert not any(page.is_checked(choice) for choice in choices)  # nor is it ticked by an answer


def test_a_curve_that_does_not_come_is_reported_and_tried_again(
    open_page: Open, place: Place
) -> None:
    page = open_page("planted")
    page.route("**/curve", lambda route: route.abort())
    in_sight(page, "learning")
    page.click("#overlay summary")
    page.check("#overlay-runs input[value=bottles]")
    page.check("#runs-table input[value=bottles]")
    for problem in ("#overlay-problem", "#comparison-problem"):
        page.wait_for_selector(f"{problem}:has-text('does not answer')", state="attached")
    page.unroute("**/curve")
    page.evaluate(REFRESH)
    page.wait_for_selector("#loss path.compared", state="attached")
    page.wait_for_selector("#comparison path.compared", state="attached")
    for problem in ("#overlay-problem", "#comparison-problem"):
        page.wait_for_selector(problem, state="hidden")
    assert page.is_checked("#overlay-runs input[value=bottles]")


def test_a_text_that_is_on_its_way_is_chosen(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    for name in ("one.txt", "other.txt"):
        drop(page, name, TEXT)
        page.wait_for_selector(f"#facts-name:text-is('{name}')")
    held = held_back(page, "**/api/texts/one.txt")
    page.select_option("#earlier", "one.txt")
    with page.expect_response("**/api/studio"):
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate(REFRESH)  # answered later, and so drawn later
    assert page.input_value("#earlier") == "one.txt"
    for route in held:
        route.abort()
    page.wait_for_selector("#text-problem:not([hidden])")
    assert page.input_value("#earlier") == "other.txt" == page.inner_text("#facts-name")
