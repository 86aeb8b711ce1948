"""Texts at hand, such as prompts, are read as training read its text."""

import unicodedata
from typing import Any

import pytest

from ricorda.text import ByteVocabulary, CharacterVocabulary, PromptReader, ReadingSettings
from ricorda.text.prompts import read_prompt

KEEP = ReadingSettings(newlines="keep")
DEFAULT = ReadingSettings()
COMPOSED = CharacterVocabulary.from_text("\n aceéhprñ각")
DECOMPOSED = CharacterVocabulary.from_text("\n acehpr\u0301")


@pytest.mark.parametrize(
    "given, expected",
    [
        ("a\r\nc\rp", "a\nc\np"),
        ("\ufeffache", "ache"),
        ("perche\u0301", "perché"),
        ("n\u0303a", "ña"),
        ("e\u0301\u0301", "é\u0301"),  # as much as the vocabulary knows
        (unicodedata.normalize("NFD", "각"), "각"),
        ("ach\u0301e", "ach\u0301e"),  # no composed form: stays unknown
        ("héñzé", "héñzé"),
        ("", ""),
    ],
)
def test_a_prompt_is_read_for_a_vocabulary_of_composed_characters(
    given: str, expected: str
) -> None:
    assert read_prompt(given, COMPOSED, DEFAULT) == expected


def test_composed_characters_are_decomposed_where_only_that_form_is_known() -> None:
    assert read_prompt("perché", DECOMPOSED, DEFAULT) == "perche\u0301"


def test_known_characters_keep_their_form() -> None:
    both = CharacterVocabulary.from_text("eé\u0301n")
    assert read_prompt("ée\u0301x", both, DEFAULT) == "ée\u0301x"


def test_line_ends_stay_where_training_kept_them() -> None:
    vocabulary = CharacterVocabulary.from_text("a\r\n")
    assert read_prompt("a\r\na\r", vocabulary, KEEP) == "a\r\na\r"


def test_raw_bytes_are_taken_as_they_are() -> None:
    given = "\ufeffe\u0301\r\n"
    assert read_prompt(given, ByteVocabulary(10), DEFAULT) == given
    decoded = ReadingSettings(encoding="utf-8")
    assert read_prompt(given, ByteVocabulary(10), decoded) == "e\u0301\n"


def test_a_mark_alone_in_a_stop_string_stays() -> None:
    assert read_prompt("\ufeff", COMPOSED, DEFAULT, drop_mark=False) == "\ufeff"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pieces_are_read_as_the_whole_is(size: int) -> None:
    text = "\ufeffperche\u0301\r\n\r\r\nan\u0303\r"
    reader = PromptReader(COMPOSED, DEFAULT)
    parts = [reader.read(text[begin : begin + size]) for begin in range(0, len(text), size)]
    assert "".join([*parts, reader.read("", final=True)]) == "perché\n\n\nañ\n"


def test_bytes_are_normalised_across_pieces() -> None:
    reader = PromptReader(ByteVocabulary(10), ReadingSettings(newlines="normalise"))
    parts = [reader.read_bytes(piece) for piece in (b"\xe9\r", b"\n\xcc", b"\x81\r")]
    assert b"".join([*parts, reader.read_bytes(b"", final=True)]) == b"\xe9\n\xcc\x81\n"


def test_many_unknown_characters_are_looked_at_once_each() -> None:
    text = "é世" * 100_000
    assert read_prompt(text, DECOMPOSED, DEFAULT) == "e\u0301世" * 100_000


class CountingVocabulary(CharacterVocabulary):
    """Counts how often it looks characters up."""

    look_ups = 0

    def _look_up(self, text: str) -> Any:
        self.look_ups += 1
        return super()._look_up(text)


def test_many_distinct_unknown_characters_are_looked_up_together() -> None:
    distant = [chr(0x10000 + 2 * number) for number in range(2000)]
    vocabulary = CountingVocabulary("\na\xe9", "\n")
    assert read_prompt("".join(distant) + "e\u0301", vocabulary, DEFAULT).endswith("\xe9")
    assert vocabulary.look_ups <= 4


def test_characters_without_an_id_have_their_places() -> None:
    assert COMPOSED.unknown_places("xax").tolist() == [0, 2]
    assert COMPOSED.unknown_places("ace").tolist() == []
    assert ByteVocabulary(10).unknown_places("a\ud800b\udc80").tolist() == [1]
