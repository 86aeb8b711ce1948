"""Invisible characters of a text are counted and reported."""

from unittest.mock import patch

import numpy as np
import pytest

from ricorda.text import ByteVocabulary, CharacterVocabulary, Part
from ricorda.text import oddities as module
from ricorda.text.oddities import oddities


def of(text: str) -> list[str]:
    vocabulary = CharacterVocabulary.from_text(text)
    return oddities(Part.whole(vocabulary.encode(text)), vocabulary)


@pytest.mark.parametrize(
    "text",
    ["plain\ttext\n", "a\r\nb\r\n", "a\rb\r", "perché no", "perche\u0301 no", "日本\n", "naïve 👍"],
)
def test_nothing_is_odd_in_ordinary_text(text: str) -> None:
    assert of(text) == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("so\u00adft\u00ad", "invisible characters: U+00AD (soft hyphen) 2 times"),
        ("a\u200bb", "invisible characters: U+200B (zero width space) once"),
        ("a\ufeffb", "invisible characters: U+FEFF (zero width no-break space) once"),
        ("a\u2028b", "invisible characters: U+2028 (line separator) once"),
        ("a\0b", "invisible characters: U+0000 once"),
        ("a\x1b[1m", "invisible characters: U+001B once"),
        ("a\u3164", "invisible characters: U+3164 (hangul filler) once"),
        ("a\u202eb", "controls of text direction: U+202E (right-to-left override) once"),
        ("a\u200fb", "controls of text direction: U+200F (right-to-left mark) once"),
        (
            "perch\ufffd",
            "lost in an earlier conversion: U+FFFD (replacement character) once: it was decoded "
            "wrongly",
        ),
        ("a\r\nb\n\r\nc", "mixed line ends, which are kept: 2 CR LF, 1 LF alone"),
        ("a\rb\n", "mixed line ends, which are kept: 1 LF alone, 1 CR alone"),
        ("a\r\nb\rc", "mixed line ends, which are kept: 1 CR LF, 1 CR alone"),
        (
            "perché, perche\u0301, cosi\u0300",
            "two Unicode forms: 1 composed characters (NFC) and 2 written with a combining mark",
        ),
    ],
)
def test_what_is_odd_is_counted(text: str, expected: str) -> None:
    (line,) = of(text)
    assert expected in line
    assert line.isprintable()


def test_marks_that_compose_with_nothing_are_no_other_form() -> None:
    assert of("é x\u0301") == []


def test_the_most_frequent_come_first_and_the_rest_is_counted() -> None:
    (line,) = of("".join(chr(number) * (number + 1) for number in range(9)) + "a")
    assert line.startswith("the text has invisible characters: U+0008 9 times, U+0007 8 times")
    assert line.endswith(" and 1 more")


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_blocks_do_not_matter(size: int) -> None:
    text = "a\r\nb\né e\u0301 \r\n\u00ad"
    whole = of(text)
    with patch.object(module, "_BLOCK", size):
        assert of(text) == whole
    assert len(whole) == 3


def test_bytes_are_not_looked_at() -> None:
    assert oddities(Part.whole(np.array([0, 13, 10, 10], np.uint8)), ByteVocabulary(10)) == []
