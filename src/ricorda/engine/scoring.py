"""How well a model predicts a text: each symbol's surprisal, and the figures of a whole text.

n symbols of an undivided text give n - 1 predictions: the first symbol is read and not predicted.
A document of n symbols gives n + 1: its first symbol is predicted after the boundary, and its end
as the boundary. The end counts in the nats and is no character.
Characters that the model never saw have no surprisal, and the network does not read them. The
character after them is predicted from a state that lacks them, so it is left out of all figures.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ricorda.arguments import checked
from ricorda.engine.accuracy import Accuracy
from ricorda.engine.backend import Ids, ScoringBackend
from ricorda.engine.chunks import overlapping, positions_at_once, scored, scored_text
from ricorda.engine.display.cards import figures_card, figures_words, scores_card, scores_words
from ricorda.engine.sampling import Mask, Probabilities, finite
from ricorda.errors import ConfigurationError, TextError
from ricorda.frames import Library, frame
from ricorda.text.unseen import Gap, Unseen, after_gaps, no_symbols_error
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

    unseen: int = 0
    """How many characters of the text the model never saw; they are not among `characters`."""

    left_out: int = 0
    """How many known characters are not counted because they follow unseen ones."""

    protocol: str = "carried"
    """`carried`: one state through the whole text; `window N`: a zero state every N symbols;
    `documents`: each document from a zero state, its end predicted too; `adaptive`: by a reader
    that learns from what it has read."""

    documents: int | None = None
    """How many documents the text has; None for an undivided text."""

    gaps: tuple[Gap, ...] = ()
    """The characters that the model never saw, and where they stood: of many, the first."""

    accuracy: Accuracy | None = None
    """How often the most likely label is the document's own, where documents have labels."""

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
        return self.nats / self.bytes / math.log(2) if self.bytes else math.nan

    @property
    def perplexity(self) -> float:
        """How many equally likely symbols are as hard to predict: exp(nats per symbol)."""
        nats_per_symbol = self.nats / self.predictions if self.predictions else math.nan
        return math.exp(nats_per_symbol) if nats_per_symbol < 700 else math.inf

    def __repr__(self) -> str:
        return f"<ricorda.Figures: {figures_words(self)}>"

    def _repr_html_(self) -> str:
        return figures_card(self)

    def as_json(self) -> dict[str, Any]:
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
            "unseen_characters": self.unseen,
            "left_out": self.left_out,
            **({"unseen": [gap.as_json() for gap in self.gaps]} if self.gaps else {}),
            "protocol": self.protocol,
            **({} if self.documents is None else {"documents": self.documents}),
            **({} if self.accuracy is None else {"classification": self.accuracy.as_json()}),
        }


@dataclass(frozen=True, eq=False)
class Scores:
    """How surprising each symbol of a text was, and what the model would have written instead."""

    vocabulary: Vocabulary

    ids: Ids
    """The symbols, (n,). Of a document, the boundary that ends it is the last."""

    nats: Probabilities
    """Their surprisals, (n,). NaN for the first of an undivided text, since nothing comes before
    it, and for the character after an unseen one."""

    alternative_ids: Ids
    """The N most likely symbols at each place, the most likely first, (n, N)."""

    alternative_probabilities: Probabilities
    """Their probabilities, (n, N); NaN where `nats` is."""

    gaps: tuple[Gap, ...] = ()
    """The characters of the text that the model never saw, and where they stood."""

    adaptive: bool = False
    """Whether the reader learned from what it had read, which is a protocol of its own."""

    def __repr__(self) -> str:
        return f"<ricorda.Scores: {scores_words(self)}>"

    def _repr_html_(self) -> str:
        return scores_card(self)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbols as a person may read them, line ends and odd bytes spelled out."""
        return tuple(self.vocabulary.label(symbol) for symbol in self.ids.tolist())

    @property
    def figures(self) -> Figures:
        """The figures of the whole text. Raises TextError if nothing was predicted."""
        unseen = Unseen(count=sum(len(gap.characters) for gap in self.gaps))
        divided = self.vocabulary.boundary is not None
        ids, nats = (self.ids, self.nats) if divided else (self.ids[1:], self.nats[1:])
        figures = _figures(
            self.vocabulary,
            [(ids, nats, ~np.isnan(nats))],
            "adaptive" if self.adaptive else "documents" if divided else "carried",
            unseen,
        )
        return replace(figures, documents=1 if divided else None, gaps=self.gaps)

    @checked
    def alternatives(self, position: int) -> list[tuple[str, float]]:
        """List the most likely symbols at one place and their probabilities; none where `nats` is
        NaN."""
        ids = self.alternative_ids[position].tolist()
        probabilities = self.alternative_probabilities[position].tolist()
        return [
            (self.vocabulary.label(symbol), probability)
            for symbol, probability in zip(ids, probabilities, strict=True)
            if not math.isnan(probability)
        ]

    @checked
    def to_frame(self, library: Library = "pandas") -> Any:
        """Return a table for pandas or polars, with a row for each symbol.

        Its columns are `symbol`, `nats` and `bits`; if there are alternatives, also `expected`, the
        most likely symbol, and `chance`, its probability.

        Raises MissingExtra if the library is not installed.
        """
        columns: dict[str, Any] = {
            "symbol": list(self.symbols),
            "nats": self.nats,
            "bits": self.nats / math.log(2),
        }
        if self.alternative_ids.shape[1]:
            likeliest = self.alternative_ids[:, 0].tolist()
            columns["expected"] = [self.vocabulary.label(symbol) for symbol in likeliest]
            columns["chance"] = self.alternative_probabilities[:, 0]
        return frame(columns, library)

    def characters(self) -> list[tuple[str, float]]:
        """List the characters and their surprisals, which for bytes are their bytes' sums.

        A character that holds the first symbol of an undivided text, or follows an unseen one, has
        NaN. A document's end is no character: it is left out.
        """
        decoder = self.vocabulary.decoder()
        found: list[tuple[str, float]] = []
        pending = 0.0
        for symbol, nats in zip(self.ids.tolist(), self.nats.tolist(), strict=True):
            pending = 0.0 if symbol == self.vocabulary.boundary else pending + nats
            if text := decoder.decode([symbol]):
                found.append((text, pending))
                pending = 0.0
        if rest := decoder.finish():
            found.append((rest, pending))
        return found


def score(
    backend: ScoringBackend,
    vocabulary: Vocabulary,
    ids: Ids,
    alternatives: int = 0,
    gaps: Sequence[Gap] = (),
    *,
    label: int = 0,
) -> Scores:
    """Read a text, ids (n,), from a zero state and return each symbol's surprisal.

    Of a model of documents, the text is one document: the boundaries around it are added.
    `gaps` are the characters of the text that the vocabulary lacks, `label` is the number of the
    document's label.

    Raises TextError for an empty text, ConfigurationError for less than 0 alternatives.
    """
    if len(ids) == 0:
        raise no_symbols_error()
    if alternatives < 0:
        raise ConfigurationError(f"alternatives must be at least 0, got {alternatives}")
    begin = 1
    read = ids
    if vocabulary.boundary is not None:
        begin = 0
        read = framed(ids, vocabulary.boundary)
        ids = read[1:]
    shape = (len(ids), min(alternatives, vocabulary.size))
    scores = Scores(
        vocabulary,
        ids,
        nats=np.full(len(ids), np.nan),
        alternative_ids=np.zeros(shape, ids.dtype),
        alternative_probabilities=np.full(shape, np.nan),
        gaps=tuple(gaps),
    )
    for block, found in scored_text(backend, [read], alternatives, label):
        here = slice(begin, begin + block.shape[1] - 1)
        scores.nats[here] = finite(found.nats[0])
        scores.alternative_ids[here] = found.alternative_ids[0]
        scores.alternative_probabilities[here] = np.exp(-found.alternative_nats[0])
        begin = here.stop
    artefacts = after_gaps(ids, gaps, vocabulary)
    scores.nats[artefacts] = np.nan
    scores.alternative_probabilities[artefacts] = np.nan
    return scores


def framed(ids: Ids, boundary: int) -> Ids:
    """Return the symbols of a document, (n,), with a boundary before and after them, (n + 2,)."""
    end = np.array([boundary], np.uint32)
    return np.concatenate([end, ids.astype(np.uint32), end])


def evaluate(
    backend: ScoringBackend,
    vocabulary: Vocabulary,
    pieces: Iterable[Ids],
    window: int | None = None,
    unseen: Unseen | None = None,
) -> Figures:
    """Measure how well a text is predicted; it may be longer than memory and come in pieces.

    Without a window the state is carried through the whole text. With a window the text is cut
    into windows that predict `window` symbols each (the last one may be shorter) and start from a
    zero state. Either way each symbol but the first is predicted once. `unseen` is filled while the
    pieces are encoded: what comes after unseen characters is not counted. Raises TextError for a
    text of less than two symbols, ConfigurationError for a window of less than 1.
    """
    if window is not None and window < 1:
        raise ConfigurationError(f"window must be at least 1, got {window}")
    counting = _Counting(vocabulary, Unseen() if unseen is None else unseen)
    if window is None:
        predicted, protocol = _carried(backend, pieces, counting), "carried"
    else:
        predicted, protocol = _windowed(backend, pieces, window, counting), f"window {window}"
    return _figures(vocabulary, predicted, protocol, counting.unseen)


Predicted = tuple[Ids, Probabilities, Mask]
"""Symbols that were predicted, their surprisals in nats, and which of them count; one shape."""


class _Counting:
    """Says which symbols of a text count, block by block, each overlapping the next by one."""

    def __init__(self, vocabulary: Vocabulary, unseen: Unseen) -> None:
        self._vocabulary = vocabulary
        self.unseen = unseen
        self._begin = 0

    def targets(self, block: Ids) -> Mask:
        """Which of a block's targets count: (T + 1,) -> (T,)."""
        artefacts = after_gaps(block, self.unseen.gaps, self._vocabulary, self._begin)
        self._begin += len(block) - 1
        self.unseen.forget(self._begin)
        return ~artefacts[1:]


def _figures(
    vocabulary: Vocabulary, predicted: Iterable[Predicted], protocol: str, unseen: Unseen
) -> Figures:
    nats, predictions, characters, bytes, left_out = 0.0, 0, 0, 0, 0
    for targets, surprisal, counts in predicted:
        nats += float(surprisal[counts].sum())
        more_characters, more_bytes = vocabulary.count(targets[counts])
        predictions += int(np.count_nonzero(counts))
        characters += more_characters
        bytes += more_bytes
        left_out += vocabulary.count(targets[~counts])[0]
    if predictions == 0:
        raise TextError(
            "expected a text of at least two symbols in a row that the model knows, got less: "
            + (unseen.describe("the text") if unseen.count else "there is nothing to predict")
        )
    return Figures(
        nats,
        predictions,
        characters,
        bytes,
        unseen.count,
        left_out,
        protocol,
        gaps=tuple(unseen.first),
    )


def _carried(
    backend: ScoringBackend, pieces: Iterable[Ids], counting: _Counting
) -> Iterator[Predicted]:
    """Read the whole text with one carried state."""
    for block, found in scored_text(backend, pieces):
        yield block[:, 1:], finite(found.nats), counting.targets(block[0])[np.newaxis]


def _windowed(
    backend: ScoringBackend, pieces: Iterable[Ids], window: int, counting: _Counting
) -> Iterator[Predicted]:
    """Read many windows side by side, and what is left after them as one more."""
    rows = max(1, min(WINDOWS_AT_ONCE, IDS_AT_ONCE // window))
    for block in overlapping(pieces, rows * window):
        counts = counting.targets(block)
        whole = (len(block) - 1) // window * window
        if whole:
            yield from _cold(backend, block[: whole + 1], counts[:whole], window)
        if len(counts) > whole:
            yield from _cold(backend, block[whole:], counts[whole:], len(counts) - whole)


def _cold(backend: ScoringBackend, block: Ids, counts: Mask, length: int) -> Iterator[Predicted]:
    """Read windows side by side from a zero state: ids (B * length + 1,), counts (B * length,)."""
    windows = np.lib.stride_tricks.sliding_window_view(block, length + 1)[::length]  # (B, N + 1)
    chunk = max(1, positions_at_once(backend.configuration) // len(windows))
    begins = range(0, length, chunk)
    blocks = (windows[:, begin : begin + chunk + 1] for begin in begins)
    counts = counts.reshape(-1, length)
    for begin, (part, found) in zip(begins, scored(backend, blocks), strict=True):
        yield part[:, 1:], finite(found.nats), counts[:, begin : begin + chunk]
