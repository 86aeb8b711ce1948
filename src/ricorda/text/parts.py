"""A part of an encoded text: all of it, or what trains, validates or tests.

A text of documents lies on disk as: boundary d1 boundary d2 ... boundary dn boundary. The boundary
before a document with label number k is the id V - 1 + k, where V is the vocabulary's size; that of
a document without a label is V - 1, the boundary itself.

A part is a list of spans of that file, read one after the other. Of documents, it is a list of
segments, each a boundary and the symbols of one document, and one boundary at the end. A segment is
one span, or several where blocks of the document are held back for another part. Some tens of bytes
a document are held in memory; the symbols stay on disk.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError
from ricorda.text.id_file import RowReader
from ricorda.text.vocabulary import Ids

_SCANNED = 1 << 20  # ids searched for boundaries at a time
_READ = 1 << 16  # symbols gathered at a time

Numbers = NDArray[np.int64]


class Part:
    """A part of an encoded text; `Part.whole` makes the first, `select` and `cut` others of it."""

    def __init__(
        self,
        ids: Ids,
        sources: Numbers,
        lengths: Numbers,
        boundary: int | None,
        *,
        label_numbers: NDArray[np.uint32] | None = None,
        first_spans: Numbers | None = None,
    ) -> None:
        """Read spans (M,) of ids, of the given lengths (M,), from the places `sources` (M,) on.

        first_spans: the first span (S,) of each segment; None: each span is one. The first symbol
        of a segment of documents is read as the boundary, whatever lies there.
        """
        self.boundary = boundary
        """The id of the boundary; None for an undivided text."""
        self.label_numbers = label_numbers
        """The label number (S,) of each segment, 0 for none; None where no document has a label."""
        if boundary is not None:  # the boundary after the last segment
            sources, lengths = np.append(sources, 0), np.append(lengths, 1)
        self._ids = ids
        self._reader = RowReader(ids)
        self._sources = sources  # (M + 1,), or (M,) of an undivided text
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])  # the places of spans in the part
        self._first_spans = first_spans
        self._is_whole = False

    @classmethod
    def whole(cls, ids: Ids, boundary: int | None = None) -> Self:
        """Return all of an encoded text, ids (N,), and find its documents.

        Raises TextError if a text of documents does not begin and end with a boundary.
        """
        if boundary is None:
            return cls(ids, np.zeros(1, np.int64), np.array([len(ids)]), None)
        places, numbers = boundaries_of(ids, boundary)
        if len(places) < 2 or places[0] != 0 or places[-1] != len(ids) - 1:
            raise TextError(
                "expected documents with a boundary before and after each, but the encoded text "
                "has none at its beginning or its end: encode it again"
            )
        labels = numbers[:-1].astype(np.uint32) if numbers.any() else None
        part = cls(ids, places[:-1], np.diff(places), boundary, label_numbers=labels)
        part._is_whole = True
        return part

    def __len__(self) -> int:
        """Return the number of symbols, all boundaries included."""
        return int(self._offsets[-1])

    @property
    def symbols(self) -> int:
        """The number of symbols that stand for text: boundaries are not counted."""
        return len(self) - (0 if self.boundary is None else self.segments + 1)

    @property
    def segments(self) -> int:
        """The number of documents; 1 for an undivided text."""
        if self.boundary is None:
            return 1
        return len(self._sources) - 1 if self._first_spans is None else len(self._first_spans)

    @property
    def segment_offsets(self) -> Numbers:
        """Where each segment begins in the part, and where the last one ends, (S + 1,)."""
        if self.boundary is None:
            return self._offsets[[0, -1]]
        if self._first_spans is None:
            return self._offsets[:-1]
        return np.append(self._offsets[self._first_spans], self._offsets[-2])

    def select(self, segments: Numbers, label_numbers: NDArray[np.uint32] | None = None) -> "Part":
        """Return a part of some segments, in the order given.

        label_numbers: their label numbers, if others than they have. Raises TextError for an
        undivided text.
        """
        if self.boundary is None:
            raise TextError("expected a text of documents to select from, got an undivided text")
        if label_numbers is None and self.label_numbers is not None:
            label_numbers = self.label_numbers[segments]
        spans, first_spans = segments, None
        if self._first_spans is not None:
            ends = np.append(self._first_spans[1:], len(self._sources) - 1)
            counts = (ends - self._first_spans)[segments]
            first_spans = np.cumsum(counts) - counts
            spans = ranges(self._first_spans[segments], counts)
        lengths = self._offsets[spans + 1] - self._offsets[spans]
        return Part(
            self._ids,
            self._sources[spans],
            lengths,
            self.boundary,
            label_numbers=label_numbers,
            first_spans=first_spans,
        )

    def cut(self, segments: Numbers, begins: Numbers, ends: Numbers) -> "Part":
        """Return a part of pieces (P,) of segments, in ascending order; those of one are joined.

        begins, ends: the symbols of each piece, counted without the boundary. The part must not be
        cut already.
        """
        assert self._first_spans is None, "a part is cut once"
        keep = (ends > begins) & (segments >= 0)
        segments, begins, ends = segments[keep], begins[keep], ends[keep]
        sources, lengths = self._sources[segments] + begins, ends - begins
        if self.boundary is None:
            return Part(self._ids, sources, lengths, None)
        is_first = np.diff(segments, prepend=-1) != 0
        # A segment's first piece begins one symbol earlier, which is read as the boundary.
        sources, lengths = sources + ~is_first, lengths + is_first
        first_spans = np.flatnonzero(is_first)
        labels = None if self.label_numbers is None else self.label_numbers[segments[is_first]]
        return Part(
            self._ids,
            sources,
            lengths,
            self.boundary,
            label_numbers=labels,
            first_spans=None if is_first.all() else first_spans,
        )

    def borders(self) -> Numbers:
        """Return, ascending, the places of the encoded text where the part's spans begin or end."""
        begins, ends = self._contents()
        return np.unique(np.concatenate([begins, ends]))

    def moved(
        self,
        ids: Ids,
        boundary: int | None,
        borders: Numbers,
        new_borders: Numbers,
        labels: NDArray[np.uint32] | None = None,
    ) -> "Part":
        """Return the same part of the same text in another vocabulary, ids (N,).

        borders: those of this part; new_borders: where they lie in `ids`. labels: the new number
        (K,) of each label, if they changed.
        """
        begins, ends = (
            new_borders[np.searchsorted(borders, places)] for places in self._contents()
        )
        is_first = self._begins_segment()[: len(begins)].astype(np.int64)
        numbers = self.label_numbers
        return Part(
            ids,
            begins - is_first,
            ends - begins + is_first,
            boundary,
            label_numbers=numbers if labels is None or numbers is None else labels[numbers],
            first_spans=self._first_spans,
        )

    def _contents(self) -> tuple[Numbers, Numbers]:
        """Where the spans begin and end in the encoded text, without boundaries before them."""
        spans = slice(None) if self.boundary is None else slice(-1)
        begins = self._sources[spans] + self._begins_segment()[spans]
        return begins, (self._sources + np.diff(self._offsets))[spans]

    def read(self, begin: int, end: int) -> Ids:
        """Return the symbols from `begin` to `end`, as places of the part count them."""
        begin, end = max(0, begin), min(len(self), end)
        if len(self._sources) == 1:
            source = int(self._sources[0])
            return self._ids[source + begin : source + end]
        if self._is_whole and self.boundary is not None:
            return np.minimum(self._ids[begin:end], self.boundary)
        blocks = [
            self.rows(np.array([place]), min(_READ, end - place))[0]
            for place in range(begin, end, _READ)
        ]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.uint32)

    def labels(self, begin: int, end: int) -> NDArray[np.uint32] | None:
        """Return the label number of each of those symbols; None where no document has a label."""
        begin, end = max(0, begin), min(len(self), end)
        found = self.row_labels(np.array([begin]), max(0, end - begin))
        return None if found is None else found[0]

    def rows(self, first: Numbers, length: int) -> NDArray[np.uint32]:
        """Return the symbols (B, length) from the places `first` (B,) on.

        Raises TextError if the file was cut off.
        """
        if len(self._sources) == 1:
            return self._reader.rows(first + self._sources[0], length)
        spans, lengths, skipped = self._overlapping(first, length)
        symbols = self._reader.spans(self._sources[spans] + skipped, lengths)
        if self.boundary is not None:
            begins_segment = (skipped == 0) & self._begins_segment(spans)
            symbols[(np.cumsum(lengths) - lengths)[begins_segment]] = self.boundary
        return symbols.reshape(len(first), length)

    def row_labels(self, first: Numbers, length: int) -> NDArray[np.uint32] | None:
        """Return the label numbers (B, length) of those symbols; None where no document has one.

        The boundary before a document has its label, the one after the last document has none.
        """
        if self.label_numbers is None:
            return None
        spans, lengths, _ = self._overlapping(first, length)
        segments = spans
        if self._first_spans is not None:
            segments = np.searchsorted(self._first_spans, spans, side="right") - 1
        numbers = self.label_numbers[np.minimum(segments, self.segments - 1)]
        numbers[spans == len(self._sources) - 1] = 0  # the last boundary
        return np.repeat(numbers, lengths).reshape(len(first), length)

    def documents(self) -> Iterator[Ids]:
        """Yield the symbols of each document, without boundaries; an undivided text is one."""
        if self.boundary is None:
            yield self.read(0, len(self))
            return
        offsets = self.segment_offsets
        first = 0
        while first < self.segments:  # many short documents are read together
            limit = np.searchsorted(offsets, offsets[first] + _READ, side="right") - 1
            last = max(first + 1, int(limit))
            place = int(offsets[first])
            symbols = self.read(place, int(offsets[last]))
            borders = (offsets[first : last + 1] - place).tolist()
            for begin, end in pairwise(borders):
                yield symbols[begin + 1 : end]
            first = last

    def blocks(self, size: int, most: int | None = None) -> Iterator[Ids]:
        """Yield all symbols in blocks of `size`, or about `most` of them, evenly spread."""
        places = np.arange(0, len(self), size)
        if most is not None and len(self) > most:
            places = np.linspace(0, len(self) - size, most // size).astype(np.int64)
        for place in places.tolist():
            yield self.rows(np.array([place]), min(size, len(self) - place))[0]

    def beginning(self, most: int) -> "Part":
        """Return a part of about `most` symbols, or all of it if it is not longer.

        Of documents these are whole ones, evenly spread, or the beginning of the first if most are
        longer; of an undivided text its beginning.
        """
        if len(self) <= most:
            return self
        if self.boundary is None:
            return self._shortened(most)
        count = self.segments * most // len(self)
        if count == 0:
            return self.select(np.zeros(1, np.int64))._shortened(most)
        return self.select(np.linspace(0, self.segments - 1, count).astype(np.int64))

    def _shortened(self, most: int) -> "Part":
        """Return the first symbols of a part of one segment; of a document, with the boundary."""
        spans = slice(None) if self.boundary is None else slice(-1)
        begins, lengths = self._offsets[:-1][spans], np.diff(self._offsets)[spans]
        return Part(
            self._ids,
            self._sources[spans],
            np.clip(most - begins, 0, lengths),
            self.boundary,
            label_numbers=self.label_numbers,
            first_spans=self._first_spans,
        )

    def _begins_segment(self, spans: Numbers | None = None) -> NDArray[np.bool_]:
        """Whether spans, by default all, begin with a boundary; so does the last one."""
        count = len(self._sources) if spans is None else len(spans)
        if self.boundary is None or self._first_spans is None:
            return np.full(count, self.boundary is not None)
        begins = np.zeros(len(self._sources), np.bool_)
        begins[self._first_spans] = True
        begins[-1] = True
        return begins if spans is None else begins[spans]

    def _overlapping(self, first: Numbers, length: int) -> tuple[Numbers, Numbers, Numbers]:
        """Return the spans that rows consist of, how long they are there, and what is skipped.

        The rows are those of `length` symbols from the places `first` (B,) on; each result is (K,).
        """
        begin = np.searchsorted(self._offsets, first, side="right") - 1
        end = np.searchsorted(self._offsets, first + length, side="left")
        spans = ranges(begin, end - begin)
        row_begin = np.repeat(first, end - begin)
        offsets = self._offsets[spans]
        skipped = np.maximum(row_begin - offsets, 0)
        lengths = np.minimum(self._offsets[spans + 1], row_begin + length) - offsets - skipped
        return spans, lengths, skipped


def ranges(begins: Numbers, counts: Numbers) -> Numbers:
    """Concatenate the ranges of `counts` (M,) numbers that begin with `begins` (M,)."""
    shifts = begins - (np.cumsum(counts) - counts)
    found: Numbers = np.repeat(shifts, counts) + np.arange(int(counts.sum()))
    return found


def boundaries_of(ids: Ids, boundary: int) -> tuple[Numbers, NDArray[np.unsignedinteger[Any]]]:
    """Return where the boundaries of ids (N,) lie, and their documents' label numbers."""
    places: list[Numbers] = [np.zeros(0, np.int64)]
    numbers: list[Ids] = [np.zeros(0, ids.dtype)]
    for begin in range(0, len(ids), _SCANNED):
        block = ids[begin : begin + _SCANNED]
        found = np.flatnonzero(block >= boundary)
        places.append(found + begin)
        numbers.append(block[found] - ids.dtype.type(boundary))
    return np.concatenate(places), np.concatenate(numbers)
