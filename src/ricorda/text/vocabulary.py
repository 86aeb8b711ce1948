"""Vocabularies: symbols to ids, and back; the vocabulary of characters."""

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ricorda.arguments import checked
from ricorda.errors import VocabularyError
from ricorda.text.unseen import quoted

Ids = NDArray[np.unsignedinteger[Any]]
"""Ids in the smallest unsigned type that holds the vocabulary."""

OnUnknown = Literal["error", "skip"]

_NO_ID = -1
_BLOCK = 1 << 20  # symbols looked at together where a whole text may come
_LINE_END = "\n"


@checked
def id_type(size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the smallest unsigned type for the ids 0 to size - 1."""
    if size <= 1 << 8:
        return np.dtype(np.uint8)
    return np.dtype(np.uint16) if size <= 1 << 16 else np.dtype(np.uint32)


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, lone surrogates included."""
    # Not text.encode("utf-32"), which takes a microsecond for each lone surrogate.
    return np.array(text).reshape(1).view(np.uint32)[: len(text)]


def start_symbol(symbols: str, first: str) -> str:
    """Return what generation starts from: a line end, else how the text (its only line) begins."""
    return _LINE_END if _LINE_END in symbols else first


def unknown_symbols_error(characters: Sequence[str], count: int) -> VocabularyError:
    """Name distinct characters that a vocabulary lacks, and how often they occur in all."""
    occurrences = "once" if count == 1 else f"{count} times in all"
    return VocabularyError(
        f"the text has characters that the model never saw: {quoted(characters)}, {occurrences}; "
        "leave them out of the text or with --on-unknown skip"
    )


class Decoder:
    """Turns ids into text as they come; the pieces together are the decoding of all ids."""

    def __init__(self, vocabulary: "Vocabulary") -> None:
        self._vocabulary = vocabulary

    @property
    def pending(self) -> str:
        """What `finish` would return now."""
        return ""

    def decode(self, ids: ArrayLike) -> str:
        """Return the text that these further ids complete."""
        return self._vocabulary.decode(ids)

    def finish(self) -> str:
        """Return what is left: a character that was never completed, as U+FFFD."""
        return ""


class Vocabulary(ABC):
    """The symbols that a model knows, numbered from 0: its ids."""

    kind: ClassVar[str]
    """What most symbols are: "characters", "bytes", "pieces" or "words"."""

    size: int
    """V, how many symbols there are."""

    start: int
    """The id that generation without a prompt starts from: the boundary, else the line end, where
    there is one."""

    boundary: int | None = None
    """The id of the symbol before and after each document, the last one; None without documents.
    It stands for no text."""

    labels: tuple[str, ...] = ()
    """The labels that documents may have: label k + 1 of a model is labels[k], 0 is none."""

    widest: int = 1
    """How many characters a symbol has at most."""

    rare: int | None = None
    """The id of the symbol that stands for each character without one of its own, which the text
    had too rarely; None if there is none. It comes after all other symbols but the boundary."""

    @property
    def forbidden(self) -> tuple[int, ...]:
        """The ids that generation never writes: the rare symbol."""
        return () if self.rare is None else (self.rare,)

    @abstractmethod
    def encode(self, text: str, on_unknown: OnUnknown = "error") -> Ids:
        """Return the ids (T,) of a text; characters without an id are an error or left out.

        Raises VocabularyError, with "error", naming the characters that have no id.
        """

    def settled(self, text: str) -> int:
        """Return how much of a text has the same ids whatever text follows: a place in it."""
        return len(text)

    @checked
    def unknown(self, text: str) -> str:
        """Return the distinct characters of a text that have no id, in order of appearance."""
        return "".join(dict.fromkeys(text[each] for each in self.unknown_places(text).tolist()))

    @abstractmethod
    def unknown_places(self, text: str) -> NDArray[np.int64]:
        """Return where the characters of a text stand that have no id, (n,), in ascending order."""

    @checked
    def unwritable(self, text: str) -> str:
        """Return the distinct characters of a text that the model cannot write, in order.

        Those without an id, and those that the rare symbol stands for.
        """
        places = self.unwritable_places(text).tolist()
        return "".join(dict.fromkeys(text[each] for each in places))

    def unwritable_places(self, text: str) -> NDArray[np.int64]:
        """Return where the characters of a text stand that cannot be written, (n,), ascending."""
        return self.unknown_places(text)

    @abstractmethod
    def decode(self, ids: ArrayLike) -> str:
        """Return the text of ids (T,). Raises VocabularyError if one is not below `size`."""

    def decoder(self) -> Decoder:
        """Return a decoder for ids that come one after another."""
        return Decoder(self)

    @abstractmethod
    def label(self, id: int) -> str:
        r"""Return a symbol as a person may read it: `e`, but `\n` and `\xe9` spelled out."""

    @abstractmethod
    def count(self, ids: ArrayLike) -> tuple[int, int]:
        """Return how many (characters, UTF-8 bytes) ids (T,) stand for."""

    @abstractmethod
    def widths(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return how many characters begin in each of ids (T,): their sum is that of `count`."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to build the same vocabulary."""

    @classmethod
    @abstractmethod
    def from_description(cls, description: dict[str, Any], **options: Any) -> "Vocabulary":
        """Build a vocabulary of this kind; the options are those of every kind."""

    keys: ClassVar[frozenset[str]]
    """The keys that `to_json` always has."""

    optional_keys: ClassVar[frozenset[str]] = frozenset({"boundary", "labels"})
    """Those that it has where they say something."""

    @staticmethod
    def from_json(description: object) -> "Vocabulary":
        """Build the vocabulary that `to_json` described. Raises VocabularyError if it did not."""
        from ricorda.text.kinds import KINDS  # they are made of what is here

        kind = description.get("kind") if isinstance(description, dict) else None
        if not isinstance(description, dict) or not isinstance(kind, str) or kind not in KINDS:
            raise VocabularyError(
                f"expected a vocabulary of kind {' or '.join(KINDS)}, "
                f"but it is {reprlib.repr(kind)}; the model file is damaged, or newer than this "
                "ricorda"
            )
        made = KINDS[kind]
        if not made.keys <= description.keys() <= made.keys | made.optional_keys:
            raise VocabularyError(
                f"expected a {kind} vocabulary with {', '.join(sorted(made.keys))}, but it has "
                f"{_shown(description)}; the model file is damaged, or newer than this ricorda"
            )
        options = {
            "has_boundary": description.get("boundary", False),
            "labels": description.get("labels", ()),
        }
        if "rare" in description:
            options["has_rare"] = description["rare"]
        return made.from_description(description, **options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(repr(self.to_json()))

    def __repr__(self) -> str:
        start = self.label(self.start)
        return f"{type(self).__name__}(size={self.size}, start={start!r})"

    def _checked(self, ids: ArrayLike) -> NDArray[np.integer[Any]]:
        array = np.asarray(ids)
        if array.size == 0:
            return array.astype(np.uint8)
        if array.dtype.kind not in "iu":
            raise VocabularyError(f"expected integer ids, but they are {array.dtype}")
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= self.size:
            wrong = low if low < 0 else high
            raise VocabularyError(f"expected ids from 0 to {self.size - 1}, but one is {wrong}")
        return array

    def _text_ids(self, ids: ArrayLike) -> NDArray[np.integer[Any]]:
        """The ids (T,) without boundaries."""
        array = self._checked(ids).reshape(-1)
        return array if self.boundary is None else array[array != self.boundary]

    def _divide(self, has_boundary: object, labels: object) -> None:
        """Add the boundary after all other symbols, and the labels of documents."""
        if not isinstance(has_boundary, bool):
            raise VocabularyError(
                f"expected true or false for a boundary, but it is {has_boundary!r}"
            )
        if not isinstance(labels, list | tuple) or not all(
            isinstance(each, str) for each in labels
        ):
            raise VocabularyError(f"expected a list of labels, but it is {reprlib.repr(labels)}")
        if len(set(labels)) < len(labels) or "" in labels:
            raise VocabularyError("expected labels that differ and are not empty")
        if labels and not has_boundary:
            raise VocabularyError("expected labels only where there are documents")
        self.labels = tuple(labels)
        if has_boundary:
            self.boundary = self.start = self.size
            self.size += 1

    def _special_label(self, id: int) -> str | None:
        """How a symbol that stands for no text of its own is shown; None for the others."""
        if id == self.boundary:
            return BOUNDARY_LABEL
        return RARE_LABEL if id == self.rare else None

    def _add_rare(self, has_rare: object) -> None:
        """Add the rare symbol after all others, before the boundary."""
        if not isinstance(has_rare, bool):
            raise VocabularyError(
                f"expected true or false for a rare symbol, but it is {has_rare!r}"
            )
        if has_rare:
            self.rare = self.size
            self.size += 1

    def _division_json(self) -> dict[str, Any]:
        described: dict[str, Any] = {} if self.rare is None else {"rare": True}
        if self.boundary is not None:
            described["boundary"] = True
        if self.labels:
            described["labels"] = list(self.labels)
        return described


def _shown(description: dict[Any, Any]) -> str:
    """The keys of a description, some of them if there are many."""
    return ", ".join(key[:30] for key in sorted(map(str, description))[:6])


BOUNDARY_LABEL = "\N{WHITE DIAMOND}"
"""What stands for the boundary where symbols are shown one by one."""

RARE_LABEL = "<rare>"
"""What stands for the rare symbol where symbols are shown one by one."""

RARE_TEXT = "\N{REPLACEMENT CHARACTER}"
"""What stands for a rare character, which the rare symbol does not identify."""

WITH_RARE = frozenset({"boundary", "labels", "rare"})
"""The optional keys of vocabularies that may have a rare symbol."""


class CharacterVocabulary(Vocabulary):
    """Characters (Unicode code points) in ascending order; an id is a place in that order."""

    kind = "characters"
    keys = frozenset({"kind", "symbols", "start"})
    optional_keys = WITH_RARE

    def __init__(
        self,
        symbols: str,
        start: str,
        *,
        has_rare: bool = False,
        has_boundary: bool = False,
        labels: Sequence[str] = (),
    ) -> None:
        """Number `symbols`; `start` is one of them.

        With `has_rare`, one more symbol stands for every other character, U+FFFD where it is
        decoded. Raises VocabularyError unless they are characters in ascending order, each once.
        """
        _check_symbols(symbols, start)
        self.symbols = symbols
        self.size = len(symbols)
        self.start = symbols.index(start)
        self.first = start
        self._add_rare(has_rare)
        self._divide(has_boundary, labels)
        known = code_points(symbols)
        # By code point. What lies beyond the last symbol is clipped to the extra entry, no id.
        self._ids = np.full(int(known[-1]) + 2, _NO_ID, np.int32)
        self._ids[known] = np.arange(len(symbols))
        decoded = symbols + (RARE_TEXT if has_rare else "")
        self._codes = code_points(decoded)  # (V,), by id, without the boundary
        self._bytes = np.array([len(symbol.encode()) for symbol in decoded], np.uint8)  # (V,)

    @classmethod
    @checked
    def from_text(cls, text: str) -> "CharacterVocabulary":
        """Collect the characters of a text; it starts from a line end or the first character."""
        symbols = "".join(sorted(set(text)))
        return cls(symbols, start_symbol(symbols, text[:1]))

    @checked
    def encode(self, text: str, on_unknown: OnUnknown = "error") -> Ids:
        """Return the ids (T,) of a text; characters without an id are an error or left out."""
        ids = self._look_up(text)
        if self.rare is not None:
            ids[ids == _NO_ID] = self.rare
        known = ids != _NO_ID
        if not known.all():
            if on_unknown == "error":
                unknown = self.unknown(text)
                raise unknown_symbols_error(unknown, int(np.count_nonzero(~known)))
            ids = ids[known]
        return ids.astype(id_type(self.size))

    @checked
    def unknown_places(self, text: str) -> NDArray[np.int64]:
        """Return where the characters of a text stand that have no id, (n,), in ascending order.

        With a rare symbol every character has one.
        """
        if self.rare is not None:
            return np.empty(0, np.int64)
        return self.unwritable_places(text)

    @checked
    def unwritable_places(self, text: str) -> NDArray[np.int64]:
        """Return where the characters of a text stand that cannot be written, (n,), ascending."""
        return np.flatnonzero(self._look_up(text) == _NO_ID)

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of ids (T,). Raises VocabularyError if one is not below `size`."""
        return self._codes.take(self._text_ids(ids)).astype("<u4").tobytes().decode("utf-32-le")

    def label(self, id: int) -> str:
        r"""Return a symbol as a person may read it: `e`, but `\n` and `\u200b` spelled out."""
        return self._special_label(id) or readable(self.decode([id]))

    def count(self, ids: ArrayLike) -> tuple[int, int]:
        """Return how many (characters, UTF-8 bytes) ids (T,) stand for."""
        array = self._text_ids(ids)
        return array.size, sum(
            int(self._bytes.take(block).sum(dtype=np.int64)) for block in blocks(array)
        )

    def widths(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return 1 for each of ids (T,), 0 for a boundary."""
        array = self._checked(ids)
        ones = np.ones(array.shape, np.int64)
        return ones if self.boundary is None else ones * (array != self.boundary)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to build the same vocabulary."""
        described = {"kind": self.kind, "symbols": self.symbols, "start": self.first}
        return described | self._division_json()

    @classmethod
    def from_description(cls, description: dict[str, Any], **options: Any) -> "CharacterVocabulary":
        """Build the vocabulary that `to_json` described."""
        return cls(description["symbols"], description["start"], **options)

    def _look_up(self, text: str) -> NDArray[np.int32]:
        return self._ids.take(code_points(text), mode="clip")


def _check_symbols(symbols: object, start: object) -> None:
    if not isinstance(symbols, str) or not symbols:
        raise VocabularyError("expected one character or more in a vocabulary, but it has none")
    for before, after in pairwise(symbols):
        if before >= after:
            what = "twice" if before == after else f"before {after!r}"
            raise VocabularyError(
                f"expected a vocabulary in ascending order, but {before!r} comes {what}"
            )
    if any("\ud800" <= symbol <= "\udfff" for symbol in symbols):
        raise VocabularyError("expected characters in a vocabulary, but one is a lone surrogate")
    if not isinstance(start, str) or len(start) != 1 or start not in symbols:
        raise VocabularyError(
            f"expected a vocabulary to start from one of its characters, but it is {start!r}"
        )


def readable(character: str) -> str:
    r"""Return a character, escaped if it is invisible: `\u200b`."""
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def blocks(array: NDArray[np.integer[Any]]) -> Iterable[NDArray[np.integer[Any]]]:
    """Cut an array into parts of about a million numbers, for little memory."""
    flat = array.reshape(-1)
    return (flat[first : first + _BLOCK] for first in range(0, flat.size, _BLOCK))
