"""Pieces of words: learned and encoded as the library `tokenizers` does, and reversible."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ricorda.errors import TextError, VocabularyError
from ricorda.text import CharacterVocabulary, PieceVocabulary, Vocabulary
from ricorda.text.boundaries import MARK, Marks
from ricorda.text.encoders import KnownEncoder
from ricorda.text.pieces import learn_pieces

SEPARATOR = "\x1f"
TEXTS = st.text(st.sampled_from("aab bcdé\n.,  12世_"), max_size=120)


def random_text(seed: int, length: int = 4000) -> str:
    """Words of a small random language."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdeé", k=draw.randint(1, 9))) for _ in range(60)]
    weights = [1 / rank for rank in range(1, 61)]
    parts = draw.choices([*words, "12", "3.5", "...", "!\n", "\n\n", "   "], [*weights, *[0.1] * 6],
                         k=length // 5)  # fmt: skip
    return " ".join(parts)


def learned(text: str, size: int) -> PieceVocabulary:
    return learn_pieces([text], size, CharacterVocabulary.from_text(text))


def by_rule(words: Iterable[str], symbols: str, size: int) -> list[tuple[str, str]]:
    """Byte-pair merges by counting everything anew each time."""
    split = {tuple(word): count for word, count in Counter(words).items()}
    texts = list(symbols)
    merges = []
    while len(texts) < size:
        counts: Counter[tuple[str, str]] = Counter()
        for word, count in split.items():
            for pair in itertools.pairwise(word):
                counts[pair] += count
        if not counts or max(counts.values()) < 2:
            break
        pair = min(counts, key=lambda each: (-counts[each], *(texts.index(part) for part in each)))
        merges.append(pair)
        if "".join(pair) not in texts:
            texts.append("".join(pair))
        joined: Counter[tuple[str, ...]] = Counter()
        for word, count in split.items():
            found: list[str] = []
            rest = list(word)
            while rest:
                if tuple(rest[:2]) == pair:
                    found.append("".join(pair))
                    rest = rest[2:]
                else:
                    found.append(rest.pop(0))
            joined[tuple(found)] += count
        split = dict(joined)
    return merges


@pytest.mark.parametrize("seed", range(4))
def test_the_most_frequent_pairs_are_joined(seed: int) -> None:
    text = random_text(seed, 1000)
    found = learned(text, 60)
    pairs = [(found.texts[a], found.texts[b]) for a, b in found.merges]
    symbols = "".join(sorted(set(text)))
    assert pairs == by_rule(PieceVocabulary.words_of(text), symbols, 60)
    assert found.size == len(found.texts) == 60


@pytest.mark.parametrize("seed", range(4))
def test_merges_and_ids_are_those_of_the_library(seed: int) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    text = random_text(seed)
    found = learned(text, 90)
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.Split(SEPARATOR, "removed")
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=90, show_progress=False, min_frequency=2,
                                             initial_alphabet=sorted(set(text)))  # fmt: skip
    words = SEPARATOR.join(PieceVocabulary.words_of(text))
    library.train_from_iterator([words], trainer)
    merges = json.loads(library.to_str())["model"]["merges"]
    of_library = [tuple(each.split(" ", 1)) if isinstance(each, str) else tuple(each)
                  for each in merges]  # fmt: skip
    assert [(found.texts[a], found.texts[b]) for a, b in found.merges] == of_library
    other = random_text(seed + 100)
    known = "".join(each for each in other if each in text)
    encoded = library.encode(SEPARATOR.join(PieceVocabulary.words_of(known))).tokens
    assert [found.texts[each] for each in found.encode(known).tolist()] == encoded


@given(TEXTS, TEXTS)
@settings(max_examples=200)
def test_any_text_of_known_characters_is_reproduced(text: str, other: str) -> None:
    characters = CharacterVocabulary.from_text(text + other + "ab")
    found = learn_pieces([text], len(characters.symbols) + 12, characters)
    for each in (text, other, other + text):
        ids = found.encode(each)
        assert found.decode(ids) == each
        assert found.count(ids) == (len(each), len(each.encode()))
        assert found.widths(ids).tolist() == [len(found.decode([id])) for id in ids.tolist()]
        decoder = found.decoder()
        assert "".join(decoder.decode([id]) for id in ids.tolist()) + decoder.finish() == each


@given(TEXTS)
def test_words_make_up_the_text(text: str) -> None:
    words = PieceVocabulary.words_of(text)
    assert "".join(words) == text
    assert all(words)


@given(TEXTS, st.integers(1, 20))
@settings(max_examples=200)
def test_a_text_that_comes_in_parts_has_the_ids_of_the_whole(text: str, step: int) -> None:
    found = learned(random_text(1) + "\n .,12世_a", 60)
    held = ""
    ids: list[int] = []
    for begin in range(0, len(text), step):
        held += text[begin : begin + step]
        cut = found.settled(held)
        ids += found.encode(held[:cut]).tolist()
        held = held[cut:]
    assert ids + found.encode(held).tolist() == found.encode(text).tolist()


def test_a_long_text_without_words_is_not_waited_for() -> None:
    found = learned("abab abab", 6)
    assert found.settled("a" * 5000) == 5000
    assert found.settled("a" * 4000) == 0


def test_pieces_do_not_cross_words() -> None:
    text = "so it goes, so it goes.\n" * 50
    found = learned(text, 40)
    assert max(map(len, found.texts)) == len(" goes")
    assert found.decode(found.encode(text)) == text
    assert len(found.encode("so it goes")) == 3


def test_unseen_characters_end_a_word_and_are_left_out() -> None:
    found = learned("abab abab " * 9, 8)
    assert found.unknown("abZab?Z") == "Z?"
    assert found.unknown_places("abZab?").tolist() == [2, 5]
    with pytest.raises(VocabularyError, match="'Z'"):
        found.encode("abZab")
    skipped = found.encode("abZab", "skip")
    assert skipped.tolist() == [*found.encode("ab"), *found.encode("ab")]
    assert found.encode("abab").tolist() != skipped.tolist()


def test_json_brings_the_same_vocabulary_back() -> None:
    text = random_text(9)
    characters = CharacterVocabulary("\n .abcde", "\n", has_rare=True, has_boundary=True,
                                     labels=["one", "two"])  # fmt: skip
    for found in (learned(text, 70), learn_pieces([text], 50, characters)):
        again = Vocabulary.from_json(json.loads(json.dumps(found.to_json())))
        assert isinstance(again, PieceVocabulary)
        assert again == found
        assert hash(again) == hash(found)
        assert again.texts == found.texts
        assert np.array_equal(again.encode(text), found.encode(text))
        assert (again.start, again.rare, again.boundary) == (
            found.start, found.rare, found.boundary)  # fmt: skip


def test_the_rare_symbol_and_the_boundary_come_last() -> None:
    characters = CharacterVocabulary("\n ab", "\n", has_rare=True, has_boundary=True)
    found = learn_pieces(["ab ab ab"], 6, characters)
    assert found.texts == ("\n", " ", "a", "b", "ab", " ab", "\ufffd", "")
    assert (found.rare, found.boundary, found.start, found.size) == (6, 7, 7, 8)
    assert found.forbidden == (6,)
    ids = found.encode("abXab Y")
    assert ids.tolist() == [4, 6, 4, 1, 6]
    assert found.decode(ids) == "ab\ufffdab \ufffd"
    assert found.unknown("XY") == ""
    assert found.unwritable("aXbY") == "XY"
    assert found.count([7, 4, 6, 7]) == (3, 5)
    assert found.label(7) == "\N{WHITE DIAMOND}"
    assert found.label(0) == "\\n"


def test_a_size_without_pieces_is_refused() -> None:
    with pytest.raises(TextError, match=r"pieces:3: expected more pieces than the 3 characters"):
        learned("abcabc", 3)


def test_a_text_without_frequent_pairs_has_fewer_pieces() -> None:
    assert learned("abcd", 100).size == 4


GOOD = {"kind": "pieces", "symbols": "ab", "start": "a", "merges": [[0, 1], [2, 0]]}


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"merges": [[0, 1], [0, 1]]}, "each pair once"),
        ({"merges": [[0, 2]]}, "earlier symbols"),
        ({"merges": [[0, -1]]}, "earlier symbols"),
        ({"merges": [[0]]}, "pairs of ids"),
        ({"merges": [[0, True]]}, "pairs of ids"),
        ({"merges": [[0, 1.0]]}, "pairs of ids"),
        ({"merges": "ab"}, "pairs of ids"),
        ({"symbols": "ba"}, "ascending"),
        ({"symbols": ["a", "b"]}, "one string"),
        ({"start": "c"}, "one of its characters"),
        ({"rare": 1}, "true or false for a rare symbol"),
        ({"boundary": "yes"}, "true or false for a boundary"),
        ({"words": []}, "but it has"),
    ],
)
def test_a_damaged_description_is_refused(change: dict[str, object], expected: str) -> None:
    assert Vocabulary.from_json(GOOD).size == 4
    with pytest.raises(VocabularyError, match=expected):
        Vocabulary.from_json({**GOOD, **change})


def test_boundaries_and_skipped_characters_in_a_known_vocabulary() -> None:
    found = PieceVocabulary("\n abcd", [(2, 3), (4, 5), (6, 7)], "\n", has_boundary=True)
    encoder = KnownEncoder(found, "skip", Marks())
    text = f"{MARK}abcd{MARK}Zab aQcd{MARK}{MARK}d{MARK}"
    ids, data = encoder.encode(text, encoder.data_of(text))
    shown = ["|" if each == found.boundary else found.texts[each] for each in ids.tolist()]
    assert shown == ["|", "abcd", "|", "ab", " ", "a", "cd", "|", "|", "d", "|"]
    assert data.decode("utf-8", "surrogatepass") == text.replace("Z", "").replace("Q", "")
    assert (encoder.characters, encoder.byte_count, encoder.boundaries) == (11, 11, 5)
    assert encoder.skipped == {"Z": 1, "Q": 1}
