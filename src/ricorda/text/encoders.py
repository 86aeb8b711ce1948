"""From pieces of text to ids, with what is counted on the way.

While a vocabulary of characters is still being collected, they get provisional ids, new ones as
they are met; `finish` says which ids they have in the finished vocabulary. Marks of boundaries
between documents (see `boundaries`) get ids like characters, but are not counted.

An encoder's `state` is enough to continue in another process.
"""

import sys
from abc import ABC, abstractmethod
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import ConfigurationError, TextError
from ricorda.text.boundaries import MARK, Marks
from ricorda.text.byte_vocabulary import ByteVocabulary, count_characters
from ricorda.text.vocabulary import (
    CharacterVocabulary,
    Ids,
    OnUnknown,
    Vocabulary,
    code_points,
    id_type,
    start_symbol,
    unknown_symbols_error,
)

_NO_ID = -1
_MARK_DATA = MARK.encode("utf-8", "surrogatepass")
_MARK_BYTE = b"\xff"  # never in UTF-8


class Encoder(ABC):
    """Turns pieces of a text into ids, perhaps provisional ones."""

    size: int
    """How many different ids there are so far."""

    characters = 0
    """Characters encoded so far, boundaries not counted."""

    byte_count = 0
    """Their bytes."""

    boundaries = 0
    """Boundaries encoded so far."""

    def __init__(self, marks: Marks | None = None) -> None:
        """Encode a text; `marks` says how the boundaries in it are marked, if it has any."""
        self.skipped: Counter[str] = Counter()
        self._marks = marks

    def data_of(self, text: str) -> bytes:
        """Return what stands for a piece of text in the digest: its UTF-8, marks included."""
        return text.encode("utf-8", "strict" if self._marks is None else "surrogatepass")

    @abstractmethod
    def encode(self, text: str, data: bytes) -> tuple[NDArray[np.integer[Any]], bytes]:
        """Return the ids of a piece of text, and its data without what was skipped."""

    @abstractmethod
    def bytes_of(self, ids: Ids) -> bytes:
        """Return the data of the ids that `encode` returned."""

    @abstractmethod
    def finish(self) -> tuple[Vocabulary, Ids | None]:
        """Return the vocabulary, and by provisional id the final one where they differ."""

    def state(self) -> dict[str, Any]:
        """Return, as JSON, what `restore` needs."""
        return {
            "characters": self.characters,
            "bytes": self.byte_count,
            "boundaries": self.boundaries,
            "labels": self._marks.labels.names[:] if self._marks else [],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises KeyError, TypeError or ValueError if it is none."""
        self.characters = int(state["characters"])
        self.byte_count = int(state["bytes"])
        self.boundaries = int(state["boundaries"])
        if self._marks is not None:
            self._marks.labels.restore([str(name) for name in state["labels"]])

    def _count(self, characters: int, byte_count: int, boundaries: int) -> None:
        self.characters += characters
        self.byte_count += byte_count
        self.boundaries += boundaries

    def _count_text(self, symbols: int, data: bytes, boundaries: int) -> None:
        """Count symbols that are characters or boundaries, and their data."""
        mark_bytes = 1 if self._marks and self._marks.are_line_feeds else len(_MARK_DATA)
        self._count(symbols - boundaries, len(data) - mark_bytes * boundaries, boundaries)


class ByteEncoder(Encoder):
    """Bytes are their own ids. Where there are documents, boundaries are 256 and above."""

    def __init__(
        self, vocabulary: Vocabulary | None, marks: Marks | None = None, *, raw: bool = False
    ) -> None:
        """Encode bytes; `raw`: the text has a character for each byte, otherwise its UTF-8 counts.

        Raises ConfigurationError for a text of documents and a vocabulary without a boundary.
        """
        super().__init__(marks)
        _check_boundary(vocabulary, marks)
        self._vocabulary = vocabulary
        self._raw = raw
        self._first: int | None = None
        self._has_line_end = False

    @property
    def size(self) -> int:  # type: ignore[override]
        """256, and the boundaries before documents of each label."""
        return 256 + (0 if self._marks is None else 1 + len(self._marks.labels.names))

    def data_of(self, text: str) -> bytes:
        """Return the bytes; of a text of documents, the ids of two bytes each."""
        if self._marks is None:
            return text.encode("latin-1" if self._raw else "utf-8")
        if self._raw:
            ids = self._divided(code_points(text))
        else:
            ids = self._divided_utf8(text.encode("utf-8", "surrogatepass"))
        return ids.astype("<u2").tobytes()

    def _divided(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        assert self._marks is not None
        marked = self._marks.where(codes)
        ids = codes.astype(np.int64)
        ids[marked] = 256 + self._marks.label_numbers(codes[marked])
        return ids

    def _divided_utf8(self, data: bytes) -> NDArray[np.int64]:
        """Replace the three bytes of each surrogate by the id of its boundary."""
        assert self._marks is not None
        values = np.frombuffer(data, np.uint8)
        if self._marks.are_line_feeds:
            return self._divided(values)
        places = np.flatnonzero(values == _MARK_DATA[0])
        places = places[values[places + 1] >= _MARK_DATA[1]]
        ids = values.astype(np.int64)
        ids[places] = 256 + ((ids[places + 1] & 0x1F) << 6 | ids[places + 2] & 0x3F)
        kept = np.ones(len(ids), np.bool_)
        kept[places + 1] = kept[places + 2] = False
        return ids[kept]

    def encode(self, text: str, data: bytes) -> tuple[Ids, bytes]:
        """Count, and return the bytes."""
        ids: Ids = np.frombuffer(data, np.uint8 if self._marks is None else np.dtype("<u2"))
        symbols = ids if self._marks is None else ids[ids < 256]
        characters = len(symbols) if text.isascii() else count_characters(symbols)
        self._count(characters, len(symbols), len(ids) - len(symbols))
        if self._first is None:
            self._first = int(symbols[0])
        self._has_line_end = self._has_line_end or bool((symbols == ord("\n")).any())
        return ids, data

    def bytes_of(self, ids: Ids) -> bytes:
        """Return the bytes."""
        return ids.tobytes() if self._marks is None else ids.astype("<u2").tobytes()

    def finish(self) -> tuple[Vocabulary, Ids | None]:
        """Return the vocabulary that was given, or one that starts as the text lets it."""
        if self._vocabulary is not None:
            return self._vocabulary, None
        assert self._first is not None  # an empty text stops before
        first = ord("\n") if self._has_line_end else self._first
        if self._marks is None:
            return ByteVocabulary(first), None
        labels, numbers = self._marks.labels.final()
        final_ids = np.concatenate([np.arange(256), 256 + numbers]).astype(np.uint16)
        return ByteVocabulary(first, has_boundary=True, labels=labels), final_ids

    def state(self) -> dict[str, Any]:
        """Return what was counted."""
        own = {"first": self._first, "has_line_end": self._has_line_end}
        return super().state() | own

    def restore(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        super().restore(state)
        self._first = int(state["first"])
        self._has_line_end = bool(state["has_line_end"])


class KnownEncoder(Encoder):
    """Symbols of a vocabulary that exists; other characters are an error at the end, or left
    out."""

    def __init__(
        self, vocabulary: Vocabulary, on_unknown: OnUnknown, marks: Marks | None = None
    ) -> None:
        """Look symbols up in a vocabulary.

        Raises ConfigurationError for a text of documents and a vocabulary without a boundary.
        """
        super().__init__(marks)
        _check_boundary(vocabulary, marks)
        self.size = vocabulary.size + len(vocabulary.labels)
        self._vocabulary = vocabulary
        self._on_unknown = on_unknown

    def encode(self, text: str, data: bytes) -> tuple[Ids, bytes]:
        """Look the characters up."""
        if self._marks is None:
            ids, unknown = self._look_up(text)
            boundaries = 0
        else:
            plain, places, numbers = self._marks.taken_out(text)
            ids, places, unknown = self._look_up_between(plain, places)
            ids = self._marks.put_in(ids, places, numbers, self._vocabulary)
            boundaries = len(places)
        if len(unknown):
            data = self.bytes_of(ids)
        self._count_text(len(text) - len(unknown), data, boundaries)
        return ids, data

    def _look_up(self, text: str) -> tuple[Ids, NDArray[np.int64]]:
        """Return the ids of a text without marks, and where the skipped characters stood."""
        ids = self._vocabulary.encode(text, "skip")
        if len(ids) == len(text):
            return ids, np.empty(0, np.int64)
        places = self._vocabulary.unknown_places(text)
        self.skipped.update(text[place] for place in places.tolist())
        return ids, places

    def _look_up_between(
        self, text: str, places: NDArray[np.int64]
    ) -> tuple[Ids, NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids of a text, the places (n,) of marks among them, and what was skipped."""
        if self._vocabulary.widest == 1:
            ids, unknown = self._look_up(text)
            return ids, places - np.searchsorted(unknown, places), unknown
        cuts = [0, *places.tolist(), len(text)]
        found = [self._look_up(text[begin:end]) for begin, end in pairwise(cuts)]
        counts = np.cumsum([len(ids) for ids, _ in found])
        skipped = [begin + unknown for begin, (_, unknown) in zip(cuts, found, strict=False)]
        return np.concatenate([ids for ids, _ in found]), counts[:-1], np.concatenate(skipped)

    def bytes_of(self, ids: Ids) -> bytes:
        """Return the UTF-8 of ids, marks included."""
        if self._marks is None:
            return self.data_of(self._vocabulary.decode(ids))
        boundary = self._vocabulary.boundary or 0
        codes = self._marks.codes
        marked = np.flatnonzero(ids >= boundary)
        text = code_points(self._vocabulary.decode(ids[ids < boundary]))
        numbers = ids[marked].astype(np.int64) - boundary
        ends = np.cumsum(self._vocabulary.widths(np.minimum(ids, boundary)))
        with_marks = np.insert(text, ends[marked], codes[numbers])
        return self.data_of(_text_of(with_marks))

    def finish(self) -> tuple[Vocabulary, None]:
        """Return the vocabulary. Raises VocabularyError or TextError for a text that it lacks."""
        if self.skipped and self._on_unknown == "error":
            raise unknown_symbols_error(list(self.skipped), self.skipped.total())
        if self.characters == 0:
            raise TextError(
                "none of the text's characters is in the vocabulary; "
                "give a text like the one the model learned"
            )
        return self._vocabulary, None

    def state(self) -> dict[str, Any]:
        """Return what was counted."""
        return super().state() | {"skipped": dict(self.skipped)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        super().restore(state)
        self.skipped = Counter({str(key): int(count) for key, count in state["skipped"].items()})


class CollectingEncoder(Encoder):
    """Characters of a vocabulary that is being collected."""

    def __init__(self, marks: Marks | None = None) -> None:
        """Begin without any character."""
        super().__init__(marks)
        self.size = 0
        self._ids = np.full(sys.maxunicode + 1, _NO_ID, np.int32)  # provisional, by code point
        self._symbols = ""  # by provisional id, marks included
        self._first = ""
        self._known_bytes = b""  # ASCII, and the byte that stands for a mark
        self._byte_ids: bytes | None = bytes(256)  # by such a byte; None once one is above 255

    def encode(self, text: str, data: bytes) -> tuple[NDArray[np.integer[Any]], bytes]:
        """Look the characters up, and give new ones their provisional ids."""
        self._first = self._first or text[0 if self._marks is None else 1]
        narrow = self._narrow(text, data)
        if narrow is not None and self._byte_ids is not None:
            self._count_text(len(text), data, self._boundaries_in(narrow))
            return np.frombuffer(narrow.translate(self._byte_ids), np.uint8), data
        codes = code_points(text)
        ids = self._ids.take(codes)
        if ids.min() == _NO_ID:
            self._add("".join(map(chr, np.unique(codes[ids == _NO_ID]).tolist())))
            ids = self._ids.take(codes)
        marked = 0 if self._marks is None else np.count_nonzero(self._marks.where(codes))
        self._count_text(len(text), data, int(marked))
        return ids, data

    def _narrow(self, text: str, data: bytes) -> bytes | None:
        """Return one byte for each symbol, all of them known; None unless all others are ASCII."""
        if not text.isascii():
            if self._marks is None or self._marks.labels.names:
                return None
            data = data.replace(_MARK_DATA, _MARK_BYTE)
        new = data.translate(None, self._known_bytes)
        if not new.replace(_MARK_BYTE, b"").isascii():
            return None
        if new:
            found = "".join(map(chr, sorted(set(new))))
            self._add(found.replace(chr(_MARK_BYTE[0]), MARK))
        return data

    def _boundaries_in(self, narrow: bytes) -> int:
        if self._marks is None:
            return 0
        byte = ord("\n") if self._marks.are_line_feeds else _MARK_BYTE[0]
        return int(np.count_nonzero(np.frombuffer(narrow, np.uint8) == byte))

    def _add(self, symbols: str) -> None:
        """Number symbols that are new."""
        codes = code_points(symbols)
        self._ids[codes] = np.arange(self.size, self.size + len(symbols))
        self.size += len(symbols)
        self._symbols += symbols
        ids = np.full(256, _NO_ID)  # by byte
        ids[:128] = self._ids[:128]
        ids[_MARK_BYTE[0]] = self._ids[ord(MARK)]
        self._known_bytes = np.flatnonzero(ids != _NO_ID).astype(np.uint8).tobytes()
        within = ids.max() < 256
        self._byte_ids = np.maximum(ids, 0).astype(np.uint8).tobytes() if within else None

    def bytes_of(self, ids: Ids) -> bytes:
        """Return the UTF-8 of provisional ids. Raises ValueError if one is not known."""
        if self.size <= 256 and self._symbols.isascii():
            data = ids.tobytes()
            if data.translate(None, bytes(range(self.size))):
                raise ValueError("an id that was never given")
            return data.translate(self._symbols.encode().ljust(256, b"\0"))
        if ids.size and int(ids.max()) >= self.size:
            raise ValueError("an id that was never given")
        return self.data_of(_text_of(code_points(self._symbols).take(ids)))

    def finish(self) -> tuple[Vocabulary, Ids]:
        """Return the vocabulary in its order, and by provisional id the final one."""
        codes = np.flatnonzero(self._ids != _NO_ID)  # ascending
        marked = np.zeros(len(codes), np.bool_) if self._marks is None else self._marks.where(codes)
        symbols = "".join(map(chr, codes[~marked].tolist()))
        start = start_symbol(symbols, self._first)
        final_ids = np.empty(self.size, id_type(self.size))
        final_ids[self._ids[codes[~marked]]] = np.arange(len(symbols))
        if self._marks is None:
            return CharacterVocabulary(symbols, start), final_ids
        labels, numbers = self._marks.labels.final()
        marks = codes[marked]
        final_ids[self._ids[marks]] = len(symbols) + numbers[self._marks.label_numbers(marks)]
        vocabulary = CharacterVocabulary(symbols, start, has_boundary=True, labels=labels)
        return vocabulary, final_ids

    def state(self) -> dict[str, Any]:
        """Return the symbols so far."""
        return super().state() | {"symbols": self._symbols, "first": self._first}

    def restore(self, state: dict[str, Any]) -> None:
        """Number the symbols as they were. Raises ValueError for a state that `state` never has."""
        super().restore(state)
        symbols, first = state["symbols"], state["first"]
        if not isinstance(symbols, str) or len(set(symbols)) != len(symbols):
            raise ValueError("expected symbols, each once")
        if not isinstance(first, str) or first not in symbols or len(first) != 1:
            raise ValueError("expected a first symbol")
        self.data_of(symbols)
        self._add(symbols)
        self._first = first


def _check_boundary(vocabulary: Vocabulary | None, marks: Marks | None) -> None:
    if vocabulary is not None and marks is not None and vocabulary.boundary is None:
        raise ConfigurationError(
            "expected a model of documents, but this one learned an undivided text: "
            "read them as one text with --documents text"
        )


def _text_of(codes: NDArray[np.integer[Any]]) -> str:
    """Return the text of code points, lone surrogates included."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
