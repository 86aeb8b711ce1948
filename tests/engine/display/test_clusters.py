"""What a reader sees as one character."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.engine.display.clusters import LONGEST
from ricorda.insight import clusters
from ricorda.text import ByteVocabulary, CharacterVocabulary


def texts_of(text: str) -> list[str]:
    vocabulary = CharacterVocabulary.from_text(text)
    return [cluster.text for cluster in clusters(vocabulary.encode(text), vocabulary)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ab c", ["a", "b", " ", "c"]),
        ("cafe\u0301!", ["c", "a", "f", "e\u0301", "!"]),
        ("a\u0301\u0323b", ["a\u0301\u0323", "b"]),
        ("\n\u0301a", ["\n", "\u0301", "a"]),
        ("👩\u200d👩\u200d👧x", ["👩\u200d👩\u200d👧", "x"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("🇮🇹🇫🇷", ["🇮🇹", "🇫🇷"]),
        ("नमस्ते", ["न", "म", "स्", "ते"]),
        ("\u1112\u1161\u11ab한", ["\u1112\u1161\u11ab", "한"]),
        ("نمی\u200cخواهم", ["ن", "م", "ی\u200c", "خ", "و", "ا", "ه", "م"]),
        ("世界", ["世", "界"]),
        ("a\r\n\t", ["a", r"\r", "\n", "\t"]),
        ("\x1b[0m", [r"\x1b", "[", "0", "m"]),
        ("\u202ea\u200b\ufeff", [r"\u202e", "a", r"\u200b", r"\ufeff"]),
    ],
)
def test_characters(text: str, expected: list[str]) -> None:
    assert texts_of(text) == expected


def test_what_cannot_be_seen_is_marked_as_spelled_out() -> None:
    vocabulary = CharacterVocabulary.from_text("a\x00")
    found = list(clusters(vocabulary.encode("a\x00"), vocabulary))
    assert [cluster.spelled_out for cluster in found] == [False, True]


def test_bytes_of_a_character_belong_together() -> None:
    vocabulary = ByteVocabulary(10)
    found = list(clusters(vocabulary.encode("aé世😀"), vocabulary))
    assert [cluster.text for cluster in found] == ["a", "é", "世", "😀"]
    assert [(cluster.begin, cluster.end) for cluster in found] == [(0, 1), (1, 3), (3, 6), (6, 10)]


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"a\x80b", ["a", r"\x80", "b"]),
        (b"\xe4\xb8", [r"\xe4", r"\xb8"]),
        (b"\xc3a", [r"\xc3", "a"]),
        (b"\xff\xc0\xaf", [r"\xff", r"\xc0", r"\xaf"]),
    ],
)
def test_bytes_of_no_character_are_spelled_out(data: bytes, expected: list[str]) -> None:
    found = clusters(np.frombuffer(data, np.uint8), ByteVocabulary(10))
    assert [cluster.text for cluster in found] == expected


def test_rare_characters_are_distinguished_from_a_replacement_character() -> None:
    vocabulary = CharacterVocabulary("ab\ufffd", "a", has_rare=True)
    ids = vocabulary.encode("a\ufffdz")
    assert [(each.text, each.spelled_out) for each in clusters(ids, vocabulary)] == [
        ("a", False),
        ("\ufffd", False),
        ("<rare>", True),
    ]


def test_marks_without_end_are_cut() -> None:
    assert max(map(len, texts_of("a" + "\u0301" * 1000))) == LONGEST


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_symbol_is_in_one_cluster(text: str) -> None:
    for vocabulary in (CharacterVocabulary.from_text(text), ByteVocabulary(10)):
        ids = vocabulary.encode(text)
        place = 0
        for cluster in clusters(ids, vocabulary):
            assert cluster.begin == place < cluster.end
            place = cluster.end
            if not cluster.spelled_out:
                assert vocabulary.decode(ids[cluster.begin : cluster.end]) == cluster.text
        assert place == len(ids)
