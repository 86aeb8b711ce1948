"""Encoding texts of any size into ids that lie on disk and are read through memory.

The text is read once, so that pipes and files that change need no special care. While one thread
reads and decodes a piece, another looks up the ids of the one before, writes them and updates the
digest.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from ricorda.errors import TextError
from ricorda.text import reading
from ricorda.text.boundaries import Labels, Marks, stored_size
from ricorda.text.division import Divider
from ricorda.text.encoders import ByteEncoder, CollectingEncoder, Encoder, KnownEncoder
from ricorda.text.id_file import IdFile
from ricorda.text.parts import Part
from ricorda.text.reading import BEGINNING, Progress, ReadingPosition, TextPiece
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.sources import Source
from ricorda.text.vocabulary import Ids, OnUnknown, Vocabulary

VocabularyKind = Literal["characters", "bytes"]


@dataclass(eq=False)
class EncodedText:
    """A text as ids on disk, with what was counted on the way; use it in a `with` block.

    The disk space is free again once the text is closed or collected and no view of the ids is
    left, unless they lie in the cache.
    """

    _ids: Ids | None
    """Of documents: boundary d1 boundary d2 ... boundary dn boundary, where the boundary before a
    document with label k > 0 is V - 1 + k."""

    vocabulary: Vocabulary

    characters: int
    """Code points in the encoded text; in raw bytes, the places where UTF-8 would begin one."""

    bytes: int
    """UTF-8 bytes of the encoded text; in a byte vocabulary, simply its bytes."""

    digest: str
    """SHA-256, in hexadecimal, of those bytes; of documents, also of their division and labels."""

    skipped: dict[str, int]
    """The characters without an id, which were left out, and how often each occurs."""

    reading: ReadingSettings
    """How the text was read, with its division into documents resolved."""

    documents: int = 0
    """How many documents there are; 0 for one undivided text."""

    empty_documents: int = 0
    """Documents without text, which were left out."""

    _sources: Sequence[Source] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(source.name for source in self._sources)

    @property
    def ids(self) -> Ids:
        """The ids (N,), read-only, mapped from disk. Raises TextError after `close`."""
        if self._ids is None:
            raise TextError("the encoded text is closed: encode it again")
        return self._ids

    @cached_property
    def part(self) -> Part:
        """All of the text, as training and evaluation read it: its documents are found here."""
        return Part.whole(self.ids, self.vocabulary.boundary)

    def close(self) -> None:
        """Release the ids."""
        self._ids = None
        self.__dict__.pop("part", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Request:
    """All that decides which ids a text becomes, besides the text."""

    vocabulary: VocabularyKind | Vocabulary
    reading: ReadingSettings
    on_unknown: OnUnknown

    @property
    def known(self) -> Vocabulary | None:
        """The vocabulary, unless it is collected from the text."""
        return self.vocabulary if isinstance(self.vocabulary, Vocabulary) else None

    @property
    def kind(self) -> str:
        """What symbols are: characters or bytes."""
        return self.vocabulary.kind if isinstance(self.vocabulary, Vocabulary) else self.vocabulary

    @property
    def raw(self) -> bool:
        """Whether bytes are taken as they are, without decoding."""
        return self.reading.takes_raw_bytes(self.kind)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON that is equal for equal requests."""
        reading = self.reading
        decompression = reading.decompression
        return {
            "documents": [
                reading.documents,
                reading.field,
                reading.label_field,
                reading.label_from,
            ],
            "vocabulary": self.known.to_json() if self.known else self.vocabulary,
            "encoding": self.reading.encoding,
            "newlines": self.reading.line_ends(self.kind),
            "on_unknown": self.on_unknown,
            "decompress": decompression.enabled,
            "limit": decompression.limit,
        }

    def marks(self) -> Marks | None:
        """Return new marks of documents; None for one text."""
        division = self.reading.division
        if division is None:
            return None
        return Marks(division.marks_line_feeds, Labels(self.known.labels if self.known else None))

    def encoder(self, marks: Marks | None) -> Encoder:
        """Return a new encoder."""
        if self.kind == "bytes":
            return ByteEncoder(self.known, marks, raw=self.raw)
        if self.known is not None:
            return KnownEncoder(self.known, self.on_unknown, marks)
        return CollectingEncoder(marks)

    def pieces(
        self,
        sources: Sequence[Source],
        progress: Progress | None,
        marks: Marks | None,
        start: ReadingPosition = BEGINNING,
    ) -> Iterator[TextPiece]:
        """Read sources from a position on."""
        line_ends = self.reading.line_ends(self.kind)
        division = self.reading.division
        return reading.read_pieces(
            sources,
            None if self.raw else self.reading.encoding or "utf-8",
            line_ends,
            progress=progress,
            decompression=self.reading.decompression,
            start=start,
            divider=None
            if division is None or marks is None
            else Divider(division, marks.labels, keeps_line_ends=line_ends == "keep"),
        )


class Writing:
    """Writes the ids of pieces into a file, and keeps count."""

    def __init__(self, file: IdFile, request: Request) -> None:
        self.marks = request.marks()
        self.encoder = request.encoder(self.marks)
        self.digest = hashlib.sha256(_digest_beginning(request.reading))
        self.id_count = 0
        self.position = BEGINNING
        self._request = request
        self._file = file

    def write(
        self,
        sources: Sequence[Source],
        progress: Progress | None,
        written: Callable[[], None] | None = None,
    ) -> None:
        """Write what follows the position in a second thread; `written` is called after each piece.

        Raises the error of a piece at the next one, or at the end.
        """
        pieces = self._request.pieces(sources, progress, self.marks, self.position)
        with ThreadPoolExecutor(1, thread_name_prefix="ricorda-encoding") as worker:
            last: Future[None] | None = None
            for piece in _gathered(pieces):
                data = self.encoder.data_of(piece.text)
                if last is not None:
                    last.result()
                last = worker.submit(self._write, piece, data, written)
            if last is not None:
                last.result()

    def _write(self, piece: TextPiece, data: bytes, written: Callable[[], None] | None) -> None:
        ids, kept = self.encoder.encode(piece.text, data)
        self._file.append(ids, self.encoder.size)
        self.digest.update(kept)
        self.id_count += len(ids)
        self.position = piece.position
        if written is not None:
            written()

    def text(self, ids: Ids, vocabulary: Vocabulary, sources: Sequence[Source]) -> EncodedText:
        """Return the encoded text with its final ids."""
        return EncodedText(
            ids,
            vocabulary,
            characters=self.encoder.characters,
            bytes=self.encoder.byte_count,
            digest=self._final_digest(),
            skipped=dict(self.encoder.skipped),
            reading=self._request.reading,
            documents=max(0, self.encoder.boundaries - 1),
            empty_documents=self.position.empty,
            _sources=sources,
        )

    def _final_digest(self) -> str:
        """The digest of the text, its division and the labels."""
        digest = self.digest.copy()
        if self.marks is not None:
            digest.update("".join(f"\0{name}" for name in self.marks.labels.names).encode())
        return digest.hexdigest()


def encode_into(
    folder: Path, sources: Sequence[Source], request: Request, progress: Progress | None
) -> EncodedText:
    """Encode sources into a file without a name on the disk of `folder`."""
    with IdFile(folder) as file:
        writing = Writing(file, request)
        writing.write(sources, progress)
        vocabulary, final_ids = writing.encoder.finish()
        if final_ids is not None:
            file.translate(final_ids)
        return writing.text(file.map(stored_size(vocabulary)), vocabulary, sources)


def _digest_beginning(reading: ReadingSettings) -> bytes:
    """What the digest of a text of documents begins with, which no UTF-8 does."""
    return b"" if reading.division is None else b"\xff" + reading.documents.encode() + b"\xff"


def _gathered(pieces: Iterable[TextPiece]) -> Iterator[TextPiece]:
    """Put the pieces of small files together, so that each is worth its while."""
    texts: list[str] = []
    size = 0
    position = BEGINNING
    for text, position in pieces:
        texts.append(text)
        size += len(text)
        if 2 * size >= reading.PIECE_BYTES:
            yield TextPiece("".join(texts), position)
            texts, size = [], 0
    if texts:
        yield TextPiece("".join(texts), position)
