"""The safetensors format, read without trusting a byte of it, and written in pieces.

A file is 8 bytes, the header's length; the header, JSON; then the tensors' bytes, one after the
other. The header is checked in full against the file's size before any tensor is read, and a
tensor takes no more memory than it has bytes in the file. Reading a header takes at most three
times LARGEST_HEADER bytes of memory.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

from ricorda.validation import parse_json, shown

LARGEST_HEADER = 24 * 1024 * 1024  # bytes; a vocabulary of every code point fits
MOST_ENTRIES = 10_000
MOST_DIMENSIONS = 8
SIZES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4},
    **{"F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
"""Bytes of each type of number."""


class TensorFileError(ValueError):
    """The bytes are no safetensors file, or a truncated or damaged one."""


@dataclass(frozen=True)
class Entry:
    """One tensor, as the header describes it."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Bytes from the file's start."""

    end: int


@dataclass(frozen=True)
class Header:
    """Everything before the tensors."""

    metadata: dict[str, str]
    entries: dict[str, Entry]

    @property
    def largest(self) -> int:
        """Bytes of all tensors together."""
        return sum(entry.end - entry.begin for entry in self.entries.values())


def read_header(file: IO[bytes], size: int) -> Header:
    """Read and check a header; size is the file's. Raises TensorFileError, OSError."""
    start = read_exactly(file, min(8, size))
    if len(start) < 8:
        raise TensorFileError(f"it has {size} bytes, fewer than a header's length takes")
    length = int.from_bytes(start, "little")
    if length > LARGEST_HEADER:
        raise TensorFileError(f"its header would have {length} bytes, more than {LARGEST_HEADER}")
    if length > size - 8:
        raise TensorFileError(f"its header would have {length} bytes, the file has {size}")
    try:
        header = parse_json(_header_text(file, length), longest=LARGEST_HEADER)
    except ValueError as error:
        raise TensorFileError(f"its header is not JSON: {error}") from error
    if not isinstance(header, dict) or len(header) > MOST_ENTRIES:
        raise TensorFileError(f"its header should be an object of at most {MOST_ENTRIES} entries")
    metadata = _metadata(header.pop("__metadata__", {}))
    entries = {name: _entry(name, value, 8 + length) for name, value in header.items()}
    _check_places(entries.values(), 8 + length, size)
    return Header(metadata, entries)


def _header_text(file: IO[bytes], length: int) -> bytes:
    """Read a header, UTF-8, whose characters take at most LARGEST_HEADER bytes of memory."""
    content = read_exactly(file, length)
    if length * _bytes_of_a_character(content) > LARGEST_HEADER:
        raise TensorFileError(f"its header would take more than {LARGEST_HEADER} bytes of memory")
    content.decode("utf-8")  # raises UnicodeDecodeError, also for lone surrogates
    return content


def _bytes_of_a_character(content: bytes) -> int:
    """Bytes per character in memory of a str of this UTF-8, its escapes resolved."""
    if re.search(rb"[\xf0-\xff]|\\u[dD][89abAB]", content):
        return 4
    return 2 if re.search(rb"[\xc4-\xff]|\\u(?!00)", content) else 1


def _metadata(value: Any) -> dict[str, str]:
    """Texts by name; the safetensors library takes null for none."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TensorFileError("its header's metadata should be texts by name")
    return value


def _entry(name: str, value: Any, start: int) -> Entry:
    """Check one tensor's entry for itself."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise TensorFileError(
            f"the tensor {shown(name)} should have a dtype, shape and data_offsets"
        )
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise TensorFileError(f"the tensor {shown(name)} has the unknown type {str(dtype)[:20]!r}")
    if not _are_counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise TensorFileError(f"the tensor {shown(name)} has no shape of whole numbers")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise TensorFileError(f"the tensor {shown(name)} should have two offsets")
    begin, end = offsets
    if math.prod(shape) * SIZES[dtype] != end - begin:
        raise TensorFileError(
            f"the tensor {shown(name)} does not have the number of bytes that its shape needs"
        )
    return Entry(dtype, tuple(shape), start + begin, start + end)


def _are_counts(values: Any) -> bool:
    """Whether it is a list of whole numbers that a file's size could hold."""
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 2**48 for value in values
    )


def _check_places(entries: Iterable[Entry], start: int, size: int) -> None:
    """Check that the tensors fill the file from the header to its end and do not overlap."""
    ordered = sorted((entry.begin, entry.end) for entry in entries)
    places = [(start, start), *ordered, (size, size)]
    for before, after in pairwise(places):
        if before[1] != after[0]:
            raise TensorFileError(
                f"its tensors do not fill it: one ends at byte {before[1]}, and what comes next "
                f"begins at byte {after[0]}"
            )


def read_exactly(file: IO[bytes], size: int) -> bytes:
    """Read so many bytes. Raises TensorFileError if there are fewer."""
    pieces = []
    while size and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    if size:
        raise TensorFileError(f"{size} bytes are missing at its end")
    return b"".join(pieces)


def read_entry(file: IO[bytes], entry: Entry) -> bytearray:
    """Read one tensor's bytes. Raises TensorFileError if the file ends before them."""
    content = bytearray(entry.end - entry.begin)
    file.seek(entry.begin)
    rest = memoryview(content)
    while rest:
        count: int | None = file.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise TensorFileError(f"{len(rest)} bytes are missing at its end")
        rest = rest[count:]
    return content


def tensor_file(
    tensors: Mapping[str, tuple[str, tuple[int, ...], memoryview]], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """Yield a file's bytes in pieces: tensors are (type, shape, bytes) by name.

    The same tensors give the same bytes: names and keys are sorted.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for name in sorted(tensors):
        dtype, shape, content = tensors[name]
        end = place + content.nbytes
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in sorted(tensors):
        yield tensors[name][2]
