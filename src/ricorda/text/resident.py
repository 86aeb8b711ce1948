"""Keeping a mapped text from filling the memory of the process that reads it."""

import mmap

import numpy as np
from numpy.typing import NDArray

from ricorda.text.vocabulary import Ids

LARGEST = 24 << 20
"""Bytes of a text that may stay mapped into memory at once."""

_FETCHED = 64 << 10  # bytes that the system may map at each place that is read


class ResidentLimit:
    """Lets go of a text's pages, now and then, once some have been read.

    They stay in the system's cache of the disk, which gives them up when memory is short; reading
    them again costs about a microsecond each. Texts that are small, or not mapped, are let be.
    """

    def __init__(self, ids: Ids, largest: int = LARGEST) -> None:
        self._map = _map_of(ids) if ids.nbytes > largest else None
        self._largest = largest
        self._read = 0

    def count(self, places: int, bytes_each: int) -> None:
        """Note that so many bytes were read at so many places."""
        advice = getattr(mmap, "MADV_DONTNEED", None)  # Windows has none
        if self._map is None or advice is None:
            return
        self._read += places * (bytes_each + _FETCHED)
        if self._read >= self._largest:
            self._map.madvise(advice)
            self._read = 0


def _map_of(array: NDArray[np.unsignedinteger]) -> mmap.mmap | None:
    """The memory map that an array is a view of."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
