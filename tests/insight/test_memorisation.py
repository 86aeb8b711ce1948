"""The longest shared passage found by hashes equals the one found by comparing all."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError
from ricorda.insight import Shared, chance_length, memorisation, shared_stretches
from ricorda.insight.memorisation import written_by
from tests.model.divided import divided_model


def longest_by_trying(written: str, training: str) -> int:
    return max(
        (
            length
            for length in range(1, len(written) + 1)
            for begin in range(len(written) - length + 1)
            if written[begin : begin + length] in training
        ),
        default=0,
    )


def shared(written: str, *training: str, lengths: tuple[int, ...] = (2, 5)) -> Shared:
    (found,) = shared_stretches([written], training, lengths)
    return found


@given(st.text("ab", min_size=1, max_size=30), st.text("abc", min_size=1, max_size=80))
@settings(max_examples=150)
def test_it_is_the_longest(written: str, training: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memorisation, "CHUNK", 7)
        found = shared(written, training)
    stretch = found.longest
    assert stretch.length == longest_by_trying(written, training)
    assert stretch.text == written[stretch.position : stretch.position + stretch.length]
    begin = stretch.training_position
    assert training[begin : begin + stretch.length] == stretch.text
    assert (found.characters, found.training_characters) == (len(written), len(training))
    for length, share in found.shares.items():
        windows = [written[place : place + length] for place in range(len(written) - length + 1)]
        if not windows:
            assert share is None
        else:
            expected = np.mean([window in training for window in windows])
            assert share == pytest.approx(expected)


def test_a_stretch_over_the_edge_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "CHUNK", 16)
    training = "".join(chr(0x4E00 + number) for number in range(200))
    for begin in range(0, 160, 7):
        found = shared("!" + training[begin : begin + 30] + "?", training)
        assert found.longest.length == 30
        assert (found.longest.position, found.longest.training_position) == (1, begin)


def test_a_whole_text_over_the_edge_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "CHUNK", 16)
    training = "".join(chr(0x4E00 + number) for number in range(100))
    for size in (1, 2, 16, 17, 30):
        for begin in range(100 - size):
            found = shared(training[begin : begin + size], training, lengths=(size,))
            stretch = found.longest
            assert (stretch.length, stretch.position, stretch.training_position) == (size, 0, begin)
            assert found.shares == {size: 1.0}


def test_pieces_of_any_size_are_one_text() -> None:
    pieces = ["ab", "", "c", "defgh", "i"]
    assert shared("xcdefy", *pieces).longest.text == "cdef"


def test_several_texts_in_one_pass() -> None:
    def training() -> Iterator[str]:
        yield "one fish two fish"

    first, second = shared_stretches(["a fish!", "two fishes"], training())
    assert first.longest.text == " fish"
    assert second.longest.text == "two fish"


def test_bytes() -> None:
    (found,) = shared_stretches([b"\xff\xfe caff\xc3\xa8"], [b"un caff\xc3\xa8 \xff"])
    assert found.longest.text == " caffè"
    assert found.longest.length == 7


def test_a_model_of_bytes_writes_documents_of_bytes() -> None:
    """Also those that are no UTF-8: the text has replacement characters in their place."""
    model = divided_model(of_bytes=True, embedding_size="onehot")
    documents: list[Any] = []
    for seed in range(6):
        written: Any = written_by(model, 200, seed=seed)[0]
        texts = model.begin_many([""], count=None, length=200, seed=seed)
        shown = [each.text for each in itertools.islice(texts, 200) if each.text][: len(written)]
        assert [each.decode("utf-8", "replace") for each in written] == shown
        documents += written
    assert len(documents) > 6  # more than there are seeds: some end by themselves
    assert any(b"\xff" in each or "\ufffd" in each.decode(errors="replace") for each in documents)


def test_a_text_that_repeats_one_letter() -> None:
    """Every window hashes to the same number of equal ones, and symmetry must not fool it."""
    assert shared("a" * 500, "a" * 300 + "b").longest.length == 300
    morse = "a"
    while len(morse) < 2048:
        morse += morse.translate({97: 98, 98: 97})
    other = morse.translate({97: 98, 98: 97})
    assert shared(morse, other).longest.length == 1024


def test_a_copy_is_found_whole() -> None:
    generator = np.random.default_rng(2)
    text = "".join(generator.choice(list("abcdefgh"), 20_000))
    assert shared(text[5000:9000], text).longest.length == 4000
    assert shared(text[5000:9000], text).shares == {2: 1.0, 5: 1.0}


def test_chance_is_what_random_texts_share() -> None:
    generator = np.random.default_rng(4)
    letters = list("aaabbcdefg")
    lengths = []
    for _ in range(30):
        first = "".join(generator.choice(letters, 300))
        second = "".join(generator.choice(letters, 3000))
        found = shared(first, second)
        lengths.append(found.longest.length)
    assert np.mean(lengths) == pytest.approx(found.chance, abs=0.6)


@pytest.mark.parametrize(
    "first, second, expected",
    [
        # p = 1/2: (ln(2 * 4 * 1/2) + 0.577216) / ln 2 - 1/2
        ([1, 1], [2, 2], 2.332746),
        # p = 3/10 * 1/10 + 7/10 * 9/10 = 0.66: (ln(10 * 100 * 0.34) + 0.577216) / ln(1/0.66) - 1/2
        ([3, 7], [10, 90], 14.917384),
        # p = 1/64 and 10,000 * 640 pairs
        ([2500] * 4 + [0] * 252, [10] * 64 + [0] * 192, 3.403278),
    ],
)
def test_chance_of_given_counts(first: list[int], second: list[int], expected: float) -> None:
    found = chance_length(np.array(first), np.array(second))
    assert found == pytest.approx(expected, abs=1e-5)


def test_chance_at_its_ends() -> None:
    assert chance_length(np.array([5, 0]), np.array([0, 5])) == 0
    assert chance_length(np.array([5]), np.array([5])) == float("inf")


def test_what_cannot_be_is_reported() -> None:
    with pytest.raises(TextError, match="a written text of at least one character"):
        shared("", "abc")
    with pytest.raises(TextError, match="a training text of at least one character"):
        shared("abc", "")
    with pytest.raises(ConfigurationError, match=r"lengths must be at least 1, got \[0\]"):
        shared("abc", "abc", lengths=(0,))
    assert shared("abc", "xyz").longest.length == 0


def test_what_has_the_same_hash_is_compared_before_it_counts_as_shared() -> None:
    """Thue and Morse's sequence and its opposite have one hash modulo 2**64, whatever the base."""
    sequence = "".join("ab"[number.bit_count() % 2] for number in range(2**11))
    opposite = sequence.translate(str.maketrans("ab", "ba"))
    other, same = (
        shared_stretches([sequence], [text], lengths=[2048])[0] for text in (opposite, sequence)
    )
    assert (other.shares, same.shares) == ({2048: 0}, {2048: 1})
    assert (other.longest.length, same.longest.length) == (1024, 2048)
