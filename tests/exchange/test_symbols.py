"""The symbols of foreign models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import VocabularyError
from ricorda.exchange.symbols import read_symbols, symbols_of

FORMS: list[Any] = [
    ["z", "a", "\n", "è"],
    {"z": 0, "è": 3, "a": 1, "\n": 2},
    {"0": "z", "1": "a", "3": "è", "2": "\n"},
]


@pytest.mark.parametrize("value", FORMS, ids=["list", "ids", "characters"])
def test_all_forms_say_the_same(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "symbols.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    vocabulary, order, notes = read_symbols(path)
    assert vocabulary.decode([0, 1, 2, 3]) == "\nazè"
    assert order is not None
    assert order.tolist() == [2, 1, 0, 3]
    assert vocabulary.decode([vocabulary.start]) == "\n"
    assert notes == ()


@pytest.mark.parametrize(
    "value, id, name",
    [
        (["<pad>", "b", "a"], 0, "is '<pad>'"),
        (["b", "[UNK]", "a"], 1, "is '[UNK]'"),
        (["b", "a", None], 2, "has no character"),
        (["b", "", "a"], 1, "is ''"),
        ({"b": 1, "a": 2}, 0, "has no character"),  # numbered from 1
        ({"b": 0, "a": 2}, 1, "has no character"),
        ({"0": "b", "1": "a", "2": None}, 2, "has no character"),
        ({"<unk>": 1, "b": 0, "a": 2}, 1, "is '<unk>'"),
    ],
)
def test_one_id_without_a_character_is_the_rare_symbol(value: Any, id: int, name: str) -> None:
    vocabulary, order, notes = symbols_of(value, "here")
    assert vocabulary.rare == 2 == vocabulary.forbidden[0]
    assert vocabulary.size == 3
    assert order is not None
    others = [each for each in range(3) if each != id]
    assert order.tolist() == [others[1], others[0], id]
    assert len(notes) == 1
    assert f"The id {id} {name}: " in notes[0]
    np.testing.assert_array_equal(vocabulary.encode("abx"), [0, 1, 2])


@pytest.mark.parametrize("symbols, start", [("b a", " "), ("ba\n ", "\n"), ("ba", "a")])
def test_generation_starts_from_a_line_end_or_a_space(symbols: str, start: str) -> None:
    vocabulary = symbols_of(list(symbols), "here").vocabulary
    assert vocabulary.decode([vocabulary.start]) == start


REFUSED: list[tuple[Any, str]] = [
    (["a", "<pad>", "<unk>"], "2 others, such as '<pad>', '<unk>'"),
    (["the", "of", "and"], "models of words"),
    ({"a": 0, "b": 3}, "the ids from 0 to 1"),
    ({"a": 0, "b": 0}, "the ids from 0 to 1"),
    ({"a": -1, "b": 0}, "the ids from 0 to 1"),
    ({"a": 0, "b": 10**12}, "the ids from 0 to 1"),
    ({"a": True, "b": 0}, "a list of characters"),
    ({"a": "b"}, "a list of characters"),
    ({"a": 0.5}, "a list of characters"),
    ([1, 2], "a list of characters"),
    ([], "a list of characters"),
    ({}, "a list of characters"),
    ("abc", "a list of characters"),
    (None, "a list of characters"),
    (["a", "a"], "ascending order"),
    (["a", "\ud800"], "lone surrogate"),
    ([None], "one character or more"),
]


@pytest.mark.parametrize("value, message", REFUSED, ids=str)
def test_everything_else_is_refused(value: Any, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        symbols_of(value, "here")


def test_files_that_are_no_symbols_are_refused(tmp_path: Path) -> None:
    def refused(name: str, content: bytes | None, message: str) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(VocabularyError, match=message) as error:
            read_symbols(path)
        assert "\n" not in str(error.value)

    refused("chars_vocab.pkl", b"cos\nsystem\n(S'touch x'\ntR.", "could run any code")
    refused("missing.json", None, "found none")
    refused("text.txt", b"abc\n", "are not JSON, such as")
    refused("latin.json", b'["\xe8"]', "are not JSON")
    refused("deep.json", b"[" * 100_000, "more than 32 levels")
    refused("large.json", b" " * (16 * 2**20 + 1), "at most 16,777,216 bytes")
    with pytest.raises(VocabularyError, match="found none"):
        read_symbols(tmp_path)
