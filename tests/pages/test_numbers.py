"""Numbers as a person reads them."""

import math

import pytest

from ricorda.pages import fixed, in_bits, percent, plural, short


@pytest.mark.parametrize(
    "value, digits, text",
    [
        (1.5404, 3, "1.540"),
        (12345.0, 0, "12,345"),
        (0.0, 2, "0.00"),
        (0.0004, 2, "0.0004"),
        (1e12, 2, "1e+12"),
        (None, 2, "–"),
        (math.nan, 2, "–"),
        (math.inf, 2, "–"),
    ],
)
def test_fixed(value: float | None, digits: int, text: str) -> None:
    assert fixed(value, digits) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0042, "0.0042"),
        (950, "950"),
        (999.7, "1 k"),
        (12_345, "12.3 k"),
        (34_242_560, "34.2 M"),
        (2e9, "2 G"),
        (1e15, "1e+15"),
        (-1500, "-1.5 k"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_short(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    "probability, text",
    [
        (0.0, "< 0.1 %"),
        (0.0061, "0.6 %"),
        (0.095, "9.5 %"),
        (0.724, "72 %"),
        (0.994, "99.4 %"),
        (0.99999, "> 99.9 %"),
    ],
)
def test_percent_never_says_impossible_or_certain(probability: float, text: str) -> None:
    assert percent(probability) == text


def test_bits_and_counts() -> None:
    assert in_bits(math.log(8)) == pytest.approx(3)
    assert in_bits(None) is None
    assert plural(1, "step") == "1 step"
    assert plural(1200, "step") == "1,200 steps"
