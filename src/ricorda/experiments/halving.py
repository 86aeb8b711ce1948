"""How long the trials of a search train: successive halving within a total budget.

A trial is compared with the others at two rungs, after a ninth and a third of its budget, and only
the best third continues (asynchronous successive halving, Li et al., 2020, arXiv 1810.05934). The
planner's own trials always train to the end. All shares are of the budget of a whole trial.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

REDUCTION = 3  # one of so many trials continues at a rung
RUNGS = (1 / 9, 1 / 3)
UNITS = 27  # in which the progress of a trial is reported: whole numbers, 3 at the first rung
FIRST_RUNG_UNITS = 3


def units_of(share: float) -> int:
    """Return the share of a trial's budget in units."""
    return int(share * UNITS + 1e-6)


def expected_trials(trials: int, planned: int) -> float:
    """Return how many whole trials a search is expected to cost.

    It assumes that losses come in random order. planned: how many of the trials are the planner's.
    """
    first = _continuing(trials, planned)
    second = _continuing(math.ceil(first), planned)
    low, high = RUNGS
    return trials * low + first * (high - low) + second * (1 - high)


def _continuing(count: int, planned: int) -> float:
    """The expected number of trials that continue beyond a rung that `count` of them reach."""
    others = range(planned + 1, count + 1)
    return min(count, planned) + sum(max(1, place // REDUCTION) / place for place in others)


@dataclass(frozen=True)
class Spent:
    """What one trial has used, and up to which share it may train without asking again."""

    share: float
    until: float
    is_running: bool


def next_rung(share: float) -> float:
    """Return the first rung above a share; 1 is the end."""
    return next((rung for rung in RUNGS if rung > share + 1e-9), 1.0)


def affords(spent: Iterable[Spent], left: int, until: float, wanted: float, budget: float) -> bool:
    """Return whether a trial may continue to a further share within the budget of the search.

    spent: of all trials that began, this one among them, which may train until `until` so far and
    wants to reach `wanted`. left: how many have not begun; each will train to the first rung.
    budget: in whole trials.
    """
    promised = sum(max(each.until, each.share) if each.is_running else each.share for each in spent)
    return promised - until + wanted + left * RUNGS[0] <= budget + 1e-9
