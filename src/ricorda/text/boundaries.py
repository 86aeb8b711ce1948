"""Mark the boundaries between documents in decoded text, until symbols have ids.

A mark is a lone surrogate, which no strictly decoded text contains: U+D800 stands before a document
without a label, U+D800 + k before one with label number k, and U+D800 at the end. Where each line
is a document without a label, the line feed is the mark, so that ASCII text stays ASCII.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError
from ricorda.text.vocabulary import Ids, Vocabulary, code_points, id_type

FIRST_MARK = 0xD800
MOST_LABELS = 1000
LONGEST_LABEL = 200  # characters
LINE_FEED = "\n"


def mark(label_number: int = 0) -> str:
    """Return the mark before a document that has this label number."""
    return chr(FIRST_MARK + label_number)


MARK = mark()
"""The mark before a document without a label, and at the end."""


def stored_size(vocabulary: Vocabulary) -> int:
    """Return how many ids a file of ids needs: each label of documents adds one."""
    return vocabulary.size + len(vocabulary.labels)


def stored_type(vocabulary: Vocabulary) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the type of the ids in such a file."""
    return id_type(stored_size(vocabulary))


class Labels:
    """The labels of documents, numbered from 1 in the order of their appearance.

    The labels of a vocabulary that exists keep their numbers; others have number 0.
    """

    def __init__(self, known: Sequence[str] | None = None) -> None:
        """Collect labels, or look them up among `known` ones."""
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._fixed = known is not None
        self.restore(known or ())

    def number(self, label: str | None, place: str = "the text") -> int:
        """Return a label's number, 0 for none. Raises TextError, naming the place, for too many."""
        if not label:
            return 0
        found = self._numbers.get(label)
        if found is not None:
            return found
        if self._fixed:
            return 0
        if len(self.names) == MOST_LABELS:
            raise TextError(
                f"{place}: expected at most {MOST_LABELS:,} labels, got one more, {label!r}, after "
                f"{', '.join(map(repr, self.names[:3]))} and others: choose a column or names "
                "with few different values"
            )
        self.names.append(label)
        self._numbers[label] = len(self.names)
        return len(self.names)

    def restore(self, names: Sequence[str]) -> None:
        """Number labels as they were. Raises ValueError if they are none."""
        numbers = {name: number for number, name in enumerate(names, 1)}
        if len(numbers) < len(names) or len(names) > MOST_LABELS or "" in numbers:
            raise ValueError("expected labels, each once")
        self.names, self._numbers = list(names), numbers

    def final(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the labels in their final order, and by present number the final one (K,)."""
        names = tuple(self.names) if self._fixed else tuple(sorted(self.names))
        numbers = {name: number for number, name in enumerate(names, 1)}
        return names, np.array([0, *(numbers[name] for name in self.names)])


@dataclass(frozen=True)
class Marks:
    """How boundaries are marked in the text that an encoder is given."""

    are_line_feeds: bool = False
    """Whether each line feed is a boundary, and no surrogate occurs."""

    labels: Labels = field(default_factory=Labels)

    @property
    def codes(self) -> NDArray[np.int64]:
        """The code points of the marks by label number."""
        if self.are_line_feeds:
            return np.array([ord(LINE_FEED)])
        return np.arange(FIRST_MARK, FIRST_MARK + 1 + len(self.labels.names))

    def where(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Say which of some code points, or bytes, (n,) are marks."""
        if self.are_line_feeds:
            return np.asarray(codes == ord(LINE_FEED))
        return np.asarray((codes >= FIRST_MARK) & (codes <= FIRST_MARK + MOST_LABELS))

    def label_numbers(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the label numbers of marks (n,)."""
        first = ord(LINE_FEED) if self.are_line_feeds else FIRST_MARK
        return codes.astype(np.int64) - first

    def taken_out(self, text: str) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
        """Return a text without marks, where in it each mark stood (n,), and the label numbers."""
        codes = code_points(text)
        marked = self.where(codes)
        places = np.flatnonzero(marked)
        plain = codes[~marked].tobytes().decode("utf-32-le")
        return plain, places - np.arange(len(places)), self.label_numbers(codes[places])

    def put_in(
        self,
        ids: Ids,
        places: NDArray[np.int64],
        numbers: NDArray[np.int64],
        vocabulary: Vocabulary,
    ) -> Ids:
        """Insert boundaries into ids (T,) before those at `places` (n,), as they are stored."""
        assert vocabulary.boundary is not None
        type = stored_type(vocabulary)
        return np.insert(ids.astype(type), places, (vocabulary.boundary + numbers).astype(type))
