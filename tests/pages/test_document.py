"""The shell of a page, and what may be written into it."""

import base64
import hashlib
import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.pages import data_block, document, escape, is_invisible


def test_a_page_has_what_html_asks_for() -> None:
    page = document("A & B", "<main>x</main>")
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in page
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "<title>A &amp; B</title>" in page


def test_its_policy_allows_its_own_style_and_script_and_nothing_else() -> None:
    page = document("t", "", style="b{}", script="let a = '<b>';")
    policy = html.unescape(_found(r'Content-Security-Policy" content="([^"]*)"', page))
    style, script = (_digest(_found(f"<{tag}>(.*?)</{tag}>", page)) for tag in ("style", "script"))
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize(
    "text, written",
    [
        ("<b a=\"1\" c='2'>&", "&lt;b a=&quot;1&quot; c=&#x27;2&#x27;&gt;&amp;"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x00\x1b[31m\r\x7f\x85", r"\x00\x1b[31m\r\x7f\x85"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\udc80\ufffe\U0010ffff", r"\udc80\ufffe\U0010ffff"),
        ("è e\u0301 שלום 世界 👩\u200d👧", "è e\u0301 שלום 世界 👩\u200d👧"),
    ],
)
def test_text_is_escaped(text: str, written: str) -> None:
    assert escape(text) == written


@given(st.text(st.characters()))
def test_escaped_text_can_be_written_and_read_back(text: str) -> None:
    written = escape(text)
    written.encode()
    assert "<" not in written
    assert '"' not in written
    shown = "".join(
        character.encode("unicode_escape").decode() if is_invisible(character) else character
        for character in text
    )
    assert html.unescape(written) == shown


@given(st.recursive(st.text(st.characters()) | st.integers(), st.lists))
def test_a_block_of_data_survives_and_cannot_end_its_script(value: object) -> None:
    block = data_block("name", value)
    block.encode()
    opening, closing = '<script type="application/json" id="name">', "</script>"
    content = block.removeprefix(opening).removesuffix(closing)
    assert "<" not in content
    assert json.loads(content) == value


def test_a_block_of_data_has_null_for_what_is_not_finite() -> None:
    block = data_block("name", {"a": [float("nan"), 1.5], "b": (float("inf"),)})
    assert '{"a":[null,1.5],"b":[null]}' in block


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _found(pattern: str, page: str) -> str:
    match = re.search(pattern, page, re.DOTALL)
    assert match is not None
    return match[1]
