"""Reading compressed files as a stream, in bounded memory and with a limit against bombs.

A file is known by its first bytes. Several compressed parts, one after another, are one text, as
the programs gzip, zstd and xz take them too.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, Protocol, Self

from ricorda.errors import TextError
from ricorda.text.decoding import HEAD_BYTES, looks_binary
from ricorda.text.sizes import parse_size, readable_size

Kind = Literal["gzip", "zstd", "xz", "bzip2"]

MAGIC_BYTES = 10
"""How many of a file's first bytes tell its kind."""

_MAGIC: dict[bytes, Kind] = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
}
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", re.DOTALL)
_SUFFIXES: dict[str, Kind] = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".xz": "xz",
    ".bz2": "bzip2",
}

FREE_BYTES = 64 << 20
"""What any compressed file may come to."""

LARGEST_RATIO = 200
"""What a compressed file may come to beyond that, in times its own size. Logs reach about 100."""

FREE_PARTS = 20_000
"""How many parts any compressed file may have. Each costs time, even if it is empty."""

SMALLEST_PART = 64
"""Bytes that the parts beyond these must hold on average."""

LARGEST_WINDOW = 128 << 20
"""Bytes that a decompressor may look back on, and so hold: what `zstd -d` and `xz -9` need."""

_READ_BYTES = 1 << 16
_OUT_BYTES = 1 << 20
# Each 4 bytes of zstd may stand for 128 KB, and no limit can be set on what a call returns.
_ZSTD_READ_BYTES = 2048


@dataclass(frozen=True)
class Decompression:
    """What is done with compressed files."""

    enabled: bool = True
    """Whether they are decompressed rather than read as they are."""

    limit: int | None = None
    """Bytes that each may come to; None for 64 MiB or 200 times its size, whichever is more."""

    @classmethod
    def of(cls, decompress: Literal["auto", "off"], limit: str | None) -> Self:
        """What is meant by `--decompress` and `--max-decompressed`.

        Raises ConfigurationError if the limit is no size.
        """
        size = None if limit is None else parse_size("--max-decompressed", limit)
        return cls(decompress == "auto", size)


def kind_of(head: bytes) -> Kind | None:
    """Tell from a file's first bytes how it is compressed; None if it is not."""
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:  # a zstd frame to be skipped
        return "zstd"
    if _BZIP2.match(head):
        return "bzip2"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def check_name(name: str, head: bytes) -> None:
    """Raise TextError for a file that is compressed by its name, but damaged at its beginning.

    Plain text under such a name is read as what it is.
    """
    kind = _SUFFIXES.get(PurePath(name).suffix.lower())
    if kind is not None and looks_binary(head):
        raise TextError(
            f"{name}: expected {kind} data by its name, but it does not begin like {kind}: it is "
            "damaged; get it again, or read it as it is with --decompress off"
        )


def head_of(kind: Kind, data: bytes) -> bytes:
    """Return the first bytes of what a compressed file holds, from its own first bytes.

    Empty where these are damaged.
    """
    try:
        return _MEMBERS[kind]().decompress(data, HEAD_BYTES)[:HEAD_BYTES]
    except _errors():
        return b""


def decompressed(
    name: str, kind: Kind, read: Callable[[int], bytes], limit: int | None = None
) -> Iterator[bytes]:
    """Decompress what `read` returns, until it returns nothing, in pieces of about 1 MB.

    Raises TextError if it is damaged or cut, holds more than the limit, or needs too much memory.
    """
    pieces: list[bytes] = []
    size = 0
    for piece in _bounded(name, kind, read, limit):
        pieces.append(piece)
        size += len(piece)
        if size >= _OUT_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)


def _bounded(
    name: str, kind: Kind, read: Callable[[int], bytes], limit: int | None
) -> Iterator[bytes]:
    given = 0
    for piece, taken, count in _members(name, kind, read):
        given += len(piece)
        if count > FREE_PARTS + given // SMALLEST_PART:
            raise TextError(
                f"{name}: {kind} data in {count:,} parts that are nearly empty, like a "
                f"decompression bomb: if you trust it, decompress it first ({kind} -dc FILE > "
                "TEXT) and name the result"
            )
        most = max(FREE_BYTES, LARGEST_RATIO * taken) if limit is None else limit
        if given > most:
            raise _too_large(name, kind, taken, most, limit)
        if piece:
            yield piece


def _members(
    name: str, kind: Kind, read: Callable[[int], bytes]
) -> Iterator[tuple[bytes, int, int]]:
    """Yield pieces, perhaps empty, with the compressed bytes and the parts read so far."""
    member: _Member | None = None
    data, taken, count = b"", 0, 0
    while True:
        if not data and (member is None or member.needs_input):
            data = read(_READ_BYTES)
            if not data:
                break
            taken += len(data)
        if member is None:
            data = data.lstrip(b"\0") if count else data  # parts may be padded
            if not data:
                continue
            member, count = _MEMBERS[kind](), count + 1
        try:
            piece = member.decompress(data, _OUT_BYTES)
        except _errors() as error:
            raise _damaged(name, kind, error, taken, count) from error
        data = b""
        if member.eof:
            data, member = member.unused_data, None
        if piece or member is None:
            yield piece, taken, count
    if member is not None:
        raise TextError(
            f"{name}: expected a whole {kind} file, but it ends in the middle, after "
            f"{readable_size(taken)}: get it again, or decompress the part that is there "
            f"({kind} -dc FILE > TEXT)"
        )


def _damaged(name: str, kind: Kind, error: Exception, taken: int, count: int) -> TextError:
    said = " ".join(str(error).split())
    if "memory" in said.lower():
        return TextError(
            f"{name}: expected {kind} data that needs at most {readable_size(LARGEST_WINDOW)} of "
            "memory to decompress, but it needs more: compress it again without --long or --ultra, "
            f"or decompress it first ({kind} -dc FILE > TEXT)"
        )
    if "dictionary" in said.lower():
        return TextError(
            f"{name}: expected {kind} data without a dictionary, but it was compressed with a "
            f"dictionary: decompress it first ({kind} -d -D DICTIONARY FILE) and name the result"
        )
    where = "" if count == 1 else f" in its part {count}"
    return TextError(
        f"{name}: expected {kind} data, but it is damaged{where} within its first "
        f"{readable_size(taken)} ({said}): get it once more, or test it with {kind} -t"
    )


def _too_large(name: str, kind: Kind, taken: int, most: int, limit: int | None) -> TextError:
    if limit is None:
        what = f"over {readable_size(most)} came out of its first {readable_size(taken)}"
        return TextError(
            f"{name}: {what}, like a decompression bomb ({kind}): if you trust it, give the size "
            "that it may come to, such as --max-decompressed 20GB"
        )
    return TextError(
        f"{name}: it comes to more than --max-decompressed {readable_size(limit)} allows ({kind}): "
        "if you trust the file, give a larger size"
    )


class _Member(Protocol):
    """Decompresses one part, like lzma.LZMADecompressor."""

    @property
    def needs_input(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._tail = b""
        self._full = False

    @property
    def needs_input(self) -> bool:
        return not self._tail and not self._full

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._tail + data, max_length)
        self._tail = self._inner.unconsumed_tail
        self._full = len(piece) >= max_length
        return piece


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._inner = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
        self._tail = memoryview(b"")

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._tail.tobytes()

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._tail = memoryview(data)
        piece = self._inner.decompress(self._tail[:_ZSTD_READ_BYTES])
        self._tail = self._tail[_ZSTD_READ_BYTES:]
        return piece


def _xz() -> _Member:
    try:
        import lzma
    except ImportError as error:  # Python was built without it
        raise TextError(
            "this Python cannot read xz (its lzma module is missing): "
            "decompress the text with xz -d"
        ) from error
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=LARGEST_WINDOW)


def _bzip2() -> _Member:
    try:
        import bz2
    except ImportError as error:  # Python was built without it
        raise TextError(
            "this Python cannot read bzip2 (its bz2 module is missing): "
            "decompress the text with bzip2 -d"
        ) from error
    return bz2.BZ2Decompressor()


_MEMBERS: dict[Kind, Callable[[], _Member]] = {
    "gzip": _Gzip,
    "zstd": _Zstd,
    "xz": _xz,
    "bzip2": _bzip2,
}


def _errors() -> tuple[type[Exception], ...]:
    """What decompressors raise, imported where it may be raised."""
    import zstandard

    own = (zlib.error, zstandard.ZstdError)  # bz2 raises OSError
    try:
        import lzma
    except ImportError:
        return (*own, OSError)
    return (*own, OSError, lzma.LZMAError)
