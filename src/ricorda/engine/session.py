"""Texts being written by the C++ kernels, any number side by side.

A text depends on its own prompt, settings and seed alone: not on the others, on when they come and
go, or on the number of threads. What it consists of is what `Generation` writes.
"""

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.arguments import checked
from ricorda.engine.backend import Array, Ids, InProgress, State, Symbols, stream_labels
from ricorda.engine.constraints import Constraint, check_stops, constraint_of
from ricorda.engine.generation import Ending, GenerationSettings, Piece
from ricorda.engine.sampling import SamplingSettings, bias_of, not_finite_error
from ricorda.engine.stops import TextStops
from ricorda.errors import ConfigurationError, VocabularyError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.vocabulary import Vocabulary

LARGEST_INTEGER = 2**31 - 1  # settings beyond it mean the same
LONGEST_CHARACTER = 4  # bytes


class NativeStream(InProgress):
    """One text of a session."""

    def __init__(
        self, number: int, seed: int, vocabulary: Vocabulary, *, whole_characters: bool = False
    ) -> None:
        """Begin a text; with `whole_characters` it ends before an incomplete character."""
        self.number = number
        """Its number in the session, never used again."""
        self.seed = seed
        """The seed of its random numbers, which writes the same text again."""
        self.ended: Ending | None = None
        """Why it ended; None while it has not."""
        self.written = 0
        """How many symbols were chosen so far, a boundary or those of a stop string included."""
        self.failed = False
        """Whether its logits were not finite; it is no longer in the session then."""
        self.stops: TextStops | None = None
        """What finds the stop strings of a vocabulary of tokens; the kernels find all others."""
        self.is_in_kernels = True
        """Whether the kernels still hold it; not once a stop string was found in its text."""
        self._in_bytes = vocabulary.kind == "bytes"
        self._boundary = vocabulary.boundary
        self._ends_whole = whole_characters
        self._decoder = vocabulary.decoder()
        # Bytes that complete no character yet, or tokens that may belong to a stop string.
        self._waiting: Symbols | None = None

    def take(self, new: Symbols) -> Piece | None:
        """Turn what the kernels wrote into a piece of text; None if no character is complete."""
        if self._in_bytes:
            return self._whole_characters(new)
        if len(new.ids) == 0:
            return None
        text = self._decoder.decode(new.ids)
        return Piece(text[: len(text) - self.cut], new)

    @property
    def cut(self) -> int:
        """How many characters of the last symbol's text belong to a stop string."""
        return self.stops.cut if self.stops else 0

    def before_stop(self, new: Symbols, written: int, ended: Ending | None) -> Symbols:
        """Take what the kernels wrote, and end where a stop string is complete in the text.

        written, ended: where the kernels are. Returns the symbols that are certain, the one
        included that a stop string cuts.
        """
        assert self.stops is not None
        began = self.written
        self.written, self.ended = written, ended
        certain = 0
        for place, symbol in enumerate(new.ids.tolist(), 1):
            certain += self.stops.feed(symbol)
            if self.stops.stopped:
                self.written, self.ended = began + place, "stop"
                break
        if self.ended and not self.stops.stopped:
            certain += self.stops.finish()
        held = new if self._waiting is None else self._waiting.then(new)
        self._waiting = held.part(certain, len(held.ids))
        return held.part(0, certain)

    def _whole_characters(self, new: Symbols) -> Piece | None:
        """Decode bytes; those that complete no character go out with the next that does."""
        if self._waiting is not None:
            new, silent = self._waiting.then(new), len(self._waiting.ids)
        else:
            silent = 0
        ids = new.ids[silent:]
        text = self._decoder.decode(ids[:-LONGEST_CHARACTER])
        for number in ids[-LONGEST_CHARACTER:]:  # the last of so many completes a character
            characters = self._decoder.decode([number])
            text += characters
            silent = 0 if characters else silent + 1
        if self.ended and (not self._ends_whole or self._boundary in new.ids[-1:]):
            text += self._decoder.finish()
            silent = 0
        certain = len(new.ids) - silent
        self._waiting = new.part(certain, len(new.ids))
        return Piece(text, new.part(0, certain)) if certain or text else None


class NativeSession(InProgress):
    """Many texts written at once: streams join and leave between calls of `advance`.

    Several threads may use one session; their calls follow each other.
    """

    def __init__(
        self,
        network: _kernels.Network,
        configuration: ModelConfiguration,
        vocabulary: Vocabulary,
        threads: int = 1,
    ) -> None:
        self._configuration = configuration
        self._threads = threads
        self._vocabulary = vocabulary
        self._session = _kernels.Session(network)
        self._streams: dict[int, NativeStream] = {}
        self._found: list[tuple[NativeStream, Piece | None]] = []
        self._lock = threading.Lock()

    @checked
    def add(
        self,
        ids: Ids,
        settings: GenerationSettings,
        *,
        state: State | None = None,
        before: Ids | None = None,
        label: int = 0,
    ) -> NativeStream:
        """Begin to continue the symbols `ids` (n,), at least one, from a state (S, L, 1, H).

        Without a state, from zeros. `before` are symbols read earlier, which the repetition
        penalty looks at; `label` is the number of the text's label, 0 for none. Raises
        ConfigurationError if the settings leave no symbol or the model has no such label.
        """
        stream_labels(self._configuration, label)
        seed = secrets.randbits(32) if settings.seed is None else settings.seed
        alternatives = -1 if settings.alternatives is None else settings.alternatives
        check_stops(settings.stop, settings, self._vocabulary)
        constraint = constraint_of(settings, self._vocabulary, _read(before, ids))
        with self._lock, kernel_errors():
            number = self._session.add(
                kernel_ids(ids, 1, self._vocabulary.size),
                kernel_settings(settings, self._vocabulary, constraint),
                settings.length,
                seed,
                settings.stream_index,
                stop_sequences(settings.stop, self._vocabulary),
                min(alternatives, LARGEST_INTEGER),
                None if state is None else kernel_floats(state),
                None if before is None else kernel_ids(before, 1, self._vocabulary.size),
                label,
            )
            stream = NativeStream(
                number, seed, self._vocabulary, whole_characters=constraint is not None
            )
            if isinstance(self._vocabulary, TokenVocabulary):
                stream.stops = TextStops(settings.stop, self._vocabulary)
            stream.ended = None if settings.length else "length"
            self._streams[number] = stream
        return stream

    def advance(self, steps: int = 1) -> list[tuple[NativeStream, Piece | None]]:
        """Take up to `steps` steps in every stream that has not ended.

        In a step a stream reads a symbol of its prompt or, after that, chooses a new one. Returns
        each of these streams with its new text. One that has ended stays until `remove`. Raises
        ModelFileError if a stream's logits are not finite; that stream is removed, and what the
        others wrote is returned by the next call.
        """
        with self._lock:
            failed = False
            for stream, new in self._advance(steps):
                if stream.failed:
                    failed = True
                else:
                    self._found.append((stream, stream.take(new)))
            if failed:
                raise not_finite_error()
            found, self._found = self._found, []
        return found

    def advance_symbols(self, steps: int = 1) -> list[tuple[NativeStream, Symbols]]:
        """Do as `advance` does, and return symbols as arrays instead of text.

        A stream whose logits are not finite is removed; its `failed` is true then.
        """
        with self._lock:
            return list(self._advance(steps))

    def interrupt(self) -> None:
        """Let the call of `advance` under way, or the next, end after the step it is in.

        For another thread that has a stream to add or to remove; waits for nothing.
        """
        self._session.interrupt()

    def _advance(self, steps: int) -> Iterator[tuple[NativeStream, Symbols]]:
        for progress in self._session.advance(steps, self._threads):
            number, ids, chances, best, best_chances, written, ending = progress
            stream = self._streams[number]
            symbols = Symbols(ids, chances, best, best_chances)
            if ending == "not finite":
                stream.written, stream.failed = written, True
                self._forget(stream)
            elif stream.stops is None:
                stream.written, stream.ended = written, ending
            else:
                symbols = stream.before_stop(symbols, written, ending)
                if stream.ended and ending is None:  # the kernels continued after the stop string
                    self._session.remove(number)
                    stream.is_in_kernels = False
            yield stream, symbols

    def remove(self, stream: NativeStream) -> None:
        """Forget a stream, whether it has ended or not."""
        with self._lock:
            self._forget(stream)

    def _forget(self, stream: NativeStream) -> None:
        if stream.is_in_kernels:
            self._session.remove(stream.number)
        del self._streams[stream.number]

    def save(self, stream: NativeStream) -> tuple[NDArray[np.uint32], State]:
        """Hand back where a stream is: symbols that it has yet to read (n,), state (S, L, 1, H).

        `add` continues from there, any number of times. Raises ConfigurationError for a text of
        tokens that ended at a stop string.
        """
        if not stream.is_in_kernels:
            raise ConfigurationError(
                "expected a text that has not ended, but it ended at a stop string: begin another"
            )
        return self._session.save(stream.number)

    def __len__(self) -> int:
        return len(self._streams)


def _read(before: Ids | None, ids: Ids) -> Iterator[int]:
    """All symbols that come before a text."""
    for array in (before, ids):
        if array is not None:
            yield from map(int, array)


def kernel_settings(
    settings: SamplingSettings, vocabulary: Vocabulary, constraint: Constraint | None
) -> _kernels.SamplingSettings:
    """Turn settings into those of the kernels."""
    return _kernels.SamplingSettings(
        repetition_penalty=settings.repetition_penalty,
        repetition_window=min(settings.repetition_window, LARGEST_INTEGER),
        constraint=None if constraint is None else constraint.for_kernels(),
        greedy=settings.greedy,
        temperature=settings.temperature,
        top_k=min(settings.top_k or 0, LARGEST_INTEGER),
        top_p=1.0 if settings.top_p is None else settings.top_p,
        min_p=settings.min_p or 0.0,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        bias=bias_of(settings, vocabulary),
    )


def stop_sequences(stops: Sequence[str], vocabulary: Vocabulary) -> list[list[int]]:
    """Turn stop strings into ids; none of tokens, where a stop may begin inside a symbol."""
    if isinstance(vocabulary, TokenVocabulary):
        return []
    return [vocabulary.encode(stop).tolist() for stop in stops]


def kernel_ids(ids: Ids, dimensions: int, vocabulary_size: int) -> NDArray[np.uint32]:
    """Turn ids of any integer type into those that the kernels take.

    Raises ConfigurationError for another type or another number of dimensions, VocabularyError for
    an id out of range that the conversion would hide; the kernels check the others.
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iu" or array.ndim != dimensions:
        raise ConfigurationError(
            f"expected ids as integers in {dimensions} dimensions, "
            f"got {array.dtype} of the shape {array.shape}"
        )
    if array.dtype.itemsize > 4 or array.dtype.kind == "i":
        _check_range(array, vocabulary_size)
    return np.ascontiguousarray(array, np.uint32)


def kernel_floats(array: Array) -> NDArray[np.float32]:
    """Turn any floats into those that the kernels take."""
    return np.ascontiguousarray(array, np.float32)


@contextmanager
def kernel_errors() -> Iterator[None]:
    """Raise VocabularyError for an IndexError (a wrong id), ConfigurationError for a ValueError."""
    try:
        yield
    except IndexError as error:
        raise VocabularyError(str(error)) from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _check_range(ids: NDArray[np.integer[Any]], vocabulary_size: int) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= vocabulary_size):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise VocabularyError(f"ids must be at least 0 and below {vocabulary_size}, got {wrong}")
