"""Characters that a vocabulary lacks: where they stood, how they are reported."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import UnseenCharactersWarning, VocabularyError
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.unseen import Gap, KnownText, Unseen, after_gaps, quoted
from ricorda.text.vocabulary import CharacterVocabulary

LETTERS = CharacterVocabulary("abc", "a")


@given(st.lists(st.text("abcXY-]^\\", max_size=6), max_size=6))
def test_the_text_can_be_put_together_again(pieces: list[str]) -> None:
    unseen = Unseen()
    ids = [unseen.encode(LETTERS, piece, "skip").tolist() for piece in pieces]
    text = "".join(pieces)
    rebuilt = list(LETTERS.decode([each for piece in ids for each in piece]))
    assert unseen.symbols == len(rebuilt)
    for gap in reversed(unseen.gaps):
        rebuilt[gap.before : gap.before] = gap.characters
    assert "".join(rebuilt) == text
    assert unseen.count == sum(each not in "abc" for each in text)
    assert unseen.characters == "".join(dict.fromkeys(c for c in text if c not in "abc"))
    places = [gap.before for gap in unseen.gaps]
    assert places == sorted(set(places))


def test_bytes_stand_before_bytes() -> None:
    unseen = Unseen()
    ids = unseen.encode(ByteVocabulary(10), "é\ud800€\ud801a", "skip")
    assert unseen.gaps == [Gap(2, "\ud800"), Gap(5, "\ud801")]
    found = after_gaps(ids, unseen.gaps, ByteVocabulary(10))
    assert found.tolist() == [False] * 2 + [True] * 3 + [True]


def test_a_block_of_a_text_is_looked_at_by_its_beginning() -> None:
    gaps = [Gap(2, "X"), Gap(5, "X"), Gap(9, "X")]
    ids = LETTERS.encode("abca")
    assert after_gaps(ids, gaps, LETTERS, begin=4).tolist() == [False, True, False, False]
    assert not after_gaps(ids, [], LETTERS).any()


def test_the_first_symbols_of_a_text_keep_what_stands_before_them() -> None:
    text = KnownText(LETTERS.encode("abcabc"), (Gap(0, "X"), Gap(2, "Y"), Gap(6, "Z")))
    first = text.first(2)
    assert (len(first.ids), first.gaps) == (2, (Gap(0, "X"),))
    assert text.first(None).ids.tolist() == text.ids.tolist()
    assert np.flatnonzero(~text.counted(LETTERS)).tolist() == [0, 2]


def test_an_error_if_nothing_may_be_left_out() -> None:
    with pytest.raises(VocabularyError, match="'X' and 'Y', 3 times"):
        Unseen().encode(LETTERS, "aXXbY", "error")


def test_one_line_says_what_was_left_out() -> None:
    unseen = Unseen()
    unseen.warn("the text", stacklevel=1)  # nothing yet
    unseen.encode(LETTERS, "aXbX\n", "skip")
    with pytest.warns(UnseenCharactersWarning) as warnings:
        unseen.warn("the text", stacklevel=1)
    assert [str(each.message) for each in warnings] == [
        "left out 3 characters of the text that the model never saw: 'X' and '\\n'"
    ]
    assert warnings[0].filename == __file__


@pytest.mark.parametrize("characters, words", [
    ("", "nothing"),
    ("a", "'a'"),
    ("ab", "'a' and 'b'"),
    ("abca", "'a', 'b' and 'c'"),
    ("abcdefghijkl", "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j' and 2 more"),
])  # fmt: skip
def test_characters_in_a_message(characters: str, words: str) -> None:
    assert quoted(characters) == words
