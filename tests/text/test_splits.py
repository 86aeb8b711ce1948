"""Splitting a text into training, validation and test parts."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError
from ricorda.text import Ids, Part, split


def text(length: int) -> Part:
    return Part.whole(np.arange(length, dtype=np.uint32))


def ids(part: Part | None) -> Ids:
    assert part is not None
    return part.read(0, len(part))


def test_the_last_tenth_validates() -> None:
    parts = split(text(1_115_394))
    assert len(parts.training) == 1_003_854
    assert parts.validation is not None
    assert len(parts.validation) == 111_540
    assert parts.reason is None


def test_the_parts_are_views() -> None:
    whole = text(1000)
    parts = split(whole, 0.25)
    assert np.shares_memory(ids(parts.training), ids(whole))
    assert np.shares_memory(ids(parts.validation), ids(whole))


@given(st.integers(2, 5000), st.floats(0.001, 0.999))
def test_nothing_is_lost_or_doubled(length: int, fraction: float) -> None:
    try:
        parts = split(text(length), fraction)
    except TextError:
        assert min(length * fraction, length * (1 - fraction)) < 2
        return
    assert parts.validation is not None
    found = np.concatenate([ids(parts.training), ids(parts.validation)])
    np.testing.assert_array_equal(found, np.arange(length))
    assert abs(len(parts.validation) - length * fraction) <= 1


@pytest.mark.parametrize("length, validates", [(2, False), (630, False), (631, True)])
def test_a_short_text_is_not_split_unasked(length: int, validates: bool) -> None:
    parts = split(text(length))
    if validates:
        assert parts.validation is not None
        assert len(parts.validation) == 64
        assert parts.reason is None
    else:
        assert parts.validation is None
        assert len(parts.training) == length
        assert parts.reason is not None
        assert f"a tenth of {length} symbols is too short to validate with" in parts.reason


def test_a_short_text_is_split_where_asked() -> None:
    parts = split(text(20), 0.1)
    assert parts.validation is not None
    assert (len(parts.training), len(parts.validation)) == (18, 2)


def test_without_validation() -> None:
    parts = split(text(1000), 0)
    assert len(parts.training) == 1000
    assert parts.validation is None
    assert parts.reason is None


@pytest.mark.parametrize(
    "length, fraction, left",
    [
        (10, 0.1, "9 for training and 1 for validation"),
        (10, 0.9, "1 for training and 9 for"),
        (2, 0.5, "1 for training and 1"),
    ],
)
def test_a_fraction_that_leaves_too_little(length: int, fraction: float, left: str) -> None:
    with pytest.raises(TextError, match=f"--validation-fraction {fraction}: .* leaves {left}"):
        split(text(length), fraction)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_fractions_out_of_range(fraction: float) -> None:
    with pytest.raises(ConfigurationError, match=f"--validation-fraction {fraction}: expected"):
        split(text(1000), fraction)


@pytest.mark.parametrize("fraction", [None, 0, 0.1])
def test_a_text_of_one_character(fraction: float | None) -> None:
    with pytest.raises(TextError, match="a text of one character: at least 2 are needed"):
        split(text(1), fraction)
    with pytest.raises(TextError, match="a text of no characters"):
        split(text(0), fraction)


def test_a_test_part_comes_last() -> None:
    parts = split(text(1000), 0.1, 0.2)
    assert [len(part) for part in (parts.training, parts.validation, parts.test) if part] == [
        700,
        100,
        200,
    ]
    assert ids(parts.test)[0] == 800
    alone = split(text(1000), 0, 0.2)
    assert alone.validation is None
    assert ids(alone.test).tolist() == list(range(800, 1000))
    assert split(text(1000), 0.1).test is None


def test_fractions_that_leave_nothing() -> None:
    with pytest.raises(ConfigurationError, match="leave nothing to train on"):
        split(text(1000), 0.5, 0.5)
    with pytest.raises(ConfigurationError, match=r"--test-fraction -0\.1: expected a number"):
        split(text(1000), 0.1, -0.1)
    with pytest.raises(TextError, match=r"--test-fraction 0.05: .* and 1 for the test"):
        split(text(12), 0.5, 0.05)


def test_blocks_are_spread_over_an_undivided_text() -> None:
    parts = split(text(20_000), 0.1, 0.05, "blocks")
    validation, test, training = ids(parts.validation), ids(parts.test), ids(parts.training)
    assert (len(validation), len(test), len(training)) == (2000, 1000, 17_000)
    everything = np.sort(np.concatenate([validation, test, training]))
    np.testing.assert_array_equal(everything, np.arange(20_000))
    assert (np.diff(training) > 0).all()
    # one block of 100 in each twentieth of the text
    begins = validation[::100]
    assert len(np.flatnonzero(np.diff(validation.astype(int)) != 1)) == 19
    assert (begins // 1000).tolist() == list(range(20))
    assert parts.reason is not None
    assert "20 blocks of about 150 symbols" in parts.reason


def test_an_undivided_text_has_no_documents_to_draw() -> None:
    with pytest.raises(ConfigurationError, match="--split documents: the text is undivided"):
        split(text(1000), 0.1, how="documents")


BOUNDARY = 9


def documents(*sizes: int) -> Part:
    """Documents of different ids 0 to 8, each of one id alone."""
    ids = [id for number, size in enumerate(sizes) for id in (BOUNDARY, *[number % 9] * size)]
    return Part.whole(np.array([*ids, BOUNDARY], np.uint8), BOUNDARY)


def of(part: Part | None) -> list[list[int]]:
    assert part is not None
    return [each.tolist() for each in part.documents()]


def numbered(count: int) -> Part:
    """Documents of 20 symbols that are their numbers."""
    each = np.repeat(np.arange(count, dtype=np.uint32), 21).reshape(count, 21)
    each[:, 0] = count
    return Part.whole(np.append(each.ravel(), np.uint32(count)), count)


def numbers_of(part: Part | None) -> list[int]:
    assert all(len(set(each)) == 1 for each in of(part))
    return [each[0] for each in of(part)]


def test_many_documents_are_drawn_at_random() -> None:
    parts = split(numbered(1000), None, 0.05)
    validation, test = numbers_of(parts.validation), numbers_of(parts.test)
    training = numbers_of(parts.training)
    assert (len(validation), len(test)) == (100, 50)
    assert sorted(validation + test + training) == list(range(1000))
    assert validation == sorted(validation)  # in the order of the text
    assert min(validation) < 100  # all over it
    assert max(validation) > 900
    assert 300 < np.median(validation) < 700
    assert parts.how == "documents"
    assert parts.reason == "held back: 150 of 1,000 documents, drawn at random"


def test_the_draw_is_always_the_same_and_a_test_does_not_depend_on_the_validation() -> None:
    one, other = split(numbered(200), 0.1, 0.1), split(numbered(200), 0.3, 0.1)
    assert numbers_of(one.test) == numbers_of(other.test)
    assert numbers_of(one.validation) == numbers_of(split(numbered(200), 0.1, 0.1).validation)


def test_documents_are_drawn_until_their_symbols_are_a_fraction() -> None:
    sizes = [1, 2, 3, 4] * 100 + [500]
    parts = split(documents(*sizes), 0.1)
    assert parts.validation is not None
    # One document is half of the text: it is longer than what is held back, and so not drawn.
    assert abs(len(parts.validation) - 0.1 * (sum(sizes) + len(sizes))) < 5
    assert max(map(len, of(parts.validation))) <= 4


def test_the_last_documents() -> None:
    parts = split(numbered(100), 0.1, 0.05, "end")
    assert numbers_of(parts.training) == list(range(85))
    assert numbers_of(parts.validation) == list(range(85, 95))
    assert numbers_of(parts.test) == list(range(95, 100))
    assert parts.how == "end"


def test_few_documents_lose_blocks_each() -> None:
    """Of ten sorted files of one letter each, every letter is trained and validated."""
    parts = split(documents(*[1000] * 9))
    assert [each[0] for each in of(parts.training)] == list(range(9))
    assert [each[0] for each in of(parts.validation)] == list(range(9))
    assert parts.training.symbols == 8100
    assert parts.how == "blocks"
    assert parts.reason == ("held back: 9 blocks of about 100 symbols, spread evenly over the text")


def test_what_is_left_of_a_document_is_one_document() -> None:
    whole = Part.whole(np.array([300, *range(256), *range(44), 300], np.uint32), 300)
    parts = split(whole, 0.25)
    expected = [*range(256), *range(44)]
    (training,), (validation,) = of(parts.training), of(parts.validation)
    assert validation == expected[112:187]  # one block in the middle
    assert training == expected[:112] + expected[187:]


def test_few_short_documents_are_held_back_whole() -> None:
    parts = split(numbered(40))
    assert len(numbers_of(parts.validation)) == 4
    assert parts.how == "documents"


@pytest.mark.parametrize("count", [2, 3, 9])
def test_very_few_documents_drawn_where_asked(count: int) -> None:
    parts = split(numbered(count), 0.1, how="documents")
    assert len(numbers_of(parts.validation)) == 1
    assert len(numbers_of(parts.training)) == count - 1


@pytest.mark.parametrize("how", ["documents", "end"])
def test_one_document_cannot_be_drawn(how: Literal["documents", "end"]) -> None:
    with pytest.raises(TextError, match=f"--split {how}: expected at least 2 documents, got 1"):
        split(documents(1000), 0.1, how=how)
    assert split(documents(1000)).validation is not None


def test_documents_too_few_for_all_parts() -> None:
    with pytest.raises(TextError, match="leaves 0 for training"):
        split(numbered(2), 0.4, 0.4, "documents")


def test_blocks_of_short_documents_are_whole_documents() -> None:
    parts = split(numbered(1000), 0.1, 0.05, "blocks")
    validation = numbers_of(parts.validation)
    assert abs(len(validation) - 100) <= 20
    assert len({number // 50 for number in validation}) == 20
    assert sorted(validation + numbers_of(parts.test) + numbers_of(parts.training)) == list(
        range(1000)
    )


@pytest.mark.parametrize("count", [7, 19, 25, 100, 109])
def test_blocks_of_documents_have_one_each_at_least(count: int) -> None:
    """Also where a twentieth of the text has fewer documents than are held back of it."""
    parts = split(numbered(count), 0.15, how="blocks")
    validation = numbers_of(parts.validation)
    assert 0.05 * count <= len(validation) <= 0.2 * count
    assert sorted(validation + numbers_of(parts.training)) == list(range(count))
    assert parts.how == "blocks"


def test_a_few_short_documents_all_train_unasked() -> None:
    parts = split(numbered(20))
    assert parts.validation is None
    assert parts.training.segments == 20
    assert parts.reason is not None
    assert "a tenth of 400 symbols is too short" in parts.reason


def test_documents_without_characters() -> None:
    with pytest.raises(TextError, match="a text of no characters"):
        split(documents(0, 0))


@given(
    st.lists(st.integers(0, 90), min_size=1, max_size=80),
    st.floats(0, 0.6),
    st.floats(0, 0.35),
    st.sampled_from([None, "end", "documents", "blocks"]),
)
def test_nothing_of_any_documents_is_lost_or_doubled(
    sizes: list[int], validation: float, test: float, how: Any
) -> None:
    try:
        parts = split(documents(*sizes), validation, test, how)
    except TextError:
        return
    held = [part for part in (parts.training, parts.validation, parts.test) if part is not None]
    found = np.concatenate([each for part in held for each in part.documents()])
    expected = np.concatenate([[number % 9] * size for number, size in enumerate(sizes)])
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))
