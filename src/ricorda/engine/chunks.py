"""Reading long texts a bounded part at a time."""

from collections.abc import Iterable, Iterator

import numpy as np

from ricorda.engine.backend import Array, Backend, Ids, State
from ricorda.model.configuration import ModelConfiguration

NUMBERS_AT_ONCE = 2**21  # the widest array of a chunk: 8 MB in float32, 16 in float64


def positions_at_once(configuration: ModelConfiguration) -> int:
    """Say how many symbols, streams times steps, may be read by one call of a backend."""
    width = max(configuration.vocabulary_size, configuration.gates * configuration.hidden_size)
    return max(1, NUMBERS_AT_ONCE // width)


def overlapping(pieces: Iterable[Ids], length: int) -> Iterator[Ids]:
    """Cut ids, however they arrive, into blocks that predict `length` symbols each.

    A block is `length` + 1 ids long, the last may be shorter; the last id of one is the first of
    the next, so that each id but the very first is predicted in exactly one block.
    """
    held: list[Ids] = []
    size = 0
    for part in _parts(pieces, length):
        held.append(part)
        size += len(part)
        if size > length:
            joined = np.concatenate(held)
            yield joined[: length + 1]
            held = [joined[length:]]
            size -= length
    if size > 1:
        yield np.concatenate(held)


def _parts(pieces: Iterable[Ids], length: int) -> Iterator[Ids]:
    """Cut each piece, which may be a whole mapped file, into parts of at most `length`."""
    for piece in pieces:
        for begin in range(0, len(piece), length):
            yield piece[begin : begin + length]


def read(backend: Backend, ids: Ids) -> tuple[Array, State]:
    """Read a prompt, ids (T,), from a zero state: logits of what comes next (V,), the state."""
    state = backend.zero_state(1)
    logits = np.empty(0)
    chunk = positions_at_once(backend.configuration)
    for begin in range(0, len(ids), chunk):
        outputs, state = backend.forward(ids[np.newaxis, begin : begin + chunk], state)
        logits = outputs[0, -1]
    return logits, state
