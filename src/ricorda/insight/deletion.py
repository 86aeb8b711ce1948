"""How much each past symbol matters to what is expected next, by changing it and reading again.

`agreement` compares what is found with another measure, such as gradients.

A symbol d places before the predicted one is left out, or replaced by others, and the text is read
again from there. Two figures say what that did:

nats         how much more surprising the symbol became that really followed. Negative where the
             model expected it better without.
divergence   Kullback & Leibler's (1951), from the probabilities with all symbols to those with the
             change, over the whole vocabulary: 0 where nothing changed, whatever really followed.

Leaving out moves all that came before one place nearer, which a network that counts will notice;
replacing keeps the places and asks about the symbol alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine import Model
from ricorda.engine.backend import Array, Ids, State
from ricorda.engine.chunks import read
from ricorda.engine.sampling import Probabilities, finite, log_softmax
from ricorda.errors import ConfigurationError, TextError
from ricorda.insight.tracking import midranks
from ricorda.insight.units import Text, known_text, labels_of
from ricorda.text.unseen import KnownText
from ricorda.text.vocabulary import Vocabulary

DISTANCE = 50
PLACES = 32
DRAWS = 4  # other symbols that stand in for a replaced one
NUMBERS_AT_ONCE = 2**23  # of the states and logits of all streams

Method: TypeAlias = Literal["leave out", "replace"]
METHODS: tuple[Method, ...] = ("leave out", "replace")

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Influence:
    """What a change of one past symbol does, at M places and D distances.

    NaN stands where a text does not go back so far.
    """

    method: Method
    symbols: tuple[str, ...]
    """The whole text's, as a person may read them."""

    positions: Places
    """The symbols that were predicted, by their numbers in the text, (M,)."""

    nats: Numbers
    """How many nats more surprising each became without the symbol d + 1 before it, (M, D)."""

    divergence: Numbers
    """How many nats the probabilities went away, (M, D)."""

    @property
    def distances(self) -> range:
        """1 for the symbol just before, up to D."""
        return range(1, self.nats.shape[1] + 1)

    @property
    def mean_divergence(self) -> Numbers:
        """The mean of all places by distance, (D,); NaN for a distance that none has."""
        return _mean(self.divergence)

    @property
    def mean_nats(self) -> Numbers:
        """The same of the change in surprisal."""
        return _mean(self.nats)

    @checked
    def at(self, row: int) -> list[tuple[int, str, float, float]]:
        """List one place's past: (position, symbol, nats, divergence), the nearest first."""
        position = int(self.positions[row])
        return [
            (position - far, self.symbols[position - far], float(nats), float(divergence))
            for far, nats, divergence in zip(
                self.distances, self.nats[row], self.divergence[row], strict=True
            )
            if far <= position
        ]


@checked
def influence(
    model: Model,
    text: Text,
    positions: Sequence[int] | None = None,
    *,
    distance: int = DISTANCE,
    method: Method = "leave out",
    seed: int = 0,
    label: str | None = None,
) -> Influence:
    """Measure how much each of the `distance` symbols before some places matters there.

    `positions` are the predicted symbols' numbers, at least 1; if not given, up to 32 spread over
    the text, none of them right after a character that the model never saw. `seed` decides
    which symbols replace one; they are drawn from the text, and the figures are the mean of four.
    `label` is that of the text's documents; what precedes a document has no influence in it.
    Raises ConfigurationError for a position outside the text or an unknown label, TextError for a
    text of less than two symbols.
    """
    if distance < 1:
        raise ConfigurationError(f"distance must be at least 1, got {distance}")
    known = known_text(model, text)
    ids = known.ids
    places = chosen_places(known, model.vocabulary, positions, distance)
    labels = labels_of(model, label, len(ids))
    draw = _Replacements(ids, model.vocabulary, seed) if method == "replace" else None
    nats = np.full((len(places), distance), np.nan)
    divergence = np.full((len(places), distance), np.nan)
    reach = min(distance, int(places.max()))  # none has more symbols before it
    configuration = model.configuration
    state_size = configuration.state_parts * configuration.num_layers * configuration.hidden_size
    width = reach * (DRAWS if draw else 1) * (state_size + configuration.vocabulary_size)
    at_once = max(1, NUMBERS_AT_ONCE // width)
    order = np.argsort(places, kind="stable")
    reader = _Reader(model, ids, labels)
    for begin in range(0, len(order), at_once):
        rows = order[begin : begin + at_once]
        before = reader.before(places[rows] - reach)
        nats[rows, :reach], divergence[rows, :reach] = _read_changed(
            model, ids, places[rows], *before, reach, draw, labels
        )
    symbols = tuple(model.vocabulary.label(symbol) for symbol in ids.tolist())
    return Influence(method, symbols, places, nats, divergence)


def chosen_places(
    text: KnownText, vocabulary: Vocabulary, positions: Sequence[int] | None, distance: int
) -> Places:
    """Return positions (M,): those given, or some spread over the text.

    Raises ConfigurationError for a position that `influence` does not take, TextError for a text
    of less than two symbols.
    """
    ids = text.ids
    if len(ids) < 2:
        raise TextError(
            "expected a text of at least two symbols that the model knows, got less: "
            "nothing comes before the first"
        )
    if positions is None:
        first = min(distance, len(ids) - 1)
        possible = first + np.flatnonzero(text.counted(vocabulary)[first:])
        if len(possible) == 0:
            possible = np.arange(first, len(ids))
        chosen = np.linspace(0, len(possible) - 1, PLACES).astype(np.int64)
        return np.unique(possible[chosen])
    if not positions or min(positions) < 1 or max(positions) >= len(ids):
        raise ConfigurationError(
            f"expected positions from 1 to {len(ids) - 1} in this text, got {list(positions)}"
        )
    return np.array(positions, np.int64)


def _mean(values: Numbers) -> Numbers:
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total: Numbers = np.where(known, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


class _Reader:
    """Reads a text once, and gives its states at ascending places."""

    def __init__(self, model: Model, ids: Ids, labels: Ids | None) -> None:
        self._backend = model.backend
        self._ids = ids
        self._labels = labels
        self._read = 0
        self._state = model.backend.zero_state(1)
        self._logits = np.full(model.vocabulary.size, np.nan, self._state.dtype)

    def before(self, places: Places) -> tuple[State, Array]:
        """Give the states (S, L, M, H) and logits (M, V) after all symbols before M places.

        Before the first symbol, which is where a place below 0 is, logits are NaN.
        """
        states, logits = [], []
        for place in np.maximum(places, 0).tolist():
            if place > self._read:
                part = self._ids[self._read : place]
                labels = None if self._labels is None else self._labels[: len(part)]
                self._logits, self._state = read(self._backend, part, self._state, labels=labels)
                self._read = place
            states.append(self._state)
            logits.append(self._logits)
        return np.concatenate(states, axis=2), np.stack(logits)


class _Replacements:
    """Draws other symbols, as frequent as they are in the text; never a boundary."""

    def __init__(self, ids: Ids, vocabulary: Vocabulary, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        counts = np.bincount(ids, minlength=vocabulary.size).astype(np.float64)
        if vocabulary.boundary is not None:
            counts[vocabulary.boundary] = 0
        if np.count_nonzero(counts) < 2:
            raise TextError("expected a text of at least two different symbols to replace by")
        self._counts = counts

    def draw(self, symbols: Ids) -> Ids:
        """Draw DRAWS others for each of some symbols (n,): (n * DRAWS,)."""
        drawn = np.empty((len(symbols), DRAWS), np.int64)
        for row, symbol in enumerate(symbols.tolist()):
            chances = self._counts.copy()
            chances[symbol] = 0
            drawn[row] = self._generator.choice(len(chances), DRAWS, p=chances / chances.sum())
        return drawn.reshape(-1)


def _read_changed(
    model: Model,
    ids: Ids,
    places: Places,
    state: State,
    logits: Array,
    distance: int,
    draw: _Replacements | None,
    labels: Ids | None,
) -> tuple[Numbers, Numbers]:
    """Read up to some places, with one symbol changed at each distance: nats and divergence (M, D).

    state (S, L, M, H) and logits (M, V) are those `distance` symbols before the places. Of each
    place one stream reads the text as it is, and one or DRAWS for each distance a changed one. All
    read at the same time, so that one step serves them all; a changed stream begins at its change,
    as a copy of the unchanged one.
    """
    copies = DRAWS if draw else 1
    far_back = np.repeat(np.arange(distance, 0, -1), copies)
    changed_at = np.concatenate([[distance + 1], far_back])  # of a place's streams, unchanged first
    width = len(changed_at)
    state, logits = np.repeat(state, width, axis=2), np.repeat(logits, width, axis=0)
    place, change = np.repeat(places, width), np.tile(changed_at, len(places))
    unchanged = np.arange(len(place)) // width * width
    for far in range(distance, 0, -1):
        begins = np.flatnonzero((change == far) & (place >= far))
        source = unchanged[begins]
        state[:, :, begins], logits[begins] = state[:, :, source], logits[source]
        symbols = ids[np.maximum(place - far, 0)].astype(np.int64)
        if draw:
            symbols[begins] = draw.draw(symbols[begins][::copies])
        rows = np.flatnonzero((place >= far) & (change >= (far if draw else far + 1)))
        beside = None if labels is None else np.full(len(rows), labels[0])
        logits[rows], state[:, :, rows] = model.backend.step(
            symbols[rows], state[:, :, rows], labels=beside
        )
    finite(logits[::width])
    found = log_softmax(logits)
    expected = found[unchanged]
    stream, target = np.arange(len(place)), ids[place].astype(np.intp)

    def by_place(values: Numbers) -> Numbers:
        known = np.where(place < change, np.nan, values).reshape(len(places), width)
        means: Numbers = known[:, :0:-1].reshape(len(places), distance, copies).mean(axis=2)
        return means

    nats = expected[stream, target] - found[stream, target]
    return by_place(nats), by_place(_divergence(expected, found))


def _divergence(expected: Probabilities, found: Probabilities) -> Numbers:
    """sum(p (log p - log q)) over the vocabulary; 0 at least but for rounding: (n, V) -> (n,)."""
    found_divergence: Numbers = (np.exp(expected) * (expected - found)).sum(axis=-1)
    return found_divergence


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
    ranks = [midranks(values[known]) for values in (first, second)]
    if any(len(rank) < 2 or rank.std() == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _mean_correlation(first: Numbers, second: Numbers) -> float | None:
    """The mean over rows, of those that have one."""
    each = [rank_correlation(one, other) for one, other in zip(first, second, strict=True)]
    found = [value for value in each if value is not None]
    return float(np.mean(found)) if found else None
