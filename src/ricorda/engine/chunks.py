"""Reading long texts a bounded part at a time, with the state carried from part to part."""

from collections.abc import Iterable, Iterator

import numpy as np

from ricorda.engine.backend import Array, Backend, Ids, ScoringBackend, State, Surprisals
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration

NUMBERS_AT_ONCE = 2**21  # the widest array of a chunk: 8 MB in float32, 16 in float64


def positions_at_once(configuration: ModelConfiguration) -> int:
    """Say how many symbols, streams times steps, may be read by one call of a backend."""
    width = max(configuration.vocabulary_size, configuration.gates * configuration.hidden_size)
    return max(1, NUMBERS_AT_ONCE // width)


def parts_of(ids: Ids, length: int) -> Iterator[Ids]:
    """Cut ids (T,), which may be a whole mapped file, into parts of at most `length`."""
    for begin in range(0, len(ids), length):
        yield ids[begin : begin + length]


def overlapping(pieces: Iterable[Ids], length: int) -> Iterator[Ids]:
    """Cut ids, however they arrive, into blocks that predict `length` symbols each.

    A block is `length` + 1 ids long, the last may be shorter; the last id of one is the first of
    the next, so that each id but the very first is predicted in exactly one block.
    """
    held: list[Ids] = []
    size = 0
    for piece in pieces:
        for part in parts_of(piece, length):
            held.append(part)
            size += len(part)
            if size > length:
                joined = np.concatenate(held)
                yield joined[: length + 1]
                held = [joined[length:]]
                size -= length
    if size > 1:
        yield np.concatenate(held)


def read(
    backend: Backend, ids: Ids, state: State | None = None, *, labels: Ids | None = None
) -> tuple[Array, State]:
    """Read ids (T,) from a state, by default zero: logits of what comes next (V,), the state.

    labels (T,): those of the ids. Without ids there are no logits.
    """
    state = backend.zero_state(1) if state is None else state
    logits = np.empty(0)
    for part, beside in _with_labels(ids, labels, positions_at_once(backend.configuration)):
        row = None if beside is None else beside[np.newaxis]
        outputs, state = backend.forward(part[np.newaxis], state, labels=row)
        logits = outputs[0, -1]
    return logits, state


def scored(
    backend: ScoringBackend,
    blocks: Iterable[Ids],
    alternatives: int = 0,
    labels: Iterable[Ids] | None = None,
) -> Iterator[tuple[Ids, Surprisals]]:
    """Read blocks of B texts, (B, t + 1), from a zero state and score the last t symbols of each.

    The first symbols of a block are the last ones of the block before. `labels` are blocks of the
    same shapes; those of a block's last symbols are not read. Yields each block with its
    surprisals.
    """
    state: State | None = None
    for block, beside in _beside(blocks, labels):
        state = backend.zero_state(len(block)) if state is None else state
        read = None if beside is None else beside[:, :-1]
        found, state = backend.score(block[:, :-1], block[:, 1:], state, alternatives, labels=read)
        yield block, found


def traced(backend: Backend, ids: Ids, *, labels: Ids | None = None) -> Iterator[dict[str, Array]]:
    """Read ids (T,) from a zero state and yield the activations of each part: arrays (t, L, H).

    labels (T,): those of the ids.
    """
    configuration = backend.configuration
    width = configuration.num_layers * len(CELLS[configuration.cell].traced)
    state = backend.zero_state(1)
    length = max(1, positions_at_once(configuration) // width)
    for part, beside in _with_labels(ids, labels, length):
        arrays, state = backend.trace(part, state, labels=beside)
        yield arrays


def _with_labels(ids: Ids, labels: Ids | None, length: int) -> Iterator[tuple[Ids, Ids | None]]:
    """Cut ids (T,) and their labels (T,) into parts of at most `length`."""
    return _beside(parts_of(ids, length), None if labels is None else parts_of(labels, length))


def _beside(
    blocks: Iterable[Ids], labels: Iterable[Ids] | None
) -> Iterator[tuple[Ids, Ids | None]]:
    """Pair blocks of ids with those of their labels, or with None."""
    if labels is None:
        return ((block, None) for block in blocks)
    return zip(blocks, labels, strict=True)
