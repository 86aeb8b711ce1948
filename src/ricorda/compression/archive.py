"""The layout of a compressed file.

8 bytes    the signature
1          version of the format
1          method
1          size of the tables: 2 to this power buckets
1          flags, 0
8          size of the content, little-endian
32         SHA-256 of the content
32         SHA-256 of the model's file, only where one is needed
...        the content's code
8          the first bytes of the SHA-256 of all before
"""

import enum
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ricorda.errors import ArchiveError

SIGNATURE = b"\x89ricor\r\n"
VERSION = 1
CHECK_SIZE = 8
CHUNK = 1 << 16  # bytes
SMALLEST_TABLES, LARGEST_TABLES = 10, 22

_FIELDS = struct.Struct("<8sBBBBQ32s")


class Method(enum.IntEnum):
    """How the content is coded."""

    STORED = 0
    LZMA = 1
    """LZMA2 without a container, preset 9 extreme."""

    MIXED = 2
    """Mixed predictions of the bytes (kernels/mixing)."""

    NETWORK = 3
    """The same, and those of a network that starts from a seed and learns as it reads."""

    TRAINED = 5  # 4: by a reader whose embeddings did not learn
    """Mixed predictions of the symbols of a trained model, which learns on as it reads."""


@dataclass(frozen=True)
class Header:
    """What an archive says of its content."""

    method: Method
    size: int
    """In bytes."""

    content_digest: bytes
    """SHA-256."""

    table_bits: int = 0
    escapes: bool = False
    """Whether symbols for bytes follow those of the model."""

    model_digest: bytes = b""
    """SHA-256 of the model's file, where one is needed."""

    def to_bytes(self) -> bytes:
        """Return the header as it stands in a file."""
        flags, fields = int(self.escapes), (self.size, self.content_digest)
        packed = _FIELDS.pack(SIGNATURE, VERSION, self.method, self.table_bits, flags, *fields)
        return packed + self.model_digest

    @classmethod
    def read(cls, file: IO[bytes], name: str) -> "Header":
        """Read a header. Raises ArchiveError for one that this version does not understand."""
        data = file.read(_FIELDS.size)
        if data[: len(SIGNATURE)] != SIGNATURE:
            raise ArchiveError(
                f"{name} was not written by `ricorda compress`: its first bytes differ"
            )
        if len(data) < _FIELDS.size:
            raise damaged(name)
        _, version, method, table_bits, flags, size, digest = _FIELDS.unpack(data)
        if version != VERSION or flags > 1 or method not in list(Method):
            raise ArchiveError(
                f"{name} was written by another version of ricorda (format {version}, method "
                f"{method}): decompress it with that version"
            )
        if table_bits and not SMALLEST_TABLES <= table_bits <= LARGEST_TABLES:
            raise damaged(name)
        model_digest = file.read(len(digest)) if method == Method.TRAINED else b""
        if method == Method.TRAINED and len(model_digest) < len(digest):
            raise damaged(name)
        return cls(Method(method), size, digest, table_bits, flags == 1, model_digest)


def damaged(name: str) -> ArchiveError:
    """Return the error for an archive that is not as it was written."""
    return ArchiveError(f"{name} is damaged: nothing was restored; use another copy")


class CheckedWriter:
    """Writes an archive, and at its end the check of all that was written."""

    def __init__(self, file: IO[bytes], header: Header) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        self.write(header.to_bytes())

    def write(self, data: bytes) -> None:
        """Write a part of the code. Raises OSError."""
        self._hash.update(data)
        self._file.write(data)
        self.size += len(data)

    def finish(self) -> None:
        """Write the check. Raises OSError."""
        self._file.write(self._hash.digest()[:CHECK_SIZE])
        self.size += CHECK_SIZE


def chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file in pieces, or all that it has. Raises OSError."""
    while size > 0 and (data := file.read(min(CHUNK, size))):
        size -= len(data)
        yield data


def verify(path: Path) -> int:
    """Compare an archive with its check; return the size of its code in bytes.

    Raises ArchiveError if it is not a complete, undamaged archive, OSError if it cannot be read.
    """
    size = path.stat().st_size
    checked = hashlib.sha256()
    with path.open("rb") as file:
        Header.read(file, str(path))
        start = file.tell()
        file.seek(0)
        left = size - CHECK_SIZE
        if left < start:
            raise damaged(str(path))
        for data in chunks(file, left):
            checked.update(data)
        if file.read() != checked.digest()[:CHECK_SIZE]:  # nothing of a file that became shorter
            raise damaged(str(path))
    return size - CHECK_SIZE - start
