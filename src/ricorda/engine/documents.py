"""Scoring many documents side by side, each from a zero state.

Documents are put one after the other into rows, with a boundary before and after each. The state
becomes zero at a boundary, so a document's surprisals depend on the document alone.
"""

import heapq
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import Ids, ScoringBackend
from ricorda.engine.chunks import positions_at_once
from ricorda.engine.sampling import Probabilities, finite
from ricorda.engine.scoring import Figures
from ricorda.errors import TextError
from ricorda.text.unseen import Gap, after_gaps
from ricorda.text.vocabulary import Vocabulary

ROWS = 64
"""Rows that are read side by side."""

SYMBOLS_AT_ONCE = 2**18
"""Symbols of the documents that are arranged into rows together; a longer document is alone."""

DOCUMENTS_AT_ONCE = 2**14


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A document as the network reads it."""

    ids: Ids
    """Its symbols, (n,), without boundaries; it may be empty."""

    label: int = 0
    """The number of its label, 0 for none."""

    gaps: tuple[Gap, ...] = ()
    """The characters that the vocabulary lacks, and where they stood."""

    @property
    def unseen(self) -> int:
        """How many characters the vocabulary lacks."""
        return sum(len(gap.characters) for gap in self.gaps)

    def targets(self, boundary: int) -> NDArray[np.uint32]:
        """Return what is predicted: the symbols and the boundary, (n + 1,)."""
        return np.append(self.ids, boundary).astype(np.uint32)


Scored = tuple[Document, Probabilities]
"""A document of n symbols and the surprisals of its targets in nats, (n + 1,), its end the last.
NaN for what comes after a gap."""


def scored_documents(
    backend: ScoringBackend,
    vocabulary: Vocabulary,
    documents: Iterable[Document],
    *,
    in_order: bool = False,
) -> Iterator[Scored]:
    """Yield each document with its surprisals, in order; the documents may exceed memory.

    in_order: one is read after the other, for a backend that learns from them.

    Raises ModelFileError where the network's numbers are not finite.
    """
    return chain.from_iterable(
        _scored_group(backend, vocabulary, group, in_order) for group in grouped(documents)
    )


def document_figures(
    backend: ScoringBackend,
    vocabulary: Vocabulary,
    documents: Iterable[Document],
    *,
    in_order: bool = False,
) -> Iterator[Figures]:
    """Yield the figures of each document, in order; in_order as in `scored_documents`."""
    assert vocabulary.boundary is not None
    for document, nats in scored_documents(backend, vocabulary, documents, in_order=in_order):
        counts = ~np.isnan(nats)
        targets = document.targets(vocabulary.boundary)
        characters, size = vocabulary.count(targets[counts])
        yield Figures(
            float(nats[counts].sum()),
            int(np.count_nonzero(counts)),
            characters,
            size,
            document.unseen,
            vocabulary.count(targets[~counts])[0],
            "documents",
            documents=1,
            gaps=document.gaps,
        )


def evaluate_documents(
    backend: ScoringBackend,
    vocabulary: Vocabulary,
    documents: Iterable[Document],
    *,
    in_order: bool = False,
) -> Figures:
    """Return the figures of all documents together; their order makes no difference.

    in_order: one is read after the other, for a backend that learns from them.

    Raises TextError if there is no character to predict.
    """
    assert vocabulary.boundary is not None
    sums = array("d")
    totals = np.zeros(5, np.int64)  # predictions, characters, bytes, unseen, left out
    for group in grouped(documents):
        targets, nats = [], []
        for document, surprisals in _scored_group(backend, vocabulary, group, in_order):
            sums.append(float(surprisals[~np.isnan(surprisals)].sum()))
            targets.append(document.targets(vocabulary.boundary))
            nats.append(surprisals)
            totals[3] += document.unseen
        symbols, counts = np.concatenate(targets), ~np.isnan(np.concatenate(nats))
        totals[0] += np.count_nonzero(counts)
        totals[1:3] += vocabulary.count(symbols[counts])
        totals[4] += vocabulary.count(symbols[~counts])[0]
    predictions, characters, size, unseen, left_out = totals.tolist()
    if characters == 0:
        raise TextError(
            "expected documents with at least one character that the model knows, got "
            + (f"{len(sums):,} without" if sums else "no document")
        )
    total = math.fsum(sums)  # exact, so that the order of documents does not matter
    return Figures(
        total, predictions, characters, size, unseen, left_out, "documents", documents=len(sums)
    )


def grouped(
    documents: Iterable[Document], most: int = DOCUMENTS_AT_ONCE
) -> Iterator[list[Document]]:
    """Split documents into groups of at most `most` documents and a bounded number of symbols."""
    group: list[Document] = []
    symbols = 0
    for document in documents:
        size = len(document.ids) + 1
        if group and (symbols + size > SYMBOLS_AT_ONCE or len(group) == most):
            yield group
            group, symbols = [], 0
        group.append(document)
        symbols += size
    if group:
        yield group


def _scored_group(
    backend: ScoringBackend,
    vocabulary: Vocabulary,
    group: Sequence[Document],
    in_order: bool = False,
) -> Iterator[Scored]:
    """Read a group in rows, (B, T), or one after the other, and yield its surprisals."""
    assert vocabulary.boundary is not None
    sizes = np.array([len(document.ids) + 1 for document in group])
    places, shape = _in_one_row(sizes) if in_order else _arrange(sizes)
    targets = np.full(shape, vocabulary.boundary, np.uint32)
    labels = np.zeros(shape, np.uint32)
    for document, (row, begin), size in zip(group, places, sizes.tolist(), strict=True):
        targets[row, begin : begin + size - 1] = document.ids
        labels[row, begin : begin + size] = document.label
    inputs = np.full(shape, vocabulary.boundary, np.uint32)
    inputs[:, 1:] = targets[:, :-1]
    nats = _read_rows(backend, inputs, targets, labels if labels.any() else None)
    for document, (row, begin), size in zip(group, places, sizes.tolist(), strict=True):
        found = nats[row, begin : begin + size]
        if document.gaps:
            found = found.copy()
            found[after_gaps(document.targets(vocabulary.boundary), document.gaps, vocabulary)] = (
                np.nan
            )
        yield document, found


def _in_one_row(sizes: NDArray[np.int64]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Give each document a place in one row, in order; otherwise as `_arrange`."""
    ends = np.cumsum(sizes)
    return [(0, begin) for begin in (ends - sizes).tolist()], (1, int(ends[-1]))


def _arrange(sizes: NDArray[np.int64]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Give each document a row and a place in it, the longest first into the shortest row.

    Rows are at most twice as long as the longest document or the mean needs. Returns the places and
    the shape (B, T) of the rows.
    """
    rows = max(1, min(ROWS, int(sizes.sum() // sizes.max())))
    ends = [(0, row) for row in range(rows)]
    places = [(0, 0)] * len(sizes)
    for number in np.argsort(-sizes, kind="stable").tolist():
        end, row = heapq.heappop(ends)
        places[number] = (row, end)
        heapq.heappush(ends, (end + int(sizes[number]), row))
    return places, (rows, max(end for end, _ in ends))


def _read_rows(
    backend: ScoringBackend,
    inputs: NDArray[np.uint32],
    targets: NDArray[np.uint32],
    labels: NDArray[np.uint32] | None,
) -> Probabilities:
    """Return the surprisals (B, T) of targets after inputs, read in chunks that bound memory."""
    rows, length = inputs.shape
    nats = np.empty((rows, length))
    state = backend.zero_state(rows)
    step = max(1, positions_at_once(backend.configuration) // rows)
    for begin in range(0, length, step):
        here = np.s_[:, begin : begin + step]
        found, state = backend.score(
            inputs[here], targets[here], state, labels=None if labels is None else labels[here]
        )
        nats[here] = finite(found.nats)
    return nats
