"""The agreement of two measures of influence."""

import numpy as np
import pytest

from ricorda.engine import open_model
from ricorda.errors import ConfigurationError
from ricorda.insight import agreement, gradient_influence, influence, rank_correlation
from tests.insight.planted import planted_file, planted_text


def test_the_rank_correlation_is_spearmans() -> None:
    first = np.array([1.0, 2, 3, 4, 5])
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, np.array([2.0, 1, 4, 3, 5])) == pytest.approx(0.8)
    ties = rank_correlation(np.array([1.0, 1, 2]), np.array([1.0, 2, 3]))
    assert ties == pytest.approx(np.sqrt(3) / 2)


def test_what_has_no_correlation_has_none() -> None:
    nothing = np.array([np.nan, np.nan, 1.0])
    assert rank_correlation(np.array([1.0, 2, 3]), nothing) is None
    assert rank_correlation(np.ones(3), np.array([1.0, 2, 3])) is None
    known = rank_correlation(np.array([1.0, 2, 3]), np.array([np.nan, 5, 6]))
    assert known == pytest.approx(1)


def test_the_same_agrees_and_recency_is_separated() -> None:
    generator = np.random.default_rng(0)
    recent = np.exp(-np.arange(8.0)) * generator.uniform(0.9, 1.1, (20, 8))
    other = np.exp(-np.arange(8.0)) * generator.uniform(0.9, 1.1, (20, 8))
    same = agreement(recent, -recent)
    assert same.at_a_place == pytest.approx(1)
    assert same.at_a_distance == pytest.approx(1)
    assert same.recency == pytest.approx(1)
    merely_recent = agreement(recent, other)
    assert merely_recent.at_a_place == pytest.approx(1)
    assert merely_recent.at_a_distance is not None
    assert abs(merely_recent.at_a_distance) < 0.3


def test_one_place_has_nothing_to_be_compared_with() -> None:
    found = agreement(np.array([[3.0, 2, 1]]), np.array([[3.0, 1, 2]]))
    assert found.at_a_place == pytest.approx(0.5)
    assert found.recency is None
    assert found.at_a_distance is None


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(ConfigurationError, match=r"the shapes \(2, 3\) and \(3, 2\)"):
        agreement(np.zeros((2, 3)), np.zeros((3, 2)))


def test_deletion_and_gradient_agree_beyond_recency() -> None:
    file, text = planted_file("gru"), planted_text(12)
    deleted = influence(open_model(file), text, distance=8)
    places, integrated = gradient_influence(file, text, distance=8, measure="integrated")
    np.testing.assert_array_equal(places, deleted.positions)
    found = agreement(deleted.nats, integrated)
    assert found.at_a_place is not None
    assert found.recency is not None
    assert found.at_a_place > found.recency + 0.1
