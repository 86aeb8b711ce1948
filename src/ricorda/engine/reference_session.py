"""Texts being written side by side by the engine in NumPy, each as if it were alone."""

import functools
import threading
from collections.abc import Sequence

import numpy as np

from ricorda.arguments import checked
from ricorda.engine.backend import (
    Backend,
    Ids,
    InProgress,
    State,
    Symbols,
    stream_labels,
)
from ricorda.engine.generation import Ending, GenerationSettings, Piece
from ricorda.engine.writer import Writer, as_arrays
from ricorda.errors import ModelFileError
from ricorda.text.vocabulary import Vocabulary


class ReferenceStream(InProgress):
    """One text of a session."""

    def __init__(self, writer: Writer, unread: Sequence[int], state: State, labels: Ids | None):
        self.writer = writer
        self.unread = list(unread)
        """Symbols that the network has yet to read."""
        self.state = state  # (S, L, 1, H)
        self.labels = labels  # (1,) of the text
        self.failed = False
        """Whether its logits were not finite; it is no longer in the session then."""

    @property
    def seed(self) -> int:
        """The seed of its random numbers, which writes the same text again."""
        return self.writer.seed

    @property
    def ended(self) -> Ending | None:
        """Why it ended; None while it has not."""
        return self.writer.ended

    @property
    def written(self) -> int:
        """How many symbols were chosen so far, a boundary or those of a stop string included."""
        return self.writer.written

    @property
    def cut(self) -> int:
        """How many characters of the last symbol's text belong to a stop string."""
        return self.writer.cut


class ReferenceSession(InProgress):
    """A Session, see there, that steps each stream by itself."""

    def __init__(self, backend: Backend, vocabulary: Vocabulary) -> None:
        self._backend = backend
        self._vocabulary = vocabulary
        self._streams: list[ReferenceStream] = []
        self._interrupted = threading.Event()

    @checked
    def add(
        self,
        ids: Ids,
        settings: GenerationSettings,
        *,
        state: State | None = None,
        before: Ids | None = None,
        label: int = 0,
    ) -> ReferenceStream:
        """Begin to continue the symbols ids (n,), at least one, from a state (S, L, 1, H).

        Raises ConfigurationError if the settings leave no symbol or the model has no such label.
        """
        labels = stream_labels(self._backend.configuration, label)
        read_earlier = [] if before is None else before.tolist()
        writer = Writer(self._vocabulary, settings, [*read_earlier, *ids.tolist()])
        state = self._backend.zero_state(1) if state is None else state
        stream = ReferenceStream(writer, ids.tolist(), state, labels)
        self._streams.append(stream)
        return stream

    def advance(self, steps: int = 1) -> list[tuple[ReferenceStream, Piece | None]]:
        """Take up to `steps` steps in every stream that has not ended."""
        try:
            going = [stream for stream in self._streams if not stream.ended]
            return [(stream, self._write(stream, steps)) for stream in going]
        finally:
            self._interrupted.clear()

    def advance_symbols(self, steps: int = 1) -> list[tuple[ReferenceStream, Symbols]]:
        """Do as `advance` does, and return symbols as arrays instead of text."""
        found: list[tuple[ReferenceStream, Symbols]] = []
        for stream in [stream for stream in self._streams if not stream.ended]:
            piece = None
            try:
                piece = self._write(stream, steps)
            except ModelFileError:
                stream.failed = True
                self.remove(stream)
            found.append((stream, piece.written if piece else as_arrays(())))
        self._interrupted.clear()
        return found

    def interrupt(self) -> None:
        """Let the call of `advance` under way, or the next, end after a step of each stream."""
        self._interrupted.set()

    def remove(self, stream: ReferenceStream) -> None:
        """Forget a stream, whether it has ended or not."""
        self._streams.remove(stream)

    def save(self, stream: ReferenceStream) -> tuple[Ids, State]:
        """Hand back where a stream is: symbols that it has yet to read (n,), state (S, L, 1, H)."""
        return np.array(stream.unread, np.int64), stream.state.copy()

    def __len__(self) -> int:
        return len(self._streams)

    def _write(self, stream: ReferenceStream, steps: int) -> Piece | None:
        """Read, and choose once all is read, so many times; return all that was written."""
        pieces: list[Piece] = []
        for _ in range(steps):
            symbol = stream.unread.pop(0)
            logits, stream.state = self._backend.step(
                np.array([symbol]), stream.state, labels=stream.labels
            )  # (1, V)
            if stream.unread:
                continue
            chosen, piece = stream.writer.write(logits[0])
            stream.unread.append(chosen)
            if piece:
                pieces.append(piece)
            if stream.ended or self._interrupted.is_set():
                break
        return _joined(pieces)


def _joined(pieces: Sequence[Piece]) -> Piece | None:
    """Several pieces as one."""
    if not pieces:
        return None
    written = functools.reduce(Symbols.then, (piece.written for piece in pieces))
    return Piece("".join(piece.text for piece in pieces), written)
