"""Damaged copies of a file, and what becomes of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ricorda.errors import RicordaError
from ricorda.exchange import import_model

COUNT = 200 if os.environ.get("FAULTS") != "all" else 5000


def damaged(content: bytes, random: np.random.Generator, count: int) -> Iterator[bytes]:
    """Yield copies that are cut short, have wrong bits or bytes, or lack or repeat a part.

    The first bytes, which describe the rest, are damaged as often as all others together.
    """
    for number in range(count):
        reach = len(content) if number % 2 else min(len(content), 2000)
        place = int(random.integers(0, reach))
        if number % 5 == 0:
            yield content[:place]
        elif number % 5 == 1:
            yield content[:place] + content[place + int(random.integers(1, 50)) :]
        elif number % 5 == 2:
            yield content[:place] + random.bytes(int(random.integers(1, 9))) + content[place:]
        else:
            changed = bytearray(content)
            for each in random.integers(0, reach, 1 if number % 5 == 3 else 20):
                changed[each] ^= 1 << int(random.integers(0, 8))
            yield bytes(changed)


def refusal(path: Path, content: bytes, symbols: Path | None = None) -> str | None:
    """Import a file of this content: the line that refuses it, None where it was read."""
    path.write_bytes(content)
    try:
        import_model(path, symbols=symbols)
    except RicordaError as error:
        message = str(error)
        assert message
        assert len(message.splitlines()) == 1, message
        assert len(message) < 1000, message
        return message
    return None


def refused_share(path: Path, contents: Iterator[bytes], symbols: Path | None = None) -> float:
    """The share of files that are refused; all others must be models."""
    refused = [refusal(path, content, symbols) is not None for content in contents]
    return sum(refused) / len(refused)


def peak_memory(work: Callable[[], object]) -> int:
    """Bytes that Python and NumPy held at most while work ran."""
    import tracemalloc

    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
