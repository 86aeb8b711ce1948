"""A vector for each text: the state of the network after its last symbol.

A text is read from a zero state; of a model of documents, after the boundary. Texts of about the
same length are read side by side.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import Array, Backend, Ids, State
from ricorda.engine.chunks import positions_at_once
from ricorda.engine.documents import Document, grouped
from ricorda.engine.sampling import finite
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.unseen import Gap

SIDE_BY_SIDE = 64
"""Texts that are read at a time."""

NUMBERS_AT_ONCE = 2**24
"""Numbers of the vectors of the texts that are sorted by length together."""

VectorKind = Literal["hidden", "layers", "state"]
"""Which part of the state a vector is: the hidden state of the last layer, the hidden states of all
layers, or all parts of the state of all layers, for example the cell states of an LSTM too."""

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The vector of one text."""

    vector: Vector
    """(D,): the layers in order, each layer's hidden state before its cell state."""

    symbols: int
    """How many symbols of the text were read, without a boundary."""

    gaps: tuple[Gap, ...] = ()
    """The characters that the model never saw, which were left out."""

    @property
    def unseen(self) -> int:
        """How many characters the model never saw."""
        return sum(len(gap.characters) for gap in self.gaps)


def vector_size(configuration: ModelConfiguration, kind: VectorKind) -> int:
    """Return the size D of a vector: H, L H or L S H."""
    layers = 1 if kind == "hidden" else configuration.num_layers
    parts = configuration.state_parts if kind == "state" else 1
    return layers * parts * configuration.hidden_size


def vectors_of(state: State, kind: VectorKind, *, normalize: bool = False) -> Vector:
    """Return the vectors (B, D) of a state (S, L, B, H); `normalize` gives them the length 1.

    A vector of zeros stays as it is. Raises ModelFileError if a number is not finite.
    """
    layers = slice(-1, None) if kind == "hidden" else slice(None)
    parts = slice(None) if kind == "state" else slice(1)
    chosen = finite(state[parts, layers])
    vectors = chosen.transpose(2, 1, 0, 3).reshape(state.shape[2], -1)
    if normalize:
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        vectors = vectors / np.where(lengths > 0, lengths, 1)
    return vectors.astype(np.float32)


class SideBySide:
    """Reads texts side by side, a bounded part at a time, from a zero state."""

    def __init__(self, backend: Backend, texts: Sequence[Ids], labels: Sequence[int] = ()) -> None:
        """Begin to read texts, each the ids (n,) that the network reads, the longest first.

        labels: the number of each text's label; none: 0 for all.
        """
        self._backend = backend
        self._texts = texts
        self._lengths = np.array([len(text) for text in texts])
        assert (np.diff(self._lengths) <= 0).all(), "the longest text comes first"
        self._labels = np.array(labels, np.uint32) if any(labels) else None
        self._position = 0
        self.state = backend.zero_state(len(texts))
        """The state (S, L, B, H) of each text after what was read of it."""

    def advance(self, positions: int) -> int:
        """Read about `positions` symbols of all texts together; return how many, 0 at the end."""
        rows = int(np.count_nonzero(self._lengths > self._position))
        if rows == 0:
            return 0
        shortest = int(self._lengths[rows - 1])
        end = min(shortest, self._position + max(1, positions // rows))
        ids = np.stack([text[self._position : end] for text in self._texts[:rows]])
        labels = None
        if self._labels is not None:
            labels = np.broadcast_to(self._labels[:rows, np.newaxis], ids.shape)
        here = np.ascontiguousarray(self.state[:, :, :rows])
        self.state[:, :, :rows] = self._backend.read(ids, here, labels=labels)
        self._position = end
        return ids.size


class VectorReader:
    """Computes the vectors of texts, of about the same length side by side, a part at a time."""

    def __init__(
        self,
        backend: Backend,
        texts: Sequence[Ids],
        kind: VectorKind = "hidden",
        labels: Sequence[int] = (),
        *,
        normalize: bool = False,
    ) -> None:
        """Take texts, each the ids (n,) without a boundary, and the numbers of their labels.

        Without `labels` all are 0.
        """
        self._backend = backend
        self._texts = texts
        self._kind = kind
        self._labels = labels or [0] * len(texts)
        self._normalize = normalize
        self._waiting = by_length(texts)
        self._places: list[int] = []
        self._batch: SideBySide | None = None
        self.vectors: Vector = np.empty(
            (len(texts), vector_size(backend.configuration, kind)), np.float32
        )
        """(N, D): complete once `advance` returns 0."""

    def advance(self, positions: int) -> int:
        """Read about `positions` symbols; return how many, 0 once all vectors are known.

        Raises ModelFileError if a vector is not finite.
        """
        while self._batch is not None or self._waiting:
            batch = self._batch or self._begin_batch()
            if symbols := batch.advance(positions):
                return symbols
            self.vectors[self._places] = vectors_of(
                batch.state, self._kind, normalize=self._normalize
            )
            self._batch = None
        return 0

    def _begin_batch(self) -> SideBySide:
        self._places = self._waiting[:SIDE_BY_SIDE]
        del self._waiting[:SIDE_BY_SIDE]
        texts = [as_read(self._texts[place], self._backend.configuration) for place in self._places]
        self._batch = SideBySide(
            self._backend, texts, [self._labels[place] for place in self._places]
        )
        return self._batch


def embed_documents(
    backend: Backend,
    documents: Iterable[Document],
    kind: VectorKind = "hidden",
    *,
    normalize: bool = False,
) -> Iterator[Embedding]:
    """Yield the vector of each document, in order; the documents may exceed memory."""
    size = vector_size(backend.configuration, kind)
    positions = positions_at_once(backend.configuration)
    for group in grouped(documents, max(SIDE_BY_SIDE, NUMBERS_AT_ONCE // size)):
        texts, labels = [each.ids for each in group], [each.label for each in group]
        reader = VectorReader(backend, texts, kind, labels, normalize=normalize)
        while reader.advance(positions):
            pass
        for document, vector in zip(group, reader.vectors, strict=True):
            yield Embedding(vector, len(document.ids), document.gaps)


def by_length(texts: Sequence[Ids]) -> list[int]:
    """Return the numbers of texts, the longest text first."""
    return sorted(range(len(texts)), key=lambda place: len(texts[place]), reverse=True)


def as_read(ids: Ids, configuration: ModelConfiguration) -> Ids:
    """Return what the network reads of a text: of a document, the boundary before it, too."""
    if configuration.boundary is None:
        return ids
    return np.concatenate([np.array([configuration.boundary], np.uint32), ids.astype(np.uint32)])


def as_list(vector: Array) -> list[float]:
    """Return numbers with the digits that float32 needs, as short as JSON may write them."""
    return [float(f"{number:.9g}") for number in vector.tolist()]
