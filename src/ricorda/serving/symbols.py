r"""Symbols as the API's tokens: each with a name of its own and a place in the text.

A character is its own name. A byte that is no character by itself is `bytes:\xNN`, as OpenAI
writes such tokens.
"""

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
    """Some symbols in a row, as a choice of an answer tells them."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    log_probabilities: list[float | None] = field(default_factory=list)
    alternatives: list[dict[str, float] | None] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


class Reader:
    """Turns symbols into passages as they come; knows how far the text has got."""

    def __init__(
        self, vocabulary: Vocabulary, names: SymbolNames, *, logprobs: int | None, offset: int = 0
    ) -> None:
        """Begin `offset` characters into a text; without `logprobs` only text and ids are told."""
        self._names = names.names
        self._one_by_one = vocabulary.kind == "bytes"
        self._decoder = vocabulary.decoder()
        self._logprobs = logprobs
        self._offset = offset

    def read(self, symbols: Symbols) -> Passage:
        """Take some symbols that the model wrote or expected more or less."""
        passage = self._text_of(symbols.ids)
        if self._logprobs is None:
            return passage
        passage.tokens = [self._names[symbol] for symbol in passage.ids]
        chosen = symbols.log_probabilities.tolist()
        passage.log_probabilities = chosen
        best = symbols.alternative_ids[:, : self._logprobs].tolist()
        best_nats = symbols.alternative_log_probabilities[:, : self._logprobs].tolist()
        for token, nats, others, other_nats in zip(
            passage.tokens, chosen, best, best_nats, strict=True
        ):
            names = (self._names[other] for other in others)
            passage.alternatives.append(dict(zip(names, other_nats, strict=True)) | {token: nats})
        return passage

    def read_first(self, symbol: int) -> Passage:
        """Take the first symbol of a text, which nothing came before."""
        passage = self._text_of(np.array([symbol]))
        if self._logprobs is not None:
            passage.tokens = [self._names[symbol]]
            passage.log_probabilities = [None]
            passage.alternatives = [None]
        return passage

    def finish(self) -> str:
        """Hand back what is left: a character that was never completed, as U+FFFD."""
        rest = self._decoder.finish()
        self._offset += len(rest)
        return rest

    @property
    def offset(self) -> int:
        """How many characters there are so far."""
        return self._offset

    def _text_of(self, ids: Ids) -> Passage:
        passage = Passage(ids=ids.tolist())
        if self._logprobs is None:
            passage.text = self._decoder.decode(ids)
            self._offset += len(passage.text)
        elif not self._one_by_one:
            passage.text = self._decoder.decode(ids)
            end = self._offset + len(passage.text)
            passage.offsets = list(range(self._offset, end))
            self._offset = end
        else:
            for symbol in passage.ids:
                text = self._decoder.decode([symbol])
                passage.text += text
                self._offset += len(text)
                # The byte belongs to the last character that there would be if the text ended here.
                passage.offsets.append(self._offset + len(self._decoder.pending) - 1)
        return passage
