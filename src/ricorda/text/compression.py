"""Reading compressed files as a stream, in bounded memory and with a limit against bombs.

A file is known by its first bytes. Several compressed parts, one after another, are one text, as
the programs gzip, zstd and xz take them too.
"""

import importlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, Self

from ricorda.errors import TextError
from ricorda.text.decoding import HEAD_BYTES, looks_binary
from ricorda.text.sizes import parse_size, readable_size

Kind = Literal["gzip", "zstd", "xz", "bzip2"]

MAGIC_BYTES = 10
"""How many of a file's first bytes show its kind."""

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
"""Bytes that any compressed file may decompress to."""

LARGEST_RATIO = 200
"""How many times its own size a compressed file may decompress to beyond that. Logs reach 100."""

FREE_PARTS = 20_000
"""How many parts any compressed file may have. Each costs time, even if it is empty."""

SMALLEST_PART = 64
"""Bytes that the parts beyond these must hold on average."""

LARGEST_WINDOW = 128 << 20
"""Bytes that a decompressor may look back on, and so hold: what `zstd -d` and `xz -9` need."""

_OUT_BYTES = 1 << 20
# No limit can be set on what zstd returns: each 4 bytes may stand for 128 KB.
_SLICE_BYTES = 2048


@dataclass(frozen=True)
class Decompression:
    """What is done with compressed files."""

    enabled: bool = True
    """Whether they are decompressed rather than read as they are."""

    limit: int | None = None
    """Bytes that each may decompress to; None for 64 MiB or 200 times its size, the larger."""

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
            f"{name}: expected {kind} data because of its name, but it does not begin like {kind}: "
            "it is damaged; download it again, or read it unchanged with --decompress off"
        )


def without_suffixes(name: str) -> str:
    """Return a file's name without the suffixes of compression and of archives."""
    stem = PurePath(name)
    while stem.suffix.lower() in {*_SUFFIXES, ".tar", ".tgz", ".zip"}:
        stem = stem.with_suffix("")
    return stem.name


def head_of(kind: Kind, data: bytes) -> bytes:
    """Return the first bytes of what a compressed file holds, from its own first bytes.

    Empty where these are damaged.
    """
    decompressor = _DECOMPRESSORS[kind]()
    head = b""
    try:
        for part in _slices([data]):
            if decompressor.eof or len(head) >= HEAD_BYTES:
                break
            head += next(_outputs(decompressor, part))
    except _errors():
        return b""
    return head[:HEAD_BYTES]


def decompressed(
    name: str, kind: Kind, pieces: Iterable[bytes], limit: int | None = None
) -> Iterator[bytes]:
    """Decompress a file that comes in pieces, and yield pieces of about 1 MB.

    Raises TextError if it is damaged or truncated, holds more than the limit, or needs too much
    memory.
    """
    ready: list[bytes] = []
    size = 0
    for piece in _bounded(name, kind, pieces, limit):
        ready.append(piece)
        size += len(piece)
        if size >= _OUT_BYTES:
            yield b"".join(ready)
            ready, size = [], 0
    if size:
        yield b"".join(ready)


def _bounded(name: str, kind: Kind, pieces: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    given = 0
    for piece, taken, count in _parts(name, kind, pieces):
        given += len(piece)
        if count > FREE_PARTS + given // SMALLEST_PART:
            raise TextError(
                f"{name}: {kind} data in {count:,} parts that are nearly empty, like a "
                f"decompression bomb: if you trust it, decompress it first ({kind} -dc FILE > "
                "TEXT) and name the result"
            )
        most = max(FREE_BYTES, LARGEST_RATIO * taken) if limit is None else limit
        if given > most:
            raise too_large(name, kind, taken, most, limit)
        yield piece


def _parts(name: str, kind: Kind, pieces: Iterable[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield output, perhaps empty, with the compressed bytes and the parts read so far."""
    decompressor: Any = None
    taken = count = 0
    for part in _slices(pieces):
        data = part
        taken += len(data)
        while data:
            if decompressor is None:
                data = data.lstrip(b"\0") if count else data  # parts may be padded
                if not data:
                    break
                decompressor, count = _DECOMPRESSORS[kind](), count + 1
            try:
                for output in _outputs(decompressor, data):
                    yield output, taken, count
            except _errors() as error:
                raise _damaged(name, kind, error, taken, count) from error
            data = b""
            if decompressor.eof:
                data, decompressor = decompressor.unused_data, None
    if decompressor is not None:
        raise TextError(
            f"{name}: expected a whole {kind} file, but it ends in the middle, after "
            f"{readable_size(taken)}: download it again, or decompress the part that is there "
            f"({kind} -dc FILE > TEXT)"
        )


def _slices(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for begin in range(0, len(piece), _SLICE_BYTES):
            yield piece[begin : begin + _SLICE_BYTES]


def _outputs(decompressor: Any, data: bytes) -> Iterator[bytes]:
    """Yield what a slice of one part holds: once or more, perhaps nothing.

    bzip2 and xz may hold very much in a slice, but can stop in the middle of it.
    """
    if not hasattr(decompressor, "needs_input"):
        yield decompressor.decompress(data)
        return
    yield decompressor.decompress(data, _OUT_BYTES)
    while not (decompressor.eof or decompressor.needs_input):
        yield decompressor.decompress(b"", _OUT_BYTES)


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
        f"{readable_size(taken)} ({said}): download it again, or test it with {kind} -t"
    )


def too_large(name: str, kind: str, taken: int, most: int, limit: int | None) -> TextError:
    """Return the error for compressed data that decompresses to more than `most` bytes."""
    if limit is None:
        what = f"its first {readable_size(taken)} decompress to over {readable_size(most)}"
        return TextError(
            f"{name}: {what}, like a decompression bomb ({kind}): if you trust it, allow a size, "
            "such as --max-decompressed 20GB"
        )
    return TextError(
        f"{name}: it decompresses to more than --max-decompressed {readable_size(limit)} ({kind}): "
        "if you trust the file, give a larger size"
    )


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()


def _xz() -> Any:
    lzma = _standard_module("lzma", "xz")
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=LARGEST_WINDOW)


def _bzip2() -> Any:
    return _standard_module("bz2", "bzip2").BZ2Decompressor()


def _standard_module(module: str, kind: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TextError(
            f"this Python was built without {kind} (its {module} module is missing): "
            f"decompress the text with {kind} -d"
        ) from error


_DECOMPRESSORS: dict[Kind, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "zstd": _zstd,
    "xz": _xz,
    "bzip2": _bzip2,
}
"""Make an object that decompresses one part: `decompress`, `eof` and `unused_data`."""


def _errors() -> tuple[type[Exception], ...]:
    """What decompressors raise, imported where it may be raised."""
    import zstandard

    own = (zlib.error, zstandard.ZstdError)  # bz2 raises OSError
    try:
        import lzma
    except ImportError:
        return (*own, OSError)
    return (*own, OSError, lzma.LZMAError)
