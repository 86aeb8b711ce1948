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
