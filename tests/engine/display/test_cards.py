"""What a notebook shows of models and results, and what a terminal does."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Classification, Distribution, Figures, Model, Scores, Trace
from ricorda.engine.display.cards import LONGEST
from ricorda.engine.display.heat_map import COLUMNS, ROWS
from ricorda.text import CharacterVocabulary
from ricorda.text.unseen import Gap
from tests.engine.conftest import byte_model, make_model, model
from tests.pages.fragments import Card, checked_card
from tests.pages.test_picture import restored

__all__ = ["byte_model", "make_model", "model"]

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\x00\u202e\n"


def scores_of(text: str, bits: list[float], gaps: tuple[Gap, ...] = ()) -> Scores:
    vocabulary = CharacterVocabulary.from_text(text)
    ids = vocabulary.encode(text)
    return Scores(
        vocabulary,
        ids,
        nats=np.array(bits) * math.log(2),
        alternative_ids=np.zeros((len(ids), 0), ids.dtype),
        alternative_probabilities=np.zeros((len(ids), 0)),
        gaps=gaps,
    )


def coloured(card: Card) -> list[tuple[str, str | None]]:
    """The class and the title of each coloured character."""
    return [(each.get("class") or "", each.get("title")) for tag, each in card.tags if tag == "i"]


def test_short_representations(model: Model) -> None:
    scores = model.score("abc")
    shown: list[tuple[object, str]] = [
        (model, r"Model: GRU, 1 x 8 units, 8 characters, \d+ parameters"),
        (scores, r"Scores: 3 symbols, \d\.\d{3} bits per character"),
        (model.trace("abc"), r"Trace: hidden, .*; each 3 symbols x 1 layer x 8 units"),
        (model.distribution("a"), r"Distribution: '.+' \d.* %, '.+' .*, \.\.\."),
        (scores.figures, r"Figures: \d\.\d{3} bits per character, 2 characters, carried"),
    ]
    for value, pattern in shown:
        assert re.fullmatch(rf"<ricorda\.{pattern}>", repr(value)), repr(value)


def test_a_model(model: Model) -> None:
    model.training = {
        "texts": ["<b>poems</b>.txt", "two", "three", "four"],
        "validation": {"bits_per_character": 2.0707},
    }
    card = checked_card(model._repr_html_())
    assert "GRU, 1 layer of 8 units" in card.text
    assert "2.071" in card.text
    assert "It learned <b>poems</b>.txt, two, three, …." in card.text


def test_a_model_whose_file_says_nothing_or_nonsense(model: Model) -> None:
    nonsense: list[dict[str, Any]] = [{"texts": 7, "validation": ["x"]}, {"validation": {}}]
    for training in ({}, {"texts": []}, *nonsense):
        model.training = training
        assert "parameters" in checked_card(model._repr_html_()).text


def test_a_scored_text_is_coloured_by_its_bits() -> None:
    card = checked_card(scores_of("abcde\n", [math.nan, 0.4, 1.2, 5.5, 30, 3])._repr_html_())
    assert coloured(card) == [
        ("", "not predicted"),
        ("", "0.40 bits"),
        ("a", "1.20 bits"),
        ("e", "5.50 bits"),
        ("j", "30.00 bits"),
        ("c end", "3.00 bits"),
    ]
    assert "abcde\n" in card.text
    assert "8.020" in card.text  # the mean of five


def test_what_was_expected_is_read_out(model: Model) -> None:
    scores = model.score("abe", 1)
    label, chance = scores.alternatives(2)[0]
    (*_, (_, title)) = coloured(checked_card(scores._repr_html_()))
    assert title is not None
    assert f"bits; expected {label} " in title.replace("↵", "\\n")
    assert f"{100 * chance:.0f}" in title or f"{100 * chance:.1f}" in title


def test_hostile_texts_stay_texts(make_model: Callable[..., Model]) -> None:
    hostile = make_model("".join(set(HOSTILE)))
    card = checked_card(hostile.score(HOSTILE, 3)._repr_html_())
    assert HOSTILE[:26] in card.text
    assert r"\x00" in card.text
    assert r"\u202e" in card.text
    assert not card.names & {"script"}
    assert "img" not in card.names
    for each in (hostile.trace(HOSTILE), hostile.distribution(HOSTILE)):
        assert not checked_card(each._repr_html_()).names & {"script"}


def test_hostile_labels_stay_labels() -> None:
    found = Classification((HOSTILE, "b"), np.array([0.7, 0.3]), np.array([1.0, 2.0]))
    card = checked_card(found._repr_html_())
    assert "<script>" in card.text
    assert "70 %" in card.text
    assert "<ricorda.Classification: " in repr(found)


def test_characters_of_several_symbols_are_one(byte_model: Model) -> None:
    card = checked_card(byte_model.score("aé€😀")._repr_html_())
    assert len(coloured(card)) == 4
    assert "aé€😀" in card.text


def test_unseen_characters_stand_where_they_were(model: Model) -> None:
    with pytest.warns(UserWarning, match="never"):
        scores = model.score("ab<xyz>cd", on_unknown="skip")
    card = checked_card(scores._repr_html_())
    assert "ab<xyz>cd" in card.text
    assert "5 characters never seen in training" in card.text


def test_of_a_long_text_the_beginning_is_shown() -> None:
    text = "ab" * LONGEST
    card = checked_card(scores_of(text, [math.nan] + [1.5] * (len(text) - 1))._repr_html_())
    assert len(coloured(card)) == LONGEST
    assert "The first 2,000 characters" in card.text
    assert "3,999" in card.text  # the figures are those of the whole text


def test_nothing_predicted(model: Model) -> None:
    scores = model.score("a")
    assert "nothing was predicted" in checked_card(scores._repr_html_()).text
    assert "nothing was predicted" in repr(scores)


def test_figures() -> None:
    found = Figures(7.0, 10, 10, 12, unseen=2, left_out=1, documents=3, protocol="documents")
    card = checked_card(found._repr_html_())
    assert "1.010" in card.text
    assert "3 documents, 10 characters, documents" in card.text
    assert "2 characters that the model never saw, and 1 that follow them" in card.text


def test_a_distribution_has_bars_in_proportion() -> None:
    found = Distribution(("a", " ", "\\n"), np.array([0.5, 0.125, 0.375]))
    card = checked_card(found._repr_html_())
    styles = [each["style"] for _, each in card.tags if "style" in each]
    assert styles == ["width: 50.0%", "width: 37.5%", "width: 12.5%"]
    assert "a50 %↵38 %␣12 %" in card.text


def trace_of(values: np.ndarray) -> Trace:
    return Trace(tuple("abcdefghij" * 40)[: len(values)], {"hidden": values.astype(np.float32)})


def pixels_of(card: Card) -> np.ndarray:
    (picture,) = (each for tag, each in card.tags if tag == "img")
    assert picture["src"] is not None
    return restored(picture["src"])


def test_a_heat_map_has_a_cell_for_each_value() -> None:
    values = np.zeros((3, 1, 2))
    values[:, 0, 1] = [1, -0.5, 0]
    values[:, 0, 0] = [0.1, 0, 0.1]
    card = checked_card(trace_of(values)._repr_html_())
    pixels = pixels_of(card)
    assert pixels.shape == (2, 3, 4)
    assert pixels[1, :, 3].tolist() == [255, 128, 0]  # opacity
    assert pixels[1, 0, 0] > pixels[1, 0, 2]  # positive: more red than blue
    assert pixels[1, 1, 0] < pixels[1, 1, 2]
    assert "0:00:1" in card.text


def test_of_many_units_those_that_vary_most_are_shown(random: np.random.Generator) -> None:
    values = np.zeros((COLUMNS + 50, 2, 30))
    chosen = sorted(random.choice(60, ROWS, replace=False).tolist())
    for unit in chosen:
        values[:, unit // 30, unit % 30] = random.uniform(-1, 1, len(values))
    card = checked_card(trace_of(values)._repr_html_())
    assert pixels_of(card).shape == (ROWS, COLUMNS, 4)
    assert "".join(f"{unit // 30}:{unit % 30}" for unit in chosen) in card.text
    assert f"The first {COLUMNS} symbols" in card.text


def test_a_network_that_does_nothing_has_a_heat_map_too() -> None:
    assert not pixels_of(checked_card(trace_of(np.zeros((4, 1, 2)))._repr_html_()))[..., 3].any()
