"""Twelve journeys through the page by the keyboard alone, at two widths and in both languages.

literature  choose a sample text and read what it is
training    train on it, and see in the header that it ends
samples     look at earlier samples and back at the newest
units       choose a unit, a character and read the step
surprise    read the surprise of characters
adaptive    let the reader learn, and compare the curves
choosing    choose the next character, draw some, undo
labels      write a document under a label
comparing   compare two runs: curves, and the settings that differ
naming      rename a run and write a note about it
deleting    delete a run, undo it, delete it again and for good
files       download the report, the model and the model as a page

Each ends without a fault that axe finds, with nothing wider than the page, and with no figure cut
off. By default every journey is made once, at the widths and in the languages by turns, so that
every pair of a width and a language is there; with FAULTS=all in every combination. Other tests: a
link leads where it should, nothing of another run or language stays.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ricorda
from tests.studio.conftest import (
    PANELS,
    Open,
    Place,
    let_in,
    make_place,
    studio_in,
)
from tests.studio.test_page_accessibility import axe_violations, tab_to
from tests.studio.test_words import catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = {1280: 900, 400: 800}
LANGUAGES = ("en", "it")
TABLE = "kind,line\n" + "".join(
    f"{kind},{word} {number}\n"
    for number in range(40)
    for kind, word in (("sweet", "honey and cake"), ("sour", "lemon or lime"))
)


@dataclass
class Journey:
    """A person before the page, who has a keyboard and nothing else."""

    page: "Page"
    language: str
    name: str
    """Of this journey's combination, for what it makes."""

    def go(self, panel: str) -> None:
        """Follow the link of a panel."""
        self.page.focus(f'nav a[href="#{panel}"]')
        self.press("Enter")

    def to(self, selector: str) -> None:
        """Press Tab until an element has the focus."""
        tab_to(self.page, selector)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def write(self, text: str) -> None:
        """Replace what a field holds."""
        self.press("Control+a", "Delete")
        self.page.keyboard.insert_text(text)

    def shown(self, selector: str) -> None:
        self.page.wait_for_selector(selector)

    def open_run(self, name: str) -> None:
        """Show a run; how it is chosen is a test of its own."""
        self.page.select_option("#run-picker", name)
        self.page.wait_for_selector(f"#run-name:text-is('{name}')", state="attached")

    def words(self, key: str, **values: Any) -> str:
        """The page's words."""
        text = catalogue(self.language)[key]
        return text.format(**values)


def literature(journey: Journey) -> None:
    journey.go("text")
    journey.to("[data-sample=raven]")
    journey.press("Enter")
    journey.shown("#facts-name:text-matches('raven')")
    assert "The Raven" in journey.page.inner_text("#beginning")
    assert journey.page.inner_text("#facts-size").startswith(("6,47", "6.47"))
    assert not journey.page.is_visible("#facts-of-documents")


def training(journey: Journey) -> None:
    page = journey.page
    journey.go("text")
    journey.to("[data-sample=pattern]")
    journey.press("Enter")
    journey.shown("#facts-name:text-matches('pattern')")
    journey.go("learning")
    journey.to("#settings summary")
    if not page.is_visible("#steps"):
        journey.press("Enter")
    for field, value in {"steps": "3", "hidden_size": "4", "threads": "1"}.items():
        journey.to(f"#{field}")
        journey.write(value)
    page.focus("#start")
    journey.press("Enter")
    page.wait_for_function(
        "() => document.getElementById('run-picker').value.startsWith('pattern')"
    )
    journey.shown("#now-step:text-is('3')")
    journey.shown("#run-state.ended")


def samples(journey: Journey) -> None:
    page = journey.page
    journey.open_run("bottles")
    journey.go("writes")
    journey.shown("#writes-full:not([hidden])")
    newest = page.inner_text("#sample")
    journey.to("#moment")
    journey.press("Home")
    assert page.inner_text("#sample-facts") == journey.words("writes.before")
    assert page.inner_text("#sample") != newest
    journey.to("#newest")
    journey.press("Enter")
    assert page.inner_text("#sample") == newest


def units(journey: Journey) -> None:
    page = journey.page
    journey.open_run("planted")
    journey.go("inside")
    page.locator("#step tbody tr").first.wait_for()  # the last to come
    journey.to("#units button")
    journey.press("Enter")
    journey.to("#unit-text .symbols")
    journey.press("Home", "ArrowRight", "ArrowRight")
    assert "0:5" in page.inner_text("#unit-text .reading")


def surprise(journey: Journey) -> None:
    page = journey.page
    journey.open_run("bottles")
    read_shortly(journey)
    journey.to("#surprise-text .symbols")
    journey.press("Home", "ArrowRight", "ArrowRight")
    read = page.inner_text("#surprise-text .reading")
    assert (
        journey.words("surprise.reading", symbol="", bits="", others="")[-10:].strip(" :;") in read
    )
    page.locator("#inspector .past li").first.wait_for()


def read_shortly(journey: Journey) -> None:
    """Read a short text of one's own in the panel of surprise: axe looks at each character."""
    page = journey.page
    journey.go("surprise")
    journey.shown("#surprise-text span[class*=s]")
    journey.to("[data-reader=surprise] summary")
    if not page.is_visible("#surprise-own"):
        journey.press("Enter")
    journey.to("#surprise-own")
    journey.write('9 bottles of beer on the wall, "so many"')
    journey.to("[data-reader=surprise] button")
    journey.press("Enter")
    page.wait_for_selector("#surprise-text span >> nth=60", state="detached")


def adaptive(journey: Journey) -> None:
    page = journey.page
    journey.open_run("bottles")
    read_shortly(journey)
    journey.to("#adaptive")
    journey.press("Space")
    page.wait_for_selector("#surprise-curves:not([hidden]) path.curve", state="attached")
    journey.to("#surprise-curves .plot")
    journey.press("Home")
    assert page.inner_text("#surprise-curves .reading")


def end_adaptive(journey: Journey) -> None:
    journey.page.uncheck("#adaptive")
    journey.page.wait_for_selector("#surprise-curves", state="hidden")


def choosing(journey: Journey) -> None:
    page = journey.page
    journey.open_run("bottles")
    journey.go("choose")
    journey.shown("#chances button")
    journey.to("#context")
    journey.write("9 bottl")
    journey.to("#chances button")
    journey.press("Enter")
    page.wait_for_function("() => document.getElementById('context').value.length === 8")
    journey.go("choose")
    journey.to("#draw-many")
    journey.press("Enter")
    page.wait_for_function("() => document.getElementById('context').value.length > 8")
    journey.to("#undo")
    journey.press("Enter", "Enter")
    assert page.input_value("#context") == "9 bottl"
    assert not page.is_visible("#label-choice")


def labels(journey: Journey) -> None:
    page = journey.page
    journey.open_run("kinds")
    journey.go("choose")
    journey.shown("#label-choice:not([hidden])")
    journey.to("#document-label")
    with page.expect_request(lambda request: "label" in (request.post_data_json or {})) as sent:
        journey.press("ArrowDown")
    asked = sent.value.post_data_json or {}
    assert asked["label"] == page.input_value("#document-label") != ""
    journey.shown("[data-command=choose] :text('--label')")


def comparing(journey: Journey) -> None:
    page = journey.page
    journey.open_run("bottles")
    journey.go("runs")
    journey.shown("#runs-table tbody tr")
    for name in ("bottles", "planted"):
        page.focus(f"#runs-table input[value='{name}']")
        journey.press("Space")
        journey.shown(f"#runs-table input[value='{name}']:checked")
    page.wait_for_selector("#comparison .curve.compared1", state="attached")
    journey.shown("#differences tbody tr")
    settings = page.locator("#differences tbody th").all_inner_texts()
    assert journey.words("differs.hidden_size") in settings
    assert journey.words("differs.seed") not in settings
    branch = page.inner_text("#runs-table tr[data-key=branch] th")
    assert journey.words("runs.branch", run="bottles", step=60) in branch


def naming(journey: Journey) -> None:
    page, name = journey.page, f"named-{journey.name}"
    journey.open_run(f"own-{journey.name}")
    journey.go("runs")
    journey.to("#new-name")
    journey.write(name)
    journey.press("Enter")
    journey.shown(f"#run-card-heading:text('{name}')")
    assert page.input_value("#run-picker") == name
    assert name in page.title()
    journey.to("#note")
    journey.write("perché no")
    journey.press("Enter")
    journey.shown("#runs-table tr.chosen :text('perché no')")
    page.focus("#new-name")
    journey.write("planted")
    journey.press("Enter")
    journey.shown("#runs-problem:not([hidden])")
    assert journey.words("problem.run_error") in page.inner_text("#runs-problem")


def deleting(journey: Journey) -> None:
    page, name = journey.page, f"gone-{journey.name}"
    journey.open_run(name)
    journey.go("runs")
    page.focus("#new-name")
    journey.to("#delete-run")
    journey.press("Enter")
    journey.shown("#undo-delete:focus")
    assert journey.words("runs.was_deleted", name=name) in page.inner_text("#runs-done")
    assert page.input_value("#run-picker") not in ("", name)
    journey.press("Enter")
    journey.shown(f"#runs-done:has-text('{journey.words('runs.restored', name=name)}')")
    assert page.input_value("#run-picker") == name
    page.focus("#new-name")
    journey.to("#delete-run")
    journey.press("Enter")
    journey.shown("#undo-delete:focus")
    journey.to("#deleted summary")
    journey.press("Enter")
    restore = journey.words("runs.restore_this", name=name)
    journey.to(f'#deleted-runs button[aria-label="{restore}"]')
    journey.press("Tab", "Enter")
    journey.shown(f"#runs-done:has-text('{journey.words('runs.deleted_for_good', name=name)}')")
    assert page.locator(f"#runs-table [data-key='{name}']").count() == 0


def files(journey: Journey) -> None:
    page = journey.page
    journey.open_run("bottles")
    journey.go("runs")
    page.focus("#runs-table tbody tr:last-child button")
    for selector, ending in {
        "#run-report": "bottles.html",
        "#run-model": "bottles.safetensors",
        "#run-page": "bottles-page.html",
    }.items():
        journey.to(selector)
        with page.expect_download() as download:
            journey.press("Enter")
        assert download.value.suggested_filename == ending
        assert Path(download.value.path()).stat().st_size > 1000


Step = Callable[[Journey], None]
JOURNEYS: dict[str, tuple[str, Step]] = {
    "literature": ("text", literature),
    "training": ("learning", training),
    "samples": ("writes", samples),
    "units": ("inside", units),
    "surprise": ("surprise", surprise),
    "adaptive": ("surprise", adaptive),
    "choosing": ("choose", choosing),
    "labels": ("choose", labels),
    "comparing": ("runs", comparing),
    "naming": ("runs", naming),
    "deleting": ("runs", deleting),
    "files": ("runs", files),
}
AFTERWARDS: dict[str, Step] = {"adaptive": end_adaptive}


def combinations() -> list[tuple[str, int, str]]:
    """Journey, width and language: all, or each journey once with every pair of the others."""
    looks = [(width, language) for width in WIDTHS for language in LANGUAGES]
    if os.environ.get("FAULTS") == "all":
        return [(name, *look) for name in JOURNEYS for look in looks]
    return [(name, *looks[number % len(looks)]) for number, name in enumerate(JOURNEYS)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A studio with a run for whoever changes one, one of documents with labels, and a branch."""
    folder = tmp_path_factory.mktemp("journeys")
    make_place(folder)
    runs = folder / "runs"
    (folder / "texts" / "kinds.csv").write_text(TABLE)
    ricorda.train(
        folder / "texts" / "kinds.csv",
        out=runs / "kinds",
        field="line",
        label_field="kind",
        steps=2,
        hidden_size=4,
        threads=1,
        quiet=True,
    )
    ricorda.resume(runs / "bottles", out=runs / "branch", learning_rate=1e-3, steps=61, quiet=True)
    for width in WIDTHS:
        for language in LANGUAGES:
            for name in ("own", "gone"):
                shutil.copytree(runs / "kinds", runs / f"{name}-{width}-{language}")
    with studio_in(folder) as found:
        yield found


@pytest.fixture(scope="module")
def pages(browser: "Browser", workplace: Place) -> "Iterator[Callable[[int, str], Page]]":
    """A page of each width and language, opened once; whatever a script throws fails the module."""
    opened: dict[tuple[int, str], Page] = {}
    errors: list[str] = []

    def page(width: int, language: str) -> "Page":
        if (width, language) not in opened:
            opened[width, language] = open_in(browser, workplace, width, language)
            opened[width, language].on("pageerror", lambda error: errors.append(str(error)))
        return opened[width, language]

    yield page
    for each in opened.values():
        each.context.close()
    assert not errors


def open_in(browser: "Browser", place: Place, width: int, language: str) -> "Page":
    """Open the page at a width and in a language, each language in a theme."""
    context = browser.new_context(
        reduced_motion="reduce",
        locale={"en": "en-GB", "it": "it-IT"}[language],
        color_scheme="dark" if language == "it" else "light",
        viewport={"width": width, "height": WIDTHS[width]},
        accept_downloads=True,
    )
    context.set_default_timeout(int(os.environ.get("PAGE_TIMEOUT", "120000")))
    page = context.new_page()
    let_in(context, place)
    page.goto(place.url)
    page.wait_for_selector("html[data-ready]")
    return page


KEY_FIGURES = ".figures dd, #runs-table .main-figure, .bar select, #connection"
CUT_OFF = (
    f"() => [...document.querySelectorAll('{KEY_FIGURES}')]"
    """
    .filter((each) => each.checkVisibility()).filter((each) => {
        const box = each.getBoundingClientRect();
        if (box.left < 0 || box.right > innerWidth + 1) return true;
        for (let outer = each.parentElement; outer; outer = outer.parentElement) {
            const edge = outer.getBoundingClientRect();
            const clips = getComputedStyle(outer).overflowX !== "visible";
            const isCut = box.left < edge.left - 1 || box.right > edge.right + 1;
            if (clips && isCut && outer !== document.body) return true;
        }
        return false;
    }).map((each) => each.id || each.outerHTML)"""
)
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name, width, language", combinations())
def test_a_journey(
    pages: "Callable[[int, str], Page]", name: str, width: int, language: str
) -> None:
    page = pages(width, language)
    panel, make = JOURNEYS[name]
    journey = Journey(page, language, f"{width}-{language}")
    make(journey)
    page.evaluate("() => scrollTo(0, 0)")  # a target half below the header is too small
    assert axe_violations(page, f"#{panel}, .bar") == []
    assert page.evaluate(WIDER) <= 0
    assert page.evaluate(CUT_OFF) == []
    if name in AFTERWARDS:
        AFTERWARDS[name](journey)


def test_every_pair_of_a_width_and_a_language_is_there() -> None:
    found = combinations()
    assert {name for name, _, _ in found} == set(JOURNEYS)
    assert len(JOURNEYS) == 12
    looks = {(width, language) for _, width, language in found}
    assert looks == {(width, language) for width in WIDTHS for language in LANGUAGES}


DRAWN = {
    "text": "#facts-name",
    "learning": "#loss .curve",
    "writes": "#sample",
    "inside": "#step tbody tr",
    "surprise": "#inspector .past li",
    "choose": "#chances button",
    "runs": "#runs-table tbody tr",
}
"""What each panel has drawn at the end."""

LOOKS = re.compile("/api/runs/planted/(units|activity|heat|step|surprise|influence|next)$")
BELOW_THE_HEADER = """([panel, from, to]) => {
    const bar = document.querySelector(".bar").getBoundingClientRect().bottom;
    const below = document.getElementById(panel).getBoundingClientRect().top - bar;
    return from <= below && below < to;
}"""
"""Whether a panel begins between two distances below the header, in pixels."""

SHOWN = """(panel) => {
    const walker = document.createTreeWalker(document.getElementById(panel), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const { parentElement: outer, data } = walker.currentNode;
        const isOffered = outer.matches("#write-run option:not(:checked)");
        const box = outer.closest("select") ?? outer;
        if (!isOffered && box.checkVisibility({ visibilityProperty: true })) found.push(data);
    }
    return found.join("");
}"""
"""What a panel shows, without the other runs that one may choose to write with."""


@pytest.mark.parametrize("width", WIDTHS)
def test_a_link_leads_to_its_panel(open_page: Open, width: int) -> None:
    page = open_page(viewport={"width": width, "height": WIDTHS[width]})
    for panel in ("choose", "writes", "runs", "inside"):
        page.focus(f'nav a[href="#{panel}"]')
        page.keyboard.press("Enter")
        page.locator(DRAWN[panel]).first.wait_for(state="attached")
        page.wait_for_function(BELOW_THE_HEADER, arg=[panel, 0, 40])
        page.wait_for_selector(f'nav a[href="#{panel}"][aria-current]')
        link = page.locator(f'nav a[href="#{panel}"]').bounding_box()
        assert link is not None
        assert 0 <= link["x"] <= width - link["width"]
        assert link["y"] < 120


def test_an_address_leads_to_its_panel_after_all_is_drawn(open_page: Open, place: Place) -> None:
    page, panel = open_page(), "runs"
    page.goto("about:blank")
    page.goto(f"{place.url}#{panel}")
    for each in PANELS[: PANELS.index(panel) + 1]:  # those above are drawn while one reads
        page.wait_for_function(
            "(panel) => document.querySelector(`#${panel} .with-model[hidden]`) === null", arg=each
        )
    page.locator(DRAWN[panel]).first.wait_for(state="attached")
    page.wait_for_function(BELOW_THE_HEADER, arg=[panel, 0, 40])
    page.mouse.wheel(0, 300)
    page.wait_for_function(BELOW_THE_HEADER, arg=[panel, -1e6, -100])  # it holds nobody


def test_nothing_of_the_previous_run_stays(open_page: Open) -> None:
    page = open_page("bottles")
    for panel in PANELS:
        page.focus(f'nav a[href="#{panel}"]')
        page.keyboard.press("Enter")
        page.locator(DRAWN[panel]).first.wait_for(state="attached")
    page.route(LOOKS, lambda route: None)  # what the model shows never comes
    page.select_option("#run-picker", "planted")
    page.wait_for_selector("#run-state.ended")
    for panel in PANELS[1:-1]:
        page.focus(f'nav a[href="#{panel}"]')
        page.keyboard.press("Enter")
        page.wait_for_function(f"(panel) => !({SHOWN})(panel).includes('bottles')", arg=panel)
    for selector in ("#surprise-text span", "#unit-text span", "#units td", "#chances button"):
        assert page.locator(selector).count() == 0, selector


def test_no_word_of_the_previous_language_stays(open_page: Open, own_place: Place) -> None:
    page = open_page()
    for panel in PANELS:
        page.focus(f'nav a[href="#{panel}"]')
        page.keyboard.press("Enter")
        page.locator(DRAWN[panel]).first.wait_for(state="attached")
    page.check("input[aria-label='Compare bottles']")
    for details in page.locator("main details").all():
        details.evaluate("(each) => { each.open = true; }")
    empty = open_page(None, own_place)
    empty.click("#start")  # a problem is shown
    for each in (page, empty):
        each.select_option("#language", "it")
        assert words_left(each, "en", "it") == []
        each.select_option("#language", "en")
        assert words_left(each, "it", "en") == []


def words_left(page: "Page", language: str, now: str) -> list[str]:
    """The words of a language that are still shown in another."""
    shown = page.evaluate("""() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const found = [];
        while (walker.nextNode()) {
            const { parentElement: outer, data } = walker.currentNode;
            if (!outer.closest("script, [lang]:not(html), pre, code, .symbols")) found.push(data);
        }
        const labels = [...document.querySelectorAll("[aria-label]")];
        return [...found, ...labels.map((each) => each.getAttribute("aria-label"))].join("\\n");
    }""")
    words, others = catalogue(language), set(catalogue(now).values())
    parts = {
        part.strip()
        for text in words.values()
        if text not in others
        for part in re.split(r"\{\w+\}", text)
        if len(part.strip()) > 11
    }
    same = "\n".join(others)
    return sorted(part for part in parts if part in shown and part not in same)
