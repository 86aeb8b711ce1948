"""Writing a text symbol by symbol: the loop from logits to pieces of text."""

import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.engine.backend import Array, Backend, Ids, State
from ricorda.engine.chunks import positions_at_once
from ricorda.engine.sampling import (
    SamplingSettings,
    choose,
    distribution,
    permitted_symbols,
    uniforms,
)
from ricorda.engine.softmax import log_softmax, most_likely_first
from ricorda.engine.stops import StopDetector
from ricorda.text.vocabulary import OnUnknown, Vocabulary

Ending = Literal["length", "stop"]
"""Why a text ended: it has the length asked for, or a stop string was complete."""

UnsignedInteger = Annotated[int, Field(ge=0, le=2**64 - 1)]


def _one_or_several(stop: object) -> object:
    return (stop,) if isinstance(stop, str) else stop


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", use_attribute_docstrings=True),
)
class GenerationSettings(SamplingSettings):
    """How a text is written: how symbols are chosen, how many, from which random numbers."""

    length: Annotated[int, Field(ge=0)] = 200
    """How many new symbols to write at most."""

    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_one_or_several)
    ] = ()
    """The text ends before the first of these strings, which is not part of it."""

    seed: UnsignedInteger | None = None
    """The same seed writes the same text; a fresh one is drawn if not given."""

    stream_index: UnsignedInteger = 0
    """Which of the seed's texts, all independent of each other."""

    alternatives: Annotated[int, Field(ge=0)] | None = None
    """Tell each symbol's log-probability and those of this many of the most likely ones."""

    on_unknown: OnUnknown = "skip"
    """A character of the prompt that the model never saw is left out (skip) or an error."""


@plain_dataclass(frozen=True, slots=True)
class WrittenSymbol:
    """One symbol that was written, and what the model thought of it."""

    id: int

    log_probability: float | None = None
    """In nats, of the model itself, before any sampling option; None if not asked for."""

    alternatives: tuple[tuple[int, float], ...] = ()
    """The most likely symbols and their log-probabilities, the most likely first."""


@plain_dataclass(frozen=True, slots=True)
class Piece:
    """A piece of new text, at least one character long, and the symbols that it consists of.

    In a vocabulary of bytes, that a byte is no part of a character (U+FFFD in the text) is known
    only by the byte after it, which then comes in the same piece.
    """

    text: str
    symbols: tuple[WrittenSymbol, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers of the symbols."""
        return tuple(symbol.id for symbol in self.symbols)


class Writer:
    """Everything of one stream but the network: takes logits, chooses symbols, hands back text.

    Knows no backend, so that any number of writers may share one batched step.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        settings: GenerationSettings,
        prompt: Sequence[int],
    ) -> None:
        """Begin after the symbols of a prompt; raises ConfigurationError if none may be written."""
        self.ended: Ending | None = None if settings.length else "length"
        self.written = 0
        """How many symbols were chosen, those of a stop string included."""
        self.seed = secrets.randbits(32) if settings.seed is None else settings.seed
        self._settings = settings
        self._permitted = permitted_symbols(settings, vocabulary)
        self._recent = deque(prompt, maxlen=settings.repetition_window)
        self._uniforms = uniforms(self.seed, settings.stream_index)
        self._decoder = vocabulary.decoder()
        self._stops = StopDetector(settings.stop)
        self._held = HeldSymbols()

    def write(self, logits: Array) -> tuple[int, Piece | None]:
        """Choose the next symbol from its logits, (V,); hand it back with the text now certain.

        Call it no more once `ended` is set.
        """
        probabilities = distribution(logits, self._settings, self._recent, self._permitted)
        chosen = choose(probabilities, next(self._uniforms))
        self._recent.append(chosen)
        self.written += 1
        text = self._decoder.decode([chosen])
        self._held.add(self._describe(chosen, logits), len(text))
        released = self._stops.feed(text)
        if self.written == self._settings.length:
            released += self._finish()
            self.ended = "length"
        if self._stops.stopped:
            self.ended = "stop"
        return chosen, Piece(released, self._held.release(len(released))) if released else None

    def _finish(self) -> str:
        """Hand back what the decoder and the stop strings still hold back."""
        rest = "" if self._stops.stopped else self._decoder.finish()
        if rest:
            self._held.extend(len(rest))
        return self._stops.feed(rest) + self._stops.finish()

    def _describe(self, chosen: int, logits: Array) -> WrittenSymbol:
        count = self._settings.alternatives
        if count is None:
            return WrittenSymbol(chosen)
        log_probabilities = log_softmax(logits)
        best = most_likely_first(log_probabilities)[:count]
        return WrittenSymbol(
            chosen,
            float(log_probabilities[chosen]),
            tuple((int(symbol), float(log_probabilities[symbol])) for symbol in best),
        )


class HeldSymbols:
    """The symbols whose characters were not handed out yet.

    A symbol without a character of its own (the first bytes of one) goes out with the next.
    """

    def __init__(self) -> None:
        # Each with the number of characters that it completed and that are still held.
        self._symbols: deque[tuple[WrittenSymbol, int]] = deque()

    def add(self, symbol: WrittenSymbol, characters: int) -> None:
        """Hold a symbol that completed this many characters."""
        self._symbols.append((symbol, characters))

    def extend(self, characters: int) -> None:
        """Count more characters, made of bytes left over at the end, to the last symbol."""
        symbol, already = self._symbols.pop()
        self._symbols.append((symbol, already + characters))

    def release(self, characters: int) -> tuple[WrittenSymbol, ...]:
        """Hand out the symbols of the next characters."""
        released: list[WrittenSymbol] = []
        while characters > 0:
            symbol, count = self._symbols.popleft()
            if count > characters:  # the symbol goes out with the last of its characters
                self._symbols.appendleft((symbol, count - characters))
                break
            released.append(symbol)
            characters -= count
        return tuple(released)


class Generation:
    """One text being written: iterate over it for its pieces, once.

    The pieces' texts make up the continuation of the prompt, whole characters only, without the
    stop string. Stopping to iterate stops the work.
    """

    def __init__(
        self,
        backend: Backend,
        vocabulary: Vocabulary,
        prompt: str,
        settings: GenerationSettings,
    ) -> None:
        """Check everything and read nothing yet.

        Raises VocabularyError for an unknown character if `on_unknown` is "error", and
        ConfigurationError if the sampling options leave no symbol.
        """
        self.settings = settings
        self.unknown = vocabulary.unknown(prompt)
        """The characters of the prompt that were left out, each once."""
        ids = vocabulary.encode(prompt, on_unknown=settings.on_unknown)
        self.start: int | None = None if len(ids) else vocabulary.start
        """The symbol it starts from if nothing of a prompt is left; not part of the text."""
        self._ids = ids if len(ids) else np.array([vocabulary.start])
        self._backend = backend
        self._writer = Writer(vocabulary, settings, self._ids.tolist())
        self._pieces = self._write()

    @property
    def seed(self) -> int:
        """The seed of its random numbers, which writes the same text again."""
        return self._writer.seed

    @property
    def ended(self) -> Ending | None:
        """Why it ended; None while it has not."""
        return self._writer.ended

    @property
    def written(self) -> int:
        """How many symbols were chosen so far, those of a stop string included."""
        return self._writer.written

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def __next__(self) -> Piece:
        return next(self._pieces)

    def text(self) -> str:
        """Write to the end and hand back all that was not iterated over yet."""
        return "".join(piece.text for piece in self)

    def _write(self) -> Iterator[Piece]:
        if self.ended:
            return
        logits, state = read(self._backend, self._ids)  # (V,), (S, L, 1, H)
        while True:
            chosen, piece = self._writer.write(logits)
            if piece:
                yield piece
            if self.ended:
                return
            batch, state = self._backend.step(np.array([chosen]), state)
            logits = batch[0]


def read(backend: Backend, ids: Ids) -> tuple[Array, State]:
    """Read a prompt, ids (T,), from a zero state: logits of what comes next (V,), the state."""
    state = backend.zero_state(1)
    logits = np.empty(0)
    chunk = positions_at_once(backend.configuration)
    for begin in range(0, len(ids), chunk):
        outputs, state = backend.forward(ids[np.newaxis, begin : begin + chunk], state)
        logits = outputs[0, -1]
    return logits, state
