"""Encoding texts of any size into ids that lie on disk and are read through memory.

The text is read once, so that pipes and files that change need no special care. While a vocabulary
of characters is still being collected, they get provisional ids, new ones as they are met; a pass
over the ids on disk then puts them in the order of the finished vocabulary.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError
from ricorda.text.id_file import IdFile
from ricorda.text.reading import Newlines, Progress, read_bytes, read_text
from ricorda.text.sources import Source
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

VocabularyKind = Literal["characters", "bytes"]

_NO_ID = -1


@dataclass(eq=False)
class EncodedText:
    """A text as ids on disk, with what was counted on the way; use it in a `with` block.

    The disk space is free again once the text is closed or collected and no view of the ids is
    left.
    """

    _ids: Ids | None

    vocabulary: Vocabulary

    characters: int
    """Code points in the encoded text; in raw bytes, the places where UTF-8 would begin one."""

    bytes: int
    """UTF-8 bytes of the encoded text; in a byte vocabulary, simply its bytes."""

    digest: str
    """SHA-256, in hexadecimal, of those bytes."""

    sources: tuple[str, ...]
    """The names of the sources, in order."""

    skipped: dict[str, int]
    """The characters without an id, which were left out, and how often each occurs."""

    @property
    def ids(self) -> Ids:
        """The ids (N,), read-only, mapped from disk. Raises TextError after `close`."""
        if self._ids is None:
            raise TextError("the encoded text is closed: encode it again")
        return self._ids

    def close(self) -> None:
        """Let go of the ids."""
        self._ids = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def encode_sources(
    sources: Sequence[Source],
    *,
    vocabulary: VocabularyKind | Vocabulary,
    folder: Path,
    encoding: str | None = None,
    newlines: Newlines | Literal["auto"] = "auto",
    on_unknown: OnUnknown = "error",
    progress: Progress | None = None,
) -> EncodedText:
    """Encode sources, one after another, into a file without a name on the disk of `folder`.

    `vocabulary` is the kind to collect from the text, or a vocabulary that exists: then characters
    that it lacks are an error or are skipped, as `on_unknown` says. A byte vocabulary takes the
    bytes as they are, unless an encoding is given: then the text is decoded, and its UTF-8 taken.
    Line ends become LF with "normalise", and with "auto" wherever text is decoded.
    `progress` is called with the number of bytes read so far. Memory does not grow with the text.

    Raises TextError where the text cannot be read or decoded, is empty, or does not fit on the
    disk; VocabularyError, with "error", once the whole text has been searched.
    """
    by_bytes = vocabulary == "bytes" or isinstance(vocabulary, ByteVocabulary)
    raw = by_bytes and encoding is None
    if newlines == "auto":
        newlines = "keep" if raw else "normalise"
    tally = _Tally()
    with IdFile(folder) as file:
        if raw:
            pieces = read_bytes(sources, newlines, progress=progress)
            found = _write(file, pieces, _ByteEncoder(vocabulary, tally))
        else:
            texts = read_text(sources, encoding or "utf-8", newlines, progress=progress)
            if by_bytes:
                pieces = (text.encode("utf-8") for text in texts)
                found = _write(file, pieces, _ByteEncoder(vocabulary, tally))
            elif isinstance(vocabulary, Vocabulary):
                found = _write(file, texts, _KnownEncoder(vocabulary, on_unknown, tally))
            else:
                found = _write(file, texts, _CollectingEncoder(tally))
        ids = file.map(found.size)
    return EncodedText(
        ids,
        found,
        characters=tally.characters,
        bytes=tally.byte_count,
        digest=tally.digest.hexdigest(),
        sources=tuple(source.name for source in sources),
        skipped=dict(tally.skipped),
    )


@dataclass
class _Tally:
    """What is counted while the text goes by."""

    characters: int = 0
    byte_count: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, data: bytes, characters: int) -> None:
        self.characters += characters
        self.byte_count += len(data)
        self.digest.update(data)


Piece_contra = TypeVar("Piece_contra", str, bytes, contravariant=True)


class _Encoder(Protocol[Piece_contra]):
    """Turns pieces of the text into ids, perhaps provisional ones."""

    size: int
    """How many different ids there are so far."""

    def encode(self, piece: Piece_contra) -> NDArray[np.integer[Any]]: ...

    def finish(self) -> tuple[Vocabulary, Ids | None]:
        """Return the vocabulary, and by provisional id the final one where they differ."""


def _write(
    file: IdFile, pieces: Iterator[Piece_contra], encoder: _Encoder[Piece_contra]
) -> Vocabulary:
    for piece in pieces:
        file.append(encoder.encode(piece), encoder.size)
    vocabulary, final_ids = encoder.finish()
    if final_ids is not None:
        file.translate(final_ids)
    return vocabulary


class _ByteEncoder:
    def __init__(self, vocabulary: Vocabulary | str, tally: _Tally) -> None:
        self.size = 256
        self._vocabulary = vocabulary
        self._tally = tally
        self._first: int | None = None
        self._has_line_end = False

    def encode(self, piece: bytes) -> Ids:
        ids = np.frombuffer(piece, np.uint8)
        self._tally.add(piece, count_characters(ids))
        if self._first is None:
            self._first = piece[0]
        self._has_line_end = self._has_line_end or b"\n" in piece
        return ids

    def finish(self) -> tuple[Vocabulary, None]:
        if isinstance(self._vocabulary, Vocabulary):
            return self._vocabulary, None
        assert self._first is not None  # an empty text stops before
        return ByteVocabulary(ord("\n") if self._has_line_end else self._first), None


class _KnownEncoder:
    def __init__(self, vocabulary: Vocabulary, on_unknown: OnUnknown, tally: _Tally) -> None:
        self.size = vocabulary.size
        self._vocabulary = vocabulary
        self._on_unknown = on_unknown
        self._tally = tally

    def encode(self, piece: str) -> Ids:
        ids = self._vocabulary.encode(piece, "skip")
        if len(ids) < len(piece):
            unknown = set(self._vocabulary.unknown(piece))
            self._tally.skipped.update(symbol for symbol in piece if symbol in unknown)
            piece = self._vocabulary.decode(ids)
        self._tally.add(piece.encode("utf-8"), len(piece))
        return ids

    def finish(self) -> tuple[Vocabulary, None]:
        skipped = self._tally.skipped
        if skipped and self._on_unknown == "error":
            raise unknown_symbols_error(list(skipped), skipped.total())
        if self._tally.characters == 0:
            raise TextError(
                "none of the text's characters is in the vocabulary; "
                "give a text like the one the model learned"
            )
        return self._vocabulary, None


class _CollectingEncoder:
    def __init__(self, tally: _Tally) -> None:
        self.size = 0
        self._tally = tally
        self._ids = np.full(sys.maxunicode + 1, _NO_ID, np.int32)  # provisional, by code point
        self._first = ""

    def encode(self, piece: str) -> NDArray[np.int32]:
        codes = code_points(piece)
        ids = self._ids.take(codes)
        if ids.min() == _NO_ID:
            new = np.unique(codes[ids == _NO_ID])
            self._ids[new] = np.arange(self.size, self.size + len(new))
            self.size += len(new)
            ids = self._ids.take(codes)
        self._first = self._first or piece[0]
        self._tally.add(piece.encode("utf-8"), len(piece))
        return ids

    def finish(self) -> tuple[Vocabulary, Ids]:
        codes = np.flatnonzero(self._ids != _NO_ID)  # ascending
        symbols = "".join(map(chr, codes.tolist()))
        final_ids = np.empty(self.size, id_type(self.size))
        final_ids[self._ids[codes]] = np.arange(self.size)
        return CharacterVocabulary(symbols, start_symbol(symbols, self._first)), final_ids
