"""Tokens and their places in the text, held to Python's own decoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.serving.answers import Reader, symbol_names
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary

VOCABULARY = ByteVocabulary(10)
NAMES = symbol_names(VOCABULARY)


def test_the_names_of_symbols_without_a_text() -> None:
    vocabulary = CharacterVocabulary("ab\ufffd", "a", has_rare=True, has_boundary=True)
    assert symbol_names(vocabulary) == ["a", "b", "\ufffd", "<|rare|>", "<|boundary|>"]


def places(data: bytes) -> list[int]:
    """For each byte, the number of the character of the decoded text that it belongs to."""
    found: list[int] = []
    number = 0
    while len(found) < len(data):
        rest = data[len(found) :]
        try:
            size = len(rest.decode()[0].encode())
        except UnicodeDecodeError as error:
            size = error.end if error.start == 0 else len(rest[: error.start].decode()[0].encode())
        found += [number] * size
        number += 1
    assert number == len(data.decode("utf-8", "replace"))
    return found


def read(data: bytes, offset: int = 0) -> tuple[list[int], str]:
    """The offsets that the API tells for bytes that come one after another, and the text."""
    reader = Reader(VOCABULARY, NAMES, logprobs=0, offset=offset)
    text, offsets = "", []
    for byte in data:
        part, begins = reader.place(np.array([byte]))
        text += part
        offsets += begins
    return offsets, text + reader.finish()


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"a\xe2\x82\xacb", [0, 1, 1, 1, 2]),
        (b"\xe2a", [0, 1]),
        (b"\xe2\x82a", [0, 0, 1]),
        (b"\xe2\xe2\x82\xac", [0, 1, 1, 1]),
        (b"\xe2\x82\xc3\xa9", [0, 0, 1, 1]),
        (b"\xc3\xc3\xc3\xa9", [0, 1, 2, 2]),
        (b"\xff\xfea", [0, 1, 2]),
        (b"\x82\x82a", [0, 1, 2]),
    ],
)
def test_bytes_stand_at_their_character_after_a_broken_one_too(
    data: bytes, expected: list[int]
) -> None:
    assert places(data) == expected
    assert read(data) == (expected, data.decode("utf-8", "replace"))
    assert read(data, 7)[0] == [7 + place for place in expected]


@given(st.lists(st.sampled_from(list(b"az\x80\xbf\xa9\xc3\xe2\xed\xf0\xff\xc0"))).map(bytes))
def test_any_bytes_stand_at_their_character(data: bytes) -> None:
    assert read(data) == (places(data), data.decode("utf-8", "replace"))
