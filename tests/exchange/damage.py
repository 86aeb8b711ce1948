"""Damaged copies of a file, and what becomes of them."""

import os
import struct
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ricorda.errors import InputError
from ricorda.exchange import import_model

COUNT = 200 if os.environ.get("FAULTS") != "all" else 5000
"""Damaged files of each format."""

EXTREMES = (bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f", struct.pack("<Q", 1 << 40))


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Damage a file in one of the ways in which files are damaged or forged.

    The first bytes, which describe the rest, are damaged as often as all others together.
    """
    changed = bytearray(content)
    reach = len(content) if random.integers(0, 2) else min(len(content), 2000)
    at, source = random.integers(0, reach, 2).tolist()
    size = int(random.integers(1, 200))
    match int(random.integers(0, 6)):
        case 0:
            del changed[at:]
        case 1:
            del changed[at : at + size]
        case 2:
            changed[at:at] = random.bytes(size)
        case 3:
            for each in random.integers(0, reach, int(random.choice([1, 5, 20]))):
                changed[each] ^= 1 << int(random.integers(0, 8))
        case 4:
            changed[at : at + 8] = EXTREMES[int(random.integers(0, len(EXTREMES)))]
        case 5:
            changed[at : at + size] = changed[source : source + size]
    return bytes(changed)


def refusal(path: Path, content: bytes | None = None, symbols: Path | None = None) -> str | None:
    """Import a file, of this content if given: the line that refuses it, None if it was read."""
    if content is not None:
        path.write_bytes(content)
    try:
        import_model(path, symbols=symbols)
    except InputError as error:
        message = str(error)
        assert message
        assert len(message.splitlines()) == 1, message
        assert len(message) < 1000, message
        return message
    return None


def with_sizes(content: bytes, compressed: int, expanded: int | None = None) -> bytes:
    """Forge the sizes, in the archive and outside, that a ZIP file states for each of its parts."""
    changed = bytearray(content)
    at = content.find(b"PK\1\2")
    while at >= 0:
        changed[at + 20 : at + 24] = struct.pack("<I", compressed)
        if expanded is not None:
            changed[at + 24 : at + 28] = struct.pack("<I", expanded)
        at = content.find(b"PK\1\2", at + 4)
    return bytes(changed)


def refused_share(path: Path, contents: Iterable[bytes], symbols: Path | None = None) -> float:
    """The share of files that are refused; all others must be models."""
    refused = [refusal(path, content, symbols) is not None for content in contents]
    return sum(refused) / len(refused)


def peak_memory(work: Callable[[], object]) -> int:
    """Bytes that Python and NumPy held at most while work ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
