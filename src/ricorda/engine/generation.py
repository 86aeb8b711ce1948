"""Writing a text: its settings, its pieces, and the text as one iterates over it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.engine.backend import Backend, Ids, InProgress, Symbols
from ricorda.engine.constraints import notes_on_symbols
from ricorda.engine.labels import label_number
from ricorda.engine.sampling import SamplingSettings
from ricorda.text.unseen import Unseen
from ricorda.text.vocabulary import OnUnknown, Vocabulary
from ricorda.validation import one_or_several

STEPS_AT_FIRST = 16  # before the first look at what was written
SHORTEST_SECONDS = 0.02  # between two looks, from when the speed is known

ENDLESS = 10**12
"""A length that stands for no limit."""

LONGEST_TEXT = 200
"""Symbols of an undivided text whose length is not given."""

LONGEST_DOCUMENT = 4000
"""Symbols of a document whose length is not given, if its end does not come before."""

Length = int | Literal["inf"]
"""A number of symbols, or no limit."""

Ending = Literal["length", "stop"]
"""Why a text ended: it has the length asked for, or a stop string or the document was complete."""

UnsignedInteger = Annotated[int, Field(ge=0, le=2**64 - 1)]


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", use_attribute_docstrings=True),
)
class GenerationSettings(SamplingSettings):
    """How a text is written: how symbols are chosen, how many, from which random numbers."""

    length: Annotated[int, Field(ge=0, le=ENDLESS)] = LONGEST_TEXT
    """Maximum number of symbols to write."""

    label: str | None = None
    """Label of the document, for a model of documents with labels."""

    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(one_or_several)
    ] = ()
    """End the text before the first of these strings."""

    seed: UnsignedInteger | None = None
    """Random seed. The same seed writes the same text; by default a new seed is drawn."""

    stream_index: UnsignedInteger = 0
    """Which of the seed's texts, all independent of each other."""

    alternatives: Annotated[int, Field(ge=0, le=10**12)] | None = None
    """Return each symbol's log-probability and those of this many of the most likely ones."""

    on_unknown: OnUnknown = "skip"
    """Characters of the prompt that the model never saw: skip leaves them out with a warning, error
    refuses the prompt."""


@plain_dataclass(frozen=True, slots=True)
class WrittenSymbol:
    """One symbol that was written, and what the model thought of it."""

    id: int

    log_probability: float | None = None
    """In nats, of the model itself, before any sampling option; None if not asked for."""

    alternatives: tuple[tuple[int, float], ...] = ()
    """The most likely symbols and their log-probabilities, the most likely first."""


@plain_dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of new text, at least one character long, and its symbols.

    In a vocabulary of bytes, that a byte is no part of a character (U+FFFD in the text) is known
    only by the byte after it, which then comes in the same piece.
    """

    text: str
    written: Symbols
    """The symbols as arrays."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers of the symbols."""
        return tuple(self.written.ids.tolist())

    @property
    def symbols(self) -> tuple[WrittenSymbol, ...]:
        """Each symbol with its log-probability and alternatives; made at each call."""
        if len(self.written.log_probabilities) == 0:
            return tuple(map(WrittenSymbol, self.ids))
        return tuple(
            WrittenSymbol(symbol, nats, tuple(zip(others, other_nats, strict=True)))
            for symbol, nats, others, other_nats in zip(
                *(array.tolist() for array in self.written), strict=True
            )
        )


@plain_dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What the network reads before it writes a text."""

    ids: Ids
    """The symbols, (n,), at least one. Of a document, the boundary is the first."""

    start: int | None
    """The symbol it starts from if nothing of a prompt is left; not part of the text."""

    label: int
    """The number of the document's label, 0 for none."""

    unknown: str
    """The characters that were left out, each once; the network does not read them."""

    notes: tuple[str, ...]
    """One line each for what was left out of the prompt and for characters in the settings that
    the model lacks; `Model` warns of them."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, text: str, settings: GenerationSettings) -> "Prompt":
        """Encode a prompt.

        Raises VocabularyError for an unknown character if `on_unknown` is "error",
        ConfigurationError for a label that the model does not have.
        """
        unseen = Unseen()
        ids = unseen.encode(vocabulary, text, settings.on_unknown)
        start = None if len(ids) else vocabulary.start
        if vocabulary.boundary is not None or start is not None:
            ids = np.concatenate([np.array([vocabulary.start], np.uint32), ids])
        notes = (
            *([unseen.describe("the prompt")] if unseen.count else []),
            *notes_on_symbols(settings, vocabulary),
        )
        label = label_number(vocabulary, settings.label)
        return cls(ids, start, label, unseen.characters, notes)


class Generation(InProgress):
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

        Raises VocabularyError for an unknown character if `on_unknown` is "error" and for a stop
        string with one, and ConfigurationError if the settings leave no symbol to write, never
        let a stop string be written or name an unknown label.
        """
        self.settings = settings
        self.prompt = Prompt.of(vocabulary, prompt, settings)
        """The prompt as the network reads it."""
        self._session = backend.session(vocabulary)
        self._stream = self._session.add(self.prompt.ids, settings, label=self.prompt.label)
        self._pieces = self._write()

    @property
    def unknown(self) -> str:
        """The characters of the prompt that were left out, each once."""
        return self.prompt.unknown

    @property
    def notes(self) -> list[str]:
        """One line for each thing in the prompt or the settings that the model lacks."""
        return list(self.prompt.notes)

    @property
    def start(self) -> int | None:
        """The symbol it starts from if nothing of a prompt is left; not part of the text."""
        return self.prompt.start

    @property
    def seed(self) -> int:
        """The seed of its random numbers, which writes the same text again."""
        return self._stream.seed

    @property
    def ended(self) -> Ending | None:
        """Why it ended; None while it has not."""
        return self._stream.ended

    @property
    def written(self) -> int:
        """How many symbols were chosen so far, those of a stop string included."""
        return self._stream.written

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def __next__(self) -> Piece:
        return next(self._pieces)

    def text(self) -> str:
        """Write to the end and return all that was not iterated over yet."""
        return "".join(piece.text for piece in self)

    def _write(self) -> Iterator[Piece]:
        steps = STEPS_AT_FIRST
        while not self.ended:
            began = time.perf_counter()
            for _, piece in self._session.advance(steps):
                if piece:
                    yield piece
            if time.perf_counter() - began < SHORTEST_SECONDS:
                steps *= 2
