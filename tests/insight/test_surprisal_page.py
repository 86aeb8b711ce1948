"""The page of a scored text: what it shows, what it survives, that it loads nothing."""

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda.pages
from ricorda.engine import Model, ReferenceBackend, Scores
from ricorda.errors import UnseenCharactersWarning
from ricorda.insight import surprisal_page
from ricorda.model.configuration import ModelConfiguration
from ricorda.text import ByteVocabulary, CharacterVocabulary, Vocabulary

LOADS = r"https?://(?!www\.w3\.org/2000/svg)"  # an address, but for the name of SVG
DIFFICULT = (
    "שלום עולם\nمرحبا\n世界。ｗｉｄｅ\ncafe\u0301 👩\u200d👧 🇮🇹\n"
    "</script><script>alert(1)</script> <!-- &amp; \"'\n\ttab  two\n"
)


class Page(HTMLParser):
    """What a browser would see: elements, their nesting, the text's characters."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.characters: list[tuple[str, str]] = []  # class and text
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "i":
            self.characters.append((dict(attrs).get("class") or "", ""))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "i":
            name, text = self.characters[-1]
            self.characters[-1] = (name, text + data)

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.characters)


def model_of(vocabulary: Vocabulary) -> Model:
    configuration = ModelConfiguration(
        cell="gru", vocabulary_size=vocabulary.size, hidden_size=8, embedding_size=4
    )
    generator = np.random.default_rng(1)
    tensors = {
        name: generator.normal(0, 0.7, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    return Model(configuration, vocabulary, ReferenceBackend(configuration, tensors))


def scored(text: str, alternatives: int = 5) -> Scores:
    return model_of(CharacterVocabulary.from_text(text)).score(text, alternatives)


def scores_of(text: str, bits: list[float]) -> Scores:
    """Scores of a text with these surprisals, the first of which is never known."""
    vocabulary = CharacterVocabulary.from_text(text)
    ids = vocabulary.encode(text)
    return Scores(
        vocabulary,
        ids,
        nats=np.array([math.nan, *bits[1:]]) * math.log(2),
        alternative_ids=np.zeros((len(ids), 0), ids.dtype),
        alternative_probabilities=np.zeros((len(ids), 0)),
    )


def figures_in(page: str) -> dict[str, Any]:
    block = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page)
    assert block is not None
    figures: dict[str, Any] = json.loads(block[1])
    return figures


def numbers(text: str, kind: str) -> list[int]:
    return [int(number) for number in np.frombuffer(base64.b64decode(text), kind)]


def test_it_is_one_whole_page_that_loads_nothing() -> None:
    page = surprisal_page(scored("Nel mezzo del cammin di nostra vita\n" * 20), "Dante")
    assert not re.search(rf"{LOADS}|\bsrc\s*=|@import|url\(|<link|<base|<iframe", page)
    tags = Page(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert ("html", {"lang": "en"}) in tags
    assert [tag for tag, _ in tags].count("h1") == 1
    assert not any(name.startswith("on") or name == "style" for _, each in tags for name in each)


def test_every_text_survives_and_only_as_text() -> None:
    page = surprisal_page(scored(DIFFICULT), "<b>title</b>")
    seen = Page(page)
    assert seen.text == DIFFICULT
    assert [tag for tag, _ in seen.tags].count("script") == 2
    assert "b" not in {tag for tag, _ in seen.tags}


def test_what_cannot_be_shown_is_spelled_out() -> None:
    page = surprisal_page(scored("a\x00\x1b\r\u202e\u200b\n"), "title")
    page.encode()
    spelled = Page(page).characters[1:6]
    assert [text for _, text in spelled] == [r"\x00", r"\x1b", r"\r", r"\u202e", r"\u200b"]
    assert all("spelled" in name for name, _ in spelled)
    assert not set(page) & {"\x00", "\x1b", "\r", "\u202e"}


def test_colours_are_the_whole_bits() -> None:
    bits = [0, 0.0, 0.99, 1.0, 1.99, 2.0, 5.5, 9.99, 10.0, 42.0]
    page = Page(surprisal_page(scores_of("abcdefghij", bits), "title"))
    assert [name for name, _ in page.characters] == ["", "", "", *"aabeijj"]


def test_marks_and_line_ends_have_their_signs() -> None:
    page = Page(surprisal_page(scores_of("a\ne\u0301\n\u0301", [0, 3, 1, 1, 0, 2]), "title"))
    assert page.characters == [
        ("", "a"),
        ("c end", "\n"),
        ("b", "e\u0301"),
        ("end", "\n"),
        ("b alone", "\u0301"),
    ]


def test_figures_behind_the_text_are_those_of_the_scores() -> None:
    scores = scored(DIFFICULT, alternatives=7)
    figures = figures_in(surprisal_page(scores, "title"))
    labels, count = figures["labels"], figures["alternatives"]
    assert count == 5
    n = len(scores.ids)
    symbols = np.array(numbers(figures["symbols"], f"<u{figures['width']}")).reshape(n, 1 + count)
    chances = np.array(numbers(figures["chances"], "<u2")).reshape(n, count) / 65535
    bits = numbers(figures["bits"], "<u2")
    assert bits[0] == 65535
    np.testing.assert_allclose(np.array(bits[1:]) / 100, scores.nats[1:] / np.log(2), atol=0.0051)
    np.testing.assert_allclose(chances[1:], scores.alternative_probabilities[1:, :5], atol=1e-5)
    spaces = {"\n": "↵", "\t": "⇥", " ": "␣", "\u0301": "◌\u0301", "\u200d": r"\u200d"}
    for place in (1, 5, n - 1):
        shown = [labels[symbol] for symbol in symbols[place]]
        texts = [scores.ids[place], *scores.alternative_ids[place, :5]]
        decoded = [scores.vocabulary.decode([symbol]) for symbol in texts]
        assert shown == [spaces.get(text, text) for text in decoded]


@pytest.mark.parametrize("size", [300, 70_000])
def test_large_vocabularies_have_wider_numbers(size: int) -> None:
    symbols = [code for code in range(32, 32 + size + 3000) if not 0xD800 <= code < 0xE000][:size]
    vocabulary = CharacterVocabulary("".join(map(chr, symbols)), " ")
    ids = np.arange(size).astype(np.uint32)
    scores = Scores(vocabulary, ids, np.full(size, 1.0), ids[:, None], np.full((size, 1), 0.5))
    figures = figures_in(surprisal_page(scores, "title"))
    assert figures["width"] == (2 if size == 300 else 4)
    assert numbers(figures["symbols"], f"<u{figures['width']}")[::2] == list(range(size))


def test_bytes_add_up_to_their_characters() -> None:
    vocabulary = ByteVocabulary(10)
    ids = np.frombuffer("aé\n".encode() + b"\xff", np.uint8)
    nats = np.array([math.nan, 1.0, 2.5, 0.0, 8.0]) * math.log(2)
    scores = Scores(vocabulary, ids, nats, ids[:, None], np.full((5, 1), 0.5))
    page = surprisal_page(scores, "title")
    assert Page(page).characters == [
        ("", "a"),
        ("c", "é"),
        ("end", "\n"),
        ("h spelled", r"\xff"),
    ]
    assert "<i class=c data-n=2>é</i>" in page
    assert figures_in(page)["labels"] == ["↵", "a", r"\xa9", r"\xc3", r"\xff"]


def test_the_most_surprising_places_are_listed_once_a_stretch() -> None:
    text = "abcdefghijklmnopqrstuvwxyz" * 10
    page = surprisal_page(scores_of(text, [0, *np.linspace(0, 9, 259).tolist()]), "title")
    listed = [int(place) for place in re.findall(r'<a href="#at(\d+)"', page)]
    assert listed == list(range(259, 139, -10))
    assert all(f" id=at{place}>" in page for place in listed)
    assert "bcdefghijklmnopqrstuvwxy<mark>z</mark></a>" in page


def test_the_likeliest_of_a_character_is_that_of_its_most_surprising_byte() -> None:
    ids = np.frombuffer("aé".encode(), np.uint8)
    nats = np.array([math.nan, 0.1, 5.0])
    others = np.frombuffer(b"xyz", np.uint8)[:, None]
    page = surprisal_page(Scores(ByteVocabulary(10), ids, nats, others, np.full((3, 1), 0.25)), "")
    assert "7.4 bits; expected <bdi>z</bdi> 25 %" in page


def test_totals_are_the_figures_of_the_text() -> None:
    scores = scored(DIFFICULT)
    page = surprisal_page(scores, "title")
    figures = scores.figures
    assert f"<dt>bits per character</dt><dd>{figures.bits_per_character:.3f}</dd>" in page
    assert f"<dt>bits per byte</dt><dd>{figures.bits_per_byte:.3f}</dd>" in page
    assert f"<dt>perplexity</dt><dd>{figures.perplexity:.2f}</dd>" in page


def test_a_single_symbol_and_a_text_without_alternatives() -> None:
    assert "Nothing was predicted" in surprisal_page(scored("a"), "title")
    page = surprisal_page(scored("abcabc", alternatives=0), "title")
    assert figures_in(page)["alternatives"] == 0
    assert "; expected <bdi>" not in page


def test_a_long_text_is_cut_at_line_ends_and_stays_small() -> None:
    text = "Nel mezzo del cammin di nostra vita\n" * 600  # 21,600 characters
    page = surprisal_page(scored(text), "title")
    sections = re.findall(r"<div>(.*?)</div>", page.split('id="text"')[1], re.DOTALL)
    assert len(sections) == 11
    assert all(section.endswith("\n</i>") for section in sections)
    assert Page(page).text == text
    markup = sum(map(len, sections))
    assert markup < 20 * len(text)
    assert len(page) < 45 * len(text)
    assert 'class="card long"' in page
    assert "Along the text" in page


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_can_be_read_and_grow_evenly(scheme: int) -> None:
    style = Path(ricorda.pages.__file__).with_name("document.css").read_text()
    pair = r"light-dark\((#\w{6}), (#\w{6})\)"
    grounds = re.findall(rf"\.([a-j]), \.s\d {{ background: {pair}", style)
    levels = [_luminance(colours[scheme]) for _, *colours in grounds]
    assert [name for name, *_ in grounds] == list("abcdefghij")
    assert levels == sorted(levels, reverse=scheme == 0)
    inks = {
        level: _luminance(colours[scheme])
        for names, *colours in re.findall(rf"((?:\.\w+, )+\.s\d) {{ color: {pair}", style)
        for level in re.findall(r"\.([a-j])\b", names)
    }
    for (level, *_), luminance in zip(grounds, levels, strict=True):
        ink = inks[level]
        assert (max(ink, luminance) + 0.05) / (min(ink, luminance) + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def with_unseen(text: str, unseen: str) -> Scores:
    known = "".join(each for each in text if each not in unseen)
    model = model_of(CharacterVocabulary.from_text(known))
    with pytest.warns(UnseenCharactersWarning):
        return model.score(text, 5, on_unknown="skip")


def test_unseen_characters_are_shown_where_they_stand_and_counted() -> None:
    text = "WHello <World\nof e\u0301 letters\u200bZ"
    page = surprisal_page(with_unseen(text, "W<\u200b\u0301Z"), "title")
    body = page[page.index('<div id="text"') : page.index("</section>", page.index('id="text"'))]
    shown = re.sub("<[^>]*>", "", body)
    assert shown == "WHello &lt;World\nof e◌\u0301 letters\\u200bZ"
    marked = re.findall(r"<u class=gap[^>]*>(.*?)</u>", body)
    assert marked == ["W", "&lt;", "W", "◌\u0301", "\\u200b", "Z"]
    assert "6 characters that the model never saw" in page
    assert "never saw" not in surprisal_page(scored("Hello"), "title").split("<script")[0]


def test_what_follows_unseen_characters_has_no_figure_and_no_rank() -> None:
    text = "the cat sat on the mat " * 30
    scores = with_unseen(text.replace("cat", "Xcat", 20), "X")
    artefacts = [gap.before for gap in scores.gaps]
    assert len(artefacts) == 20
    figures = figures_in(page := surprisal_page(scores, "title"))
    bits = numbers(figures["bits"], "<u2")
    assert {bits[place] for place in (0, *artefacts)} == {65_535}
    ranked = [int(place) for place in re.findall(r'href="#at([0-9]+)"', page)]
    assert len(ranked) > 5
    assert not set(ranked) & set(artefacts)


def test_a_text_of_which_every_second_character_is_unseen_has_a_page() -> None:
    page = surprisal_page(with_unseen("XaXb" * 500, "X"), "title")
    assert "Nothing was predicted" in page
