"""Ids on disk: appended piece by piece, then mapped into memory.

A page that is touched through a memory map counts as the process's memory, and the system may map
megabytes around it. The rows of a large text are therefore read from its file instead.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from ricorda.durable import PARTIAL
from ricorda.errors import TextError
from ricorda.text.vocabulary import Ids, id_type

LARGEST_MAPPED = 24 << 20
"""Bytes of a text up to which its rows are read through the memory map."""


class MappedIds(np.memmap[Any, np.dtype[np.unsignedinteger[Any]]]):
    """Ids (N,) mapped from a file that stays open for as long as they, or a view of them, live."""

    descriptor: int | None = None

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        self.descriptor = None  # offsets in the file are known for the whole map only


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

    def rows(self, first: NDArray[np.int64], length: int) -> NDArray[np.uint32]:
        """Return the symbols (B, length) from the places `first` (B,) on.

        Raises TextError if the file was cut off.
        """
        if self._whole is None or self._whole.descriptor is None:
            symbols: Ids = self._ids[first[:, None] + np.arange(length)]
            return symbols.astype(np.uint32, copy=False)
        lengths = np.full(len(first), length)
        return self._read(self._whole.descriptor, first, lengths).reshape(len(first), length)

    def spans(self, first: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the symbols of spans, one after the other, from the places `first` (K,) on.

        Raises TextError if the file was cut off.
        """
        if self._whole is None or self._whole.descriptor is None:
            shifts = first - (np.cumsum(lengths) - lengths)
            places = np.repeat(shifts, lengths) + np.arange(int(lengths.sum()))
            symbols: Ids = self._ids[places]
            return symbols.astype(np.uint32, copy=False)
        return self._read(self._whole.descriptor, first, lengths)

    def _read(
        self, descriptor: int, first: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.uint32]:
        size = self._ids.itemsize
        symbols = np.empty(int(lengths.sum()), np.uint32)
        begin = 0
        for position, length in zip(first.tolist(), lengths.tolist(), strict=True):
            data = os.pread(descriptor, length * size, self._offset + position * size)
            if len(data) < length * size:
                raise TextError(
                    "the file of the encoded text became shorter while it was read: leave the "
                    "cache alone while a run trains, or use --cache off"
                )
            symbols[begin : begin + length] = np.frombuffer(data, self._ids.dtype)
            begin += length
        return symbols


def _whole(array: NDArray[Any]) -> MappedIds | None:
    """The mapped file that a contiguous array is a view of."""
    base: object = array if array.flags.c_contiguous else None
    while isinstance(base, np.ndarray):
        if isinstance(base, MappedIds) and base.descriptor is not None:
            return base
        base = base.base
    return None


_BLOCK = 1 << 20  # ids rewritten at a time


IdType = np.dtype[np.unsignedinteger[Any]]

_TYPES: tuple[IdType, ...] = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))


def translated(ids: Ids, table: NDArray[np.integer[Any]], type: IdType) -> Ids:
    """Return each id's entry in `table` (V,)."""
    if ids.dtype == np.uint8 and type == np.uint8:
        entries = table.astype(np.uint8).tobytes().ljust(256, b"\0")
        return np.frombuffer(ids.tobytes().translate(entries), np.uint8)
    return table.take(ids).astype(type, copy=False)


class IdFile:
    """A file of ids in the smallest type that holds them; use it in a `with` block.

    The file has no name (on Windows, it goes when it is closed), so that nothing is left behind
    even by a process that is killed; a memory map of it lives on after the block.
    """

    def __init__(self, folder: Path) -> None:
        """Open a file on the disk of `folder`. Raises TextError if that cannot be."""
        self._folder = folder
        self._type = id_type(1)
        try:
            self._file = self._new_file(self._type)
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def itemsize(self) -> int:
        """Bytes of each id so far."""
        return self._type.itemsize

    def append(self, ids: NDArray[np.integer[Any]], size: int) -> None:
        """Write further ids (T,), all below `size`. Raises TextError if the disk is full."""
        try:
            self._make_room(size)
            self._file.write(ids.astype(self._type, copy=False).data)
        except OSError as error:
            raise self._unwritable(error) from error

    def translate(self, table: NDArray[np.integer[Any]]) -> None:
        """Replace each id by its entry in `table` (V,), in place."""
        try:
            for offset, ids in self._blocks():
                self._file.seek(offset)
                self._file.write(translated(ids, table, self._type).data)
        except OSError as error:
            raise self._unwritable(error) from error

    def map(self, size: int) -> Ids:
        """Return all ids (N,), read-only, as a memory map; N must not be 0.

        Their type is the smallest for `size` symbols, even where the ids seen would fit a smaller.
        """
        try:
            self._make_room(size)
            self._file.flush()
            ids: Ids = mapped(self._file, self._type)
        except OSError as error:
            raise self._unwritable(error) from error
        return ids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk, which was reported before
            self._file.close()

    def _new_file(self, type: IdType) -> IO[bytes]:
        return tempfile.TemporaryFile(prefix=".ricorda-", suffix=PARTIAL, dir=self._folder)

    def _make_room(self, size: int) -> None:
        """Rewrite the file in a wider type if `size` symbols need it (twice at most)."""
        wider = id_type(size)
        if wider.itemsize <= self._type.itemsize:
            return
        file = self._new_file(wider)
        try:
            for _, ids in self._blocks():
                file.write(ids.astype(wider).data)
        except BaseException:
            with suppress(OSError):
                file.close()
            raise
        self._file.close()
        self._file, self._type = file, wider

    def _blocks(self) -> Iterator[tuple[int, Ids]]:
        """Yield (offset in the file, ids) for all ids so far."""
        size = _BLOCK * self._type.itemsize
        offset = 0
        while True:
            self._file.seek(offset)
            data = self._file.read(size)
            if not data:
                return
            yield offset, np.frombuffer(data, self._type)
            offset += len(data)

    def _unwritable(self, error: OSError) -> Exception:
        return TextError(
            f"the encoded text cannot be written to {self._folder}: {error.strerror or error}; "
            "free some space there, or choose another folder"
        )


class KeptIdFile(IdFile):
    """Provisional ids in a file with a name, so that another process can continue them.

    Raises OSError where IdFile raises TextError.
    """

    def __init__(self, folder: Path, itemsize: int = 1, count: int = 0) -> None:
        """Start empty, or continue after the first `count` ids of `itemsize` bytes.

        Raises OSError, or ValueError if there are not so many.
        """
        self._folder = folder
        self._type = _TYPES[(1, 2, 4).index(itemsize)]
        self._file = self._new_file(self._type) if count == 0 else self._place(itemsize).open("r+b")
        if self._file.seek(0, os.SEEK_END) < count * itemsize:
            self._file.close()
            raise ValueError("fewer ids than were written")
        self._file.truncate(count * itemsize)

    def blocks(self) -> Iterator[Ids]:
        """Yield all ids so far, then stand at their end."""
        for _, ids in self._blocks():
            yield ids

    def flush(self) -> None:
        """Hand what was written to the system, where it outlives this process."""
        self._file.flush()

    def discard_others(self) -> None:
        """Remove what a narrower type left."""
        for type in _TYPES:
            if type != self._type:
                self._place(type.itemsize).unlink(missing_ok=True)

    def _place(self, itemsize: int) -> Path:
        return self._folder / f"provisional.{itemsize}"

    def _new_file(self, type: IdType) -> IO[bytes]:
        return self._place(type.itemsize).open("w+b")

    def _unwritable(self, error: OSError) -> Exception:
        return error
