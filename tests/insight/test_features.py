"""The features that a unit might track, at every position of a text."""

from typing import Any

import numpy as np
import pytest

from ricorda.insight import Feature, describe
from ricorda.insight.features import (
    BINARY,
    NUMERIC,
    every_column,
    feature_of,
    is_vowel,
    script_of,
)
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary


def columns(text: str, by: str = "characters") -> dict[str, list[float]]:
    vocabulary: Vocabulary = (
        ByteVocabulary(10) if by == "bytes" else CharacterVocabulary.from_text(text)
    )
    found = every_column(vocabulary, vocabulary.encode(text))
    return {key: column.tolist() for key, column in found.items()}


def marks(text: str, key: str, by: str = "characters") -> str:
    """A 1 where the feature holds and a 0 where not."""
    return "".join(str(int(value)) for value in columns(text, by)[key])


@pytest.mark.parametrize(
    "key, text, expected",
    [
        ("inside_straight_quotes", 'a "b" c', "0011000"),
        ("inside_curly_quotes", "a “b” c", "0011000"),
        ("inside_guillemets", "a «b» c", "0011000"),
        ("inside_corner_quotes", "a「b」c", "01100"),
        ("inside_single_quotes", "a 'b' c", "0011000"),
        ("inside_quotes", "a «b» 'c' d", "00110011000"),
        ("inside_parentheses", "a(b(c)d)", "01111110"),
        ("inside_square_brackets", "a[b]c", "01100"),
        ("inside_curly_brackets", "a{b}c", "01100"),
        ("inside_tags", "a<b>c", "01100"),
        ("inside_brackets", "(a)[b]c", "1101100"),
        ("bracket_depth", "a(b[c]d)e", "011221100"),
        ("word_beginning", "an ox's 2 !", "10010000100"),
        ("word_inside", "an ox's 2 !", "01001110000"),
        ("position_in_word", "an ox's 2", "120123401"),
        ("vowel", "Àbc éx ω ya", "10001001" + "011"),
        ("consonant", "Àbc éx 2", "01100100"),
        ("uppercase", "aBc D", "01001"),
        ("lowercase", "aBc D", "10100"),
        ("capitalised_word", "aB Cd e", "0001100"),
        ("uppercase_word", "AB Cd A", "1100000"),
        ("letter", "aé2 世", "11001"),
        ("digit", "a12٣", "0111"),
        ("punctuation", "a,b.c", "01010"),
        ("sign", "1+2€a", "01010"),
        ("space", "a b\tc\n", "010100"),
        ("line_end", "a\nb c", "01000"),
        ("since_line_end", "ab\nc d", "120123"),
        ("since_sentence_end", "a.bc! d", "1012012"),
        ("words_in_line", "a b\nc d e", "112011223"),
        ("since_empty_line", "a\n\nb\nc", "010011"),
        ("line_indentation", "a\n  b\n c d", "0012201111"),
        ("indentation", "a\n  b\n c d", "0011001000"),
        ("script:greek", "aβγ d", "01100"),
    ],
)
def test_each_feature(key: str, text: str, expected: str) -> None:
    assert marks(text, key) == expected


def test_the_share_of_a_line() -> None:
    assert columns("abcd\nef\n")["share_of_line"] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1, 1 / 3, 2 / 3, 1]
    )


def test_bytes_have_the_features_of_their_character() -> None:
    text = "aé «b» c"
    assert marks(text, "inside_guillemets", "bytes") == "00001110000" + "0" * (
        len(text.encode()) - 11
    )
    assert marks(text, "continuation_byte", "bytes") == "00100100100"[: len(text.encode())]
    assert marks(text, "long_character", "bytes") == "01101101100"[: len(text.encode())]


def test_bytes_that_are_no_text() -> None:
    ids: Any = np.array(
        [0xFF, 0x61, 0xC3, 0x28, 0xE2, 0x82, 0x0A, 0xF0, 0x9F, 0x98, 0x80], np.uint8
    )
    described = describe(ByteVocabulary(10), ids)
    assert {len(column) for column in described.values()} == {len(ids)}


def kept(text: str) -> set[str]:
    vocabulary = CharacterVocabulary.from_text(text)
    return {feature.key for feature in describe(vocabulary, vocabulary.encode(text))}


def test_what_never_changes_is_no_feature() -> None:
    assert not {"digit", "inside_quotes", "since_empty_line"} & kept("abc abd")


def test_of_two_features_that_say_the_same_one_is_kept() -> None:
    assert "inside_straight_quotes" in kept('a "b" c')
    assert "inside_quotes" not in kept('a "b" c')
    assert "inside_quotes" in kept("a «b» 'c' d")
    assert "space" not in kept("ab cd")  # whatever is no letter


@pytest.mark.parametrize("text", ["", "a", "\n", "\n\n\n", " ", '"', "((((", "\u0301", "😀" * 3])
def test_any_text_can_be_described(text: str) -> None:
    vocabulary = ByteVocabulary(10)
    assert all(
        len(column) == len(text.encode())
        for column in describe(vocabulary, vocabulary.encode(text)).values()
    )


def test_letters_of_any_language() -> None:
    assert [script_of(letter) for letter in "aβж世あ한ع1 "] == [
        *("LATIN", "GREEK", "CYRILLIC", "CJK", "HIRAGANA", "HANGUL", "ARABIC", None, None)
    ]
    assert all(map(is_vowel, "aÉüøыώ"))
    assert not any(map(is_vowel, "bñж世1"))


def test_every_feature_is_described() -> None:
    for key in (*BINARY, *NUMERIC):
        assert feature_of(key).description
        assert feature_of(key).is_binary == (key in BINARY)
    assert feature_of("script:greek") == Feature("script:greek", "Greek letter", True)
