"""How well two ways of measuring influence agree."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.errors import ConfigurationError

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlations of the sizes of two influences, (M, D) each; None where none exists."""

    at_a_place: float | None
    """Over the distances of one place, the mean of all places: do both point at the same past
    symbols?"""

    recency: float | None
    """The same with each place compared with the next one: what agrees merely because near symbols
    matter more than far ones anywhere."""

    at_a_distance: float | None
    """Over the places at one distance, the mean of all distances: do both point at the same
    places? Recency has no part in it."""


@checked
def agreement(first: Numbers, second: Numbers) -> Agreement:
    """Compare two influences of the same places and distances, (M, D), by their sizes' ranks.

    Raises ConfigurationError if their shapes differ.
    """
    if first.shape != second.shape:
        raise ConfigurationError(
            f"expected influences of the same places and distances, got the shapes "
            f"{first.shape} and {second.shape}"
        )
    ours, theirs = np.abs(first), np.abs(second)
    return Agreement(
        at_a_place=_mean_correlation(ours, theirs),
        recency=_mean_correlation(ours, np.roll(theirs, 1, axis=0)) if len(ours) > 1 else None,
        at_a_distance=_mean_correlation(ours.T, theirs.T),
    )


@checked
def rank_correlation(first: Numbers, second: Numbers) -> float | None:
    """Spearman's (1904) of two rows (n,), NaN left out; None if one has no two values."""
    known = ~(np.isnan(first) | np.isnan(second))
    ranks = [_ranks(values[known]) for values in (first, second)]
    if any(len(rank) < 2 or rank.std() == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Numbers) -> Numbers:
    """Ranks of values (n,), equal ones sharing the mean of theirs."""
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Numbers = (np.cumsum(count) - count / 2)[number]
    return ranks


def _mean_correlation(first: Numbers, second: Numbers) -> float | None:
    """The mean over rows, of those that have one."""
    each = [rank_correlation(one, other) for one, other in zip(first, second, strict=True)]
    found = [value for value in each if value is not None]
    return float(np.mean(found)) if found else None
