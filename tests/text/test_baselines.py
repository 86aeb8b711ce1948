"""Simple methods' figures: against counting by hand, and what must hold for any text."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.text import ByteVocabulary, CharacterVocabulary, Part
from ricorda.text.baselines import baselines, witten_bell


def slowly(seen: str, evaluated: str, alphabet: str, order: int) -> float:
    """The equation as it stands, one symbol after another."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for length in range(order):
        for place in range(length, len(seen)):
            counts[seen[place - length : place]][seen[place]] += 1
    reach = min(order - 1, len(seen))
    text = seen[len(seen) - reach :] + evaluated
    bits = 0.0
    for place in range(reach, len(text)):
        chance = 1 / len(alphabet)
        for length in range(min(order - 1, place) + 1):
            after = counts.get(text[place - length : place])
            if after:
                chance = (after[text[place]] + len(after) * chance) / (after.total() + len(after))
        bits -= math.log2(chance)
    return bits / len(evaluated)


def ids(text: str, alphabet: str) -> np.ndarray:
    return np.array([alphabet.index(symbol) for symbol in text], np.uint8)


@given(
    seen=st.text("abc", min_size=2, max_size=40),
    evaluated=st.text("abcd", min_size=2, max_size=20),
    order=st.integers(1, 6),
)
def test_n_grams_follow_their_equation(seen: str, evaluated: str, order: int) -> None:
    found = witten_bell(ids(seen, "abcd"), ids(evaluated, "abcd"), 4, order)
    assert found == pytest.approx(slowly(seen, evaluated, "abcd", order))


def test_what_repeats_is_cheap_for_those_who_look_back() -> None:
    vocabulary = CharacterVocabulary("abcd", "a")
    training, validation = ids("abcd" * 2500, "abcd"), ids("abcd" * 250, "abcd")
    found = baselines(Part.whole(training), Part.whole(validation), vocabulary)
    assert found.uniform == 2
    assert found.frequencies == pytest.approx(2, abs=0.01)
    assert found.five_grams < 0.01
    assert 0 <= found.xz < 0.5
    assert (found.counted, found.evaluated) == (10_000, 1_000)


def test_bytes_are_reported_per_character() -> None:
    text = np.frombuffer("èèèèéééé".encode() * 40, np.uint8)
    found = baselines(Part.whole(text), Part.whole(text), ByteVocabulary(10))
    assert found.uniform == 16  # two bytes of 8 bits
    assert found.frequencies > 2


def test_long_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.text.baselines.MOST_EVALUATED", 10)
    vocabulary = CharacterVocabulary("abcd", "a")
    training, validation = ids("a" * 100 + "abcd" * 25, "abcd"), ids("abcd" * 25, "abcd")
    parts = Part.whole(training), Part.whole(validation)
    found = baselines(*parts, vocabulary, most_counted=50)
    assert (found.counted, found.evaluated) == (50, 10)
    assert found.five_grams < 0.5
