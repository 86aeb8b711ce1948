"""Cards for notebooks: their styles touch nothing else, and follow the notebook's theme."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ricorda.pages import fragment, head
from tests.pages.fragments import checked_card
from tests.studio.conftest import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]


def test_a_card_is_one_element_with_its_styles() -> None:
    card = checked_card(fragment(head("A title", "facts") + "<p>text</p>"))
    assert card.text == "A titlefactstext"
    assert [tag for tag, _ in card.tags].count("style") == 1


def test_every_rule_is_nested_in_the_card() -> None:
    style = re.search("<style>(.*)</style>", fragment(""))
    assert style is not None
    depth, selectors, begin = 0, [], 0
    for place, character in enumerate(style[1]):
        if character == "{":
            if depth == 0:
                selectors.append(style[1][begin:place])
            depth += 1
        elif character == "}":
            depth -= 1
            begin = place + 1
    assert depth == 0
    assert len(selectors) == 3
    assert all(selector.endswith(".ricorda") for selector in selectors)
    assert ":root" not in style[1]
    assert len(style[1]) < 9_000


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    page = browser.new_page()
    yield page
    page.close()


DARK, LIGHT = "rgb(27, 29, 33)", "rgb(255, 255, 255)"


@pytest.mark.parametrize(
    "html, body, system, ground",
    [
        ("", "", "light", LIGHT),
        ("", "", "dark", LIGHT),  # a page without a theme is light
        ("", 'data-jp-theme-light="true"', "dark", LIGHT),
        ("", 'data-jp-theme-light="false"', "light", DARK),
        ("", 'class="vscode-dark"', "light", DARK),
        ("", 'class="vscode-light"', "dark", LIGHT),
        ('theme="dark"', "", "light", DARK),
        ('data-theme="dark"', "", "light", DARK),
        ('style="color-scheme: light dark"', "", "dark", DARK),
    ],
)
def test_a_card_has_the_theme_of_its_notebook(
    page: "Page", html: str, body: str, system: str, ground: str
) -> None:
    page.emulate_media(color_scheme="dark" if system == "dark" else "light")
    card = fragment('<div class="symbols"><i class="j">x</i></div>')
    page.set_content(
        f"<!DOCTYPE html><html {html}><body {body}><p class=j>x</p>{card}</body></html>"
    )
    colour = "each => getComputedStyle(each).backgroundColor"
    assert page.eval_on_selector(".ricorda", colour) == ground
    assert page.eval_on_selector("p", colour) == "rgba(0, 0, 0, 0)"  # the page's own element
    last_level = "rgb(253, 219, 114)" if ground == DARK else "rgb(90, 17, 54)"
    assert page.eval_on_selector(".ricorda .j", colour) == last_level
