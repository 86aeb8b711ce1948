"""Many texts written side by side in one session, and yielded in order.

A text is the same however many others are written beside it. Memory is bounded: a limited number of
texts is being written, and a limited number waits for an earlier one that takes longer.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from ricorda.engine.backend import Backend, InProgress, Stream
from ricorda.engine.generation import Ending, GenerationSettings, Piece, Prompt
from ricorda.text.document_index import DocumentIndex, document_hash
from ricorda.text.vocabulary import Vocabulary

SIDE_BY_SIDE = 64
"""Texts that are being written at a time."""

MOST_WAITING = 1024
"""Texts that are complete or being written, and not yielded yet."""

STEPS = 16
"""Steps of a session between two looks at which texts have ended."""

MOST_MISSES = 2000
"""Texts in a row, none of them wanted, after which a selection gives up."""


class Order(NamedTuple):
    """A text that is to be written."""

    number: int
    """The number of its prompt, from 0."""

    given: str
    """The prompt's text; empty if the model knows no character of it."""

    prompt: Prompt
    settings: GenerationSettings


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text that was written."""

    number: int
    """The number of its prompt, from 0."""

    prompt: str
    """The prompt that it continues; empty if nothing of it is left."""

    text: str
    """The continuation, without the stop string."""

    ids: tuple[int, ...]
    """The symbols of the continuation, including the boundary that ended it."""

    ended: Ending
    """Why it ended."""


@dataclass(slots=True)
class _Growing:
    order: Order
    stream: Stream
    pieces: list[Piece] = field(default_factory=list)

    def finished(self) -> WrittenText:
        assert self.stream.ended is not None
        text = "".join(piece.text for piece in self.pieces)
        ids = tuple(chain.from_iterable(piece.ids for piece in self.pieces))
        return WrittenText(self.order.number, self.order.given, text, ids, self.stream.ended)


class Texts(InProgress):
    """Texts being written side by side: iterate over it for each `WrittenText` in order, once.

    Orders are taken as there is room for them, so they may be endless. Raises what `Generation`
    raises for wrong settings, and ModelFileError if logits are not finite.
    """

    def __init__(
        self, backend: Backend, vocabulary: Vocabulary, orders: Iterable[Order], seed: int
    ) -> None:
        """Write nothing yet."""
        self.seed = seed
        """The seed of the random numbers of all texts."""
        self._session = backend.session(vocabulary)
        self._orders: Iterator[Order] = iter(orders)
        self._growing: dict[Stream, _Growing] = {}
        self._in_order: deque[_Growing] = deque()
        self._texts = self._write()

    def __iter__(self) -> Iterator[WrittenText]:
        return self._texts

    def __next__(self) -> WrittenText:
        return next(self._texts)

    def _write(self) -> Iterator[WrittenText]:
        while True:
            self._fill()
            if not self._in_order:
                return
            if self._growing:
                self._advance()
            while self._in_order and self._in_order[0].stream.ended:
                yield self._in_order.popleft().finished()

    def _fill(self) -> None:
        """Begin texts while there is room and there are orders."""
        while len(self._growing) < SIDE_BY_SIDE and len(self._in_order) < MOST_WAITING:
            order = next(self._orders, None)
            if order is None:
                return
            prompt = order.prompt
            stream = self._session.add(prompt.ids, order.settings, label=prompt.label)
            text = _Growing(order, stream)
            self._in_order.append(text)
            if stream.ended:  # its length is 0
                self._session.remove(stream)
            else:
                self._growing[stream] = text

    def _advance(self) -> None:
        """Take some steps in every text; those that end leave the session."""
        for stream, piece in self._session.advance(STEPS):
            if piece:
                self._growing[stream].pieces.append(piece)
            if stream.ended:
                self._session.remove(stream)
                del self._growing[stream]


class Selection:
    """Picks texts that differ from each other, or from the documents of the training.

    It picks no empty text. It stops once it has as many as are wanted, or after `MOST_MISSES` texts
    in a row that it did not want. Texts are compared by 64-bit hashes: no text is picked that
    should not be, and one in 2**64 / n is missed, for n texts that it is compared with.
    """

    def __init__(
        self, wanted: int, *, unique: bool = False, known: DocumentIndex | None = None
    ) -> None:
        """Pick `wanted` texts: each once if `unique`, and none that is among the known ones."""
        self.wanted = wanted
        self.picked = 0
        self._seen: set[int] | None = set() if unique else None
        self._known = known

    def pick(self, texts: Iterable[WrittenText]) -> Iterator[WrittenText]:
        """Yield the wanted ones of some texts."""
        misses = 0
        for text in texts:
            if self._is_wanted(text.prompt + text.text):
                self.picked += 1
                misses = 0
                yield text
            else:
                misses += 1
            if self.picked == self.wanted or misses == MOST_MISSES:
                return

    def _is_wanted(self, document: str) -> bool:
        if not document or (self._known is not None and document in self._known):
            return False
        if self._seen is None:
            return True
        hashed = document_hash(document)
        if hashed in self._seen:
            return False
        self._seen.add(hashed)
        return True
