"""The learning rate over the steps."""

import itertools

import pytest

from ricorda.training.plan.budget import learning_rate
from tests.training.learners import settings


def test_the_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    configuration = settings(learning_rate=0.1, warmup_steps=10, final_learning_rate=0.01)
    rates = [learning_rate(step, 110, configuration) for step in range(111)]
    assert rates[0] == pytest.approx(0.1 / 11)
    assert all(one < other for one, other in itertools.pairwise(rates[:11]))
    assert rates[10] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.1 * (0.01 + 0.99 * 0.5))
    assert all(one > other for one, other in itertools.pairwise(rates[10:]))
    assert rates[110] == pytest.approx(0.001)


def test_the_warm_up_does_not_depend_on_the_number_of_steps() -> None:
    configuration = settings(warmup_steps=5)
    for step in range(5):
        assert learning_rate(step, None, configuration) == learning_rate(step, 1000, configuration)
