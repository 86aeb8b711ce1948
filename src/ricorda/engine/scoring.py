"""How well a model predicts a text: each symbol's surprisal, and the figures of a whole text.

n symbols give n - 1 predictions, each once: the first symbol is read and nothing comes before it.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ricorda.arguments import checked
from ricorda.engine.backend import Backend, Ids
from ricorda.engine.chunks import overlapping, positions_at_once
from ricorda.engine.softmax import Probabilities, finite
from ricorda.errors import ConfigurationError, TextError
from ricorda.text.vocabulary import Vocabulary

WINDOWS_AT_ONCE = 64
IDS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Figures:
    """How well a whole text was predicted."""

    nats: float
    """The surprisal of all predicted symbols together."""

    predictions: int
    """How many symbols were predicted: bytes, in a model of bytes."""

    characters: int
    """How many characters they are (code points; for bytes, those that begin one)."""

    bytes: int
    """How many bytes they are in UTF-8."""

    protocol: str = "carried"
    """`carried`: one state through the whole text; `window N`: a zero state every N symbols."""

    @property
    def nats_per_character(self) -> float:
        """The mean surprisal of a character, by natural logarithms; NaN without characters."""
        return self.nats / self.characters if self.characters else math.nan

    @property
    def bits_per_character(self) -> float:
        """The mean surprisal of a character, by logarithms of base 2."""
        return self.nats_per_character / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """The mean surprisal of a UTF-8 byte: compares models of different vocabularies."""
        return self.nats / self.bytes / math.log(2)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely symbols the model hesitates: exp(nats per symbol)."""
        nats_per_symbol = self.nats / self.predictions
        return math.exp(nats_per_symbol) if nats_per_symbol < 700 else math.inf

    def as_json(self) -> dict[str, float | int | str | None]:
        """Give what `ricorda evaluate --json` prints; None stands for what is not finite."""
        figures = {
            "nats_per_character": self.nats_per_character,
            "bits_per_character": self.bits_per_character,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
        }
        return {
            **{name: value if math.isfinite(value) else None for name, value in figures.items()},
            "characters": self.characters,
            "bytes": self.bytes,
            "protocol": self.protocol,
        }


@dataclass(frozen=True, eq=False)
class Scores:
    """How surprising each symbol of a text was, and what the model would have written instead."""

    vocabulary: Vocabulary

    ids: Ids
    """The symbols, (n,)."""

    nats: Probabilities
    """Their surprisals, (n,); the first is NaN, since nothing comes before it."""

    alternative_ids: Ids
    """The N most likely symbols at each place, the most likely first, (n, N)."""

    alternative_probabilities: Probabilities
    """Their probabilities, (n, N); the first row is NaN."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols as a person may read them, line ends and odd bytes spelled out."""
        return tuple(self.vocabulary.label(symbol) for symbol in self.ids.tolist())

    @property
    def figures(self) -> Figures:
        """The figures of the whole text. Raises TextError if it is a single symbol."""
        return _figures(self.vocabulary, [(self.ids[1:], self.nats[1:])], "carried")

    @checked
    def alternatives(self, position: int) -> list[tuple[str, float]]:
        """List the most likely symbols at one place and their probabilities; none at the first."""
        ids = self.alternative_ids[position].tolist()
        probabilities = self.alternative_probabilities[position].tolist()
        return [
            (self.vocabulary.label(symbol), probability)
            for symbol, probability in zip(ids, probabilities, strict=True)
            if not math.isnan(probability)
        ]

    def characters(self) -> list[tuple[str, float]]:
        """List the characters and their surprisals, which for bytes are their bytes' sums.

        A character that holds the first symbol has NaN.
        """
        decoder = self.vocabulary.decoder()
        found: list[tuple[str, float]] = []
        pending = 0.0
        for symbol, nats in zip(self.ids.tolist(), self.nats.tolist(), strict=True):
            pending += nats
            if text := decoder.decode([symbol]):
                found.append((text, pending))
                pending = 0.0
        if rest := decoder.finish():
            found.append((rest, pending))
        return found


def score(backend: Backend, vocabulary: Vocabulary, ids: Ids, alternatives: int = 0) -> Scores:
    """Read a text, ids (n,), from a zero state and say how surprising each symbol was.

    Raises TextError for an empty text, ConfigurationError for less than 0 alternatives.
    """
    if len(ids) == 0:
        raise TextError("expected a text of at least one symbol that the model knows, got none")
    if alternatives < 0:
        raise ConfigurationError(f"alternatives must be at least 0, got {alternatives}")
    shape = (len(ids), min(alternatives, vocabulary.size))
    scores = Scores(
        vocabulary,
        ids,
        nats=np.full(len(ids), np.nan),
        alternative_ids=np.zeros(shape, ids.dtype),
        alternative_probabilities=np.full(shape, np.nan),
    )
    state = backend.zero_state(1)
    begin = 1
    for block in overlapping([ids], positions_at_once(backend.configuration)):
        row = block[np.newaxis]  # (1, T + 1)
        found, state = backend.score(row[:, :-1], row[:, 1:], state, alternatives)
        here = slice(begin, begin + len(block) - 1)
        scores.nats[here] = finite(found.nats[0])
        scores.alternative_ids[here] = found.alternative_ids[0]
        scores.alternative_probabilities[here] = np.exp(-found.alternative_nats[0])
        begin = here.stop
    return scores


def evaluate(
    backend: Backend, vocabulary: Vocabulary, pieces: Iterable[Ids], window: int | None = None
) -> Figures:
    """Say how well a text is predicted; it may be longer than memory and come in pieces.

    Without a window the state is carried through the whole text. With a window the text is cut
    into windows that predict so many symbols each (the last one may be shorter) and start from a
    zero state. Either way each symbol but the first is predicted once. Raises TextError for a text
    of less than two symbols, ConfigurationError for a window of less than 1.
    """
    if window is None:
        return _figures(vocabulary, _carried(backend, pieces), "carried")
    if window < 1:
        raise ConfigurationError(f"window must be at least 1, got {window}")
    return _figures(vocabulary, _windowed(backend, pieces, window), f"window {window}")


Predicted = tuple[Ids, Probabilities]
"""Symbols that were predicted and their surprisals in nats, of the same shape."""


def _figures(vocabulary: Vocabulary, predicted: Iterable[Predicted], protocol: str) -> Figures:
    nats, predictions, characters, bytes = 0.0, 0, 0, 0
    for targets, surprisal in predicted:
        nats += float(surprisal.sum())
        predictions += targets.size
        more_characters, more_bytes = vocabulary.count(targets)
        characters += more_characters
        bytes += more_bytes
    if predictions == 0:
        raise TextError(
            "expected a text of at least two symbols that the model knows, got less: "
            "there is nothing to predict"
        )
    return Figures(nats, predictions, characters, bytes, protocol)


def _carried(backend: Backend, pieces: Iterable[Ids]) -> Iterator[Predicted]:
    """Read the text in chunks, each from the state in which the last one ended."""
    state = backend.zero_state(1)
    for block in overlapping(pieces, positions_at_once(backend.configuration)):
        row = block[np.newaxis]  # (1, T + 1)
        found, state = backend.score(row[:, :-1], row[:, 1:], state)
        yield row[:, 1:], finite(found.nats)


def _windowed(backend: Backend, pieces: Iterable[Ids], window: int) -> Iterator[Predicted]:
    """Read many windows side by side, and what is left after them as one more."""
    rows = max(1, min(WINDOWS_AT_ONCE, IDS_AT_ONCE // window))
    for block in overlapping(pieces, rows * window):
        whole = (len(block) - 1) // window * window
        if whole:
            shape = (whole // window, window)
            yield from _cold(
                backend, block[:whole].reshape(shape), block[1 : whole + 1].reshape(shape)
            )
        if whole < len(block) - 1:
            yield from _cold(backend, block[np.newaxis, whole:-1], block[np.newaxis, whole + 1 :])


def _cold(backend: Backend, inputs: Ids, targets: Ids) -> Iterator[Predicted]:
    """Read windows side by side from a zero state: inputs and targets (B, N)."""
    streams, length = inputs.shape
    state = backend.zero_state(streams)
    chunk = max(1, positions_at_once(backend.configuration) // streams)
    for begin in range(0, length, chunk):
        here = slice(begin, begin + chunk)
        found, state = backend.score(inputs[:, here], targets[:, here], state)
        yield targets[:, here], finite(found.nats)
