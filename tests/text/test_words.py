"""Words as symbols: which ones, how others are spelled, and that a text is reproduced."""

import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import VocabularyError
from ricorda.text import CharacterVocabulary, Vocabulary, WordVocabulary
from ricorda.text.words import learn_words

TEXT = "The cat saw the dog; the dog, it saw\nno cat at all_2.\n"


def learned(text: str, min_count: int = 1) -> WordVocabulary:
    return learn_words([text], CharacterVocabulary.from_text(text), min_count)


def test_words_that_occur_twice_are_symbols_the_most_frequent_first() -> None:
    found = learned(TEXT)
    counts = Counter(word for word in re.findall(r"\w+", TEXT) if len(word) > 1)
    assert set(found.words) == {word for word, count in counts.items() if count > 1}
    assert list(found.words) == sorted(found.words, key=lambda word: (-counts[word], word))
    assert learned(TEXT, 3).words == ()
    assert learned(TEXT * 3, 7).words == ()
    assert learned(TEXT * 3, 6).words == ("cat", "dog", "saw", "the")


def test_a_known_word_is_one_symbol_and_another_is_spelled() -> None:
    found = learned(TEXT)
    assert [found.texts[each] for each in found.encode("the dog sat").tolist()] == [
        "the",
        " ",
        "dog",
        " ",
        "s",
        "a",
        "t",
    ]
    assert [found.texts[each] for each in found.encode("thedog").tolist()] == list("thedog")


@given(st.text(st.sampled_from(TEXT), max_size=80))
def test_any_text_of_known_characters_is_reproduced(text: str) -> None:
    found = learned(TEXT)
    ids = found.encode(text)
    assert found.decode(ids) == text
    assert found.count(ids) == (len(text), len(text.encode()))


def test_a_long_run_of_letters_is_several_words() -> None:
    text = "x" * 1000
    assert max(map(len, WordVocabulary.words_of(text))) == 64
    found = learned(text)
    assert found.decode(found.encode(text)) == text


def test_json_brings_the_same_vocabulary_back() -> None:
    characters = CharacterVocabulary("\n Tacdehotw", "\n", has_rare=True, has_boundary=True)
    for found in (learned(TEXT), learn_words([TEXT], characters)):
        again = Vocabulary.from_json(json.loads(json.dumps(found.to_json())))
        assert again == found
        assert again.encode(TEXT).tolist() == found.encode(TEXT).tolist()


def test_words_with_rare_characters_are_spelled() -> None:
    characters = CharacterVocabulary("\n Tacdehotw", "\n", has_rare=True)
    found = learn_words([TEXT], characters)
    assert "saw" not in found.words
    assert found.decode(found.encode("saw the")) == "\ufffdaw the"


@pytest.mark.parametrize(
    "words, expected",
    [
        (["ab", "ab"], "two are the same"),
        (["a"], "two characters or more"),
        (["ac"], "one has 'c'"),
        ("ab", "list of words"),
        ([1], "list of words"),
    ],
)
def test_a_damaged_description_is_refused(words: object, expected: str) -> None:
    with pytest.raises(VocabularyError, match=expected):
        Vocabulary.from_json({"kind": "words", "symbols": "ab", "start": "a", "words": words})
