"""Draws follow from seed, purpose, step and part, in any order."""

import itertools

import numpy as np
import pytest

from ricorda import draws
from ricorda.draws import Purpose

PLACES = list(itertools.product((0, 1, 2**63), (Purpose.STREAMS, Purpose.RESTARTS), (0, 7), (0, 3)))


def numbers(place: tuple[int, Purpose, int, int]) -> tuple[float, ...]:
    return tuple(draws.generator(*place).random(5).tolist())


def test_any_order_gives_the_same_numbers() -> None:
    forwards = {place: numbers(place) for place in PLACES}
    backwards = {place: numbers(place) for place in reversed(PLACES)}
    assert forwards == backwards


def test_each_place_has_numbers_of_its_own() -> None:
    drawn = [number for place in PLACES for number in numbers(place)]
    assert len(set(drawn)) == len(drawn)


def test_many_numbers_of_one_step_are_not_those_of_the_next() -> None:
    first, second = (draws.generator(1, Purpose.NEGATIVES, step).random(100_000) for step in (0, 1))
    assert not np.intersect1d(first, second).size
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_keys_have_64_bits_and_differ() -> None:
    keys = [
        draws.key(seed, purpose, step)
        for seed in (0, 1, 2**64 - 1)
        for purpose in (Purpose.DROPOUT, Purpose.STREAMS)
        for step in range(50)
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)
    assert max(keys) >= 2**63
    assert draws.key(1, Purpose.DROPOUT, 30) in keys


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(OverflowError):
        draws.generator(seed, Purpose.STREAMS)
