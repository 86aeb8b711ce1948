r"""Symbols as the API's tokens: each with a name of its own and a place in the text.

A character is its own name. A byte that is no character by itself is `bytes:\xNN`, as OpenAI
writes such tokens.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ricorda.engine import Symbols
from ricorda.engine.backend import Ids
from ricorda.text.vocabulary import Vocabulary


class SymbolNames:
    """The name of each symbol of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.names = [_name(vocabulary, symbol) for symbol in range(vocabulary.size)]
        """The names, by id."""


def _name(vocabulary: Vocabulary, symbol: int) -> str:
    if vocabulary.kind == "bytes" and symbol >= 128:
        return f"bytes:\\x{symbol:02x}"
    return vocabulary.decode([symbol])


@dataclass
class Passage:
    """Consecutive symbols of a choice of an answer."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    log_probabilities: list[float | None] = field(default_factory=list)
    alternatives: list[dict[str, float] | None] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


LOWEST = -9999.0
"""The log-probability of a symbol that is impossible: JSON has no infinity."""


class Reader:
    """Turns symbols into passages as they come; knows how far the text has got."""

    def __init__(
        self, vocabulary: Vocabulary, names: SymbolNames, *, logprobs: int | None, offset: int = 0
    ) -> None:
        """Begin `offset` characters into a text; without `logprobs` only text and ids are read."""
        self._names = names.names
        self._one_by_one = vocabulary.kind == "bytes"
        self._decoder = vocabulary.decoder()
        self._logprobs = logprobs
        self._offset = offset

    def read(self, symbols: Symbols) -> Passage:
        """Take some symbols that the model wrote or expected more or less."""
        text, offsets = self.place(symbols.ids)
        passage = Passage(text, symbols.ids.tolist())
        if self._logprobs is not None:
            passage.offsets = offsets
            passage.tokens = self.names(symbols.ids)
            passage.log_probabilities = self.log_probabilities(symbols)
            passage.alternatives = self.alternatives(symbols)
        return passage

    def names(self, ids: Ids) -> list[str]:
        """Return the names of symbols."""
        return [self._names[symbol] for symbol in ids.tolist()]

    def log_probabilities(self, symbols: Symbols) -> list[float | None]:
        """Return each symbol's log-probability; None for the first of a text, which has none."""
        values = np.maximum(symbols.log_probabilities, LOWEST).tolist()
        return [None if math.isnan(value) else value for value in values]

    def alternatives(self, symbols: Symbols) -> list[dict[str, float] | None]:
        """Return the likeliest symbols in the place of each, and the symbol itself."""
        best = symbols.alternative_ids[:, : self._logprobs].tolist()
        log_probabilities = symbols.alternative_log_probabilities[:, : self._logprobs]
        best_values = np.maximum(log_probabilities, LOWEST).tolist()
        return [
            None
            if own is None
            else dict(zip((self._names[other] for other in others), values, strict=True))
            | {self._names[symbol]: own}
            for symbol, own, others, values in zip(
                symbols.ids.tolist(),
                self.log_probabilities(symbols),
                best,
                best_values,
                strict=True,
            )
        ]

    def finish(self) -> str:
        """Return what is left: a character that was never completed, as U+FFFD."""
        rest = self._decoder.finish()
        self._offset += len(rest)
        return rest

    @property
    def offset(self) -> int:
        """How many characters there are so far."""
        return self._offset

    def place(self, ids: Ids) -> tuple[str, list[int]]:
        """Decode symbols; return the text and, with `logprobs`, where each symbol begins in it."""
        if self._logprobs is None or not self._one_by_one:
            text, begin = self._decoder.decode(ids), self._offset
            self._offset += len(text)
            return text, [] if self._logprobs is None else list(range(begin, self._offset))
        texts, offsets = [], []
        for symbol in ids.tolist():
            text = self._decoder.decode([symbol])
            texts.append(text)
            self._offset += len(text)
            # The byte belongs to the last character, as if the text ended here.
            offsets.append(self._offset + len(self._decoder.pending) - 1)
        return "".join(texts), offsets
