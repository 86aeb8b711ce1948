"""The page in Firefox: every panel fills, a model is looked into, and no script fails."""

from collections.abc import Iterator

import pytest

from tests.studio.conftest import PANELS, Place
from tests.studio.firefox import FIREFOX, Firefox, headless_firefox

UNTIL = """
    const [selector, panel] = given;
    for (let tries = 0; tries < 1000; tries += 1) {
        // What fills above a panel moves it out of sight again.
        if (panel) document.getElementById(panel).scrollIntoView({ behavior: "instant" });
        const found = document.querySelector(selector);
        if (found?.textContent.trim()) return found.textContent;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`nothing came of ${selector}`);
"""
FILLED = {
    "text": "#facts-name",
    "learning": "#loss .curve, #loss .plot",
    "writes": "#sample",
    "inside": "#units tbody tr",
    "surprise": "#surprise-text .symbols span[class*=s]",
    "choose": "#chances button",
    "runs": "#runs-table tbody tr",
}
"""What each panel shows of a run."""


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """One headless Firefox; the tests are skipped where there is none."""
    if FIREFOX is None:
        pytest.skip("firefox is not installed")
    with headless_firefox(tmp_path_factory.mktemp("profile")) as found:
        yield found


def until(firefox: Firefox, selector: str, panel: str = "") -> str:
    """Wait until an element is there and holds text, with a panel kept in sight."""
    return str(firefox.run(UNTIL, selector, panel))


def errors(firefox: Firefox) -> list[str]:
    """What pages complained of, scripts and policies alike: Firefox's own console."""
    firefox.ask("Marionette:SetContext", {"value": "chrome"})
    found = firefox.run("""
        return Services.console.getMessageArray()
            .filter((each) => each instanceof Ci.nsIScriptError && !(each.flags & 1))
            .filter((each) => each.sourceName.startsWith("http"))
            .map((each) => `${each.sourceName}:${each.lineNumber}: ${each.errorMessage}`);
    """)
    firefox.ask("Marionette:SetContext", {"value": "content"})
    return list(found)


def test_errors_would_be_seen(firefox: Firefox, place: Place) -> None:
    firefox.ask("WebDriver:Navigate", {"url": place.next_address()})
    firefox.run("""
        const { on, tellAll } = await import("/page/state.js");
        on("a test", () => { throw new Error("planted"); });
        tellAll("a test");
    """)
    assert any("planted" in line for line in errors(firefox))


def test_every_panel_fills_and_no_script_fails(firefox: Firefox, place: Place) -> None:
    known = len(errors(firefox))
    firefox.ask("WebDriver:Navigate", {"url": place.url})
    until(firefox, "html[data-ready]")
    until(firefox, "#runs-table button", "runs")
    firefox.run("""
        const buttons = [...document.querySelectorAll("#runs-table button")];
        buttons.find((button) => button.textContent === "bottles").click();
    """)
    assert set(FILLED) == set(PANELS)
    for panel in PANELS:
        until(firefox, FILLED[panel], panel)
    firefox.run("document.querySelector('#clamp button').click();")
    until(firefox, "#clamped:not([hidden]) #held")
    assert errors(firefox)[known:] == []


def test_a_text_is_brought_in_and_described(firefox: Firefox, place: Place) -> None:
    known = len(errors(firefox))
    firefox.ask("WebDriver:Navigate", {"url": place.url})
    until(firefox, "html[data-ready]")
    firefox.run("""
        document.getElementById("paste").value = "to be or not to be, ".repeat(40);
        document.getElementById("use-paste").click();
    """)
    name = until(firefox, "#earlier option[value='pasted.txt']:checked")
    assert name == "pasted.txt"
    assert errors(firefox)[known:] == []
