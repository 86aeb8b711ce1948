"""From pieces of text to ids, with what is counted on the way.

While a vocabulary of characters is still being collected, they get provisional ids, new ones as
they are met; `finish` says which ids they have in the finished vocabulary.

An encoder's `state` is enough to go on with it in another process.
"""

import sys
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError
from ricorda.text.vocabulary import (
    ByteVocabulary,
    CharacterVocabulary,
    Ids,
    OnUnknown,
    Vocabulary,
    code_points,
    count_characters,
    id_type,
    start_symbol,
    unknown_symbols_error,
)

_NO_ID = -1


class Encoder(ABC):
    """Turns pieces of a text into ids, perhaps provisional ones."""

    size: int
    """How many different ids there are so far."""

    characters = 0
    """Characters encoded so far."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()

    @abstractmethod
    def encode(self, text: str, data: bytes) -> tuple[NDArray[np.integer[Any]], bytes]:
        """Return the ids of a piece of text, and its bytes without what was skipped."""

    @abstractmethod
    def bytes_of(self, ids: Ids) -> bytes:
        """Return the bytes that ids which `encode` returned stand for."""

    @abstractmethod
    def finish(self) -> tuple[Vocabulary, Ids | None]:
        """Return the vocabulary, and by provisional id the final one where they differ."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return, as JSON, what `restore` needs."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises KeyError, TypeError or ValueError if it is none."""


class ByteEncoder(Encoder):
    """Bytes are their own ids."""

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        super().__init__()
        self.size = 256
        self._vocabulary = vocabulary
        self._first: int | None = None
        self._has_line_end = False

    def encode(self, text: str, data: bytes) -> tuple[Ids, bytes]:
        """Count, and return the bytes."""
        ids = np.frombuffer(data, np.uint8)
        self.characters += len(data) if text.isascii() else count_characters(ids)
        if self._first is None:
            self._first = data[0]
        self._has_line_end = self._has_line_end or b"\n" in data
        return ids, data

    def bytes_of(self, ids: Ids) -> bytes:
        """Return the bytes."""
        return ids.tobytes()

    def finish(self) -> tuple[Vocabulary, None]:
        """Return the vocabulary that was given, or one that starts as the text lets it."""
        if self._vocabulary is not None:
            return self._vocabulary, None
        assert self._first is not None  # an empty text stops before
        return ByteVocabulary(ord("\n") if self._has_line_end else self._first), None

    def state(self) -> dict[str, Any]:
        """Return what was counted."""
        return {
            "characters": self.characters,
            "first": self._first,
            "has_line_end": self._has_line_end,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.characters = int(state["characters"])
        self._first = int(state["first"])
        self._has_line_end = bool(state["has_line_end"])


class KnownEncoder(Encoder):
    """Characters of a vocabulary that exists; others are an error in the end, or left out."""

    def __init__(self, vocabulary: Vocabulary, on_unknown: OnUnknown) -> None:
        super().__init__()
        self.size = vocabulary.size
        self._vocabulary = vocabulary
        self._on_unknown = on_unknown

    def encode(self, text: str, data: bytes) -> tuple[Ids, bytes]:
        """Look the characters up."""
        ids = self._vocabulary.encode(text, "skip")
        if len(ids) < len(text):
            places = self._vocabulary.unknown_places(text).tolist()
            self.skipped.update(text[place] for place in places)
            data = self.bytes_of(ids)
        self.characters += len(ids)
        return ids, data

    def bytes_of(self, ids: Ids) -> bytes:
        """Return the UTF-8 of ids."""
        return self._vocabulary.decode(ids).encode("utf-8")

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
        return {"characters": self.characters, "skipped": dict(self.skipped)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.characters = int(state["characters"])
        self.skipped = Counter({str(key): int(count) for key, count in state["skipped"].items()})


class CollectingEncoder(Encoder):
    """Characters of a vocabulary that is being collected."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._ids = np.full(sys.maxunicode + 1, _NO_ID, np.int32)  # provisional, by code point
        self._symbols = ""  # by provisional id
        self._first = ""
        self._known_ascii = b""
        self._ascii_ids: bytes | None = bytes(256)  # by ASCII code; None once one is above 255

    def encode(self, text: str, data: bytes) -> tuple[NDArray[np.integer[Any]], bytes]:
        """Look the characters up, and give new ones their provisional ids."""
        self.characters += len(text)
        self._first = self._first or text[0]
        if text.isascii():
            new = data.translate(None, self._known_ascii)
            if new:
                self._add("".join(map(chr, sorted(set(new)))))
            if self._ascii_ids is not None:
                return np.frombuffer(data.translate(self._ascii_ids), np.uint8), data
        codes = code_points(text)
        ids = self._ids.take(codes)
        if ids.min() == _NO_ID:
            self._add("".join(map(chr, np.unique(codes[ids == _NO_ID]).tolist())))
            ids = self._ids.take(codes)
        return ids, data

    def _add(self, symbols: str) -> None:
        """Number symbols that are new."""
        codes = code_points(symbols)
        self._ids[codes] = np.arange(self.size, self.size + len(symbols))
        self.size += len(symbols)
        self._symbols += symbols
        self._known_ascii = bytes(np.flatnonzero(self._ids[:128] != _NO_ID).astype(np.uint8))
        ascii_ids = np.maximum(self._ids[:128], 0)
        if ascii_ids.max() > 255:
            self._ascii_ids = None
        else:
            self._ascii_ids = ascii_ids.astype(np.uint8).tobytes() + bytes(128)

    def bytes_of(self, ids: Ids) -> bytes:
        """Return the UTF-8 of provisional ids. Raises ValueError if one is not known."""
        if self.size <= 256 and self._symbols.isascii():
            data = ids.tobytes()
            if data.translate(None, bytes(range(self.size))):
                raise ValueError("an id that was never given")
            return data.translate(self._symbols.encode().ljust(256, b"\0"))
        if ids.size and int(ids.max()) >= self.size:
            raise ValueError("an id that was never given")
        codes = code_points(self._symbols).take(ids)
        return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le").encode("utf-8")

    def finish(self) -> tuple[Vocabulary, Ids]:
        """Return the vocabulary in its order, and by provisional id the final one."""
        codes = np.flatnonzero(self._ids != _NO_ID)  # ascending
        symbols = "".join(map(chr, codes.tolist()))
        final_ids = np.empty(self.size, id_type(self.size))
        final_ids[self._ids[codes]] = np.arange(self.size)
        return CharacterVocabulary(symbols, start_symbol(symbols, self._first)), final_ids

    def state(self) -> dict[str, Any]:
        """Return the symbols so far."""
        return {"characters": self.characters, "symbols": self._symbols, "first": self._first}

    def restore(self, state: dict[str, Any]) -> None:
        """Number the symbols as they were."""
        symbols, first = state["symbols"], state["first"]
        if not isinstance(symbols, str) or len(set(symbols)) != len(symbols):
            raise ValueError("expected symbols, each once")
        if not isinstance(first, str) or first not in symbols or len(first) != 1:
            raise ValueError("expected a first symbol")
        symbols.encode("utf-8")
        self._add(symbols)
        self._first = first
        self.characters = int(state["characters"])
