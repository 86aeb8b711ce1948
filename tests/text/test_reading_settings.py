"""How a text is read, as a model file says it."""

from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.text import ByteVocabulary, CharacterVocabulary, ReadingSettings

LETTERS = CharacterVocabulary.from_text("abc\n")


def test_a_model_file_that_does_not_say_how_was_read_by_the_defaults() -> None:
    for vocabulary in (LETTERS, ByteVocabulary(10)):
        assert ReadingSettings.from_training({"seed": 1}, vocabulary) == ReadingSettings(
            encoding=None,
            newlines="auto",
            decompress="auto",
            max_decompressed=None,
            documents="text",
        )


def test_a_carriage_return_in_the_vocabulary_shows_that_line_ends_were_kept() -> None:
    kept = CharacterVocabulary.from_text("a\r\n")
    assert ReadingSettings.from_training({}, kept) == ReadingSettings(
        newlines="keep", documents="text"
    )


def test_what_is_written_is_read_back_with_line_ends_settled() -> None:
    settings = ReadingSettings(encoding="latin-1", newlines="auto", decompress="off")
    written = settings.to_json("bytes")
    assert written == {"encoding": "latin-1", "newlines": "normalise", "decompress": "off"}
    read = ReadingSettings.from_training({"reading": written}, ByteVocabulary(10))
    assert read == ReadingSettings(
        encoding="latin-1", newlines="normalise", decompress="off", documents="text"
    )


@pytest.mark.parametrize(
    "kind, encoding, expected",
    [
        ("characters", None, "normalise"),
        ("characters", "cp1252", "normalise"),
        ("bytes", None, "keep"),
        ("bytes", "cp1252", "normalise"),
    ],
)
def test_auto_keeps_line_ends_in_raw_bytes_alone(
    kind: str, encoding: str | None, expected: str
) -> None:
    assert ReadingSettings(encoding=encoding).line_ends(kind) == expected


@pytest.mark.parametrize(
    "found, word",
    [
        ({"encoding": "klingon"}, "klingon"),
        ({"encoding": "base64"}, "base64"),
        ({"encoding": ""}, "encoding"),
        ({"encoding": "x" * 10_000}, "encoding"),
        ({"encoding": 5}, "encoding"),
        ({"newlines": "maybe"}, "newlines"),
        ({"newlines": None}, "newlines"),
        ({"decompress": True}, "decompress"),
        ({"max_decompressed": "1000TB"}, "max_decompressed"),
        ({"colour": "red"}, "colour"),
        ([], "reading"),
        ("utf-8", "reading"),
        (None, "reading"),
        ({"encoding": "\ud800"}, "reading"),
    ],
)
def test_a_wrong_entry_is_named(found: Any, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        ReadingSettings.from_training({"reading": found}, LETTERS)
    assert len(str(caught.value)) < 500
