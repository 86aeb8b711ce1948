"""Accessibility of the page: axe's rules, large text, the keyboard, a screen reader."""

from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.studio.conftest import PANELS, TEXT, Open, Place, in_sight

if TYPE_CHECKING:
    from playwright.sync_api import Page


LOOKS: tuple[tuple[str, Literal["light", "dark"]], ...] = (("en", "light"), ("it", "dark"))
"""Each language and each theme once: words take their room in the one, colours are of the other."""


def axe_violations(page: "Page", within: str | None = None) -> list[Any]:
    """What axe finds on the page, or within the elements that a selector names."""
    from axe_playwright_python.sync_playwright import Axe

    options = {
        "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
        "resultTypes": ["violations"],  # no selector for each of the thousands that pass
    }
    found = Axe().run(page, context=within, options=options).response["violations"]
    return [
        (each["id"], node["target"], node["failureSummary"])
        for each in found
        for node in each["nodes"]
    ]


def show_everything(page: "Page") -> None:
    """Open what is folded away, in every panel."""
    for panel in PANELS:
        in_sight(page, panel)
        page.wait_for_timeout(0)
    in_sight(page, "inside")
    page.locator("#units tbody tr").first.wait_for()
    page.locator("#step tbody tr").first.wait_for()
    in_sight(page, "writes")
    page.fill("#write-length", "80")
    for prompt in ("9 bottles", "8 walls"):
        page.fill("#write-prompt", prompt)
        page.click("#write-start")
        page.wait_for_selector(f"#written:has-text('{prompt}')")
        page.wait_for_selector("#written-copying:not([hidden])")
    page.click("#memorized")
    page.wait_for_selector("#memorized-found:not([hidden])")
    in_sight(page, "learning")
    page.locator("#loss .chart-tools button").nth(1).click()
    page.click("#overlay summary")
    page.check("#overlay-runs input[value=planted]")
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    page.check("#by-gradient")
    page.locator("#agreement").wait_for()
    page.click("[data-reader=surprise] summary")  # a short text: axe looks at each character
    page.fill("#surprise-own", TEXT[:60])
    page.click("[data-reader=surprise] button >> nth=0")
    page.wait_for_selector("#surprise-text span >> nth=60", state="detached")
    in_sight(page, "inside")
    page.wait_for_selector("#unit-text span >> nth=60", state="detached")
    in_sight(page, "choose")
    page.wait_for_selector("#chances button")
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => each.open = true)")


@pytest.mark.usefixtures("with_pytorch")
def test_axe_finds_nothing_in_either_theme_and_language(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "runs")
    page.check("input[aria-label='Compare bottles']")
    show_everything(page)
    for language, theme in LOOKS:
        page.select_option("#language", language)
        page.emulate_media(color_scheme=theme)
        assert axe_violations(page) == [], theme


def show_adaptive_reading(page: "Page") -> None:
    """Read a short text of one's own, learning from it."""
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    page.click("[data-reader=surprise] summary")
    page.fill("#surprise-own", TEXT[:80])
    page.click("[data-reader=surprise] button >> nth=0")
    page.wait_for_selector("#surprise-text span >> nth=80", state="detached")
    page.check("#adaptive")
    page.wait_for_selector("#surprise-curves:not([hidden]) path.curve", state="attached")
    page.click("#surprise-table-name")


def test_adaptive_reading_has_no_fault_in_either_theme_and_language(open_page: Open) -> None:
    page = open_page()
    show_adaptive_reading(page)
    for language, theme in LOOKS:
        page.select_option("#language", language)
        page.emulate_media(color_scheme=theme)
        assert axe_violations(page, "#surprise") == [], theme


def test_adaptive_reading_is_not_cut_off_at_400_percent(open_page: Open) -> None:
    page = open_page(viewport={"width": 320, "height": 640})
    show_adaptive_reading(page)
    widths = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]


def test_an_empty_page_has_no_fault_either(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    assert axe_violations(page) == []


@pytest.mark.usefixtures("with_pytorch")
def test_nothing_is_cut_off_at_400_percent(open_page: Open) -> None:
    page = open_page(viewport={"width": 320, "height": 640})
    show_everything(page)
    widths = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]


def focused(page: "Page") -> str:
    return str(page.evaluate("() => document.activeElement.id || document.activeElement.className"))


def tab_to(page: "Page", selector: str, most: int = 150) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(f"() => document.activeElement.matches({selector!r})"):
            style = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert style != "none"
            return
    raise AssertionError(f"Tab never came to {selector}; it is at {focused(page)}")


def change_the_curves(page: "Page") -> None:
    """Zoom, and draw another run over the curves, by keys."""
    tab_to(page, "#loss .chart-tools input")
    page.keyboard.press("Space")
    tab_to(page, "#loss .plot")
    page.keyboard.press("Home")
    page.keyboard.press("+")
    tab_to(page, "#overlay summary")
    page.keyboard.press("Enter")
    tab_to(page, "#overlay-runs input")
    page.keyboard.press("Space")
    page.wait_for_selector("#loss path.compared", state="attached")
    tab_to(page, "#gradient .plot")


def write_a_text(page: "Page") -> None:
    """Have a prompt continued, by keys."""
    tab_to(page, "#write-prompt")
    page.keyboard.type("a")
    tab_to(page, "#write-start")
    page.keyboard.press("Enter")
    page.wait_for_selector("#written-copying:not([hidden])")


def look_inside(page: "Page") -> None:
    """Choose units, a character and a cell of the picture, and hold a unit, by keys."""
    tab_to(page, "#unit-filter")
    page.locator("#step tbody tr").first.wait_for()  # until then there is nothing to press below
    page.keyboard.press("ArrowDown")
    tab_to(page, "#units button")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab_to(page, "#unit-text .symbols")
    page.keyboard.press("ArrowRight")
    assert "unit" in page.inner_text("#unit-text .reading")
    tab_to(page, "#heat")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab_to(page, "#clamp-value")
    page.keyboard.press("ArrowRight")
    tab_to(page, "#clamp button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#clamped:not([hidden])")


@pytest.mark.usefixtures("with_pytorch")
def test_a_journey_by_the_keyboard_alone(open_page: Open) -> None:
    page = open_page("planted")
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.evaluate("() => document.querySelector('.skip').focus()")
    page.keyboard.press("Enter")
    tab_to(page, "#earlier")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#facts:not([hidden])")
    tab_to(page, "#start")
    change_the_curves(page)
    write_a_text(page)
    tab_to(page, "#memorized")
    page.keyboard.press("Enter")
    page.wait_for_selector("#memorized-found:not([hidden])")
    look_inside(page)
    tab_to(page, "#adaptive")
    page.keyboard.press("Space")
    page.locator("#surprise-problem:not([hidden])").wait_for()  # this model cannot learn
    page.keyboard.press("Space")
    page.wait_for_selector("#surprise-problem", state="hidden")
    tab_to(page, "#surprise-text .symbols")
    page.keyboard.press("ArrowRight")
    page.locator("#surprise-text .reading:text('bits')").wait_for()
    tab_to(page, "#by-gradient")
    page.keyboard.press("Space")
    page.locator("#agreement").wait_for()
    tab_to(page, "#context")
    before = page.input_value("#context")
    page.wait_for_selector("#chances button")
    tab_to(page, "#chances button")
    page.keyboard.press("Enter")
    assert len(page.input_value("#context")) > len(before)
    tab_to(page, "#runs-table input")
    page.keyboard.press("Space")
    page.wait_for_selector("#comparison .curve", state="attached")
    tab_to(page, "#comparison .plot")


def test_announcements_are_few(open_page: Open) -> None:
    page = open_page()
    said = page.evaluate(
        """async () => {
          const { announce } = await import('/page/announce.js');
          const said = [];
          new MutationObserver(() => said.push(document.getElementById('announcer').textContent))
            .observe(document.getElementById('announcer'), {childList: true});
          for (const text of ['one', 'two', 'three']) announce(text);
          await new Promise((resolve) => setTimeout(resolve, 50));
          return said;
        }"""
    )
    assert said == ["one"]
