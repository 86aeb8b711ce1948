"""Reading sources as one text, in pieces of bounded size."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Literal, NamedTuple

from ricorda.arguments import checked
from ricorda.errors import TextError
from ricorda.text.compression import Decompression, Kind, check_name, decompressed, kind_of
from ricorda.text.contents import HEAD_BYTES as CONTENT_BYTES
from ricorda.text.contents import check_content
from ricorda.text.decoding import HEAD_BYTES, StrictDecoder, canonical_encoding
from ricorda.text.sources import Source, Sources, unreadable

PIECE_BYTES = 1 << 20
"""How many bytes are read at a time."""

Newlines = Literal["normalise", "keep"]
Progress = Callable[[int], None]

PLAIN = Decompression()
"""Compressed files are decompressed, within the limits that hold unasked."""


class Place(NamedTuple):
    """How far a text was read, to go on from there."""

    source: int = 0
    """Sources that were read to their end."""

    offset: int = 0
    """Characters (or bytes, where nothing is decoded) of the next source that were read."""

    last: str = ""
    """The last character before; empty at the beginning."""


BEGINNING = Place()


class Piece(NamedTuple):
    """Some of a text, and how far it is read with it."""

    text: str
    place: Place


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
    start: Place = BEGINNING,
) -> Iterator[Piece]:
    """Read from a place on as `read_text` does, or as `read_bytes` does without an encoding.

    Then each byte becomes the character of its number (Latin-1), so that the rules of text hold
    for bytes too.
    """
    canonical = None if encoding is None else canonical_encoding(encoding)
    total = 0

    def count(amount: int) -> None:
        nonlocal total
        total += amount
        if progress is not None:
            progress(total)

    def text_of(source: Source) -> Iterator[str]:
        raw = _raw(source, count, decompression, is_decoded=canonical is not None)
        if canonical is None:
            yield from (data.decode("latin-1") for data in raw)
            return
        decoder = StrictDecoder(source.name, canonical)
        yield from map(decoder.decode, raw)
        yield decoder.decode(b"", final=True)

    remaining = (
        sources.starting_at(start.source)
        if isinstance(sources, Sources)
        else sources[start.source :]
    )
    return _joined(map(text_of, remaining), sources, newlines, start)


def _raw(
    source: Source, count: Progress, decompression: Decompression, *, is_decoded: bool
) -> Iterator[bytes]:
    """Yield the contents of a file, decompressed if it is compressed.

    Raises TextError for a file that is known not to be text, unless raw bytes are read.
    """
    try:
        with _opened(source) as file:
            pieces = _counted(file, count)
            if not (is_decoded or decompression.enabled):
                yield from pieces
                return
            head, pieces = _with_head(pieces)
            kind = kind_of(head) if decompression.enabled else None
            if kind is not None:
                inner = decompressed(source.name, kind, pieces, decompression.limit)
                head, pieces = _with_head(inner)
                _refuse_compressed_twice(source.name, head, kind)
            elif decompression.enabled and head:
                check_name(source.name, head[:HEAD_BYTES])
            check_content(source.name, head, inside=kind, is_decoded=is_decoded)
            yield from pieces
    except OSError as error:
        raise unreadable(source.name, error) from error


def _counted(file: IO[bytes], count: Progress) -> Iterator[bytes]:
    while data := file.read(PIECE_BYTES):
        count(len(data))
        yield data


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
        yield text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
    if waiting:
        yield "\n"


def _joined(
    texts: Iterable[Iterator[str]], sources: Sequence[Source], newlines: Newlines, start: Place
) -> Iterator[Piece]:
    """Chain texts without their empty pieces; each but the last ends with a line end."""
    last, skipped = start.last, start.offset
    for number, text in enumerate(texts, start.source):
        offset = 0
        for piece in _with_line_feeds(text) if newlines == "normalise" else text:
            offset += len(piece)
            new = piece[max(0, len(piece) - (offset - skipped)) :] if skipped else piece
            if not new:
                continue
            missing_end = offset == len(new) and last not in {"", "\n"}
            last = new[-1]
            yield Piece("\n" + new if missing_end else new, Place(number, offset, last))
        skipped = 0
    if not last:
        names = sources[0].name if len(sources) == 1 else f"all {len(sources)} texts"
        raise TextError(f"{names}: empty; a text of at least 2 characters is needed")
