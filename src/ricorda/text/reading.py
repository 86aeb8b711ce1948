"""Reading sources as one text, in pieces of bounded size."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import IO, Literal, NamedTuple, Self

from ricorda.arguments import checked
from ricorda.errors import TextError
from ricorda.text.archives import Archive, open_archive
from ricorda.text.boundaries import LINE_FEED, MARK
from ricorda.text.compression import Decompression, Kind, check_name, decompressed, kind_of
from ricorda.text.contents import HEAD_BYTES as CONTENT_BYTES
from ricorda.text.contents import check_content
from ricorda.text.decoding import HEAD_BYTES, StrictDecoder, canonical_encoding
from ricorda.text.division import Divider, Division, Row, label_of, without_final_line_end
from ricorda.text.file_names import displayed, unreadable
from ricorda.text.parquet import parquet_rows
from ricorda.text.sources import Source, Sources
from ricorda.text.tables import format_of
from ricorda.text.tables import rows as rows_of

PIECE_BYTES = 1 << 20
"""How many bytes are read at a time."""

Newlines = Literal["normalise", "keep"]
Progress = Callable[[int], None]

PLAIN = Decompression()
"""Compressed files are decompressed, within the limits that hold unasked."""


class ReadingPosition(NamedTuple):
    """How far a text was read, to continue from there."""

    source: int = 0
    """Sources that were read to their end."""

    offset: int = 0
    """Characters of the next source that were read (or bytes, where nothing is decoded), with the
    marks of its documents."""

    last: str = ""
    """The last character before; empty at the beginning."""

    empty: int = 0
    """Empty documents in the sources before."""


BEGINNING = ReadingPosition()


class TextPiece(NamedTuple):
    """A piece of a text, and the position after it."""

    text: str
    position: ReadingPosition


@checked
def read_text(
    sources: Sequence[Source],
    encoding: str = "utf-8",
    newlines: Newlines = "normalise",
    *,
    progress: Progress | None = None,
    decompression: Decompression = PLAIN,
) -> Iterator[str]:
    """Read sources as one text, in pieces of about a million characters, none of them empty.

    Decoding is strict and drops byte order marks. "normalise" turns the line ends CR LF and CR
    into LF. Between two files a line end is added where the first does not end with one.
    `progress` is called with the number of bytes read so far, compressed ones where they are.

    Raises TextError where a source cannot be read, decompressed or decoded, and if all are empty.
    """
    pieces = read_pieces(
        sources, encoding, newlines, progress=progress, decompression=decompression
    )
    return (piece.text for piece in pieces)


@checked
def read_bytes(
    sources: Sequence[Source],
    newlines: Newlines = "keep",
    *,
    progress: Progress | None = None,
    decompression: Decompression = PLAIN,
) -> Iterator[bytes]:
    """Read sources as they are, in pieces of about 1 MB, none of them empty.

    Nothing is decoded or dropped, only a line end (LF) added between two files as `read_text`
    does. "normalise" turns the bytes CR LF and CR into LF.

    Raises TextError where a source cannot be read or decompressed, and if all are empty.
    """
    pieces = read_pieces(sources, None, newlines, progress=progress, decompression=decompression)
    return (piece.text.encode("latin-1") for piece in pieces)


def read_pieces(
    sources: Sequence[Source],
    encoding: str | None,
    newlines: Newlines,
    *,
    progress: Progress | None,
    decompression: Decompression,
    start: ReadingPosition = BEGINNING,
    divider: Divider | None = None,
) -> Iterator[TextPiece]:
    """Read from a position on as `read_text` does, or as `read_bytes` does without an encoding.

    Then each byte becomes the character of its number (Latin-1), so that the rules of text hold
    for bytes too. A divider divides the sources into documents: each has a mark before it, and one
    more follows the last.
    """
    remaining = (
        sources.starting_at(start.source)
        if isinstance(sources, Sources)
        else sources[start.source :]
    )
    with SourceReader(encoding, newlines, decompression, progress) as reader:
        if divider is None:
            yield from _joined(map(reader.text, remaining), sources, start)
        else:
            yield from _documents(remaining, reader, divider, sources, start)


class SourceReader:
    """Reads sources, one after another; use it in a `with` block."""

    def __init__(
        self,
        encoding: str | None,
        newlines: Newlines,
        decompression: Decompression,
        progress: Progress | None = None,
    ) -> None:
        """Decode, or without an encoding turn each byte into the character of its number."""
        self._encoding = None if encoding is None else canonical_encoding(encoding)
        self.keeps_line_ends = newlines == "keep"
        """Whether CR LF and CR are not made LF."""
        self._decompression = decompression
        self._progress = progress
        self._read = 0
        self._archive: Archive | None = None
        self._open = ExitStack()  # the file that is being read

    def text(self, source: Source) -> Iterator[str]:
        """Yield the text of a source in pieces, some perhaps empty."""
        pieces = self._decoded(source)
        return pieces if self.keeps_line_ends else _with_line_feeds(pieces)

    def marked(self, source: Source, divider: Divider) -> Iterator[str]:
        """Yield the documents of a source with a mark before each; no piece is empty."""
        if divider.division.kind == "rows":
            rows = self.rows(source, divider.division)
            return divider.marked_rows(source, rows)
        return divider.marked(source, self.text(source))

    def rows(
        self, source: Source, division: Division, *, needs_label: bool = True
    ) -> Iterator[Row]:
        """Yield the rows of a table, some perhaps without text.

        needs_label: whether a table without the column of labels is an error.
        """
        found = self._rows(source, division, needs_label)
        label = label_of(source, division.label_from)
        for row in found:
            text = row.text if self.keeps_line_ends else _with_line_feeds_alone(row.text)
            yield Row(without_final_line_end(text), label or row.label)

    def _rows(self, source: Source, division: Division, needs_label: bool) -> Iterator[Row]:
        if format_of(source.name) == "parquet":
            if source.path is None or source.member is not None:
                raise TextError(f"{source.name}: a Parquet table inside an archive: unpack it")
            return parquet_rows(
                source.name, source.path, division, needs_label=needs_label, progress=self._count
            )
        return rows_of(source.name, self.text(source), division, needs_label=needs_label)

    def _decoded(self, source: Source) -> Iterator[str]:
        raw = self._raw(source)
        if self._encoding is None:
            yield from (data.decode("latin-1") for data in raw)
            return
        decoder = StrictDecoder(source.name, self._encoding)
        yield from map(decoder.decode, raw)
        yield decoder.decode(b"", final=True)

    def _raw(self, source: Source) -> Iterator[bytes]:
        """Yield the contents of a file, decompressed if it is compressed.

        Raises TextError for a file that is known not to be text, unless raw bytes are read.
        """
        try:
            if source.member is not None:
                pieces = self._archive_of(source).pieces(source.member)
                yield from self._checked(source.name, self._counted(pieces), is_member=True)
                return
            with self._open:
                file = self._open.enter_context(_opened(source))
                pieces = iter(lambda: file.read(PIECE_BYTES), b"")
                yield from self._checked(source.name, self._counted(pieces))
        except OSError as error:
            raise unreadable(source.name, error) from error

    def _checked(
        self, name: str, pieces: Iterator[bytes], *, is_member: bool = False
    ) -> Iterator[bytes]:
        decompression, is_decoded = self._decompression, self._encoding is not None
        if not (is_decoded or decompression.enabled):
            yield from pieces
            return
        head, pieces = _with_head(pieces)
        kind = kind_of(head) if decompression.enabled and not is_member else None
        if kind is not None:
            inner = decompressed(name, kind, pieces, decompression.limit)
            head, pieces = _with_head(inner)
            _refuse_compressed_twice(name, head, kind)
        elif decompression.enabled and head:
            check_name(name, head[:HEAD_BYTES])
        check_content(name, head, inside=kind, is_decoded=is_decoded)
        yield from pieces

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for data in pieces:
            self._count(len(data))
            yield data

    def _count(self, amount: int) -> None:
        self._read += amount
        if self._progress is not None:
            self._progress(self._read)

    def _archive_of(self, source: Source) -> Archive:
        """Return the archive that a source is in, where the source before it left it."""
        assert source.path is not None
        assert source.member is not None
        archive = self._archive
        if archive is None or not archive.can_read(source.path, source.member):
            self._close_archive()
            name = displayed(source.path)
            self._archive = archive = open_archive(name, source.path, self._decompression)
        return archive

    def _close_archive(self) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()  # an error leaves the generators that read it suspended
        self._close_archive()


def _with_head(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of pieces, enough to know their content, and all of the pieces."""
    first: deque[bytes] = deque()
    head = b""
    while len(head) < CONTENT_BYTES and (piece := next(pieces, b"")):
        first.append(piece)
        head += piece[:HEAD_BYTES]

    def all_pieces() -> Iterator[bytes]:
        while first:  # none is kept while the rest is read
            yield first.popleft()
        yield from pieces

    return head, all_pieces()


def _refuse_compressed_twice(name: str, head: bytes, kind: Kind) -> None:
    again = kind_of(head)
    if again is not None:
        raise TextError(
            f"{name}: expected a text, but it is compressed twice ({again} inside {kind}): "
            f"decompress it once ({kind} -dc FILE > INNER) and name the result"
        )


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    if source.path is not None:
        return source.path.open("rb")
    buffer = getattr(sys.stdin, "buffer", None)
    if buffer is None:
        raise TextError("standard input is closed: name a file instead of -")
    return nullcontext(buffer)  # it stays open


def _with_line_feeds(pieces: Iterable[str]) -> Iterator[str]:
    """Turn CR LF and CR into LF; a CR that ends a piece waits for what follows."""
    waiting = ""
    for piece in pieces:
        if "\r" not in piece and not waiting:
            yield piece
            continue
        text = waiting + piece
        waiting = "\r" if text.endswith("\r") else ""
        yield _with_line_feeds_alone(text.removesuffix("\r"))
    if waiting:
        yield "\n"


def _with_line_feeds_alone(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _joined(
    texts: Iterable[Iterator[str]], sources: Sequence[Source], start: ReadingPosition
) -> Iterator[TextPiece]:
    """Chain texts without their empty pieces; each but the last ends with a line end."""
    last, skipped = start.last, start.offset
    for number, text in enumerate(texts, start.source):
        is_first = not skipped
        for new, offset in _beyond(text, skipped):
            missing_end = is_first and last not in {"", "\n"}
            is_first = False
            last = new[-1]
            yield TextPiece(
                "\n" + new if missing_end else new, ReadingPosition(number, offset, last)
            )
        skipped = 0
    if not last:
        raise _nothing(sources, "a text of at least 2 characters is needed")


def _documents(
    remaining: Iterable[Source],
    reader: SourceReader,
    divider: Divider,
    sources: Sequence[Source],
    start: ReadingPosition,
) -> Iterator[TextPiece]:
    """Chain the documents of sources, and put the last mark at the end."""
    if start.source == len(sources):  # the last mark was read
        return
    last, skipped = start.last, start.offset
    divider.empty = start.empty
    for number, source in enumerate(remaining, start.source):
        empty = divider.empty
        for new, offset in _beyond(reader.marked(source, divider), skipped):
            last = new[-1]
            yield TextPiece(new, ReadingPosition(number, offset, last, empty))
        skipped = 0
    if not last:
        raise _nothing(sources, "at least one document that is not empty is needed")
    final = LINE_FEED if divider.division.marks_line_feeds else MARK
    yield TextPiece(final, ReadingPosition(len(sources), 0, last, divider.empty))


def _beyond(pieces: Iterable[str], skipped: int) -> Iterator[tuple[str, int]]:
    """Yield what comes after the first characters, and how many were read with each piece."""
    offset = 0
    for piece in pieces:
        offset += len(piece)
        new = piece[max(0, len(piece) - (offset - skipped)) :] if skipped else piece
        if new:
            yield new, offset


def _nothing(sources: Sequence[Source], needed: str) -> TextError:
    names = sources[0].name if len(sources) == 1 else f"all {len(sources)} texts"
    return TextError(f"{names}: empty; {needed}")
