"""Characters that are one symbol together: the rare ones, which are never written."""

import json

import numpy as np
import pytest

from ricorda.errors import VocabularyError
from ricorda.text import CharacterVocabulary, Vocabulary
from ricorda.text.prompts import respelled
from ricorda.text.unseen import Unseen

RARE = CharacterVocabulary("\nabé", "\n", has_rare=True, has_boundary=True, labels=["x"])


def test_every_other_character_is_the_rare_symbol() -> None:
    assert (RARE.size, RARE.rare, RARE.boundary, RARE.start) == (6, 4, 5, 5)
    assert RARE.encode("aZb世é\ud800").tolist() == [1, 4, 2, 4, 3, 4]
    assert RARE.unknown("aZb") == ""
    assert RARE.unknown_places("aZb").tolist() == []
    assert RARE.unwritable("aZbZ世") == "Z世"
    assert RARE.unwritable_places("aZbZ世").tolist() == [1, 3, 4]
    assert RARE.forbidden == (4,)
    assert CharacterVocabulary("ab", "a").forbidden == ()


def test_it_reads_as_a_replacement_character_and_counts_as_one() -> None:
    assert RARE.decode([5, 1, 4, 5]) == "a\ufffd"
    assert RARE.label(4) == "<rare>"  # U+FFFD may be a character of the text
    assert RARE.count(np.array([5, 1, 4, 3, 5])) == (3, 1 + 3 + 2)
    assert RARE.widths([5, 1, 4, 5]).tolist() == [0, 1, 1, 0]


def test_json_keeps_it() -> None:
    found = Vocabulary.from_json(json.loads(json.dumps(RARE.to_json())))
    assert found == RARE
    assert (found.rare, found.boundary, found.labels) == (4, 5, ("x",))
    assert "rare" not in CharacterVocabulary("ab", "a").to_json()
    with pytest.raises(VocabularyError, match="true or false for a rare symbol"):
        Vocabulary.from_json({**RARE.to_json(), "rare": "yes"})
    with pytest.raises(VocabularyError, match="bytes vocabulary"):
        Vocabulary.from_json({"kind": "bytes", "start": 10, "rare": True})


def test_no_unseen_character_is_left_out() -> None:
    unseen = Unseen()
    assert unseen.encode(RARE, "aZb", "error").tolist() == [1, 4, 2]
    assert unseen.count == 0


def test_a_letter_is_composed_where_that_makes_it_a_symbol_of_its_own() -> None:
    assert respelled("ae\u0301b", RARE) == "aéb"
    assert respelled("aè", RARE) == "aè"
