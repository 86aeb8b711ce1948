"""Successive halving: how much a search is expected to cost, and what its budget affords."""

import numpy as np
import pytest

from ricorda.experiments.halving import (
    FIRST_RUNG_UNITS,
    REDUCTION,
    RUNGS,
    UNITS,
    Spent,
    affords,
    expected_trials,
    next_rung,
    units_of,
)


def cost(losses: np.ndarray, planned: int) -> float:
    """The cost of a search whose trials have the same loss at both rungs, in whole trials."""
    total = 0.0
    at_rungs: tuple[list[float], list[float]] = ([], [])
    for number, loss in enumerate(losses):
        used = 1 / 9
        for rung, (seen, share) in enumerate(zip(at_rungs, (1 / 3, 1.0), strict=True)):
            seen.append(loss)
            place = sorted(seen)[max(1, len(seen) // 3) - 1]
            if number >= planned and loss > place:
                break
            used = share
            assert rung in (0, 1)
        total += used
    return total


@pytest.mark.parametrize("trials, planned", [(1, 1), (5, 1), (12, 1), (40, 2)])
def test_the_expected_cost_is_that_of_simulated_searches(
    trials: int, planned: int, random: np.random.Generator
) -> None:
    # The best trials at the first rung are the best at the second one too, where more of them
    # continue than of trials in random order: the expectation is a little low, never high.
    costs = [cost(random.standard_normal(trials), planned) for _ in range(4000)]
    assert expected_trials(trials, planned) == pytest.approx(np.mean(costs), rel=0.25)
    assert expected_trials(trials, planned) >= planned + (trials - planned) / 9


def test_rungs_are_whole_units_for_optuna() -> None:
    assert [units_of(rung) for rung in RUNGS] == [FIRST_RUNG_UNITS, FIRST_RUNG_UNITS * REDUCTION]
    assert units_of(1.0) == UNITS == FIRST_RUNG_UNITS * REDUCTION**2
    assert units_of(0.15) == 4


@pytest.mark.parametrize("share, rung", [(0, 1 / 9), (1 / 9, 1 / 3), (0.2, 1 / 3), (1 / 3, 1.0)])
def test_the_next_rung(share: float, rung: float) -> None:
    assert next_rung(share) == rung


@pytest.mark.parametrize(
    "left, budget, is_affordable",
    [
        (0, 1.5, True),  # the other trial's 0.5 and a whole one
        (0, 1.4, False),
        (9, 2.5, True),  # and a ninth for each of the nine that are to come
        (9, 2.4, False),
    ],
)
def test_a_trial_continues_within_the_budget(left: int, budget: float, is_affordable: bool) -> None:
    spent = [Spent(0.5, 1.0, is_running=False), Spent(0.34, 1 / 3, is_running=True)]
    # It has used a little more than was promised, which counts.
    slack = 0.34 - 1 / 3
    assert affords(spent, left, 1 / 3, 1.0, budget + slack) is is_affordable
