"""Reading a mapped text without filling the memory of the process that reads it.

Whatever is touched through a memory map counts as the process's memory, and the system may map
megabytes around each place. The rows of a large text are therefore read from its file instead.
"""

import os
import weakref
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import TextError
from ricorda.text.vocabulary import Ids

LARGEST_MAPPED = 24 << 20
"""Bytes of a text up to which its rows are read through the memory map."""


class MappedIds(np.memmap[Any, np.dtype[np.unsignedinteger[Any]]]):
    """Ids (N,) mapped from a file that stays open for as long as they, or a view of them, live."""

    descriptor: int | None = None

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        self.descriptor = None  # that of the whole map alone tells where in the file it begins


def mapped(file: IO[bytes], type: np.dtype[np.unsignedinteger[Any]]) -> MappedIds:
    """Map a whole file of ids, read-only. Raises OSError, or ValueError for an empty file."""
    ids = MappedIds(file, type, mode="r")
    descriptor = os.dup(file.fileno())
    weakref.finalize(ids, os.close, descriptor)
    ids.descriptor = descriptor
    return ids


class RowReader:
    """Reads rows of ids (N,), which may be a part of a mapped text."""

    def __init__(self, ids: Ids, largest: int = LARGEST_MAPPED) -> None:
        """Read from the file what is larger than `largest` bytes, where there is one."""
        self._ids = ids
        self._whole = _whole(ids) if ids.nbytes > largest and hasattr(os, "pread") else None
        if self._whole is not None:
            self._offset = ids.ctypes.data - self._whole.ctypes.data

    def rows(self, first: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the symbols (B, length) from the places `first` (B,) on.

        Raises TextError if the file was cut off.
        """
        if self._whole is None or self._whole.descriptor is None:
            symbols: NDArray[np.int64] = self._ids[first[:, None] + np.arange(length)].astype(
                np.int64
            )
            return symbols
        size = self._ids.itemsize
        rows = np.empty((len(first), length), np.int64)
        for row, place in zip(rows, first.tolist(), strict=True):
            data = os.pread(self._whole.descriptor, length * size, self._offset + place * size)
            if len(data) < length * size:
                raise TextError(
                    "the file of the encoded text became shorter while it was read: leave the "
                    "cache alone while a run trains, or use --cache off"
                )
            row[:] = np.frombuffer(data, self._ids.dtype)
        return rows


def _whole(array: NDArray[Any]) -> MappedIds | None:
    """The mapped file that a contiguous array is a view of."""
    base: object = array if array.flags.c_contiguous else None
    while isinstance(base, np.ndarray):
        if isinstance(base, MappedIds) and base.descriptor is not None:
            return base
        base = base.base
    return None
