"""One effect size for numeric and for yes-or-no features."""

import itertools

import numpy as np
import pytest

from ricorda.insight import rank_correlation, tracking
from ricorda.insight.tracking import LEVELS, Levels, Ranks, read_levels, to_levels, unit_ranks
from tests.insight.planted import planted_model, planted_text


def effect(unit: list[float], feature: list[float]) -> float:
    levels = to_levels(np.array(unit)[:, np.newaxis] / 100, bounded=True)
    ranks = Ranks([np.array(feature, np.float32)])
    return float(ranks.effects(levels)[0, 0, 0])


def auc(unit: list[float], feature: list[float]) -> float:
    """The share of pairs, one place with the feature and one without, that the unit tells apart."""
    pairs = list(
        itertools.product(
            *([u for u, f in zip(unit, feature, strict=True) if f == side] for side in (1, 0))
        )
    )
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_for_yes_or_no_it_is_the_area_under_the_curve(seed: int) -> None:
    generator = np.random.default_rng(seed)
    unit = generator.integers(-9, 9, 40).tolist()  # with ties
    feature = (generator.random(40) < 0.2 + 0.02 * np.array(unit)).astype(float).tolist()
    feature[:2] = [0.0, 1.0]
    assert effect(unit, feature) == pytest.approx(2 * auc(unit, feature) - 1, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_for_numbers_without_ties_it_is_spearmans(seed: int) -> None:
    generator = np.random.default_rng(seed)
    unit = generator.permutation(50).astype(float)
    feature = unit + generator.normal(0, 20, 50)
    expected = rank_correlation(unit, feature)
    assert effect(unit.tolist(), feature.tolist()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("feature", [[0, 0, 0, 0, 0, 0, 0, 1.0], [0, 1.0] * 4, [0, 0, 1, 2, 3, 3]])
def test_it_reaches_one_and_no_more_however_rare_the_feature(feature: list[float]) -> None:
    noise = np.linspace(0, 0.5, len(feature))
    unit = (10 * (np.array(feature) + noise)).tolist()
    assert effect(unit, feature) == pytest.approx(1, abs=1e-5)
    assert effect([-value for value in unit], feature) == pytest.approx(-1, abs=1e-5)


def test_a_unit_that_is_stuck_goes_with_nothing() -> None:
    assert effect([70.0, 70.001, 70.002, 70.0], [0, 1, 1, 0]) == 0


def test_any_rise_will_do() -> None:
    feature = [0.0, 3, 1, 7, 2]
    assert effect([1.0, 30, 2, 31, 3], feature) == pytest.approx(1)
    assert effect([1.0, 30, 2, 31, 3], [10 * value for value in feature]) == pytest.approx(1)


def test_shifted_labels_are_moved_in_a_circle() -> None:
    generator = np.random.default_rng(0)
    levels = to_levels(generator.uniform(-1, 1, (30, 3)), bounded=True)
    columns = [generator.random(30).astype(np.float32) for _ in range(2)]
    found = Ranks(columns).effects(levels, [0, 4, 29])
    for number, shift in enumerate([0, 4, 29]):
        expected = Ranks([np.roll(column, shift) for column in columns]).effects(levels)
        np.testing.assert_allclose(found[number], expected[0], atol=1e-6)


def test_levels_keep_the_order() -> None:
    values = np.array([-1, -0.5, -0.0001, 0, 0.5, 1, 1.5])
    steps = to_levels(values, bounded=True)
    assert steps.tolist() == [0, 1024, 2048, 2048, 3072, LEVELS - 1, LEVELS - 1]
    grown = to_levels(np.array([-1000, -2, 0, 0.1, 1, 1.5, 2, 5, 10, 1000]), bounded=False)
    assert grown.tolist() == sorted(set(grown.tolist()))


def test_equal_values_share_a_rank() -> None:
    levels: Levels = np.array([[5], [1], [5], [9]], np.uint16)
    assert unit_ranks(levels)[:, 0].tolist() == [0.5, 0.125, 0.5, 0.875]


def test_levels_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model, text = planted_model("gru"), planted_text(5)
    ids = model.vocabulary.encode(text)
    in_memory = read_levels(model, ids)
    np.testing.assert_array_equal(
        in_memory, to_levels(model.trace(text)["hidden"].reshape(len(ids), -1), bounded=True)
    )
    monkeypatch.setattr(tracking, "LARGEST_IN_MEMORY", 1)
    on_disk = read_levels(model, ids)
    assert isinstance(on_disk, np.memmap)
    np.testing.assert_array_equal(on_disk, in_memory)


def test_many_units_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    levels = to_levels(generator.uniform(-1, 1, (40, 7)), bounded=True)
    ranks = Ranks([generator.random(40).astype(np.float32)])
    whole = ranks.effects(levels, [0, 3])
    monkeypatch.setattr(tracking, "UNITS_AT_ONCE", 3)
    np.testing.assert_allclose(ranks.effects(levels, [0, 3]), whole, atol=1e-6)
