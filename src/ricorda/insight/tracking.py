"""What each unit of a model tracks in a text, and whether that could be chance.

The text is cut in two. The first part says which feature goes best with each unit, and in which
direction; the second part, which had no say in that, says how closely they go together. So the
largest of many effects is not reported for being the largest: one question is asked of each unit.

A feature that occurs in a few places close together goes with many units by chance. Each feature
is therefore allowed what chance makes of it, twice the root mean square of its effects with moved
labels, before the largest is chosen; the effects that are reported are not reduced by it.

The control asks the same of the same units and the same labels, moved along the text in a circle.
Neighbouring places are alike, in the unit as in the feature: thousands of places may hold a dozen
quotations. A plain permutation of the labels would make them jump at every place, which nothing in
a network does, and would call almost anything significant. The moved labels are as slow as the
true ones and stand elsewhere, so that effects of their kind are what chance alone makes.

Many units are asked. The p-value of each therefore counts the shifts in which any unit at all came
out as far (maxT, Westfall & Young, 1993), each effect divided by how much effects with its feature
vary by chance, so that a feature of few occurrences does not set the bar for all others.

The effect is the same for all features. The unit and the feature are replaced by their ranks, equal
values sharing the mean of theirs, and the effect is the slope of the unit's rank on the feature's:

    effect = cov(rank(unit), rank(feature)) / var(rank(feature))

It lies between -1 and 1, and only its size matters where a direction has no meaning. It is 1 where
the unit is larger at every place where the feature is larger, and about 0 where they have nothing
to do with each other, for yes-or-no features and numbers alike, so that all may be compared:

- for a feature of two values it is the rank-biserial correlation (Cureton, 1956; Glass, 1965),
  2 * AUC - 1: take a place with the feature and one without, and it is how much more often than
  not the unit is larger at the former. A rare feature can reach 1 as well as a frequent one, which
  it could not by the ordinary correlation.
- for a feature without equal values it is Spearman's (1904) rank correlation.

A unit's values are taken to 1/2048 of the range of its nonlinearity before they are ranked. What
is finer makes no difference to who reads them, and a unit that is stuck has one value and no rank.
"""

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine import Model
from ricorda.engine.backend import Array, Ids
from ricorda.errors import ConfigurationError, TextError
from ricorda.insight.features import Column, Feature, describe
from ricorda.insight.units import Text, Unit, known_text, read_activations

SYMBOLS = 50_000  # read by default
SHIFTS = 39  # the least p-value is 1 / 40
LEAST_SHIFT = 0.05  # of a part's length: moved labels stand clear of their own places
LEAST_OCCURRENCES = 10  # places with a feature, and without, in each part
LEAST_RUNS = 4  # stretches with a feature in each part, or times that a number falls
SHORTEST = 200  # symbols
SIGNIFICANT = 0.05  # the p-value up to which units come first in the ranking
LEVELS = 4_097  # from -1 to 1 in steps of 1/2048
LARGEST_IN_MEMORY = 64 * 1024 * 1024  # bytes of levels; more lies in a file without a name
UNITS_AT_ONCE = 128


Levels: TypeAlias = NDArray[np.uint16]
"""The units' values, in steps, (T, N)."""

Effects: TypeAlias = NDArray[np.float32]
"""Effects by shift, unit and feature, (S, N, F)."""

Progress: TypeAlias = Callable[[float], None]
"""Receives the share that is done."""

Numbers: TypeAlias = NDArray[np.float32]
Value = TypeVar("Value", np.float32, np.uint16)


@dataclass(frozen=True, slots=True)
class Tracking:
    """The feature that one unit tracks best."""

    unit: Unit
    feature: Feature
    direction: int
    """1 where the unit is larger with the feature, -1 where it is smaller."""

    effect: float
    """On the second part, in that direction: 1 at most, about 0 if it was chance."""

    fitted_effect: float
    """On the first part, which chose the feature."""

    control: float
    """The same as `effect` with moved labels: the root of its mean square over all shifts."""

    p_value: float
    """How likely chance alone makes one of all units go so far: 1 / (shifts + 1) at least."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """What every unit tracks; L layers, H units each, F features."""

    ranking: tuple[Tracking, ...]
    """One entry a unit: first those of a p-value up to 0.05, then the others, the largest effect on
    the second part first in each."""

    features: tuple[Feature, ...]
    effects: Numbers
    """Of the second part, with signs, (F, L, H)."""

    fitted_effects: Numbers
    """Of the first part, with signs, (F, L, H)."""

    symbols: int
    """How many symbols were read, both parts together."""

    shifts: int

    control_best: tuple[float, ...]
    """The largest effect of all units, once for each shift: the whole procedure, fit and all, on
    moved labels. What the first of the ranking would be if the units tracked nothing."""

    @checked
    def of(self, unit: Unit) -> Tracking:
        """Find one unit's entry. Raises KeyError if there is none."""
        for entry in self.ranking:
            if entry.unit == unit:
                return entry
        raise KeyError(unit)

    @checked
    def units_for(self, key: str, count: int = 10) -> list[tuple[Unit, float]]:
        """List the units that go most closely with one feature, with signed effects.

        They are chosen by the first part and their effects are the second's. Raises
        ConfigurationError if the text has no such feature.
        """
        keys = [feature.key for feature in self.features]
        if key not in keys:
            raise ConfigurationError(
                f"expected a feature that changes in this text, one of {', '.join(keys)}; "
                f"got {key!r}"
            )
        number = keys.index(key)
        chosen = np.argsort(-np.abs(self.fitted_effects[number]), axis=None, kind="stable")[:count]
        hidden_size = self.effects.shape[2]
        return [
            (Unit(*divmod(place, hidden_size)), float(self.effects[number].flat[place]))
            for place in chosen.tolist()
        ]


class _Selection(NamedTuple):
    """The feature that each of N units goes best with, and the sign of its effect."""

    feature: NDArray[np.intp]  # (N,)
    direction: Numbers  # (N,)

    def apply(self, effects: Effects) -> Numbers:
        """Take each unit's effect with its feature, in its direction: (S, N, F) -> (S, N)."""
        taken = np.take_along_axis(effects, self.feature[np.newaxis, :, np.newaxis], axis=2)
        found: Numbers = taken[..., 0] * self.direction
        return found


@checked
def track_units(
    model: Model,
    text: Text,
    *,
    symbols: int | None = SYMBOLS,
    shifts: int = SHIFTS,
    seed: int = 0,
    label: str | None = None,
    progress: Progress | None = None,
) -> Tracked:
    """Find what each unit's output tracks in a text.

    `symbols`: the most to read, None for all; `shifts`: controls with shifted labels; `seed`
    decides how far they are shifted; `label` is that of the text's documents; `progress` receives
    the share that is done, from 0 to 1. Places after characters that the model never saw do not
    count. Raises TextError for a text of less than 200 symbols or one in which no feature changes
    often enough, ConfigurationError for less than one shift.
    """
    if shifts < 1:
        raise ConfigurationError(f"shifts must be at least 1, got {shifts}")
    if symbols is not None and symbols < SHORTEST:
        raise ConfigurationError(f"symbols must be at least {SHORTEST}, got {symbols}")
    known = known_text(model, text).first(symbols)
    ids, counted = known.ids, known.counted(model.vocabulary)
    if len(ids) < SHORTEST:
        raise TextError(f"expected a text of at least {SHORTEST} symbols, got {len(ids)}")
    described = describe(model.vocabulary, ids)
    features, columns = _usable({each: column[counted] for each, column in described.items()})
    levels = read_levels(model, ids, label=label)
    if not counted.all():
        levels = levels[counted]
    fitted, held_out = _both_parts(levels, columns, shifts, seed, progress or _unwatched)
    shape = (len(features), model.configuration.num_layers, model.configuration.hidden_size)
    allowance = 2 * _by_chance(fitted[1:])
    selection = _select(fitted[0], allowance)
    return Tracked(
        ranking=_ranking(features, selection, fitted[0], held_out, shape[2]),
        features=features,
        effects=held_out[0].T.reshape(shape),
        fitted_effects=fitted[0].T.reshape(shape),
        symbols=len(ids),
        shifts=shifts,
        control_best=tuple(
            float(_select(first, allowance).apply(second[np.newaxis]).max())
            for first, second in zip(fitted[1:], held_out[1:], strict=True)
        ),
    )


def _usable(described: dict[Feature, Column]) -> tuple[tuple[Feature, ...], list[Column]]:
    """Keep the features that occur often enough in both parts of the text."""
    kept = {
        feature: column
        for feature, column in described.items()
        if all(_occurs(feature, part) for part in _parts(column))
    }
    if not kept:
        raise TextError(
            "expected a text in which quotes, words, lines or letters come and go, got one where "
            "none does often enough: give a longer text"
        )
    return tuple(kept), list(kept.values())


def _parts(whole: NDArray[Value]) -> tuple[NDArray[Value], NDArray[Value]]:
    """The part that chooses, and the part that measures."""
    half = len(whole) // 2
    return whole[:half], whole[half:]


def _occurs(feature: Feature, part: Column) -> bool:
    """Whether a part of a column says enough of its feature."""
    if not feature.is_binary:
        _, counts = np.unique(part, return_counts=True)
        falls = int(np.count_nonzero(part[1:] < part[:-1]))  # it comes back, again and again
        return falls >= LEAST_RUNS and len(part) - int(counts.max()) >= LEAST_OCCURRENCES
    values = part.astype(bool)
    occurrences = int(values.sum())
    runs = int(np.count_nonzero(values[1:] & ~values[:-1])) + int(values[0])
    rare = min(occurrences, len(values) - occurrences) < LEAST_OCCURRENCES
    return not rare and runs >= LEAST_RUNS


def _both_parts(
    levels: Levels, columns: Sequence[Column], shifts: int, seed: int, progress: Progress
) -> tuple[Effects, Effects]:
    """Give the effects of each part as the labels are, then moved by each shift: (1 + S, N, F)."""
    generator = np.random.default_rng(seed)
    found = []
    for number, part in enumerate(_parts(levels)):
        least = max(1, int(LEAST_SHIFT * len(part)))
        moved = generator.integers(least, len(part) - least, shifts, endpoint=True).tolist()
        ranks = Ranks([_parts(column)[number] for column in columns])
        done = functools.partial(_half_done, progress, number)
        found.append(ranks.effects(part, [0, *moved], done))
    return found[0], found[1]


def _half_done(progress: Progress, number: int, share: float) -> None:
    """Report the share of one of the two parts as a share of the whole."""
    progress((number + share) / 2)


def _unwatched(share: float) -> None:
    """Report nothing."""


def _by_chance(moved: Effects) -> Numbers:
    """How large effects with each feature are by chance: (S, N, F) -> (F,)."""
    found: Numbers = np.maximum(np.sqrt((moved**2).mean(axis=(0, 1))), 1e-6)
    return found


def _select(effects: Numbers, allowance: Numbers) -> _Selection:
    """Choose each unit's feature by the largest effect of any sign: effects (N, F).

    The allowance (F,) is taken off each effect first.
    """
    feature = (np.abs(effects) - allowance).argmax(axis=1)
    chosen = np.take_along_axis(effects, feature[:, np.newaxis], axis=1)[:, 0]
    return _Selection(feature, np.where(chosen < 0, -1, 1).astype(np.float32))


def _ranking(
    features: Sequence[Feature],
    selection: _Selection,
    fitted: Numbers,
    held_out: Effects,
    hidden_size: int,
) -> tuple[Tracking, ...]:
    """Put the units in order and say how far chance would go."""
    effects = selection.apply(held_out)  # (1 + S, N)
    p_values = _p_values(effects, held_out[1:], selection)
    controls = np.sqrt((effects[1:] ** 2).mean(axis=0))
    fitted_effects = selection.apply(fitted[np.newaxis])[0]
    order = np.lexsort((-fitted_effects, -effects[0], p_values > SIGNIFICANT))
    return tuple(
        Tracking(
            unit=Unit(*divmod(number, hidden_size)),
            feature=features[selection.feature[number]],
            direction=int(selection.direction[number]),
            effect=float(effects[0, number]),
            fitted_effect=float(fitted_effects[number]),
            control=float(controls[number]),
            p_value=float(p_values[number]),
        )
        for number in order.tolist()
    )


def _p_values(effects: Numbers, moved: Effects, selection: _Selection) -> NDArray[np.float64]:
    """Count the shifts in which some unit went as far as each did: (1 + S, N) -> (N,).

    Effects are divided by their feature's root mean square over all units and shifts.
    """
    scale = _by_chance(moved)[selection.feature]  # (N,)
    farthest = (effects[1:] / scale).max(axis=1)  # (S,)
    reached = (farthest[:, np.newaxis] >= effects[0] / scale).sum(axis=0)
    found: NDArray[np.float64] = (1 + reached) / (1 + len(farthest))
    return found


def read_levels(model: Model, ids: Ids, *, label: str | None = None) -> Levels:
    """Read a text, ids (T,), and keep every unit's output in steps: (T, N), layers in order."""
    configuration = model.configuration
    shape = (len(ids), configuration.num_layers * configuration.hidden_size)
    levels = _room(shape)
    bounded = configuration.is_bounded
    for block in read_activations(model, ids, label=label):
        hidden = block.arrays["hidden"].reshape(-1, shape[1])
        levels[block.begin : block.begin + len(hidden)] = to_levels(hidden, bounded)
    return levels


def within_one(values: Array, bounded: bool) -> Array:
    """Map outputs monotonically to -1 to 1; outputs without bounds by x / (1 + |x|)."""
    return values if bounded else values / (1 + np.abs(values))


def to_levels(values: Array, bounded: bool) -> Levels:
    """Round outputs to steps of the range of `within_one`."""
    steps = np.rint((within_one(values, bounded).astype(np.float32) + 1) * (LEVELS // 2))
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
        ranks = [midranks(column) for column in columns]
        slopes = [(rank - rank.mean()) / (rank.var() * len(rank)) for rank in ranks]
        self._slopes = np.stack(slopes, axis=1).astype(np.float32)  # (T, F)

    def effects(
        self,
        levels: Levels,
        shifts: Sequence[int] = (0,),
        progress: Progress = _unwatched,
    ) -> Effects:
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
                done = (begin + len(ranks) * (number + 1) / len(shifts)) / units
                progress(min(1.0, done))
        return found


def midranks(values: NDArray[Any]) -> NDArray[np.float64]:
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
