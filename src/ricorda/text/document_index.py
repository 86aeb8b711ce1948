"""An index of documents on disk, which says whether a text is one of them.

It holds a 64-bit hash of each document, sorted, in a file of 8 bytes a document. A document that is
in it is always found. Among n documents, another text is taken for one of them once in 2**64 / n.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from ricorda.durable import open_untrusting, replacing
from ricorda.errors import RunError

MAGIC = b"ricorda documents 1\n".ljust(32, b"\0")
"""How the file begins; the hashes follow, little-endian."""

_HASH = np.dtype("<u8")
_WRITTEN_AT_ONCE = 1 << 16


def document_hash(document: str) -> int:
    """Return the hash of a document: BLAKE2b of its UTF-8 bytes, 64 bits."""
    data = document.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=_HASH.itemsize).digest(), "little")


def write_document_index(path: Path, documents: Iterable[str]) -> None:
    """Write an index of documents, whole or not at all; the hashes are sorted in the file.

    Raises RunError if something else than a file lies there, OSError if the disk refuses.
    """
    with replacing(path) as file:
        file.write(MAGIC)
        hashes = map(document_hash, documents)
        while (some := np.fromiter(islice(hashes, _WRITTEN_AT_ONCE), _HASH)).size:
            file.write(some.tobytes())
        file.flush()
        if file.tell() > len(MAGIC):
            mapped = np.memmap(file.name, _HASH, "r+", offset=len(MAGIC))
            mapped.sort()
            mapped.flush()


class DocumentIndex:
    """The documents of an index: `text in index` says whether a text is one of them."""

    def __init__(self, path: Path) -> None:
        """Open an index; it is read where it is searched.

        Raises RunError if it is missing or damaged.
        """
        try:
            with open_untrusting(path) as file:
                is_index = file.read(len(MAGIC)) == MAGIC
                size = os.fstat(file.fileno()).st_size - len(MAGIC)
                if not is_index or size % _HASH.itemsize:
                    raise RunError(
                        f"{path} is not an index of documents, or damaged: train the model again"
                    )
                self._hashes = (
                    np.memmap(file, _HASH, "r", offset=len(MAGIC)) if size else np.zeros(0, _HASH)
                )
        except OSError as error:
            raise RunError(
                f"cannot read {path}: {(error.strerror or str(error)).lower()}"
            ) from error

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, document: str) -> bool:
        wanted = _HASH.type(document_hash(document))
        place = int(np.searchsorted(self._hashes, wanted))
        return place < len(self._hashes) and bool(self._hashes[place] == wanted)
