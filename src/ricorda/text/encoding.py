"""Encoding texts of any size into ids that lie on disk and are read through memory.

The text is read once, so that pipes and files that change need no special care. While one thread
reads and decodes a piece, another looks up the ids of the one before, writes them and updates the
digest.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from ricorda.arguments import checked
from ricorda.errors import TextError
from ricorda.text import reading
from ricorda.text.compression import Decompression
from ricorda.text.encoders import ByteEncoder, CollectingEncoder, Encoder, KnownEncoder
from ricorda.text.id_file import IdFile
from ricorda.text.reading import BEGINNING, PLAIN, Newlines, Piece, Place, Progress
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.sources import Source
from ricorda.text.vocabulary import ByteVocabulary, Ids, OnUnknown, Vocabulary

VocabularyKind = Literal["characters", "bytes"]


@dataclass(eq=False)
class EncodedText:
    """A text as ids on disk, with what was counted on the way; use it in a `with` block.

    The disk space is free again once the text is closed or collected and no view of the ids is
    left, unless they lie in the cache.
    """

    _ids: Ids | None

    vocabulary: Vocabulary

    characters: int
    """Code points in the encoded text; in raw bytes, the places where UTF-8 would begin one."""

    bytes: int
    """UTF-8 bytes of the encoded text; in a byte vocabulary, simply its bytes."""

    digest: str
    """SHA-256, in hexadecimal, of those bytes."""

    skipped: dict[str, int]
    """The characters without an id, which were left out, and how often each occurs."""

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


@dataclass(frozen=True)
class Request:
    """All that decides which ids a text becomes, besides the text."""

    vocabulary: VocabularyKind | Vocabulary
    encoding: str | None
    newlines: Newlines
    on_unknown: OnUnknown
    decompression: Decompression

    @property
    def by_bytes(self) -> bool:
        """Whether symbols are bytes."""
        return self.vocabulary == "bytes" or isinstance(self.vocabulary, ByteVocabulary)

    @property
    def raw(self) -> bool:
        """Whether bytes are taken as they are, nothing being decoded."""
        return self.by_bytes and self.encoding is None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON that is equal for equal requests."""
        known = isinstance(self.vocabulary, Vocabulary)
        return {
            "vocabulary": self.vocabulary.to_json() if known else self.vocabulary,  # type: ignore[union-attr]
            "encoding": self.encoding,
            "newlines": self.newlines,
            "on_unknown": self.on_unknown,
            "decompress": self.decompression.enabled,
            "limit": self.decompression.limit,
        }

    def encoder(self) -> Encoder:
        """Return a new encoder."""
        known = self.vocabulary if isinstance(self.vocabulary, Vocabulary) else None
        if self.by_bytes:
            return ByteEncoder(known)
        return CollectingEncoder() if known is None else KnownEncoder(known, self.on_unknown)

    def pieces(
        self, sources: Sequence[Source], progress: Progress | None, start: Place
    ) -> Iterator[Piece]:
        """Read sources from a place on."""
        return reading.read_pieces(
            sources,
            None if self.raw else self.encoding or "utf-8",
            self.newlines,
            progress=progress,
            decompression=self.decompression,
            start=start,
        )

    def bytes_of(self, text: str) -> bytes:
        """Return the bytes of a piece that was read."""
        return text.encode("latin-1" if self.raw else "utf-8")


@checked
def encode_sources(
    sources: Sequence[Source],
    *,
    vocabulary: VocabularyKind | Vocabulary,
    folder: Path,
    encoding: str | None = None,
    newlines: Newlines | Literal["auto"] = "auto",
    on_unknown: OnUnknown = "error",
    progress: Progress | None = None,
    decompression: Decompression = PLAIN,
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
    kind = vocabulary.kind if isinstance(vocabulary, Vocabulary) else vocabulary
    ends = ReadingSettings(encoding=encoding, newlines=newlines).line_ends(kind)
    request = Request(vocabulary, encoding, ends, on_unknown, decompression)
    return encode_request(sources, request, folder, progress)


@checked
def make_request(
    vocabulary: VocabularyKind | Vocabulary, reading: ReadingSettings, on_unknown: OnUnknown
) -> Request:
    """Settle what "auto" means."""
    kind = vocabulary.kind if isinstance(vocabulary, Vocabulary) else vocabulary
    ends = reading.line_ends(kind)
    return Request(vocabulary, reading.encoding, ends, on_unknown, reading.decompression)


def encode_request(
    sources: Sequence[Source], request: Request, folder: Path, progress: Progress | None
) -> EncodedText:
    """Encode sources into a file without a name, as `encode_sources` does."""
    with IdFile(folder) as file:
        writing = Writing(file, request.encoder(), request)
        writing.write(request.pieces(sources, progress, BEGINNING))
        vocabulary, final_ids = writing.encoder.finish()
        if final_ids is not None:
            file.translate(final_ids)
        ids = file.map(vocabulary.size)
    return EncodedText(
        ids,
        vocabulary,
        characters=writing.encoder.characters,
        bytes=writing.byte_count,
        digest=writing.digest.hexdigest(),
        skipped=dict(writing.encoder.skipped),
        _sources=sources,
    )


class Writing:
    """Writes the ids of pieces into a file, and keeps count."""

    def __init__(self, file: IdFile, encoder: Encoder, request: Request) -> None:
        self.encoder = encoder
        self.digest = hashlib.sha256()
        self.byte_count = 0
        self.id_count = 0
        self._file = file
        self._request = request

    def write(
        self, pieces: Iterable[Piece], written: Callable[[Place], None] | None = None
    ) -> None:
        """Write all pieces; `written` is called after each, in the thread that writes."""

        def step(piece: Piece, data: bytes) -> None:
            ids, kept = self.encoder.encode(piece.text, data)
            self._file.append(ids, self.encoder.size)
            self.digest.update(kept)
            self.byte_count += len(kept)
            self.id_count += len(ids)
            if written is not None:
                written(piece.place)

        with _InOrder() as worker:
            for piece in _gathered(pieces):
                worker.do(step, piece, self._request.bytes_of(piece.text))


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Put the pieces of small files together, so that each is worth its while."""
    texts: list[str] = []
    size = 0
    place = BEGINNING
    for text, place in pieces:
        texts.append(text)
        size += len(text)
        if 2 * size >= reading.PIECE_BYTES:
            yield Piece("".join(texts), place)
            texts, size = [], 0
    if texts:
        yield Piece("".join(texts), place)


class _InOrder:
    """Does tasks one after another in a thread, one at a time; the first without one.

    Raises the error of a task at the next one, or at the end.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._started = False
        self._last: Future[None] | None = None

    def do(self, task: Callable[..., None], *arguments: object) -> None:
        """Do a task after those before."""
        if not self._started:
            self._started = True
            task(*arguments)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="ricorda-encoding")
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(task, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        try:
            if error is None and self._last is not None:
                self._last.result()
        finally:
            self._pool.shutdown(cancel_futures=True)
