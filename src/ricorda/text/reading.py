"""Reading sources as one text, in pieces of bounded size."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Literal

from ricorda.errors import TextError
from ricorda.text.decoding import StrictDecoder, canonical_encoding
from ricorda.text.sources import Source, unreadable

PIECE_BYTES = 1 << 20
"""How many bytes are read at a time."""

Newlines = Literal["normalise", "keep"]
Progress = Callable[[int], None]


def read_text(
    sources: Sequence[Source],
    encoding: str = "utf-8",
    newlines: Newlines = "normalise",
    *,
    progress: Progress | None = None,
) -> Iterator[str]:
    """Read sources as one text, in pieces of about a million characters, none of them empty.

    Decoding is strict and drops byte order marks. "normalise" turns the line ends CR LF and CR
    into LF. Between two files a line end is added where the first does not end with one.
    `progress` is called with the number of bytes read so far.

    Raises TextError where a source cannot be read or decoded, and if all are empty.
    """
    canonical = canonical_encoding(encoding)
    count = _Counter(progress)
    texts = (_decoded(source, canonical, count) for source in sources)
    if newlines == "normalise":
        texts = (_with_line_feeds(text) for text in texts)
    return _joined(texts, sources)


def read_bytes(
    sources: Sequence[Source],
    newlines: Newlines = "keep",
    *,
    progress: Progress | None = None,
) -> Iterator[bytes]:
    """Read sources as they are, in pieces of about 1 MB, none of them empty.

    Nothing is decoded or dropped, only a line end (LF) added between two files as `read_text`
    does. "normalise" turns the bytes CR LF and CR into LF.

    Raises TextError where a source cannot be read, and if all are empty.
    """
    # In Latin-1 each byte is the character of the same number, so the rules of text serve.
    count = _Counter(progress)
    texts = (_as_latin(source, count) for source in sources)
    if newlines == "normalise":
        texts = (_with_line_feeds(text) for text in texts)
    return (text.encode("latin-1") for text in _joined(texts, sources))


class _Counter:
    """Tells how many bytes were read, over all sources."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._total = 0

    def add(self, amount: int) -> None:
        self._total += amount
        if self._progress is not None:
            self._progress(self._total)


def _raw(source: Source, count: _Counter) -> Iterator[bytes]:
    try:
        with _opened(source) as file:
            while data := file.read(PIECE_BYTES):
                count.add(len(data))
                yield data
    except OSError as error:
        raise unreadable(source.name, error) from error


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    if source.path is not None:
        return source.path.open("rb")
    buffer = getattr(sys.stdin, "buffer", None)
    if buffer is None:
        raise TextError("standard input is closed: name a file instead of -")
    return nullcontext(buffer)  # it stays open


def _decoded(source: Source, encoding: str, count: _Counter) -> Iterator[str]:
    decoder = StrictDecoder(source.name, encoding)
    for data in _raw(source, count):
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def _as_latin(source: Source, count: _Counter) -> Iterator[str]:
    for data in _raw(source, count):
        yield data.decode("latin-1")


def _with_line_feeds(pieces: Iterable[str]) -> Iterator[str]:
    """Turn CR LF and CR into LF; a CR that ends a piece waits for what follows."""
    waiting = ""
    for piece in pieces:
        text = waiting + piece
        waiting = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
    if waiting:
        yield "\n"


def _joined(texts: Iterable[Iterator[str]], sources: Sequence[Source]) -> Iterator[str]:
    """Chain texts without their empty pieces; each but the last ends with a line end."""
    last = ""
    for text in texts:
        at_start = True
        for piece in filter(None, text):
            missing_end = at_start and last not in {"", "\n"}
            yield "\n" + piece if missing_end else piece
            at_start = False
            last = piece[-1]
    if not last:
        names = sources[0].name if len(sources) == 1 else f"all {len(sources)} texts"
        raise TextError(f"{names}: empty; a text of at least 2 characters is needed")
