"""How closely units go with features: one effect size for all, computed in bounded memory.

Both the unit and the feature are replaced by their ranks, equal values sharing the mean of theirs,
and the effect is the slope of the unit's rank on the feature's:

    effect = cov(rank(unit), rank(feature)) / var(rank(feature))

It lies between -1 and 1, and only its size matters where a direction has no meaning. It is 1 where
the unit is larger at every place where the feature is larger, and about 0 where they have nothing
to do with each other, for yes-or-no features and numbers alike, so that all may be compared:

- for a feature of two values it is the rank-biserial correlation (Cureton, 1956; Glass, 1965),
  2 * AUC - 1: take a place with the feature and one without, and it tells how much more often than
  not the unit is larger at the former. A rare feature can reach 1 as well as a frequent one, which
  it could not by the ordinary correlation.
- for a feature without equal values it is Spearman's (1904) rank correlation.

A unit's values are taken to 1/2048 of the range of its nonlinearity before they are ranked. What
is finer makes no difference to who reads them, and a unit that is stuck has one value and no rank.
"""

import tempfile
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.engine import Model
from ricorda.engine.backend import Array, Ids
from ricorda.insight.features import Column
from ricorda.insight.units import read_activations

LEVELS = 4_097  # from -1 to 1 in steps of 1/2048
LARGEST_IN_MEMORY = 64 * 1024 * 1024  # bytes of levels; more lies in a file without a name
UNITS_AT_ONCE = 128

Levels: TypeAlias = NDArray[np.uint16]
"""The units' values, in steps, (T, N)."""

Effects: TypeAlias = NDArray[np.float32]
"""Effects by shift, unit and feature, (S, N, F)."""


def read_levels(model: Model, ids: Ids) -> Levels:
    """Read a text, ids (T,), and keep every unit's output in steps: (T, N), layers in order."""
    configuration = model.configuration
    shape = (len(ids), configuration.num_layers * configuration.hidden_size)
    levels = _room(shape)
    relu = not configuration.is_bounded
    for block in read_activations(model, ids):
        hidden = block.arrays["hidden"].reshape(-1, shape[1])
        levels[block.begin : block.begin + len(hidden)] = to_levels(hidden, relu)
    return levels


def to_levels(values: Array, relu: bool) -> Levels:
    """Round values to steps; those of relu, which have no upper end, by x / (1 + x)."""
    bounded = values / (1 + values) if relu else values
    steps = np.rint((bounded.astype(np.float32) + 1) * (LEVELS // 2))
    return np.clip(steps, 0, LEVELS - 1).astype(np.uint16)


def _room(shape: tuple[int, int]) -> Levels:
    """An array in memory, or where that would be large, in a file that goes by itself."""
    if shape[0] * shape[1] * 2 <= LARGEST_IN_MEMORY:
        return np.empty(shape, np.uint16)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint16, mode="w+", shape=shape)


class Ranks:
    """The ranks of features over one part of a text, ready to be compared with units."""

    def __init__(self, columns: list[Column]) -> None:
        """Rank F columns (T,), none of which is constant."""
        ranks = [_midranks(column) for column in columns]
        slopes = [(rank - rank.mean()) / (rank.var() * len(rank)) for rank in ranks]
        self._slopes = np.stack(slopes, axis=1).astype(np.float32)  # (T, F)

    def effects(self, levels: Levels, shifts: Sequence[int] = (0,)) -> Effects:
        """Compare units, levels (T, N), with the features, once for each shift: (S, N, F).

        A shift of s moves the features s places on, those that leave the end coming in at the
        beginning; 0 compares them as they are.
        """
        length, features = self._slopes.shape
        units = levels.shape[1]
        twice = np.concatenate([self._slopes, self._slopes])
        found = np.empty((len(shifts), units, features), np.float32)
        for begin in range(0, units, UNITS_AT_ONCE):
            here = slice(begin, begin + UNITS_AT_ONCE)
            ranks = unit_ranks(levels[:, here]).T  # (n, T)
            for number, shift in enumerate(shifts):
                first = (length - shift) % length
                found[number, here] = ranks @ twice[first : first + length]
        return found


def _midranks(values: Column) -> NDArray[np.float64]:
    """Rank values (T,) from 0 to 1; equal ones share the mean of their ranks."""
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    return _rank_of_level(count)[number]


def _rank_of_level(count: NDArray[np.int64]) -> NDArray[np.float64]:
    """The rank of each value in ascending order, by how often each occurs."""
    found: NDArray[np.float64] = (np.cumsum(count) - count / 2) / count.sum()
    return found


def unit_ranks(levels: Levels) -> NDArray[np.float32]:
    """Rank each of some units' levels (T, N) over time, from 0 to 1: (T, N)."""
    ranks = np.empty(levels.shape, np.float32)
    for unit in range(levels.shape[1]):
        column = np.ascontiguousarray(levels[:, unit])
        table = _rank_of_level(np.bincount(column, minlength=LEVELS)).astype(np.float32)
        ranks[:, unit] = table[column]
    return ranks
